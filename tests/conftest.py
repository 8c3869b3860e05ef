"""Owns what holds for every test."""

import signal

from hypothesis import settings

# How long one example takes says nothing on a machine that others use too.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure() -> None:
    """Take SIGINT again where it is ignored, as it is in a shell's background job.

    The processes that tests start and interrupt would ignore it as well.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
