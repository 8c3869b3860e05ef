"""Random prompts that share beginnings: nobody ever reads a page that holds something else, whoever dies when."""

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from splitwiser.errors import StaleHandle, UnknownHandle
from splitwiser.kv.owner import Counts, Owner
from tests.unit.kv import ledger_calls
from tests.unit.kv.ledger_calls import answered
from tests.unit.kv.prefix_look_ups import LAYOUT, PAGES, LookUps
from tests.unit.kv.prefix_model import Request, hash_of

OPERATIONS = {
    "look_up": 6,
    "look_up_again": 3,
    "load_done": 5,
    "save": 4,
    "save_done": 4,
    "grant": 6,
    "claim": 5,
    "claim_early": 3,
    "share_prompt": 4,
    "share_answer": 4,
    "scribble": 4,
    "acquire": 5,
    "release": 4,
    "forget": 1,
    "withdraw": 1,
    "claim_again": 1,
    "crash": 1,
}
"""What may happen, and how often."""


class PrefixMachine(LookUps):
    """And from the grant on: hand-offs, pages that become shared, and workers that die."""

    # What may happen.

    @rule(seed=st.integers(0, 1 << 32))
    def happen(self, seed: int) -> None:
        """One operation, drawn so that requests come through: a choice left to the search hardly gets to an answer."""
        self.random = Random(seed)
        names = list(OPERATIONS)
        (name,) = self.random.choices(names, [OPERATIONS[name] for name in names])
        getattr(self, name)()

    def forget(self) -> None:
        if request := self.pick("looking"):
            self.ledger.forget(request.prefill, request.id)
            if request.epoch:
                self.ledger.withdraw(request.prefill, request.id, request.epoch)
            self.model.move(request.loads.pages, None)
            del self.model.requests[request.id]

    def grant(self) -> None:
        request = self.pick("looking")
        if request is None or request.loads.pages:
            return
        needed = len(request.text) + request.has_tail - len(request.shared)
        spare = self.model.spare(request.prefill)
        if len(spare) < needed:
            return
        request.own = self.random.sample(spare, needed)
        for number, page in enumerate(request.own, len(request.shared)):
            full = number < len(request.text)
            self.model.content[page] = request.text[: number + 1] if full else ("tail", request.id)
        epoch = request.epoch or self.ledger.promise(request.prefill, request.id)
        request.handle = self.ledger.grant(request.prefill, request.id, epoch, request.own, 1, LAYOUT)
        assert request.handle.shared == request.shared
        self.grants += 1
        self.model.move(request.own, request.handle)
        if request.claim:
            owner, give, answers = request.claim
            answered(answers)
            self.exchange(request, owner, give)

    def claim(self) -> None:
        request, owner = self.pick("granted"), self.random.choice(self.owners[1::2])
        if request is None or request.handle is None or len(self.model.spare(owner)) < len(request.own):
            return
        give = self.random.sample(self.model.spare(owner), len(request.own))
        ledger_calls.claim(self.ledger, owner, request.id, request.handle.epoch, give)
        self.exchange(request, owner, give)

    def claim_early(self) -> None:
        """A claim that waits for the grant of a prompt that was looked up."""
        request, owner = self.pick("looking"), self.random.choice(self.owners[1::2])
        if request is None or request.claim or request.loads.pages:
            return
        needed = len(request.text) + request.has_tail - len(request.shared)
        if len(self.model.spare(owner)) >= needed:
            request.epoch = self.ledger.promise(request.prefill, request.id)
            give = self.random.sample(self.model.spare(owner), needed)
            answers = ledger_calls.waiting_claim(self.ledger, owner, request.id, request.epoch, give)
            assert answers == []
            request.claim = (owner, give, answers)

    def exchange(self, request: Request, owner: Owner, give: list[int]) -> None:
        assert request.handle
        self.claims += 1
        self.model.move(give, request.prefill)
        self.model.move(request.own, owner)
        request.decode = owner
        request.claim = None
        self.gone.append(request.handle)

    def withdraw(self) -> None:
        request = self.pick("granted")
        if request is None or request.handle is None:
            return
        pages = self.ledger.withdraw(request.prefill, request.id, request.handle.epoch)
        self.model.move(pages, request.prefill)
        self.gone.append(request.handle)
        del self.model.requests[request.id]

    def claim_again(self) -> None:
        if self.gone:
            handle = self.random.choice(self.gone)
            with pytest.raises(StaleHandle):
                ledger_calls.claim(self.ledger, self.owners[1], handle.handle_id, handle.epoch, ())

    def share_prompt(self) -> None:
        request = self.pick("decoding")
        if request is None or request.handle is None or request.decode is None or request.prompt_is_shared:
            return
        with pytest.raises(UnknownHandle):
            self.ledger.share_prompt(request.prefill, request.id, request.handle.epoch)
        shared = self.ledger.share_prompt(request.decode, request.id, request.handle.epoch)
        full = len(request.text) - len(request.shared)
        self.model.enter(request.own[:full], shared.pages)
        assert shared.parent == (hash_of(request.text) if request.text else b"root")
        request.own = [page for page in request.own if page not in shared.pages]
        request.shared += shared.pages
        request.prompt_is_shared = True

    def share_answer(self) -> None:
        request = self.pick("decoding")
        if request is None or request.handle is None or request.decode is None:
            return
        pages = self.model.spare(request.decode)[: self.random.randrange(4)]
        text = request.text
        for page in pages:
            text = self.model.content[page] = (*text, self.random.choice("aab"))
        hashes = [hash_of(self.model.content[page]) for page in pages]
        taken = self.ledger.share_answer(request.decode, request.id, request.handle.epoch, pages, hashes)
        self.model.enter(pages, taken)
        del self.model.requests[request.id]

    def crash(self) -> None:
        who = self.random.randrange(4)
        owner = self.owners[who]
        ended = [
            request
            for request in self.model.requests.values()
            if request.decode == owner or (request.decode is None and request.prefill == owner)
        ]
        for request in self.model.requests.values():
            if request.claim and request.claim[0] == owner:
                request.claim = None
        self.in_line = [entry for entry in self.in_line if entry[0].prefill != owner]
        lost = self.model.held_by(owner)
        for request in ended:
            if request.handle and not request.decode:
                lost += self.model.held_by(request.handle)
            self.model.move(request.loads.pages, None)
            del self.model.requests[request.id]
        self.model.saves.pop(owner, None)
        assert self.ledger.drop(owner) == len(lost)
        self.model.move(lost, None)
        self.next_id += 1
        self.owners[who] = Owner(self.next_id + 4, owner.role)
        self.acquire_for(self.owners[who], 6)

    # What is always so.

    @invariant()
    def every_request_reads_what_its_prompt_says(self) -> None:
        self.ledger.check()
        for request in self.model.requests.values():
            if request.handle is None or not request.prompt_is_shared:
                pages = (*request.shared, *request.own)
                texts = [self.model.content[page] for page in pages[: len(request.text)]]
                assert texts == [request.text[: end + 1] for end in range(len(texts))]

    @invariant()
    def every_page_is_where_the_model_has_it(self) -> None:
        places = {"free": 0, "prefill": 0, "granted": 0, "decode": 0, "cached": 0, "shared": 0}
        readers = self.model.readers()
        for page, holder in self.model.holder.items():
            if holder == "load":
                places["shared"] += 1
            elif holder == "index":
                places["shared" if page in readers else "cached"] += 1
                assert self.model.index[self.model.content[page]] == page
            else:
                places[holder.role.value if isinstance(holder, Owner) else "granted" if holder else "free"] += 1
        counts = self.ledger.counts()
        assert counts == Counts(PAGES, grants=self.grants, claims=self.claims, refusals=counts.refusals, **places)


@pytest.mark.parametrize("seed", range(4))
def test_a_long_life_never_loads_what_a_page_is_not(seed: int) -> None:
    """Only a ledger that has run for long has evicted what it saved, and is asked for it again."""
    machine, random = PrefixMachine(), Random(seed)
    machine.start()
    for _ in range(15000):
        machine.happen(seed=random.getrandbits(32))
        machine.every_request_reads_what_its_prompt_says()
        machine.every_page_is_where_the_model_has_it()
    assert machine.loaded > 25


@pytest.mark.parametrize(
    "examples", [pytest.param(150, id="short"), pytest.param(2000, id="long", marks=[pytest.mark.slow])]
)
@pytest.mark.timeout(600)
def test_random_prompts_never_read_a_foreign_page(examples: int) -> None:
    profile = settings(
        max_examples=examples, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(PrefixMachine, settings=profile)
