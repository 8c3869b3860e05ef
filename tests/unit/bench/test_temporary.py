"""Temporary stacks: their folder goes, unless it tells why something failed."""

import shutil
from pathlib import Path

from splitwiser.bench.temporary import temporary_settings
from splitwiser.config.schema import RouterSettings, Settings
from splitwiser.errors import StartupError


def test_the_folder_goes_with_the_block_and_the_configured_ports_stay_free() -> None:
    configured = Settings(router=RouterSettings(http_listen="127.0.0.1:8000"))
    with temporary_settings(configured) as settings:
        (settings.run_dir / "logs").mkdir()
    assert not settings.run_dir.exists()
    assert (settings.router.listen, settings.router.http_listen) == ("127.0.0.1:0", "")


def fail(error: BaseException, *logs: str) -> Path:
    """Raise the error in a measurement with these logs, and return its folder."""
    settings = Settings()
    try:
        with temporary_settings(settings) as settings:
            (settings.run_dir / "logs").mkdir()
            for log in logs:
                (settings.run_dir / "logs" / log).touch()
            raise error
    except (StartupError, KeyboardInterrupt):
        return settings.run_dir


def test_logs_of_a_failure_stay() -> None:
    folder = fail(StartupError("no", help="none"), "store.log")
    assert folder.exists()
    shutil.rmtree(folder)


def test_a_failure_without_logs_leaves_nothing() -> None:
    assert not fail(StartupError("no", help="none")).exists()


def test_an_interrupted_measurement_leaves_nothing() -> None:
    assert not fail(KeyboardInterrupt(), "store.log").exists()
