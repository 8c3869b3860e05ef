"""An engine that starts on a live pool: it writes to none of its pages, and requests of the other side go on."""

import pytest

from tests.support.live_pool import (
    check_a_start_writes_to_no_page,
    check_decode_restarts_while_prefill_holds_granted_pages,
    check_prefill_restarts_while_decode_runs,
    check_requests_of_a_dead_decode_go_on_in_mid_stream,
)
from tests.support.stack import RunningStack


@pytest.mark.parametrize("instance", ["prefill-0", "decode-0"])
async def test_a_start_writes_to_no_page(stack: RunningStack, instance: str) -> None:
    await check_a_start_writes_to_no_page(stack, instance)


async def test_prefill_restarts_while_decode_runs(stack: RunningStack) -> None:
    await check_prefill_restarts_while_decode_runs(stack, max_tokens=3000)


async def test_decode_restarts_while_prefill_holds_granted_pages(stack: RunningStack) -> None:
    await check_decode_restarts_while_prefill_holds_granted_pages(stack)


async def test_requests_of_a_dead_decode_go_on_in_mid_stream(stack: RunningStack) -> None:
    await check_requests_of_a_dead_decode_go_on_in_mid_stream(stack, max_tokens=400)
