"""A watchdog can tell a step that hangs from an engine that has nothing to do."""

import pytest

from splitwiser.engine.step_watch import StepWatch
from tests.support.store import Clock


def test_only_a_step_in_flight_grows_old() -> None:
    clock = Clock()
    watch = StepWatch(clock)
    clock.now_s += 5
    assert watch.age_s == 0
    with watch.step():
        clock.now_s += 3
        assert watch.age_s == 3
    assert watch.age_s == 0


def test_a_step_that_fails_is_over() -> None:
    watch = StepWatch()
    with pytest.raises(ZeroDivisionError), watch.step():
        raise ZeroDivisionError
    assert watch.age_s == 0
