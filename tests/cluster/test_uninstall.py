"""What a release leaves behind: nothing but an empty folder for its socket."""

from pathlib import Path

from splitwiser.memory.memfd import NAME_PREFIX
from tests.cluster.conftest import wait_until
from tests.cluster.kube import RELEASE, Kube

SOCKETS = Path("/run/splitwiser")
KUBELET_PODS = Path("/var/lib/kubelet/pods")


def test_nothing_is_left_on_the_node(kube: Kube, node: None) -> None:
    kube.install({})
    with kube.load(10, per_second=20) as load:
        assert all(one.is_right(32) for one in load.finish(10))
    pods = [pod["metadata"]["uid"] for pod in kube.get("pods", f"app.kubernetes.io/instance={RELEASE}")]
    assert _sockets(kube)
    assert _mounts(pods)
    assert _control_groups(pods)
    assert _shared_memory()

    kube.helm("uninstall", RELEASE, "--wait", "--timeout", "90s")
    wait_until(lambda: not kube.get("pods", f"app.kubernetes.io/instance={RELEASE}"), "end of the pods")
    wait_until(lambda: not (_mounts(pods) or _control_groups(pods)), "end of mounts and control groups", timeout_s=30)
    assert _sockets(kube) == []
    assert _shared_memory() == []
    assert [kind for kind in ("deployments", "services", "configmaps", "jobs") if _of_the_release(kube, kind)] == []


def _of_the_release(kube: Kube, kind: str) -> bool:
    return bool(kube.get(kind, f"app.kubernetes.io/instance={RELEASE}"))


def _sockets(kube: Kube) -> list[Path]:
    return [path for path in SOCKETS.rglob("*") if path.is_socket() and kube.namespace in str(path)]


def _mounts(pods: list[str]) -> list[str]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in mounts if any(pod in line for pod in pods)]


def _control_groups(pods: list[str]) -> list[Path]:
    return [path for path in Path("/sys/fs/cgroup").glob("**/pod*") if path.name.removeprefix("pod") in pods]


def _shared_memory() -> list[str]:
    """Segments of the store that a process still has open: the pool and the weights."""
    held = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            files = [str(file.readlink()) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        held += [name for name in files if name.startswith(f"/memfd:{NAME_PREFIX}")]
    return held
