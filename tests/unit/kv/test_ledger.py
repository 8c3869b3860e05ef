"""The ledger refuses what would let a page have two owners or a handle two claims, and says why."""

from dataclasses import replace

import pytest

from splitwiser.errors import (
    DuplicateRequest,
    ForeignPages,
    InvalidRequest,
    LayoutMismatch,
    SplitwiserError,
    StaleHandle,
    UnknownHandle,
)
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.owner import Owner, Role
from tests.unit.kv import ledger_calls
from tests.unit.kv.ledger_calls import answered, waiting_claim

PREFILL, DECODE, WATCHER = Owner(1, Role.PREFILL), Owner(2, Role.DECODE), Owner(3, Role.OBSERVER)
LAYOUT = "layout"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("store", 7, 16, LAYOUT)


def granted(ledger: Ledger, count: int = 2, handle_id: str = "h") -> KvHandle:
    return ledger_calls.grant(ledger, PREFILL, handle_id, ledger.acquire(PREFILL, count), 5)


def claim(ledger: Ledger, handle: KvHandle, give: tuple[int, ...]) -> KvHandle:
    return ledger_calls.claim(ledger, DECODE, handle.handle_id, handle.epoch, give, handle.layout_hash).handle


def test_a_claim_exchanges_pages_between_both_workers(ledger: Ledger) -> None:
    handle = granted(ledger)
    give = ledger.acquire(DECODE, 2)
    claim(ledger, handle, give)
    ledger.release(DECODE, handle.pages)
    ledger.release(PREFILL, give)
    assert ledger.counts().free == 16


def test_acquire_gives_what_there_is(ledger: Ledger) -> None:
    assert len(ledger.acquire(PREFILL, 10)) == 10
    assert len(ledger.acquire(DECODE, 10)) == 6
    assert ledger.acquire(DECODE, 10) == ()


def test_a_thousand_claims_of_a_consumed_handle_are_refused(ledger: Ledger) -> None:
    handle = granted(ledger)
    claim(ledger, handle, ledger.acquire(DECODE, 2))
    give = ledger.acquire(DECODE, 2)
    for _ in range(1000):
        with pytest.raises(StaleHandle):
            claim(ledger, handle, give)
    assert ledger.counts().refusals == 1000


def test_a_withdrawn_handle_is_stale_and_its_pages_are_back(ledger: Ledger) -> None:
    handle = granted(ledger)
    assert ledger.withdraw(PREFILL, "h", handle.epoch) == handle.pages
    with pytest.raises(StaleHandle):
        claim(ledger, handle, ledger.acquire(DECODE, 2))


def test_a_handle_id_may_be_granted_again_under_another_epoch(ledger: Ledger) -> None:
    old = granted(ledger)
    with pytest.raises(DuplicateRequest):
        granted(ledger)
    ledger.withdraw(PREFILL, "h", old.epoch)
    new = granted(ledger)
    assert new.epoch > old.epoch
    give = ledger.acquire(DECODE, 2)
    with pytest.raises(StaleHandle):
        claim(ledger, old, give)
    claim(ledger, new, give)


def test_another_incarnation_is_stale_and_an_epoch_never_issued_is_unknown(ledger: Ledger) -> None:
    handle, give = granted(ledger), ledger.acquire(DECODE, 2)
    for wrong, error in [
        (replace(handle, epoch=Epoch(8, 1)), StaleHandle),
        (replace(handle, epoch=Epoch(7, 2)), UnknownHandle),
        (replace(handle, epoch=Epoch(7, 0)), UnknownHandle),
        (replace(handle, handle_id="other"), UnknownHandle),
    ]:
        with pytest.raises(error):
            claim(ledger, wrong, give)
    claim(ledger, handle, give)


def test_a_refused_claim_leaves_the_grant_live(ledger: Ledger) -> None:
    handle, give = granted(ledger), ledger.acquire(DECODE, 2)
    before = replace(ledger.counts(), refusals=0)
    for wrong, pages, error in [
        (replace(handle, layout_hash="other"), give, LayoutMismatch),
        (handle, give[:1], InvalidRequest),
        (handle, handle.pages, ForeignPages),
        (handle, (give[0], give[0]), ForeignPages),
        (handle, (give[0], 99), ForeignPages),
    ]:
        with pytest.raises(error):
            claim(ledger, wrong, pages)
        ledger.check()
    assert replace(ledger.counts(), refusals=0) == before
    claim(ledger, handle, give)


def test_a_dropped_worker_leaves_nothing_behind(ledger: Ledger) -> None:
    handle = granted(ledger)
    ledger.acquire(PREFILL, 3)
    claimed = granted(ledger, handle_id="claimed")
    claim(ledger, claimed, ledger.acquire(DECODE, 2))
    assert ledger.drop(PREFILL) == 2 + 3 + 2
    with pytest.raises(StaleHandle):
        claim(ledger, handle, ledger.acquire(DECODE, 2))
    assert ledger.counts().decode == 2 + 2
    assert ledger.drop(PREFILL) == 0


