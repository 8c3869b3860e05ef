"""Random operations, right and wrong ones, against a model that is one dict: invariants I1 to I4 hold at every step."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from splitwiser.errors import SplitwiserError, StaleHandle
from splitwiser.kv.handle import KvHandle
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.owner import Counts, Grant, Owner, Role

PAGES = 24
LAYOUT = "layout"
Holder = Owner | KvHandle | None


def attempt(call: Callable[[], object]) -> object:
    """What call returns, or the refusal."""
    try:
        return call()
    except SplitwiserError as error:
        return error


class LedgerMachine(RuleBasedStateMachine):
    """holder says who should have each page; content is what a prompt wrote there; every handle ever made is kept."""

    @initialize()
    def start(self) -> None:
        self.ledger = Ledger("store", 1, PAGES, LAYOUT, monotonic_ns=lambda: 0)
        self.holder: dict[int, Holder] = dict.fromkeys(range(PAGES))
        self.content: dict[int, str] = {}
        self.owners = [Owner(index, role) for index, role in enumerate([Role.PREFILL, Role.DECODE] * 2)]
        self.handles: list[KvHandle] = []
        self.grantor: dict[KvHandle, Owner] = {}
        self.claimed: set[KvHandle] = set()
        self.next_id = 4

    def held_by(self, holder: Holder) -> list[int]:
        return [page for page, of in self.holder.items() if of == holder]

    def pick(self, owner: Owner, data: st.DataObject, count: int) -> list[int]:
        """Mostly the owner's own pages, sometimes anybody's."""
        pool = self.held_by(owner) if data.draw(st.integers(0, 4)) else list(range(-1, PAGES + 1))
        return data.draw(st.permutations(pool))[:count]

    def move(self, pages: list[int] | tuple[int, ...], to: Holder) -> None:
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

    @rule(who=st.integers(0, 3), count=st.integers(0, 3), handle_id=st.sampled_from("abcd"), data=st.data())
    def grant(self, who: int, count: int, handle_id: str, data: st.DataObject) -> None:
        owner = self.owners[who]
        pages = self.pick(owner, data, count)
        live = any(isinstance(holder, KvHandle) and holder.handle_id == handle_id for holder in self.holder.values())
        allowed = owner.role is Role.PREFILL and bool(pages) and not live
        allowed = allowed and all(self.holder.get(page) == owner for page in pages)
        handle = attempt(lambda: self.ledger.grant(owner, handle_id, pages, 1, LAYOUT))
        assert allowed == isinstance(handle, KvHandle)
        if not isinstance(handle, KvHandle):
            return
        assert all(handle.epoch > old.epoch for old in self.handles)
        self.move(pages, handle)
        self.content.update(dict.fromkeys(pages, str(handle.epoch)))
        self.handles.append(handle)
        self.grantor[handle] = owner

    @rule(who=st.integers(0, 3), data=st.data())
    def claim(self, who: int, data: st.DataObject) -> None:
        if not self.handles:
            return
        owner, handle = self.owners[who], data.draw(st.sampled_from(self.handles))
        give = self.pick(owner, data, len(handle.pages))
        live = bool(self.held_by(handle))
        allowed = owner.role is Role.DECODE and live and len(give) == len(handle.pages)
        allowed = allowed and all(self.holder.get(page) == owner for page in give)
        grant = attempt(lambda: self.ledger.claim(owner, handle, give))
        assert allowed == isinstance(grant, Grant)
        if not isinstance(grant, Grant):
            assert live or owner.role is not Role.DECODE or isinstance(grant, StaleHandle)
            return
        assert handle not in self.claimed
        assert {self.content[page] for page in handle.pages} == {str(handle.epoch)}
        self.claimed.add(handle)
        self.move(give, self.grantor[handle])
        self.move(handle.pages, owner)

    @rule(who=st.integers(0, 3), data=st.data())
    def withdraw(self, who: int, data: st.DataObject) -> None:
        if not self.handles:
            return
        owner, handle = self.owners[who], data.draw(st.sampled_from(self.handles))
        allowed = bool(self.held_by(handle)) and self.grantor[handle] == owner
        outcome = attempt(lambda: self.ledger.withdraw(owner, handle.handle_id, handle.epoch))
        assert allowed == (outcome == handle.pages)
        if allowed:
            self.move(handle.pages, owner)

    @rule(who=st.integers(0, 3))
    def crash(self, who: int) -> None:
        owner = self.owners[who]
        lost = self.held_by(owner)
        for handle in self.handles:
            if self.grantor[handle] == owner:
                lost += self.held_by(handle)
        assert self.ledger.drop(owner) == len(lost)
        self.move(lost, None)
        self.owners[who] = Owner(self.next_id, owner.role)
        self.next_id += 1

    @invariant()
    def every_page_is_where_the_model_has_it(self) -> None:
        self.ledger.check()
        counts = self.ledger.counts()
        places = {"free": 0, "prefill": 0, "granted": 0, "decode": 0}
        for holder in self.holder.values():
            place = holder.role.value if isinstance(holder, Owner) else "granted" if holder else "free"
            places[place] += 1
        expected = Counts(PAGES, **places, grants=len(self.handles), claims=len(self.claimed), refusals=counts.refusals)
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
