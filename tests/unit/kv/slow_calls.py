"""Owns the store's calls of a hand-off, for tests: a real ledger that takes a moment to ask and to answer."""

import asyncio
import random
from collections.abc import Sequence

from splitwiser.errors import SplitwiserError
from splitwiser.kv.grants import Grants
from splitwiser.kv.handle import Epoch, KvHandle, KvPromise
from splitwiser.kv.ledger import Ledger
from splitwiser.kv.owner import Claim, Grant, Owner, Role

PREFILL, DECODE = Owner(1, Role.PREFILL), Owner(2, Role.DECODE)


class SlowCalls:
    """What Grants and Claims ask of a store. grants: of the prefill side, told of claims."""

    grants: Grants

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self._random = random.Random(seed)

    async def promise(self, handle_id: str) -> Epoch:
        await self.pause()
        epoch = self.ledger.promise(PREFILL, handle_id)
        await self.pause()
        return epoch

    async def grant(self, promise: KvPromise, pages: Sequence[int], next_token: int) -> KvHandle:
        await self.pause()
        handle = self.ledger.grant(
            PREFILL, promise.handle_id, promise.epoch, pages, promise.tokens, promise.layout_hash, next_token
        )
        await self.pause()
        return handle

    async def claim(self, promise: KvPromise, give: Sequence[int]) -> KvHandle:
        await self.pause()
        answer: asyncio.Future[KvHandle] = asyncio.get_running_loop().create_future()

        def take(outcome: Grant | SplitwiserError) -> None:
            if isinstance(outcome, Grant):
                self.grants.on_claimed(promise.handle_id, promise.epoch, tuple(give))
                answer.set_result(outcome.handle)
            else:
                answer.set_exception(outcome)

        self.ledger.claim(promise.handle_id, promise.epoch, promise.layout_hash, Claim(DECODE, tuple(give), take))
        handle = await answer
        await self.reply(DECODE)
        return handle

    async def leave_claim(self, promise: KvPromise) -> None:
        await self.pause()
        # The claim's frame was sent before this one, so the store has read it before.
        for _ in range(3):
            await asyncio.sleep(0)
        self.ledger.leave(DECODE, promise.handle_id, promise.epoch)

    async def withdraw(self, handle_id: str, epoch: Epoch) -> tuple[int, ...]:
        await self.pause()
        pages = self.ledger.withdraw(PREFILL, handle_id, epoch)
        await self.pause()
        return pages

    async def reply(self, owner: Owner) -> None:
        """The answer's way."""
        await self.pause()

    async def pause(self) -> None:
        for _ in range(self._random.randrange(3)):
            await asyncio.sleep(0)
