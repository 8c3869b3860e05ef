"""Owns what holds for every test."""

import signal

from hypothesis import HealthCheck, settings

# How long an example takes is the machine's matter. On top of the profile in use: in CI hypothesis has one of its own.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Take SIGINT again where it is ignored, as it is in a shell's background job.

    The processes that tests start and interrupt would ignore it as well.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