@pytest.mark.parametrize("pages", [(), (0, 0), (0, 15), (-1,), (16,)])
def test_pages_that_are_not_the_workers_own_are_refused(ledger: Ledger, pages: tuple[int, ...]) -> None:
    ledger.acquire(PREFILL, 2)
    with pytest.raises(ForeignPages if pages else InvalidRequest):
        ledger_calls.grant(ledger, PREFILL, "h", pages, 5)
    ledger.check()


def test_roles_are_kept_apart(ledger: Ledger) -> None:
    handle = granted(ledger)
    own = ledger.acquire(DECODE, 2)
    with pytest.raises(InvalidRequest):
        ledger.promise(DECODE, "x")
    with pytest.raises(InvalidRequest):
        ledger.grant(DECODE, "x", handle.epoch, own, 5, LAYOUT)
    with pytest.raises(InvalidRequest):
        ledger_calls.claim(ledger, PREFILL, "h", handle.epoch, ledger.acquire(PREFILL, 2))
    with pytest.raises(InvalidRequest):
        ledger.acquire(WATCHER, 1)
    with pytest.raises(ForeignPages):
        ledger.withdraw(Owner(9, Role.PREFILL), "h", handle.epoch)


def promised(ledger: Ledger) -> tuple[Epoch, tuple[int, ...]]:
    """A promise, and pages to keep it."""
    return ledger.promise(PREFILL, "h"), ledger.acquire(PREFILL, 2)


def test_a_claim_that_waits_gets_the_pages_with_the_grant(ledger: Ledger) -> None:
    (epoch, pages), give = promised(ledger), ledger.acquire(DECODE, 2)
    answers = waiting_claim(ledger, DECODE, "h", epoch, give)
    assert answers == []
    handle = ledger.grant(PREFILL, "h", epoch, pages, 5, LAYOUT, next_token=17)
    assert answered(answers).handle == handle
    assert (handle.pages, handle.next_token) == (pages, 17)
    ledger.release(DECODE, pages)
    ledger.release(PREFILL, give)
    assert ledger.counts().free == 16


def test_whatever_ends_a_promise_answers_the_claim_that_waits(ledger: Ledger) -> None:
    for end in (
        lambda epoch: ledger.withdraw(PREFILL, "h", epoch),
        lambda epoch: ledger.leave(DECODE, "h", epoch),
        lambda epoch: waiting_claim(ledger, Owner(9, Role.DECODE), "h", epoch, ()),
        lambda epoch: ledger.drop(PREFILL),
    ):
        epoch, _ = promised(ledger)
        answers = waiting_claim(ledger, DECODE, "h", epoch, ledger.acquire(DECODE, 2))
        end(epoch)
        with pytest.raises(StaleHandle):
            answered(answers)
        ledger.drop(PREFILL)
        ledger.check()
    assert ledger.counts().decode == 8, "what a claim would have given is still decode's"


def test_a_claimer_that_died_gets_nothing_and_another_does(ledger: Ledger) -> None:
    epoch, pages = promised(ledger)
    dead, heir = Owner(8, Role.DECODE), Owner(9, Role.DECODE)
    lost = waiting_claim(ledger, dead, "h", epoch, ledger.acquire(dead, 2))
    ledger.drop(dead)
    answers = waiting_claim(ledger, heir, "h", epoch, ledger.acquire(heir, 2))
    ledger.grant(PREFILL, "h", epoch, pages, 5, LAYOUT)
    assert answered(answers).handle.pages == pages
    assert lost == []


def test_a_claim_that_gives_what_it_lost_meanwhile_is_refused_and_the_grant_stays(ledger: Ledger) -> None:
    (epoch, pages), give = promised(ledger), ledger.acquire(DECODE, 2)
    answers = waiting_claim(ledger, DECODE, "h", epoch, give)
    ledger.release(DECODE, give)
    handle = ledger.grant(PREFILL, "h", epoch, pages, 5, LAYOUT)
    with pytest.raises(ForeignPages):
        answered(answers)
    claim(ledger, handle, ledger.acquire(DECODE, 2))


def test_a_promise_is_kept_once_and_by_its_maker(ledger: Ledger) -> None:
    epoch, pages = promised(ledger)
    other = Owner(9, Role.PREFILL)
    with pytest.raises(ForeignPages):
        ledger.grant(other, "h", epoch, ledger.acquire(other, 2), 5, LAYOUT)
    with pytest.raises(ForeignPages):
        ledger.withdraw(other, "h", epoch)
    ledger.grant(PREFILL, "h", epoch, pages[:1], 5, LAYOUT)
    with pytest.raises(DuplicateRequest):
        ledger.grant(PREFILL, "h", epoch, pages[1:], 5, LAYOUT)
    ledger.withdraw(PREFILL, "h", epoch)
    with pytest.raises(StaleHandle):
        ledger.grant(PREFILL, "h", epoch, pages, 5, LAYOUT)


def test_every_refusal_says_what_to_do(ledger: Ledger) -> None:
    with pytest.raises(SplitwiserError, match="help: ") as caught:
        ledger.release(PREFILL, [3])
    assert caught.value.help
