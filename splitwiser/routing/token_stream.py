"""Owns the tokens of one request between the decode link and the client: a buffer bounded by the request's max_tokens.

A client that reads slowly finds several tokens in one message; nobody else waits for it.
"""

import asyncio


class TokenStream:
    """One writer, one reader, one event loop."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._changed = asyncio.Event()
        self._ended = False
        self.count = 0
        """Tokens pushed so far."""

    def push(self, token_id: int) -> None:
        """Add the next token."""
        self._tokens.append(token_id)
        self.count += 1
        self._changed.set()

    def end(self) -> None:
        """No token follows."""
        self._ended = True
        self._changed.set()

    async def next_batch(self) -> list[int]:
        """The tokens since the last call, at least one; an empty list once the stream has ended."""
        while not self._tokens and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        batch, self._tokens = self._tokens, []
        return batch
