"""Owns what holds for every test."""

import signal


def pytest_configure() -> None:
    """Take SIGINT again where it is ignored, as it is in a shell's background job.

    The processes that tests start and interrupt would ignore it as well.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
