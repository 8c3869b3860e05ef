"""What a cluster has outside of its namespaces: control groups, settings of the kernel, the state folder."""

import contextlib
import fcntl
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
LOCK = Path("/run/lock/splitwiser-cluster")
STATES = Path("/var/tmp")
PREFIX = "splitwiser-cluster-"
SYSCTL = Path("/proc/sys")
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
def state_folder() -> Iterator[Path]:
    """A new cluster's folder, and control groups of its name. Afterwards nothing of it is on the machine but its
    logs; nor is what an earlier one left that was killed before it could tidy up."""
    with LOCK.open("w") as lock:
        # One at a time: a second one would take the first one's settings of the kernel for the machine's.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in STATES.glob(f"{PREFIX}*"):
            _remove(left)
        state = Path(tempfile.mkdtemp(prefix=PREFIX, dir=STATES))
        _saved_settings(state).write_text(json.dumps({name: (SYSCTL / name).read_text() for name in KERNEL_SETTINGS}))
        try:
            for root in _hierarchies():
                (root / state.name).mkdir()
            yield state
        finally:
            _remove(state)


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


def _saved_settings(state: Path) -> Path:
    return state / "kernel-settings.json"


def _remove(state: Path) -> None:
    """Puts the kernel's settings back as this cluster found them, and removes its control groups and its folder. Its
    processes have ended, or are about to: the kernel ends them with the one that started the cluster."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        for name, text in json.loads(_saved_settings(state).read_text()).items():
            if (SYSCTL / name).read_text() != text:
                (SYSCTL / name).write_text(text)
    for root in _hierarchies():
        _remove_group(root / state.name)
    shutil.rmtree(state)


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
