"""Random operations, right and wrong ones, against a model that is one dict: invariants I1 to I4 hold at every step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from splitwiser.errors import SplitwiserError, StaleHandle
from splitwiser.kv.handle import Epoch, KvHandle
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.owner import Claim, Counts, Grant, Owner, Role

PAGES = 24
LAYOUT = "layout"
Holder = Owner | KvHandle | None


def attempt(call: Callable[[], object]) -> object:
    """What call returns, or the refusal."""
    try:
        return call()
    except SplitwiserError as error:
        return error


@dataclass
class Waiting:
    """A claim that was not refused at once. answers: what it was told, at most once."""

    claimer: Owner
    give: list[int]
    answers: list[Grant | SplitwiserError] = field(default_factory=list)

    def is_stale(self) -> bool:
        return len(self.answers) == 1 and isinstance(self.answers[0], StaleHandle)


@dataclass
class Ticket:
    """A promise that was made. It is open until it is kept or broken; waiting: the claim that waits for it."""

    handle_id: str
    epoch: Epoch
    grantor: Owner
    is_open: bool = True
    waiting: Waiting | None = None
    handle: KvHandle | None = None


class LedgerMachine(RuleBasedStateMachine):
    """holder says who should have each page; content is what a prompt wrote there; every promise ever made is kept."""

    @initialize()
    def start(self) -> None:
        self.ledger = Ledger("store", 1, PAGES, LAYOUT, monotonic_ns=lambda: 0)
        self.holder: dict[int, Holder] = dict.fromkeys(range(PAGES))
        self.content: dict[int, str] = {}
        self.owners = [Owner(index, role) for index, role in enumerate([Role.PREFILL, Role.DECODE] * 2)]
        self.tickets: list[Ticket] = []
        self.claimed: set[KvHandle] = set()
        self.ended: list[Waiting] = []
        self.next_id = 4

    def end(self, ticket: Ticket) -> None:
        """The claim that waits, if one does, must have heard that it is stale."""
        if waiting := ticket.waiting:
            assert waiting.is_stale()
            self.ended.append(waiting)
            ticket.waiting = None

    def owns(self, owner: Owner, pages: Sequence[int]) -> bool:
        return all(self.holder.get(page) == owner for page in pages)

    def held_by(self, holder: Holder) -> list[int]:
        return [page for page, of in self.holder.items() if of == holder]

    def pick(self, owner: Owner, data: st.DataObject, count: int) -> list[int]:
        """Mostly the owner's own pages, sometimes anybody's."""
        pool = self.held_by(owner) if data.draw(st.integers(0, 4)) else list(range(-1, PAGES + 1))
        return data.draw(st.permutations(pool))[:count]

    def move(self, pages: Sequence[int], to: Holder) -> None:
        for page in pages:
            self.holder[page] = to

    @rule(who=st.integers(0, 3), count=st.integers(0, 8))
    def acquire(self, who: int, count: int) -> None:
        owner = self.owners[who]
        free = self.held_by(None)
        pages = self.ledger.acquire(owner, count)
        assert len(pages) == min(count, len(free))
        assert set(pages) <= set(free)
        self.move(pages, owner)

    @rule(who=st.integers(0, 3), count=st.integers(0, 4), data=st.data())
    def release(self, who: int, count: int, data: st.DataObject) -> None:
        owner = self.owners[who]
        pages = self.pick(owner, data, count)
        allowed = all(self.holder.get(page) == owner for page in pages)
        refused = isinstance(attempt(lambda: self.ledger.release(owner, pages)), SplitwiserError)
        assert allowed != refused
        if allowed:
            self.move(pages, None)

    @rule(who=st.integers(0, 3), handle_id=st.sampled_from("abcd"))
    def promise(self, who: int, handle_id: str) -> None:
        owner = self.owners[who]
        epoch = attempt(lambda: self.ledger.promise(owner, handle_id))
        assert isinstance(epoch, Epoch) == (owner.role is Role.PREFILL)
        if isinstance(epoch, Epoch):
            assert all(epoch > ticket.epoch for ticket in self.tickets)
            self.tickets.append(Ticket(handle_id, epoch, owner))

    def any_ticket(self, data: st.DataObject) -> Ticket | None:
        """Mostly one of the latest, which are open or live."""
        some = self.tickets[-6:] if data.draw(st.integers(0, 4)) else self.tickets
        return data.draw(st.sampled_from(some)) if some else None

    @rule(who=st.integers(0, 3), count=st.integers(0, 3), data=st.data())
    def grant(self, who: int, count: int, data: st.DataObject) -> None:
        if (ticket := self.any_ticket(data)) is None:
            return
        owner = ticket.grantor if data.draw(st.integers(0, 4)) else self.owners[who]
        pages = self.pick(owner, data, count)
        live = {holder.handle_id for holder in self.holder.values() if isinstance(holder, KvHandle)}
        allowed = owner == ticket.grantor and ticket.is_open and bool(pages) and ticket.handle_id not in live
        allowed = allowed and self.owns(owner, pages)
        handle = attempt(
            lambda: self.ledger.grant(owner, ticket.handle_id, ticket.epoch, pages, 1, LAYOUT, ticket.epoch.counter)
        )
        assert allowed == isinstance(handle, KvHandle)
        if not isinstance(handle, KvHandle):
            return
        self.move(pages, handle)
        self.content.update(dict.fromkeys(pages, str(handle.epoch)))
        ticket.is_open, ticket.handle = False, handle
        waiting, ticket.waiting = ticket.waiting, None
        if waiting:
            self.ended.append(waiting)
            (answer,) = waiting.answers
            fits = len(waiting.give) == len(pages) and self.owns(waiting.claimer, waiting.give)
            assert isinstance(answer, Grant) == fits
            if isinstance(answer, Grant):
                self.exchange(ticket, answer, waiting.claimer, waiting.give)

    def exchange(self, ticket: Ticket, grant: Grant, claimer: Owner, give: Sequence[int]) -> None:
        """What a claim does, at once or later: once, with the pages that this prompt wrote and the token it drew."""
        handle = grant.handle
        assert handle == ticket.handle
        assert handle not in self.claimed
        assert {self.content[page] for page in handle.pages} == {str(handle.epoch)}
        assert handle.next_token == handle.epoch.counter
        self.claimed.add(handle)
        self.move(give, ticket.grantor)
        self.move(handle.pages, claimer)

    @rule(who=st.integers(0, 3), data=st.data())
    def claim(self, who: int, data: st.DataObject) -> None:
        if (ticket := self.any_ticket(data)) is None:
            return
        owner, handle = self.owners[who], ticket.handle
        count = len(handle.pages) if handle else data.draw(st.integers(0, 3))
        claim = Waiting(owner, self.pick(owner, data, count))
        live = handle is not None and bool(self.held_by(handle))
        allowed = owner.role is Role.DECODE and self.owns(owner, claim.give)
        allowed = allowed and (ticket.is_open or (live and len(claim.give) == count))
        made = Claim(owner, tuple(claim.give), claim.answers.append)
        refusal = attempt(lambda: self.ledger.claim(ticket.handle_id, ticket.epoch, LAYOUT, made))
        assert allowed == (refusal is None)
        if not allowed:
            assert claim.answers == []
            assert ticket.is_open or live or owner.role is not Role.DECODE or isinstance(refusal, StaleHandle)
        elif ticket.is_open:
            self.end(ticket)
            ticket.waiting = claim
        else:
            (answer,) = claim.answers
            assert isinstance(answer, Grant)
            self.exchange(ticket, answer, owner, claim.give)

    @rule(who=st.integers(0, 3), data=st.data())
    def leave(self, who: int, data: st.DataObject) -> None:
        if ticket := self.any_ticket(data):
            owner = self.owners[who]
            self.ledger.leave(owner, ticket.handle_id, ticket.epoch)
            if ticket.waiting and ticket.waiting.claimer == owner:
                self.end(ticket)

    @rule(who=st.integers(0, 3), data=st.data())
    def withdraw(self, who: int, data: st.DataObject) -> None:
        if (ticket := self.any_ticket(data)) is None:
            return
        owner, handle = self.owners[who], ticket.handle
        live = handle is not None and bool(self.held_by(handle))
        outcome = attempt(lambda: self.ledger.withdraw(owner, ticket.handle_id, ticket.epoch))
        if ticket.grantor != owner or not (ticket.is_open or live):
            assert isinstance(outcome, SplitwiserError)
            return
        assert outcome == (handle.pages if handle else ())
        self.move(handle.pages if handle else (), owner)
        ticket.is_open = False
        self.end(ticket)

    @rule(who=st.integers(0, 3))
    def crash(self, who: int) -> None:
        owner = self.owners[who]
        lost = self.held_by(owner)
        for ticket in self.tickets:
            if ticket.grantor == owner and ticket.handle:
                lost += self.held_by(ticket.handle)
        assert self.ledger.drop(owner) == len(lost)
        self.move(lost, None)
        for ticket in self.tickets:
            if ticket.waiting and ticket.waiting.claimer == owner:
                # Nobody is there to hear of it.
                assert ticket.waiting.answers == []
                ticket.waiting = None
            if ticket.grantor == owner:
                ticket.is_open = False
                self.end(ticket)
        self.owners[who] = Owner(self.next_id, owner.role)
        self.next_id += 1

    @invariant()
    def a_claim_waits_only_for_a_grant_that_can_come_and_is_answered_once(self) -> None:
        for ticket in self.tickets:
            if ticket.waiting:
                assert ticket.is_open
                assert ticket.waiting.answers == []
        assert all(len(waiting.answers) == 1 for waiting in self.ended)

    @invariant()
    def every_page_is_where_the_model_has_it(self) -> None:
        self.ledger.check()
        counts = self.ledger.counts()
        places = {"free": 0, "prefill": 0, "granted": 0, "decode": 0}
        for holder in self.holder.values():
            place = holder.role.value if isinstance(holder, Owner) else "granted" if holder else "free"
            places[place] += 1
        grants = sum(ticket.handle is not None for ticket in self.tickets)
        expected = Counts(PAGES, **places, grants=grants, claims=len(self.claimed), refusals=counts.refusals)
        assert counts == expected


@pytest.mark.parametrize(
    "examples", [pytest.param(60, id="short"), pytest.param(2000, id="long", marks=[pytest.mark.slow])]
)
@pytest.mark.timeout(600)
def test_random_operations_keep_the_invariants(examples: int) -> None:
    profile = settings(
        max_examples=examples, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(LedgerMachine, settings=profile)
