"""What a cluster has outside of its namespaces: control groups, settings of the kernel, the state folder."""

import contextlib
import fcntl
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tools.cluster.layout import Layout

CGROUPS = Path("/sys/fs/cgroup")
LOCK = Path("/run/lock/splitwiser-cluster")
# The kubelet sets these for the whole machine, whatever namespace it is in.
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


@contextlib.contextmanager
def kept_as_it_was(layout: Layout) -> Iterator[None]:
    """Makes the cluster's control groups; afterwards nothing of the cluster is on the machine but its logs."""
    with LOCK.open("w") as lock:
        # One at a time: a second one would take the first one's settings of the kernel for the machine's.
        fcntl.flock(lock, fcntl.LOCK_EX)
        settings = {Path("/proc/sys") / name: (Path("/proc/sys") / name).read_text() for name in KERNEL_SETTINGS}
        groups = [root / layout.control_group for root in _hierarchies()]
        for group in groups:
            group.mkdir()
        try:
            yield
        finally:
            for path, text in settings.items():
                if path.read_text() != text:
                    path.write_text(text)
            for group in groups:
                _remove_group(group)
            shutil.rmtree(layout.state)


def wait(child: subprocess.Popen[bytes], patience_s: float = 60) -> int:
    """The child's exit status. After Ctrl-C it may take `patience_s` to clean up; then the cluster is killed."""
    try:
        return child.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            return child.wait(patience_s)
        return 130
    finally:
        child.kill()
        child.wait()


def _hierarchies() -> list[Path]:
    """Roots of the control groups: one for each controller of version 1, or the one of version 2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted({path.resolve() for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()})


def _remove_group(group: Path, patience_s: float = 20) -> None:
    """Removes a control group and those below it, once the processes that were killed have left them."""
    deadline = time.monotonic() + patience_s
    while group.exists():
        for folder in [*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group]:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{group} still has processes after {patience_s:.0f} s")
        time.sleep(0.05)
