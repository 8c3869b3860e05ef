"""One sim stack for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.support.stack import RunningStack, running_stack

STEPS = {"prefill_us_per_token": 1.0, "decode_step_us": 1000.0, "decode_us_per_sequence": 1.0}
"""The longest answer takes 8 s: what ends sooner was ended."""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running_stack(sim=STEPS) as stack:
        yield stack
