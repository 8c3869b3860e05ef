"""Owns what the caller of one prompt is told: one message at a time, whoever has something to tell."""

import asyncio
from typing import Any

from splitwiser.errors import StoreLost
from splitwiser.kv.grants import PromisedGrant
from splitwiser.kv.handle_proto import promise_to_proto
from splitwiser.v1 import prefill_pb2


class Events:
    """The stream of one Prefill call."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._writing = asyncio.Lock()
        self._telling: asyncio.Task[None] | None = None

    async def write(self, event: prefill_pb2.PrefillResponse) -> None:
        """Returns when the message is on its way."""
        async with self._writing:
            await self._context.write(event)

    def tell_promise(self, promised: PromisedGrant, *, pages: int, shared: int, tokens: int) -> None:
        """Tell of the promise as soon as the store has made it; nobody waits for that."""

        async def tell() -> None:
            try:
                promise = await promised.promise(pages, shared, tokens)
            except StoreLost:
                # Whoever grants meets the same end.
                return
            await self.write(prefill_pb2.PrefillResponse(promised=promise_to_proto(promise)))

        self._telling = asyncio.create_task(tell())

    async def told(self) -> None:
        """Wait until the promise is on its way too: nothing may be written after the call's end."""
        if self._telling:
            await self._telling

    def end(self) -> None:
        """The call is over: nothing more is told."""
        if self._telling and not self._telling.cancel() and not self._telling.cancelled():
            self._telling.exception()  # Looked at here, or asyncio logs it as never retrieved.
