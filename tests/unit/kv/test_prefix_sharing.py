"""Both sides of the prefix index over a real ledger: right pages found, none lost, whoever is cancelled when."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from splitwiser.errors import PromptTooLong
from splitwiser.kv.claims import Claims
from splitwiser.kv.grants import Grants
from splitwiser.kv.handle import KvHandle, KvPromise
from splitwiser.kv.host_index import Beginning, Copies
from splitwiser.kv.lending import Lending
from splitwiser.kv.owner import Owner
from splitwiser.kv.pool import OwnedPages
from splitwiser.kv.prefix_hash import PageHasher
from splitwiser.kv.prefix_ledger import PrefixLedger, Shared
from splitwiser.kv.prefix_lookup import Lookups, PinLimits
from splitwiser.kv.prefix_sharing import Sharing
from splitwiser.kv.reader import Reader
from tests.unit.kv.slow_calls import DECODE, PREFILL, SlowCalls

PAGES, PAGE_TOKENS = 32, 4


class Stand(SlowCalls):
    """Both workers over a real ledger. content, host: what is in each page, and in each host page."""

    ledger: PrefixLedger

    def __init__(self, seed: int = 0, *, host_pages: int = 0) -> None:
        super().__init__(PrefixLedger("test", 7, PAGES, "layout"), seed)
        self.ledger.keep_copies(host_pages)
        self.prefill_pages = OwnedPages(self.ledger.acquire(PREFILL, 4), lent=PAGES // 2 - 4, spare=2, keep=4)
        self.decode_pages = OwnedPages(self.ledger.acquire(DECODE, 4), lent=PAGES // 2 - 4, spare=2, keep=4)
        self.lending = [
            Lending(Lender(self, PREFILL), self.prefill_pages, pause_s=0),
            Lending(Lender(self, DECODE), self.decode_pages, pause_s=0),
        ]
        self.hasher = PageHasher("layout", 7, PAGE_TOKENS)
        self.sharing = Sharing(self, self.decode_pages, self.hasher)
        self.lookups = Lookups(self, self.hasher, PinLimits(due=PAGES // 2, pinned=PAGES // 2 - 4), self)
        self.grants = Grants(self, self.prefill_pages, "layout")
        self.claims = Claims(self, self.decode_pages, self.sharing.abandon)
        self.answering = {PREFILL: asyncio.Lock(), DECODE: asyncio.Lock()}
        self.content: dict[int, tuple[int, ...]] = {}
        self.host: dict[int, tuple[int, ...]] = {}
        self.loads = 0

    async def look_up(
        self, handle_id: str, parent: bytes, hashes: Sequence[bytes], tail: Sequence[int], limits: PinLimits
    ) -> Beginning:
        await self.pause()
        reader = Reader(parent, tuple(hashes), tuple(tail), limits.need)
        for _ in range(100_000):
            beginning = self.ledger.look_up(PREFILL, handle_id, reader, limits.pinned, limits.due)
            if beginning is not None:
                await self.pause()
                return beginning
            await asyncio.sleep(0)
        raise AssertionError("nobody who waits with pins ever went on")

    async def forget(self, handle_id: str) -> None:
        await self.pause()
        self.ledger.forget(PREFILL, handle_id)

    async def loaded(self, handle_id: str) -> tuple[int, ...]:
        await self.pause()
        pages = self.ledger.loaded(PREFILL, handle_id)
        await self.pause()
        return pages

    async def load(self, copies: Copies) -> None:
        """As HostTier has it."""
        for page, host_page in zip(copies.pages, copies.host_pages, strict=True):
            self.content[page] = ()
            await self.pause()
            self.content[page] = self.host[host_page]
        self.loads += 1

    async def save(self) -> None:
        """One save of what is worth it now, as HostTier has them."""
        copies = self.ledger.save(PREFILL, 4)
        for page, host_page in zip(copies.pages, copies.host_pages, strict=True):
            self.host[host_page] = ()
            await self.pause()
            self.host[host_page] = self.content[page]
        if copies.pages:
            self.ledger.saved(PREFILL)

    async def share_prompt(self, handle: KvHandle) -> Shared:
        await self.pause()
        shared = self.ledger.share_prompt(DECODE, handle.handle_id, handle.epoch)
        await self.reply(DECODE)
        return shared

    async def share_answer(self, handle: KvHandle, pages: Sequence[int], hashes: Sequence[bytes]) -> tuple[int, ...]:
        await self.pause()
        taken = self.ledger.share_answer(DECODE, handle.handle_id, handle.epoch, pages, hashes)
        await self.reply(DECODE)
        return taken

    async def reply(self, owner: Owner) -> None:
        """Answers take a moment too, but come in the order in which the store gave them."""
        async with self.answering[owner]:
            await self.pause()

    def check_idle(self) -> None:
        """Nothing is pinned, and each side has as many pages to work with as at the start."""
        self.ledger.check()
        counts = self.ledger.counts()
        assert (counts.granted, counts.shared) == (0, 0)
        assert self.prefill_pages.counts() == {"free": counts.prefill, "in_use": 0}
        assert self.decode_pages.counts() == {"free": counts.decode, "in_use": 0}
        for pages in (self.prefill_pages, self.decode_pages):
            assert pages.free_count + pages.lent == PAGES // 2

    def write(self, pages: Sequence[int], token_ids: Sequence[int], start: int) -> None:
        """Write the KV of token_ids from position start on; nobody may write to a page that is nobody's."""
        for position, token in enumerate(token_ids[start:], start):
            page, slot = pages[position // PAGE_TOKENS], position % PAGE_TOKENS
            assert page not in self.ledger._index.pages
            self.content[page] = (*self.content.get(page, ())[:slot], token)

    def read(self, pages: Sequence[int], tokens: int) -> list[int]:
        """The tokens whose KV these pages hold."""
        return [token for page in pages[: -(-tokens // PAGE_TOKENS)] for token in self.content[page]][:tokens]


class Lender:
    """One worker's calls to lend pages and to get some back."""

    def __init__(self, stand: Stand, owner: Owner) -> None:
        self._stand = stand
        self._owner = owner

    async def release(self, pages: Sequence[int]) -> None:
        await asyncio.sleep(0)
        self._stand.ledger.release(self._owner, pages)
        await self._stand.reply(self._owner)

    async def recall(self, count: int) -> tuple[int, ...]:
        await asyncio.sleep(0)
        for _ in range(100_000):
            if pages := self._stand.ledger.acquire(self._owner, count):
                await self._stand.reply(self._owner)
                return pages
            await asyncio.sleep(0)
        raise AssertionError("nobody ever unpinned a page")


async def serve(stand: Stand, name: str, prompt: tuple[int, ...], answer: tuple[int, ...]) -> int:
    """One request from look-up to end; returns how many pages of its prompt were found."""
    need = -(-(len(prompt) + len(answer) - 1) // PAGE_TOKENS)
    async with stand.lookups.found(name, prompt, need=need) as found:
        shared = found.pages
        own = await stand.prefill_pages.reserve(-(-len(prompt) // PAGE_TOKENS) - len(shared))
        try:
            async with stand.grants.promised(name) as promised:
                promise = await promised.promise(len(own), len(shared), len(prompt))
                claiming = asyncio.create_task(decode(stand, promise, prompt, answer))
                try:
                    await asyncio.sleep(0)
                    stand.write((*shared, *own), prompt, len(shared) * PAGE_TOKENS)
                    granting, own = own, ()
                    await promised.grant(granting, len(shared), len(prompt), answer[0])
                    await asyncio.wait({claiming})
                    await claiming
                    await promised.claimed.wait()
                finally:
                    claiming.cancel()
                    await asyncio.wait({claiming})
        finally:
            stand.prefill_pages.free(own)
        found.claimed = True
    return len(shared)


async def decode(stand: Stand, promise: KvPromise, prompt: tuple[int, ...], answer: tuple[int, ...]) -> None:
    """Decode's part: all but the answer's last token are written."""
    count = -(-(len(prompt) + len(answer) - 1) // PAGE_TOKENS) - promise.shared
    handle, own = await stand.claims.claim(promise, await stand.decode_pages.reserve(count))
    shared, pages, done = stand.sharing.share(handle), (*handle.shared, *own), 0
    try:
        for number in range(len(answer) - 1):
            assert stand.read(pages, len(prompt) + number) == [*prompt, *answer[:number]]
            stand.write(pages, (*prompt, *answer[: number + 1]), len(prompt) + number)
            done = number + 1
            await asyncio.sleep(0)
    finally:
        shared.end(own, answer[:done])


async def settle() -> None:
    """Let what runs in the background end."""
    for _ in range(80):
        await asyncio.sleep(0)


async def test_the_next_turn_finds_prompt_and_answer() -> None:
    stand = Stand()
    assert await serve(stand, "a", (1, 2, 3, 4, 5), (6, 7, 8, 9)) == 0
    await settle()
    stand.check_idle()
    # Eight tokens have their KV: the answer's last one was never fed back.
    assert await serve(stand, "b", (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (11, 12)) == 2
    await settle()
    stand.check_idle()


async def test_a_salt_shares_with_its_own_kind_only() -> None:
    stand = Stand()
    await serve(stand, "a", (1, 2, 3, 4, 5), (6, 7))
    await settle()
    async with stand.lookups.found("b", (1, 2, 3, 4, 5), need=2, salt="other") as found:
        assert found.pages == ()
    async with stand.lookups.found("c", (1, 2, 3, 4, 5), need=2) as found:
        assert len(found.pages) == 1
    await settle()
    stand.check_idle()


async def test_decode_gets_its_pages_back_when_it_needs_them_all() -> None:
    stand = Stand()
    for start in range(0, 400, 20):
        await serve(stand, f"r{start}", tuple(range(start, start + 9)), (1, 2))
    await settle()
    assert stand.ledger.counts().cached >= PAGES // 4
    own = await stand.decode_pages.reserve(PAGES // 2)
    stand.decode_pages.free(own)
    with pytest.raises(PromptTooLong):
        await stand.decode_pages.reserve(PAGES // 2 + 1)
    await settle()
    stand.check_idle()


async def fill(stand: Stand, count: int) -> None:
    """As many requests whose pages replace all others in the pool."""
    for start in range(1000, 1000 + 20 * count, 20):
        await serve(stand, f"r{start}", tuple(range(start, start + 9)), (1, 2))


async def test_what_was_evicted_comes_back_from_the_host() -> None:
    stand, prompt = Stand(host_pages=8), (1, 2, 3, 4, 5, 6, 7, 8, 9)
    await serve(stand, "a", prompt, (10, 11))
    await settle()
    await stand.save()
    await fill(stand, 20)
    await settle()
    assert stand.loads == 0
    async with stand.lookups.found("b", prompt, need=3) as found:
        assert (len(found.pages), found.loaded) == (2, 2)
        assert stand.read(found.pages, 8) == [1, 2, 3, 4, 5, 6, 7, 8]
    # The pool has it again: nothing is loaded twice.
    assert await serve(stand, "c", prompt, (10, 11)) == 2
    assert stand.loads == 1
    await settle()
    stand.check_idle()


async def test_the_pool_has_the_beginning_and_the_host_the_rest() -> None:
    stand, prompt = Stand(host_pages=8), tuple(range(1, 14))
    await serve(stand, "a", prompt, (14, 15))
    await settle()
    await stand.save()
    # The end of a chain is evicted first.
    idle = stand.ledger.counts().free + stand.ledger.counts().cached
    stand.ledger.release(PREFILL, stand.ledger.acquire(PREFILL, idle - 2))
    async with stand.lookups.found("b", prompt, need=4) as found:
        assert (len(found.pages), found.loaded) == (3, 1)
        assert stand.read(found.pages, 12) == list(prompt[:12])


async def test_a_copy_that_is_not_whole_is_not_found() -> None:
    stand, prompt = Stand(host_pages=8), (1, 2, 3, 4, 5, 6, 7, 8, 9)
    await serve(stand, "a", prompt, (10, 11))
    await settle()
    stand.ledger.save(PREFILL, 1)
    await fill(stand, 20)
    await settle()
    # The page that is held is still in the pool, but nothing leads to it; its copy was never said to be whole.
    async with stand.lookups.found("b", prompt, need=3) as found:
        assert found.pages == ()


async def test_a_load_that_fails_leaves_nothing_pinned() -> None:
    stand, prompt = Stand(host_pages=8), (1, 2, 3, 4, 5, 6, 7, 8, 9)
    await serve(stand, "a", prompt, (10, 11))
    await settle()
    await stand.save()
    await fill(stand, 20)
    stand.host.clear()
    with pytest.raises(KeyError):
        async with stand.lookups.found("b", prompt, need=3):
            raise AssertionError("found what could not be loaded")
    await settle()
    stand.check_idle()


async def test_who_cannot_load_computes() -> None:
    stand, prompt = Stand(host_pages=8), (1, 2, 3, 4, 5, 6, 7, 8, 9)
    await serve(stand, "a", prompt, (10, 11))
    await settle()
    await stand.save()
    await fill(stand, 20)
    stand.lookups = Lookups(stand, stand.hasher, PinLimits(due=PAGES // 2, pinned=PAGES // 2 - 4))
    assert await serve(stand, "b", prompt, (10, 11)) == 0
    await settle()
    stand.check_idle()


async def test_no_cancellation_at_any_point_loses_a_page_or_a_pin() -> None:
    found = 0
    for seed in range(150):
        stand, chance = Stand(seed), random.Random(seed)
        tasks = []
        for index in range(12):
            prompt = tuple(chance.choices([1, 2], k=2)) * chance.randrange(1, 9)
            answer = tuple(chance.choices([1, 2], k=chance.randrange(2, 9)))
            tasks.append(asyncio.create_task(serve(stand, f"r{index}", prompt, answer)))
            for _ in range(chance.randrange(25)):
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks, timeout=10)
        await settle()
        stand.check_idle()
        for task in tasks:
            found += 0 if task.cancelled() else task.result()
    assert found > 100


async def test_no_cancellation_loses_a_page_between_pool_and_host() -> None:
    loads = 0
    for seed in range(15):
        stand, chance, tasks = Stand(seed, host_pages=64), random.Random(seed), []
        for index in range(40):
            # More beginnings than the pool holds.
            prompt, answer = (chance.randrange(20),) * chance.choice([9, 13, 17]), (1,) * chance.randrange(2, 9)
            tasks.append(asyncio.create_task(serve(stand, f"r{index}", prompt, answer)))
            for _ in range(chance.randrange(60)):
                await asyncio.sleep(0)
            await stand.save()
            if chance.random() < 0.2:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks, timeout=10)
        await settle()
        stand.check_idle()
        loads += stand.loads
        for task in tasks:
            assert task.cancelled() or task.result() >= 0
    assert loads > 100
