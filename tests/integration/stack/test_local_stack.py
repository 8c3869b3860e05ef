"""A local stack starts bottom up, is ready when it says so, brings dead workers back, and leaves nothing behind."""

import asyncio
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError, RegistryUnavailable, StartupError, StoreLost
from splitwiser.stack import local
from splitwiser.stack.card import read_cards
from splitwiser.stack.child import ServiceStatus, State
from splitwiser.stack.health import is_serving
from splitwiser.stack.local import LocalStack
from splitwiser.stack.run_dir import RunDir
from tests.integration.stack.conftest import FAKES, make_settings
from tests.support.waiting import PATIENCE_S, until


async def test_every_service_is_ready_inside_and_gone_after(settings: Settings) -> None:
    async with LocalStack(settings, package=FAKES) as stack:
        assert list(stack.services) == ["redis", "store", "prefill-0", "decode-0", "router"]
        assert {status.state for status in stack.services.values()} == {State.READY}
        assert await is_serving(stack.address, timeout_s=PATIENCE_S)
        pids = [status.pid for status in stack.services.values()]
        assert {card.pid for card in read_cards(settings.run_dir).values()} == set(pids[1:])
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not list(settings.run_dir.rglob("*.sock"))
    assert not read_cards(settings.run_dir)


async def test_resolved_settings_are_complete_and_private(settings: Settings) -> None:
    async with LocalStack(settings, package=FAKES) as stack:
        path = settings.run_dir / "resolved.json"
        resolved = Settings.model_validate_json(path.read_text())
        assert resolved == stack.settings
        assert resolved.run_dir.is_absolute()
        assert resolved.redis.url == f"unix://{settings.run_dir}/redis.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_services_start_bottom_up_and_stop_top_down(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "run", prefill={"workers": 2})
    changes: list[ServiceStatus] = []
    async with LocalStack(settings, on_change=changes.append, package=FAKES):
        started = [change.service for change in changes if change.state is State.READY]
    stopped = [change.service for change in changes if change.state is State.STOPPED]
    assert started[:2] == ["redis", "store"]
    assert sorted(started[2:]) == ["decode", "prefill", "prefill", "router"]
    assert stopped[0] == "router"
    assert sorted(stopped[1:4]) == ["decode", "prefill", "prefill"]
    assert stopped[4:] == ["store", "redis"]


@pytest.mark.parametrize("instance", ["decode-0", "router"])
async def test_a_killed_worker_comes_back(instance: str, settings: Settings) -> None:
    async with LocalStack(settings, package=FAKES) as stack:
        pid = stack.services[instance].pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: stack.services[instance].restarts == 1)
        await until(lambda: stack.services[instance].state is State.READY)
        assert stack.services[instance].pid != pid
        assert await is_serving(stack.services[instance].address, timeout_s=PATIENCE_S)


@pytest.mark.parametrize(("instance", "error"), [("store", StoreLost), ("redis", RegistryUnavailable)])
async def test_without_store_or_redis_the_stack_gives_up(
    instance: str, error: type[Exception], settings: Settings
) -> None:
    async with LocalStack(settings, package=FAKES) as stack:
        os.kill(stack.services[instance].pid, signal.SIGKILL)
        with pytest.raises(error, match=f"the {instance} ended with signal 9"):
            await asyncio.wait_for(stack.wait(), PATIENCE_S)


async def test_a_service_that_cannot_start_shows_its_last_lines(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "run", engine={"kind": "sim", "model": "prefill-0:exit"})
    with pytest.raises(StartupError) as raised:
        async with LocalStack(settings, package=FAKES):
            pytest.fail("started")
    assert "prefill-0 ended with exit code 1 before it was ready" in raised.value.cause
    assert "error: no such weights" in raised.value.cause
    assert str(tmp_path / "run" / "logs" / "prefill-0.log") in raised.value.help


async def test_a_service_that_finds_a_wrong_setting_makes_it_a_configuration_error(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "run", engine={"kind": "sim", "model": "router:misconfigured"})
    with pytest.raises(ConfigurationError, match="wrong setting"):
        async with LocalStack(settings, package=FAKES):
            pytest.fail("started")


async def test_a_service_that_is_never_ready_ends_the_start_in_time(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path / "run", engine={"kind": "sim", "model": "decode-0:hang"}, stack={"start_timeout_s": 8}
    )
    with pytest.raises(StartupError, match=r"decode-0 was not ready after 8 s\n.*the fake decode-0"):
        async with LocalStack(settings, package=FAKES):
            pytest.fail("started")


async def test_a_service_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path / "run", engine={"kind": "sim", "model": "decode-0:stay"}, stack={"stop_timeout_s": 0.3}
    )
    async with LocalStack(settings, package=FAKES) as stack:
        pid = stack.services["decode-0"].pid
    assert not psutil.pid_exists(pid)


async def test_cancelling_the_stop_kills_all_and_leaves_none(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path / "run", engine={"kind": "sim", "model": "router:stay"}, stack={"stop_timeout_s": 60}
    )
    pids: list[int] = []

    async def live() -> None:
        async with LocalStack(settings, package=FAKES) as stack:
            pids.extend(status.pid for status in stack.services.values())

    task = asyncio.create_task(live())
    await until(lambda: bool(pids))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE_S / 2)
    assert not any(map(psutil.pid_exists, pids))


async def test_settings_reach_the_services_by_file_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITWISER_POOL__PAGES", "1")
    async with LocalStack(settings, package=FAKES):
        pass
    assert "the fake router []" in (settings.run_dir / "logs" / "router.log").read_text()


async def test_a_folder_with_a_live_stack_is_refused(settings: Settings) -> None:
    async with LocalStack(settings, package=FAKES) as stack:
        with pytest.raises(StartupError, match=f"in use by a live stack of process {os.getpid()}"):
            async with LocalStack(settings, package=FAKES):
                pytest.fail("started")
        assert await is_serving(stack.address, timeout_s=PATIENCE_S)


async def test_a_process_forked_while_the_machine_is_checked_does_not_keep_the_folder(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has started its own program, such a process holds whatever was open, a lock as well."""
    held: list[int] = []

    async def fork(checked: Settings, **options: bool) -> None:
        held.extend(duplicates(RunDir(settings.run_dir).lock))

    monkeypatch.setattr(local, "check_environment", fork)
    try:
        async with LocalStack(settings, package=FAKES) as stack:
            assert await is_serving(stack.address, timeout_s=PATIENCE_S)
    finally:
        for number in held:
            os.close(number)
    assert len(held) == 1


async def test_a_folder_may_be_used_again(settings: Settings) -> None:
    for _ in range(2):
        async with LocalStack(settings, package=FAKES):
            pass
    assert (settings.run_dir / "logs" / "store.log").read_text().count("the fake store") == 1


async def test_files_that_are_not_the_stacks_own_stay(settings: Settings) -> None:
    settings.run_dir.mkdir()
    other = settings.run_dir / "other.sock"
    other.touch()
    async with LocalStack(settings, package=FAKES):
        pass
    assert other.exists()


def duplicates(path: Path) -> list[int]:
    """A second descriptor of each that this process has of the file."""
    there = [int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.exists() and entry.samefile(path)]
    return [os.dup(number) for number in there]
