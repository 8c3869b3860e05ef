"""However the command that runs a cluster ends, nothing of it stays: processes, mounts, control groups, files."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster.host import CGROUPS, KERNEL_SETTINGS, PREFIX, STATES, SYSCTL

ENDS_WITHIN_S = 90.0
STARTS_WITHIN_S = 240.0


@contextmanager
def cluster(binaries: str, images: Path, logs: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """The command's process, in a process group of its own, as a shell starts it."""
    options = (f"--binaries={binaries}", f"--images={images}", f"--logs={logs}", "--gpu-replicas=0")
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.cluster", *options, "--", *command],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def settings() -> dict[str, str]:
    return {name: (SYSCTL / name).read_text() for name in KERNEL_SETTINGS}


def left() -> list[str]:
    """What is on the machine of any cluster."""
    files = [str(path) for path in STATES.glob(f"{PREFIX}*")]
    groups = [str(path) for path in CGROUPS.glob(f"**/{PREFIX}*")]
    return files + groups + [f"{path}: {command}" for path, command in commands().items()]


def commands() -> dict[Path, str]:
    """The processes that a cluster's folder, mounts or control group can be seen of."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "cmdline").read_text() + (process / "cgroup").read_text()
            seen += (process / "mountinfo").read_text()
        except OSError:
            continue
        if PREFIX in seen:
            found[process] = (process / "cmdline").read_text().replace("\0", " ")
    return found


def await_no_process() -> None:
    deadline_s = time.monotonic() + ENDS_WITHIN_S
    while found := commands():
        assert time.monotonic() < deadline_s, found
        time.sleep(0.1)


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    line = process.stdout.readline()
    assert "cluster_ready_s" in line, line


def test_ctrl_c_ends_the_command_first_and_then_the_cluster(binaries: str, small: Path, tmp_path: Path) -> None:
    before, said = settings(), tmp_path / "said"
    script = f"trap 'kubectl get nodes >{said}; exit 7' INT; echo up; while :; do sleep 0.1; done"
    with cluster(binaries, small, tmp_path / "logs", "bash", "-c", script) as process:
        ready(process)
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        assert left()
        os.killpg(process.pid, signal.SIGINT)
        # The status is the command's: the node waited for what it did last, with the cluster still there.
        assert process.wait(ENDS_WITHIN_S) in (7, 130)
    assert "node" in said.read_text()
    assert left() == []
    assert settings() == before


def test_ctrl_c_before_the_cluster_is_ready(binaries: str, small: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with cluster(binaries, small, logs, "touch", str(tmp_path / "ran")) as process:
        while not (logs / "api_server.log").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(ENDS_WITHIN_S) != 0
    assert not (tmp_path / "ran").exists()
    assert left() == []


def test_what_a_killed_cluster_leaves_goes_with_the_next(binaries: str, small: Path, tmp_path: Path) -> None:
    before = settings()
    with cluster(binaries, small, tmp_path / "logs", "sleep", "infinity") as process:
        ready(process)
        process.kill()
        process.wait()
    await_no_process()
    # Its processes went by themselves; its files and control groups had nobody who could have removed them.
    assert left()
    with cluster(binaries, small, tmp_path / "logs", "kubectl", "get", "nodes") as process:
        output, _ = process.communicate(timeout=STARTS_WITHIN_S)
        assert process.returncode == 0
        assert "Ready" in output
    assert left() == []
    assert settings() == before
