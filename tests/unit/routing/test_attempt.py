"""One attempt: whatever overtakes what, and whoever is lost when, the client has each token once, and the right end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from splitwiser.engine.base import FinishReason, Sampling, StopRule
from splitwiser.errors import InvalidRequest, SplitwiserError, StaleHandle, WorkerLost
from splitwiser.routing import attempt as attempt_module
from splitwiser.routing.attempt import Attempt
from splitwiser.routing.journey import Journey
from splitwiser.routing.request import Outcome, RoutedRequest
from splitwiser.rpc.deadline import Deadline
from splitwiser.v1.kv_pb2 import KvPromise
from splitwiser.v1.prefill_pb2 import FirstToken, Granted, PrefillResponse
from splitwiser.v1.sampling_pb2 import FINISH_REASON_STOP

PROMISED = PrefillResponse(promised=KvPromise(handle_id="r"))
FIRST = PrefillResponse(first_token=FirstToken(token_id=10))
LAST = PrefillResponse(first_token=FirstToken(token_id=10, finish_reason=FINISH_REASON_STOP))
GRANTED = PrefillResponse(granted=Granted(grant_ms=1.0))
DONE = Outcome(FinishReason.LENGTH, 3)
STALE, LOST = StaleHandle("stale", help=""), WorkerLost("lost", help="")
Script = list[PrefillResponse | SplitwiserError | asyncio.Event]
Call = list[int | SplitwiserError | asyncio.Event]


class DecodeScript:
    """Stands for the calls of decode: each does what is next in the script.

    called is set with the first of them, claimed with the last: prefill's stream ends then.
    """

    def __init__(self, *calls: Call) -> None:
        self.calls = list(calls)
        self.called, self.claimed = asyncio.Event(), asyncio.Event()
        self.running = 0
        self.on_token: Callable[[int, Any], None] = lambda token_id, logprobs: None

    async def run(self, promise: KvPromise, first_index: int) -> Outcome:
        assert promise == PROMISED.promised
        self.called.set()
        self.running += 1
        try:
            script = self.calls.pop(0)
            if not self.calls:
                self.claimed.set()
            for each in script:
                if isinstance(each, SplitwiserError):
                    raise each
                if isinstance(each, asyncio.Event):
                    await each.wait()
                else:
                    self.on_token(each, None)
            return DONE
        finally:
            self.running -= 1


@pytest.fixture
def journey() -> Journey:
    sampling, stop = Sampling(0.0, 1.0, 0, 1), StopRule(3, frozenset())
    return Journey(RoutedRequest("r", (1, 2), sampling, stop, (), 0), Deadline(None))


async def prefill(script: Script) -> AsyncIterator[PrefillResponse]:
    for each in script:
        if isinstance(each, SplitwiserError):
            raise each
        if isinstance(each, asyncio.Event):
            await each.wait()
        else:
            yield each


async def outcome_of(
    journey: Journey, script: Script, decode: DecodeScript, monkeypatch: pytest.MonkeyPatch
) -> Outcome:
    """As the pipeline goes through it."""

    def call(journey: Journey, places: object, on_token: Callable[[int, Any], None]) -> DecodeScript:
        decode.on_token = on_token
        return decode

    monkeypatch.setattr(attempt_module, "DecodeCall", call)
    async with asyncio.timeout(60), Attempt(journey, None, lambda _: None) as attempt:  # type: ignore[arg-type]
        return await attempt.follow(prefill(script)) or await attempt.decoded()


async def test_decode_is_called_before_prefill_has_a_token(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = DecodeScript([11, 12])
    script: Script = [PROMISED, decode.called, FIRST, GRANTED]
    assert await outcome_of(journey, script, decode, monkeypatch) == DONE
    assert journey.tokens.token_ids == [10, 11, 12], "decode's tokens were first, and waited"
    assert journey.times.grant_ms == 1.0


async def test_decode_that_ends_before_prefills_token_came_waits_for_it(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, late.set)
    assert await outcome_of(journey, [PROMISED, late, FIRST], DecodeScript([11, 12]), monkeypatch) == DONE
    assert journey.tokens.token_ids == [10, 11, 12]


async def test_a_last_token_from_prefill_ends_the_wait_in_decode(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ending in (asyncio.Event(), STALE):
        decode = DecodeScript([ending])
        late = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, late.set)
        outcome = await outcome_of(journey, [PROMISED, decode.called, late, LAST], decode, monkeypatch)
        assert outcome.finish_reason is FinishReason.STOP
        assert decode.running == 0


async def test_a_decode_worker_lost_before_the_claim_costs_another_call(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = DecodeScript([LOST], [LOST], [11, 12])
    assert await outcome_of(journey, [PROMISED, FIRST, GRANTED, decode.claimed], decode, monkeypatch) == DONE
    assert journey.tokens.token_ids == [10, 11, 12]


async def test_decode_is_not_called_for_ever(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Call] = [[LOST]] * 10
    decode = DecodeScript(*lost)
    with pytest.raises(WorkerLost):
        await outcome_of(journey, [PROMISED, FIRST, asyncio.Event()], decode, monkeypatch)
    assert len(decode.calls) == 10 - attempt_module.CALLS


async def test_a_decode_worker_lost_after_the_claim_costs_another_prefill(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkerLost):
        await outcome_of(journey, [PROMISED, FIRST], DecodeScript([11, LOST]), monkeypatch)
    # Claimed without a token so far: that is for the store to say.
    decode = DecodeScript([LOST], [STALE])
    with pytest.raises(WorkerLost):
        await outcome_of(journey, [PROMISED, FIRST, decode.claimed], decode, monkeypatch)
    assert decode.calls == []


async def test_a_prefill_worker_that_is_lost_before_its_token_takes_decode_along(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = DecodeScript([asyncio.Event()])
    with pytest.raises(WorkerLost):
        await outcome_of(journey, [PROMISED, decode.called, LOST], decode, monkeypatch)
    assert decode.running == 0
    with pytest.raises(WorkerLost, match="ended the stream early"):
        await outcome_of(journey, [PROMISED], DecodeScript([asyncio.Event()]), monkeypatch)


async def test_a_prefill_worker_that_is_lost_after_the_claim_disturbs_nobody(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, late.set)
    decode = DecodeScript([11, late, 12])
    assert await outcome_of(journey, [PROMISED, FIRST, LOST], decode, monkeypatch) == DONE
    assert journey.tokens.token_ids == [10, 11, 12]


async def test_a_caller_who_leaves_while_decode_is_asked_leaves_no_task(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = DecodeScript([asyncio.Event()])
    before = asyncio.all_tasks()
    running = asyncio.create_task(outcome_of(journey, [PROMISED, FIRST, decode.called, LOST], decode, monkeypatch))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    assert asyncio.all_tasks() == before


async def test_what_prefill_failed_with_is_told_rather_than_the_broken_promise(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, failed.set)
    with pytest.raises(WorkerLost):
        await outcome_of(journey, [PROMISED, FIRST, failed, LOST], DecodeScript([STALE]), monkeypatch)


async def test_what_decode_refuses_is_told_at_once(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = DecodeScript([InvalidRequest("no", help="")])
    with pytest.raises(InvalidRequest):
        await outcome_of(journey, [PROMISED, asyncio.Event()], decode, monkeypatch)
