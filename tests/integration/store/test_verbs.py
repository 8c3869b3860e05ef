"""What a worker can do over the socket, and how it is refused: the ledger's rules hold for clients too."""

import asyncio
from dataclasses import replace

import pytest

from splitwiser.errors import (
    ForeignPages,
    InvalidRequest,
    LayoutMismatch,
    StaleHandle,
    StartupError,
    StoreLost,
    UnknownHandle,
)
from splitwiser.kv.handle import Epoch
from splitwiser.kv.owner import Counts
from splitwiser.store import client as client_module
from splitwiser.store.client import StoreClient
from splitwiser.store.wire import MAX_FRAME_PAGES
from tests.support.store import LAYOUT, NAME, Store, grant, promise, promise_of, running_store
from tests.support.waiting import PATIENCE_S


async def test_a_hand_off_exchanges_pages_and_tells_the_grantor(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    claimed: list[tuple[str, tuple[int, ...]]] = []
    prefill.on_claimed = lambda handle_id, epoch, pages: claimed.append((handle_id, pages))
    pages, give = await prefill.acquire(3), await decode.acquire(3)
    handle = await grant(prefill, "request", pages, 9)
    assert (handle.store, handle.pages, handle.tokens, handle.epoch.incarnation) == (
        NAME,
        pages,
        9,
        prefill.incarnation,
    )
    await decode.claim(promise_of(handle), give)
    await prefill.release(give)
    await decode.release(pages)
    assert claimed == [("request", give)]
    assert await decode.counts() == Counts(total=64, free=64, grants=1, claims=1)


async def test_the_claim_event_comes_before_the_refusal_of_a_late_withdrawal(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    claimed = []
    prefill.on_claimed = lambda handle_id, epoch, pages: claimed.append(handle_id)
    handle = await grant(prefill, "request", await prefill.acquire(1), 1)
    give = await decode.acquire(1)
    claim, withdrawal = decode.claim(promise_of(handle), give), prefill.withdraw(handle.handle_id, handle.epoch)
    _, refusal = await asyncio.gather(claim, withdrawal, return_exceptions=True)
    assert isinstance(refusal, StaleHandle)
    assert claimed == ["request"]


async def test_a_claim_that_waits_is_answered_by_the_grant(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    made = await promise(prefill, "request", 2, 9)
    give, pages = await decode.acquire(2), await prefill.acquire(2)
    claim = asyncio.create_task(decode.claim(made, give))
    await decode.counts()
    assert not claim.done()
    handle = await prefill.grant(made, pages, next_token=17)
    assert await claim == handle
    assert (handle.pages, handle.next_token) == (pages, 17)
    await decode.release(pages)
    await prefill.release(give)


async def test_a_claim_that_waits_ends_with_its_promise_its_grantor_or_its_wish(store: Store) -> None:
    prefill, decode, heir = await store.attach("prefill"), await store.attach("decode"), await store.attach("decode")
    give = await decode.acquire(2)
    for number in range(4):
        made = await promise(prefill, f"request-{number}", 2)
        claim = asyncio.create_task(decode.claim(made, give))
        await decode.counts()
        if number == 0:
            await prefill.withdraw(made.handle_id, made.epoch)
        elif number == 1:
            await decode.leave_claim(made)
        elif number == 2:
            later = asyncio.create_task(heir.claim(made, await heir.acquire(2)))
            await heir.counts()
        else:
            await prefill.close()
        with pytest.raises(StaleHandle):
            await claim
    with pytest.raises(StaleHandle):
        await later
    assert (await decode.counts()).decode == 4


async def test_a_claimer_that_dies_while_it_waits_leaves_the_promise_to_another(store: Store) -> None:
    prefill, dying, heir = await store.attach("prefill"), await store.attach("decode"), await store.attach("decode")
    made, pages = await promise(prefill, "request", 2), await prefill.acquire(2)
    lost = asyncio.create_task(dying.claim(made, await dying.acquire(2)))
    await dying.counts()
    await dying.close()
    with pytest.raises(StoreLost):
        await lost
    claim = asyncio.create_task(heir.claim(made, await heir.acquire(2)))
    await heir.counts()
    await prefill.grant(made, pages, next_token=0)
    assert (await claim).pages == pages


async def test_refusals_arrive_as_the_errors_they_are(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    pages, give = await prefill.acquire(2), await decode.acquire(2)
    handle = await grant(prefill, "request", pages, 2)
    for wrong, own, error in [
        (replace(handle, handle_id="nobody's"), give, UnknownHandle),
        (replace(handle, epoch=Epoch(handle.epoch.incarnation, 99)), give, UnknownHandle),
        (replace(handle, epoch=Epoch(1, 1)), give, StaleHandle),
        (replace(handle, layout_hash="other"), give, LayoutMismatch),
        (handle, give[:1], InvalidRequest),
        (handle, (give[0], 1 << 31), ForeignPages),
    ]:
        with pytest.raises(error, match="help: "):
            await decode.claim(promise_of(wrong), own)
    assert (await prefill.counts()).refusals == 6
    await decode.claim(promise_of(handle), give)


async def test_a_thousand_claims_of_a_consumed_handle_are_refused(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    handle = await grant(prefill, "request", await prefill.acquire(1), 1)
    await decode.claim(promise_of(handle), await decode.acquire(1))
    give = await decode.acquire(1)
    claims = [decode.claim(promise_of(handle), give) for _ in range(1000)]
    refusals = await asyncio.gather(*claims, return_exceptions=True)
    assert all(isinstance(refusal, StaleHandle) for refusal in refusals)
    assert (await decode.counts()).claims == 1


async def test_leaving_frees_pages_and_grants_at_once(store: Store) -> None:
    prefill, watcher = await store.attach("prefill"), await store.attach("observer")
    await grant(prefill, "request", await prefill.acquire(3), 1)
    await prefill.acquire(4)
    await prefill.close()
    assert (await watcher.counts()).free == 64
    assert not prefill.lost.is_set()
    with pytest.raises(StoreLost):
        await prefill.acquire(1)


async def test_a_restarted_store_honours_no_handle_of_its_predecessor(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    handle = await grant(prefill, "request", await prefill.acquire(1), 1)
    await store.server.stop()
    await asyncio.gather(prefill.lost.wait(), decode.lost.wait())
    async with running_store(store.path) as successor:
        prefill, decode = await successor.attach("prefill"), await successor.attach("decode")
        assert prefill.incarnation != handle.epoch.incarnation
        await grant(prefill, "request", await prefill.acquire(1), 1)
        with pytest.raises(StaleHandle):
            await decode.claim(promise_of(handle), await decode.acquire(1))


async def test_a_worker_of_another_version_is_told_so_and_owns_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "VERSION", "0.0.1")
    with pytest.raises(StartupError, match=r"the store is splitwiser \S+, this worker 0\.0\.1") as refused:
        await store.attach("prefill")
    assert "one version" in refused.value.help
    monkeypatch.undo()
    assert store.tally.counts["OTHER_VERSION"] == 1
    assert (await (await store.attach("observer")).counts()).total == 0


async def test_calls_in_flight_end_with_the_store(store: Store) -> None:
    prefill = await store.attach("prefill")
    waiting = asyncio.gather(*(prefill.acquire(1) for _ in range(10)), return_exceptions=True)
    await store.server.stop()
    assert {type(outcome) for outcome in await waiting} <= {StoreLost, tuple}
    await prefill.lost.wait()
    with pytest.raises(StoreLost):
        await prefill.counts()


async def test_page_lists_beyond_a_frame_are_split_or_refused_clearly(store: Store) -> None:
    prefill = await store.attach("prefill")
    assert len(await prefill.acquire(10 * MAX_FRAME_PAGES)) == 64
    with pytest.raises(InvalidRequest, match="at most"):
        await grant(prefill, "request", range(MAX_FRAME_PAGES + 1))
    with pytest.raises(InvalidRequest, match="fewer pages"):
        await grant(prefill, "request", range(1 << 17))
    with pytest.raises(ForeignPages):
        await prefill.release(range(2 * MAX_FRAME_PAGES))
    assert (await prefill.counts()).prefill == 64


async def test_an_observer_sees_and_owns_nothing(store: Store) -> None:
    watcher = await store.attach("observer")
    with pytest.raises(InvalidRequest, match="no segment"):
        await watcher.obtain("pool", lambda: pytest.fail("made"), layout=LAYOUT)
    with pytest.raises(InvalidRequest, match="no pool"):
        await watcher.acquire(1)
    assert await watcher.counts() == Counts()
    await store.attach("prefill")
    segment = await watcher.obtain("pool", lambda: pytest.fail("made"), layout=LAYOUT)
    assert segment.size_bytes == LAYOUT.pool_bytes
    with pytest.raises(InvalidRequest, match="role observer"):
        await watcher.acquire(1)


async def test_prefill_waits_for_every_decode_worker_that_is_behind_and_still_there(store: Store) -> None:
    prefill = await store.attach("prefill")
    await prefill.caught_up()
    one, other = await store.attach("decode"), await store.attach("decode")
    await one.tell_pace(behind=True)
    await other.tell_pace(behind=True)
    waiting = asyncio.create_task(prefill.caught_up())
    await other.tell_pace(behind=False)
    await prefill.counts()
    assert not waiting.done()
    await one.close()
    async with asyncio.timeout(PATIENCE_S):
        await waiting
    with pytest.raises(InvalidRequest, match="only decode's steps"):
        await prefill.tell_pace(behind=True)


async def test_a_cancelled_call_leaves_its_connection_in_order(store: Store) -> None:
    prefill = await store.attach("prefill")
    call = asyncio.create_task(prefill.acquire(5))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert len(await prefill.acquire(64)) == 59


async def test_a_store_of_another_user_is_not_trusted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitwiser.store.client.os.geteuid", lambda: 12345)
    with pytest.raises(Exception, match="run store and workers as one user"):
        await StoreClient.connect(store.path, "prefill", "stranger", beat_s=1)
