"""Prefill workers that die while they save and load: no wrong token, no half copy, no page lost."""

from collections.abc import Iterator

import pytest

from tests.faults.test_shared_pages import talk_while_one_dies
from tests.support.stack import RunningStack, running_stack


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    pool = {"pages": 160, "prefill_share": 0.25, "host_pages": 1024}
    steps = {"prefill_us_per_token": 20.0, "decode_step_us": 1000.0, "decode_us_per_sequence": 1.0}
    with running_stack(pool=pool, sim=steps, router={"listen": "127.0.0.1:0", "retries": 5}) as stack:
        yield stack


@pytest.mark.timeout(180)
@pytest.mark.parametrize("instance", ["decode-0", "prefill-0"])
async def test_a_worker_that_dies_amid_saves_and_loads_makes_no_wrong_token(stack: RunningStack, instance: str) -> None:
    async def pages_are_saved() -> bool:
        return stack.is_ready("prefill-0") and stack.pages_saved() > 0

    assert (await talk_while_one_dies(stack, instance, pages_are_saved)).loaded > 0
