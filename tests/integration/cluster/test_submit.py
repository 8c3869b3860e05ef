"""An experiment submitted as a Job: followed to its end, its files collected, and nothing left however it ends."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, api_server, write_kubeconfig
from tests.support.stack import running_stack
from tests.support.waiting import until


@dataclass
class Lab:
    """A cluster of one process, and the command against it."""

    server: ApiServer
    kubeconfig: Path
    out: Path

    async def start(self, *flags: str) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "splitwiser.cli", "experiment", "submit", *flags, f"--out={self.out}")
        return await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def submit(self, *flags: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        process = await self.start(*flags)
        out, errors = await process.communicate()
        return process.returncode or 0, out.decode(), errors.decode()

    def assert_nothing_is_left(self) -> None:
        assert sorted(self.server.deleted) == sorted(self.server.pods)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with api_server(tmp_path) as (server, address):
        write_kubeconfig(tmp_path / "kubeconfig", address)
        yield Lab(server, tmp_path / "kubeconfig", tmp_path / "out")


@pytest.mark.slow
async def test_an_experiment_is_followed_and_collected(lab: Lab) -> None:
    with running_stack() as stack:
        code, out, errors = await lab.submit("handoff", "--quick", f"--endpoint={stack.address}")
    assert code == 0, errors
    result = json.loads((lab.out / "result.json").read_text())
    assert result["endpoint"]
    assert result["samples"]
    assert "</html>" in (lab.out / "report.html").read_text()
    assert str(lab.out / "experiment.log") in out
    assert "1/" in errors, "steps are told as they come"
    lab.assert_nothing_is_left()


async def test_an_unknown_experiment_is_told_in_the_pods_words(lab: Lab) -> None:
    code, _, errors = await lab.submit("handof")
    assert code == 1
    assert "there is no experiment 'handof'" in errors
    assert "did you mean handoff?" in errors
    assert "handof" in (lab.out / "experiment.log").read_text()
    assert not (lab.out / "result.json").exists()
    lab.assert_nothing_is_left()


async def test_a_job_outlives_an_api_server_that_is_away_for_a_moment(lab: Lab) -> None:
    lab.server.hiccups = [200, 503, 429, 0]
    code, _, errors = await lab.submit("handof")
    assert code == 1
    assert "there is no experiment 'handof'" in errors
    assert not lab.server.hiccups
    lab.assert_nothing_is_left()


async def test_an_api_server_that_is_busy_is_no_fault_of_what_was_asked(lab: Lab) -> None:
    lab.server.hiccups = [429]
    code, _, errors = await lab.submit("handoff")
    assert code == 1
    assert "does not answer: etcdserver: leader changed" in errors
    assert not lab.server.pods


async def test_a_missing_image_ends_at_once(lab: Lab) -> None:
    waiting = {"reason": "ErrImageNeverPull", "message": 'Container image "x:1" is not present'}
    lab.server.stuck = {
        "phase": "Pending",
        "containerStatuses": [{"name": "experiment", "image": "x:1", "state": {"waiting": waiting}}],
    }
    code, _, errors = await lab.submit("handoff", "--image", "x:1")
    assert code == 1
    assert "is not present" in errors
    assert "--image" in errors
    lab.assert_nothing_is_left()


async def test_a_pod_that_no_node_takes_is_told_and_given_up_in_time(lab: Lab) -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    lab.server.stuck = {"phase": "Pending", "conditions": [condition]}
    code, _, errors = await lab.submit("handoff", "--gpus", "1", "--start-timeout", "1")
    assert code == 1
    assert errors.count(message) == 2, "once while it waits, once as the cause"
    assert "--start-timeout" in errors
    lab.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_deletes_its_job(lab: Lab, number: int) -> None:
    lab.server.stuck = {"phase": "Pending"}
    process = await lab.start("handoff")
    await until(lambda: bool(lab.server.pods))
    process.send_signal(number)
    _, errors = await process.communicate()
    assert process.returncode == 128 + number
    assert b"deleted" in errors
    lab.assert_nothing_is_left()


async def test_who_may_not_is_told_which_rights_are_needed(lab: Lab) -> None:
    address = lab.kubeconfig.read_text().split("http://")[1].split()[0]
    write_kubeconfig(lab.kubeconfig, address, token="wrong")
    code, _, errors = await lab.submit("handoff")
    assert code == 2
    assert "forbidden" in errors
    assert "pods/log" in errors


async def test_a_cluster_that_does_not_answer_or_is_not_configured(lab: Lab) -> None:
    write_kubeconfig(lab.kubeconfig, "127.0.0.1:1")
    code, _, errors = await lab.submit("handoff")
    assert code == 1
    assert "does not answer" in errors
    lab.kubeconfig.unlink()
    code, _, errors = await lab.submit("handoff")
    assert code == 2
    assert "KUBECONFIG" in errors


async def test_a_folder_with_a_result_is_refused_before_anything_is_made(lab: Lab) -> None:
    lab.out.mkdir()
    (lab.out / "result.json").write_text("{}")
    code, _, errors = await lab.submit("handoff")
    assert code == 2
    assert "holds a result already" in errors
    assert not lab.server.pods
