"""A stack uses a daemon that serves its user, its own or a named one, and is told plainly when there is none."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps import control as control_module
from splitwiser.mps.client import ClientShare
from splitwiser.mps.control import PIPE_VARIABLE, Control
from splitwiser.mps.daemon import mps_daemon, own_daemon
from tests.support.waiting import until

OTHER_USER = 4242
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


async def test_a_daemon_of_ones_own_runs_for_the_length_of_the_block(folder: Path) -> None:
    async with mps_daemon("", folder / "mps", environ={}) as control:
        assert control.is_running()
        assert control.variables == {
            "CUDA_MPS_PIPE_DIRECTORY": f"{folder}/mps/pipe",
            "CUDA_MPS_LOG_DIRECTORY": f"{folder}/mps/log",
        }
        assert control.pipe_dir.stat().st_mode & 0o777 == 0o700
    assert not control.is_running()


@pytest.mark.parametrize("uuid", ["GPU-aaaaaaaa-0000", ""])
async def test_it_serves_one_gpu_by_a_name_that_means_the_same_to_its_clients(
    uuid: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    async with mps_daemon("", folder / "mps", environ={}, gpu_uuid=uuid) as control:
        assert (control.log_dir / "control.log").read_text() == f"GPUs: {uuid or 'all'}\n"
        assert ClientShare().environment(control).get("CUDA_VISIBLE_DEVICES", "") == uuid


async def test_one_that_a_killed_stack_left_is_found_and_ended(folder: Path) -> None:
    async with mps_daemon("", folder, environ={}) as left:
        async with mps_daemon("", folder, environ={}) as found:
            assert found == left
        assert not left.is_running()
        left.launch()


@pytest.mark.parametrize("by_setting", [True, False])
async def test_a_named_daemon_is_used_and_left_running(by_setting: bool, running: Control, folder: Path) -> None:
    named = str(running.pipe_dir)
    environ = {} if by_setting else {PIPE_VARIABLE: named}
    uuid = "GPU-aaaaaaaa-0000"
    async with mps_daemon(named if by_setting else "", folder / "own", environ=environ, gpu_uuid=uuid) as control:
        assert control.pipe_dir == running.pipe_dir
        assert control.variables["CUDA_VISIBLE_DEVICES"] == uuid, "its clients use this GPU, whatever it numbers it"
    assert running.is_running()
    assert not (folder / "own").exists()


async def test_a_named_daemon_that_does_not_run_is_refused_with_how_to_start_it(folder: Path) -> None:
    with pytest.raises(StartupError, match="no MPS daemon answers") as error:
        async with mps_daemon(str(folder), folder, environ={}):
            pass
    assert f"CUDA_MPS_PIPE_DIRECTORY={folder} nvidia-cuda-mps-control -d" in error.value.help


async def test_a_daemon_that_does_not_start_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MPS_REFUSES", "1")
    with pytest.raises(StartupError, match="does not start: An instance of this daemon is already running"):
        async with mps_daemon("", folder / "mps", environ={}):
            pass


async def test_one_that_hangs_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "TIMEOUT_S", 0.1)
    monkeypatch.setenv("FAKE_MPS_SLOW", "60")
    with pytest.raises(StartupError, match="hangs: no answer within"):
        async with mps_daemon("", folder / "mps", environ={}):
            pass
    with pytest.raises(StartupError, match="hangs: no answer within") as error:
        own_daemon(folder / "mps").launch()
    assert "control.log" in error.value.help


async def test_one_that_hangs_at_the_end_makes_no_error_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with mps_daemon("", folder, environ={}):
        monkeypatch.setattr(control_module, "TIMEOUT_S", 0.1)
        monkeypatch.setenv("FAKE_MPS_SLOW", "60")


async def test_one_whose_start_is_interrupted_does_not_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control, launched, launch = own_daemon(folder), asyncio.Event(), Control.launch
    loop = asyncio.get_running_loop()

    def launch_slowly(control: Control) -> None:
        loop.call_soon_threadsafe(launched.set)
        time.sleep(0.5)
        launch(control)

    monkeypatch.setattr(Control, "launch", launch_slowly)
    async with asyncio.TaskGroup() as group:
        using = group.create_task(use(folder))
        await launched.wait()
        using.cancel()
        await asyncio.sleep(0)
        using.cancel()
    await until(lambda: (control.log_dir / "control.log").exists())
    assert not control.is_running()


async def use(folder: Path) -> None:
    async with mps_daemon("", folder, environ={}):
        await asyncio.Event().wait()


async def test_without_the_program_nothing_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(StartupError, match="there is no nvidia-cuda-mps-control") as error:
        async with mps_daemon("", folder, environ={}):
            pass
    assert "sharing=time-slice" in error.value.help


async def test_a_folder_too_long_for_the_daemons_sockets_is_refused(folder: Path) -> None:
    with pytest.raises(StartupError, match="the system takes 107"):
        async with mps_daemon("", folder / ("x" * 90), environ={}):
            pass


@needs_root
async def test_another_users_daemon_is_refused(running: Control, folder: Path) -> None:
    os.chown(running.pipe_dir / "control", OTHER_USER, OTHER_USER)
    with pytest.raises(StartupError, match=f"is user {OTHER_USER}'s"):
        async with mps_daemon(str(running.pipe_dir), folder, environ={}):
            pass


@needs_root
async def test_a_daemon_that_serves_another_user_now_is_refused(running: Control, folder: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], user=OTHER_USER) as server:  # noqa: ASYNC220
        (running.pipe_dir / "servers").write_text(f"{server.pid}\n")
        with pytest.raises(StartupError, match=f"serves user {OTHER_USER} now"):
            async with mps_daemon(str(running.pipe_dir), folder, environ={}):
                pass
        server.kill()
