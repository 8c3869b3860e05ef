"""Prompts that share beginnings, up to their grant: pages that workers own, look-ups, and copies on the host."""

from random import Random

from hypothesis.stateful import RuleBasedStateMachine, initialize

from splitwiser.kv.handle import KvHandle
from splitwiser.kv.host_index import Copies
from splitwiser.kv.owner import Owner, Role
from splitwiser.kv.prefix_ledger import PrefixLedger
from splitwiser.kv.reader import Reader
from tests.unit.kv.prefix_model import PoolModel, Request, Text, hash_of, state_of

PAGES = 24
HOST_PAGES = 5
LAYOUT = "layout"
DUE = 10


class LookUps(RuleBasedStateMachine):
    """Does one thing after another to the ledger, and tells the model. random is of whoever lets something happen."""

    random: Random

    @initialize()
    def start(self) -> None:
        self.ledger = PrefixLedger("store", 1, PAGES, LAYOUT)
        self.ledger.keep_copies(HOST_PAGES)
        self.model = PoolModel(PAGES, HOST_PAGES)
        self.owners = [Owner(index, role) for index, role in enumerate([Role.PREFILL, Role.DECODE] * 2)]
        self.in_line: list[tuple[Request, int]] = []
        self.gone: list[KvHandle] = []
        self.grants = self.claims = self.loaded = self.next_id = 0
        for who in range(4):
            self.acquire_for(self.owners[who], 6)

    def pick(self, state: str) -> Request | None:
        found = [request for request in self.model.requests.values() if state_of(request) == state]
        return self.random.choice(found) if found else None

    def acquire(self) -> None:
        self.acquire_for(self.random.choice(self.owners), self.random.randrange(5))

    def acquire_for(self, owner: Owner, count: int) -> None:
        there = len(self.model.held_by(None)) + len(self.model.evictable())
        pages = self.ledger.acquire(owner, count)
        assert len(pages) == min(count, there)
        self.model.move(pages, owner)

    def scribble(self) -> None:
        """A worker may write to whatever is its own and no request's."""
        if spare := self.model.spare(self.random.choice(self.owners)):
            self.model.content[self.random.choice(spare)] = ("scribble",)

    def release(self) -> None:
        owner = self.random.choice(self.owners)
        pages = self.model.spare(owner)[: self.random.randrange(1, 4)]
        self.ledger.release(owner, pages)
        self.model.move(pages, None)

    def look_up(self) -> None:
        owner, limit = self.random.choice(self.owners[::2]), self.random.choice([0, 2, 12, 12])
        words, has_tail = self.random.choices("aab", k=self.random.randrange(5)), self.random.random() < 0.5
        if not words and not has_tail:
            return
        self.next_id += 1
        need = len(words) + has_tail + self.random.randrange(3)
        self.try_look_up(Request(f"r{self.next_id}", tuple(words), has_tail, owner, (), need), limit)

    def look_up_again(self) -> None:
        """As the store does for those in line."""
        if self.in_line:
            request, limit = self.in_line.pop(self.random.randrange(len(self.in_line)))
            self.try_look_up(request, limit)

    def try_look_up(self, request: Request, limit: int) -> None:
        words, has_tail, need, owner = request.text, request.has_tail, request.need, request.prefill
        texts = [tuple(words[: end + 1]) for end in range(len(words))]
        reader = Reader(b"root", tuple(map(hash_of, texts)), (7,) if has_tail else (), need)
        before = self.model.waiting()
        beginning = self.ledger.look_up(owner, request.id, reader, limit, DUE)
        if beginning is None:
            assert need + len(before) > DUE
            self.in_line.append((request, limit))
            return
        shared = beginning.pages
        assert [self.model.content[page] for page in shared] == texts[: len(shared)]
        known = 0
        while known < len(texts) - (not has_tail) and texts[known] in self.model.index:
            known += 1
        assert len(shared) <= known
        after = before | set(shared)
        assert len(after) <= max(limit, len(before))
        waiting = [*self.model.requests.values(), *(each for each, _ in self.in_line)]
        needs = [need, *(request.need for request in waiting if not request.decode)]
        assert shared == () or len(after) + max(needs) <= DUE
        request.shared = shared
        self.model.requests[request.id] = request
        room = min(limit, DUE - max(needs)) - len(after)
        self.start_load(request, beginning.loads, texts[len(shared) : len(texts) - (not has_tail)], room)

    def start_load(self, request: Request, loads: Copies, unknown: list[Text], room: int) -> None:
        """All that the host has is loaded, as far as there is room, and nothing else."""
        on_host = 0
        while on_host < len(unknown) and unknown[on_host] in self.model.copies:
            on_host += 1
        there = len(self.model.held_by(None)) + len(self.model.evictable())
        assert len(loads.pages) == len(loads.host_pages) == max(0, min(on_host, room, there))
        assert [self.model.host[page] for page in loads.host_pages] == unknown[: len(loads.pages)]
        self.model.move(loads.pages, "load")
        for page in loads.pages:
            self.model.content[page] = ("half",)
        request.loads = loads

    def load_done(self) -> None:
        loading = [request for request in self.model.requests.values() if request.loads.pages]
        if not loading:
            return
        request = self.random.choice(loading)
        self.loaded += len(request.loads.pages)
        expected = (*request.shared, *self.model.end_load(request))
        request.shared = self.ledger.loaded(request.prefill, request.id)
        assert request.shared == expected
        texts = [self.model.content[page] for page in request.shared]
        assert texts == [request.text[: end + 1] for end in range(len(texts))]

    def save(self) -> None:
        owner = self.random.choice(self.owners[::2])
        if owner not in self.model.saves and (copies := self.ledger.save(owner, self.random.randrange(1, 4))).pages:
            self.model.start_save(owner, copies)

    def save_done(self) -> None:
        if self.model.saves:
            owner = self.random.choice(list(self.model.saves))
            self.model.end_save(owner)
            self.ledger.saved(owner)
