"""Owns a stand for both sides of the prefix index: two workers over a real ledger, and requests through both."""

import asyncio
from collections.abc import Sequence

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
