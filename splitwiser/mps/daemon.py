"""Owns which MPS daemon a stack uses: one that runs already, or one of its own for as long as it lives."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from splitwiser.errors import StartupError
from splitwiser.mps.control import PIPE_VARIABLE, Control, require_binary
from splitwiser.settled import settled

START_TIMEOUT_S = 20.0
POLL_S = 0.1
QUIT_GRACE_S = 5
LONGEST_SOCKET_NAME = "/control_privileged"
MAX_SOCKET_PATH_BYTES = 107
ROOT = 0


@asynccontextmanager
async def mps_daemon(
    named: str, folder: Path, environ: Mapping[str, str] = os.environ, *, gpu_uuid: str = ""
) -> AsyncIterator[Control]:
    """A daemon that answers, for the length of the block.

    named, or else the environment, says which running one to use; it stays. With neither, one of this user's own runs
    under folder, found if a killed stack left it there, and ends with the block. It serves the GPU of that UUID alone,
    or all of them without one. Raises StartupError.
    """
    require_binary()
    existing = named or environ.get(PIPE_VARIABLE, "")
    if existing:
        control = Control.of_environment({**environ, PIPE_VARIABLE: existing}, gpu_uuid)
        await asyncio.to_thread(check_usable, control)
        yield control
        return
    control = own_daemon(folder, gpu_uuid)
    try:
        # A launch goes on, on its thread: the daemon would be there only after it was told to quit.
        await settled(asyncio.ensure_future(_start(control)), lambda: None)
        yield control
    finally:
        # One that hangs stays, as a killed stack's does: the next start finds it, and tells.
        with suppress(StartupError):
            await asyncio.to_thread(control.quit, QUIT_GRACE_S)


def own_daemon(folder: Path, gpu_uuid: str = "") -> Control:
    """Where a daemon of one's own lives under folder."""
    return Control(folder / "pipe", folder / "log", gpu_uuid)


def check_usable(control: Control) -> None:
    """Raise StartupError unless a daemon answers there and would serve this user now."""
    if not control.is_running():
        raise StartupError(
            f"no MPS daemon answers in {control.pipe_dir}",
            help=f"start it as this user ({PIPE_VARIABLE}={control.pipe_dir} nvidia-cuda-mps-control -d), or leave "
            f"gpu.mps_pipe_dir empty and {PIPE_VARIABLE} unset for one of the stack's own",
            field="gpu.mps_pipe_dir",
        )
    _check_owner(control)
    _check_servers(control)


async def _start(control: Control) -> None:
    _check_path(control)
    for directory in (control.pipe_dir, control.log_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not await asyncio.to_thread(control.is_running):
        await asyncio.to_thread(control.launch)
        await _wait_for(control)
    await asyncio.to_thread(check_usable, control)


async def _wait_for(control: Control) -> None:
    for _ in range(round(START_TIMEOUT_S / POLL_S)):
        if await asyncio.to_thread(control.is_running):
            return
        await asyncio.sleep(POLL_S)
    raise StartupError(
        f"the MPS daemon did not answer after {START_TIMEOUT_S:g} s", help=f"look into {control.log_dir}/control.log"
    )


def _check_path(control: Control) -> None:
    size = len(os.fsencode(control.pipe_dir)) + len(LONGEST_SOCKET_NAME)
    if size > MAX_SOCKET_PATH_BYTES:
        raise StartupError(
            f"the sockets of the MPS daemon would have {size} bytes, the system takes {MAX_SOCKET_PATH_BYTES}",
            help="name a shorter --run-dir, such as one in /tmp",
            field="run_dir",
        )


def _check_owner(control: Control) -> None:
    """Only root's daemon serves other users."""
    owner = (control.pipe_dir / "control").stat().st_uid
    if owner not in (os.geteuid(), ROOT):
        raise StartupError(
            f"the MPS daemon of {control.pipe_dir} is user {owner}'s, not {os.geteuid()}'s",
            help="run the stack as that user, or use a daemon of your own: leave gpu.mps_pipe_dir empty",
            field="gpu.mps_pipe_dir",
        )


def _check_servers(control: Control) -> None:
    """MPS serves one user at a time: a client of another one would wait, silently, for the server to become free."""
    for pid in control.ask("get_server_list").split():
        owner = _owner_of(pid)
        if owner is not None and owner not in (os.geteuid(), ROOT):
            raise StartupError(
                f"the MPS daemon of {control.pipe_dir} serves user {owner} now, and one user at a time",
                help="wait until those processes are gone, run as that user, or use a daemon of your own",
                field="gpu.mps_pipe_dir",
            )


def _owner_of(pid: str) -> int | None:
    try:
        return Path(f"/proc/{int(pid)}").stat().st_uid
    except (ValueError, FileNotFoundError):
        # Gone since, or in a PID namespace that cannot be seen from here.
        return None
