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
from tests.support.store import LAYOUT, NAME, Store, running_store


async def test_a_hand_off_exchanges_pages_and_tells_the_grantor(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    claimed: list[tuple[str, tuple[int, ...]]] = []
    prefill.on_claimed = lambda handle_id, pages: claimed.append((handle_id, pages))
    pages, give = await prefill.acquire(3), await decode.acquire(3)
    handle = await prefill.grant("request", pages, 9, LAYOUT.hash)
    assert (handle.store, handle.pages, handle.tokens, handle.epoch.incarnation) == (
        NAME,
        pages,
        9,
        prefill.incarnation,
    )
    await decode.claim(handle, give)
    await prefill.release(give)
    await decode.release(pages)
    assert claimed == [("request", give)]
    assert await decode.counts() == Counts(total=64, free=64, grants=1, claims=1)


async def test_the_claim_event_comes_before_the_refusal_of_a_late_withdrawal(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    claimed = []
    prefill.on_claimed = lambda handle_id, pages: claimed.append(handle_id)
    handle = await prefill.grant("request", await prefill.acquire(1), 1, LAYOUT.hash)
    give = await decode.acquire(1)
    claim, withdrawal = decode.claim(handle, give), prefill.withdraw(handle)
    _, refusal = await asyncio.gather(claim, withdrawal, return_exceptions=True)
    assert isinstance(refusal, StaleHandle)
    assert claimed == ["request"]


async def test_refusals_arrive_as_the_errors_they_are(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    pages, give = await prefill.acquire(2), await decode.acquire(2)
    handle = await prefill.grant("request", pages, 2, LAYOUT.hash)
    for wrong, own, error in [
        (replace(handle, handle_id="nobody's"), give, UnknownHandle),
        (replace(handle, epoch=Epoch(handle.epoch.incarnation, 99)), give, UnknownHandle),
        (replace(handle, epoch=Epoch(1, 1)), give, StaleHandle),
        (replace(handle, layout_hash="other"), give, LayoutMismatch),
        (replace(handle, pages=(*handle.pages[:1], 63)), give, ForeignPages),
        (replace(handle, tokens=3), give, ForeignPages),
        (handle, give[:1], InvalidRequest),
        (handle, (give[0], 1 << 31), ForeignPages),
    ]:
        with pytest.raises(error, match="help: "):
            await decode.claim(wrong, own)
    assert (await prefill.counts()).refusals == 8
    await decode.claim(handle, give)


async def test_a_thousand_claims_of_a_consumed_handle_are_refused(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    handle = await prefill.grant("request", await prefill.acquire(1), 1, LAYOUT.hash)
    await decode.claim(handle, await decode.acquire(1))
    give = await decode.acquire(1)
    claims = [decode.claim(handle, give) for _ in range(1000)]
    refusals = await asyncio.gather(*claims, return_exceptions=True)
    assert all(isinstance(refusal, StaleHandle) for refusal in refusals)
    assert (await decode.counts()).claims == 1


async def test_leaving_frees_pages_and_grants_at_once(store: Store) -> None:
    prefill, watcher = await store.attach("prefill"), await store.attach("observer")
    await prefill.grant("request", await prefill.acquire(3), 1, LAYOUT.hash)
    await prefill.acquire(4)
    await prefill.close()
    assert (await watcher.counts()).free == 64
    assert not prefill.lost.is_set()
    with pytest.raises(StoreLost):
        await prefill.acquire(1)


async def test_a_restarted_store_honours_no_handle_of_its_predecessor(store: Store) -> None:
    prefill, decode = await store.attach("prefill"), await store.attach("decode")
    handle = await prefill.grant("request", await prefill.acquire(1), 1, LAYOUT.hash)
    await store.server.stop()
    await asyncio.gather(prefill.lost.wait(), decode.lost.wait())
    async with running_store(store.path) as successor:
        prefill, decode = await successor.attach("prefill"), await successor.attach("decode")
        assert prefill.incarnation != handle.epoch.incarnation
        await prefill.grant("request", await prefill.acquire(1), 1, LAYOUT.hash)
        with pytest.raises(StaleHandle):
            await decode.claim(handle, await decode.acquire(1))


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
        await prefill.grant("request", range(MAX_FRAME_PAGES + 1), 1, LAYOUT.hash)
    with pytest.raises(InvalidRequest, match="fewer pages"):
        await prefill.grant("request", range(1 << 17), 1, LAYOUT.hash)
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
