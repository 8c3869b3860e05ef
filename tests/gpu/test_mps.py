"""The real MPS: a daemon of the stack's own, clients that are attached, and one that is not and must be noticed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps.attachment import check_attached, clients, own_namespace
from splitwiser.mps.client import ClientShare, without_mps
from splitwiser.mps.control import Control
from splitwiser.mps.daemon import mps_daemon
from splitwiser.mps.gate import measure_products

START = (sys.executable, "-m", "tests.gpu.client_process")


@contextmanager
def gpu_process(environment: dict[str, str]) -> Iterator[int]:
    """A process that has opened the GPU; its pid."""
    with subprocess.Popen(
        START, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment}
    ) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())["pid"]
        process.kill()


async def test_clients_are_listed_by_a_daemon_of_ones_own_and_those_without_it_are_noticed(folder: Path) -> None:
    async with mps_daemon("", folder / "mps", environ={}) as control:
        capped = ClientShare("below-normal", 50).environment(control)
        with gpu_process(capped) as inside, gpu_process(without_mps(folder)) as outside:
            check_attached(control, [inside])
            assert [(each.pid, each.namespace) for each in clients(control)] == [(inside, own_namespace())]
            with pytest.raises(StartupError, match=f"not attached .* process {outside}"):
                check_attached(control, [inside, outside], patience_s=0.5)
        async with mps_daemon(str(control.pipe_dir), folder, environ={}) as found:
            assert found.pipe_dir == control.pipe_dir
        assert control.is_running(), "a daemon that was found is not this block's to end"
    assert not control.is_running()


async def test_a_named_daemon_that_does_not_run_is_refused(folder: Path) -> None:
    with pytest.raises(StartupError, match="no MPS daemon answers"):
        async with mps_daemon(str(folder / "nowhere"), folder, environ={}):
            pass


async def test_products_of_an_uncapped_client_pass_the_gate(folder: Path) -> None:
    async with mps_daemon("", folder / "mps", environ={}) as control:
        environment = ClientShare().environment(control)
        finding = await measure_products([(1024, 1024), (3072, 1024)], [1, 512], "bfloat16", 100, environment)
    assert finding.passes
    assert finding.error > 1e-4
    assert finding.sm_count > 0
    assert not Control(control.pipe_dir, control.log_dir).is_running()


async def test_products_on_either_side_of_a_partition_pass_the_gate(folder: Path) -> None:
    async with mps_daemon("", folder / "mps", environ={}) as control:
        environment, shapes = ClientShare().environment(control), [(4096, 4096), (28672, 4096)]
        decode, prefill = [
            await measure_products(shapes, [1, 128, 2048], "bfloat16", 100, environment, partition=partition)
            for partition in ({"side": "decode", "sms": 48}, {"side": "prefill", "sms": 84})
        ]
    assert decode.passes
    assert prefill.passes
    assert (decode.sm_count, prefill.sm_count) == (48, 84)
