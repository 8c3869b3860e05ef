"""What a release leaves behind: nothing but an empty folder for its socket."""

from pathlib import Path

from splitwiser.memory.memfd import NAME_PREFIX
from tests.cluster.conftest import wait_until
from tests.cluster.kube import RELEASE, Kube

SOCKETS = Path("/run/splitwiser")
PROCESSES = Path("/proc")


def test_nothing_is_left_on_the_node(plain: Kube, node: None) -> None:
    with plain.load(10, per_second=20) as load:
        assert all(one.is_right(32) for one in load.finish(10))
    pods = [pod["metadata"]["uid"] for pod in plain.get("pods", f"app.kubernetes.io/instance={RELEASE}")]
    segments = set().union(*(_segments(process) for process in _processes(pods)))
    assert _sockets(plain)
    assert _mounts(pods)
    assert _control_groups(pods)
    assert segments

    plain.helm("uninstall", RELEASE, "--wait", "--timeout", "90s")
    wait_until(lambda: not plain.get("pods", f"app.kubernetes.io/instance={RELEASE}"), "end of the pods")
    wait_until(lambda: not (_mounts(pods) or _control_groups(pods)), "end of mounts and control groups", timeout_s=30)
    assert _sockets(plain) == []
    assert not any(segments & _segments(process) for process in PROCESSES.glob("[0-9]*"))
    assert [kind for kind in ("deployments", "services", "configmaps", "jobs") if _of_the_release(plain, kind)] == []


def _of_the_release(kube: Kube, kind: str) -> bool:
    return bool(kube.get(kind, f"app.kubernetes.io/instance={RELEASE}"))


def _sockets(kube: Kube) -> list[Path]:
    return [path for path in SOCKETS.rglob("*") if path.is_socket() and kube.namespace in str(path)]


def _mounts(pods: list[str]) -> list[str]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in mounts if any(pod in line for pod in pods)]


def _control_groups(pods: list[str]) -> list[Path]:
    return [path for path in Path("/sys/fs/cgroup").glob("**/pod*") if path.name.removeprefix("pod") in pods]


def _processes(pods: list[str]) -> list[Path]:
    """Those that run in the pods."""
    return [process for process in PROCESSES.glob("[0-9]*") if any(pod in _text(process / "cgroup") for pod in pods)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _segments(process: Path) -> set[tuple[int, int]]:
    """The store's segments that a process has open, the pool and the weights: device and inode of each."""
    found = set()
    try:
        for file in (process / "fd").iterdir():
            if str(file.readlink()).startswith(f"/memfd:{NAME_PREFIX}"):
                status = file.stat()
                found.add((status.st_dev, status.st_ino))
    except OSError:
        return found
    return found
