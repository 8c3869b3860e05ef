"""Owns the tokens of one request between the decode link and the client: a buffer bounded by the request's max_tokens.

A client that reads slowly finds several tokens in one message; nobody else waits for it.
"""

import asyncio

from splitwiser.v1 import sampling_pb2


class TokenStream:
    """One writer, one reader, one event loop."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        """Every token pushed so far: what a request is resumed from."""
        self._logprobs: dict[int, sampling_pb2.TokenLogprobs] = {}
        self._read = 0
        self._changed = asyncio.Event()
        self._ended = False

    @property
    def count(self) -> int:
        """Tokens pushed so far."""
        return len(self.token_ids)

    def push(self, token_id: int, logprobs: sampling_pb2.TokenLogprobs | None = None) -> None:
        """Add the next token."""
        if logprobs:
            self._logprobs[self.count] = logprobs
        self.token_ids.append(token_id)
        self._changed.set()

    def end(self) -> None:
        """No token follows."""
        self._ended = True
        self._changed.set()

    async def next_batch(self) -> list[int]:
        """The tokens since the last call, at least one; an empty list once the stream has ended."""
        while self._read == self.count and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        batch = self.token_ids[self._read :]
        self._read = self.count
        return batch

    def take_logprobs(self, tokens: int) -> list[sampling_pb2.TokenLogprobs]:
        """Those of the last so many tokens that were read; empty for a request that did not ask for them."""
        places = range(self._read - tokens, self._read)
        return [self._logprobs.pop(place) for place in places if place in self._logprobs]
