"""Owns what a scheduler hands to a runner, the model that it never sees: one step's work, for either phase."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from splitwiser.engine.base import Sampling, TokenLogprobs


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token whose sampling asks for log probabilities."""

    token: int
    logprobs: TokenLogprobs


Token = int | Drawn
"""What a runner yields for a sequence."""


def split(token: Token) -> tuple[int, TokenLogprobs | None]:
    """The token's id, and its log probabilities if there are any."""
    return (token.token, token.logprobs) if isinstance(token, Drawn) else (token, None)


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Prompt tokens start to end (exclusive) of one request. KV of the tokens before start is already in pages.

    first_index: number of the token that the whole prompt yields.
    """

    request_id: str
    token_ids: tuple[int, ...]
    start: int
    end: int
    pages: tuple[int, ...]
    sampling: Sampling
    first_index: int = 0

    @property
    def tokens(self) -> int:
        """Tokens that this chunk puts in."""
        return self.end - self.start

    @property
    def completes(self) -> bool:
        """Whether this chunk ends the prompt, so that the step samples the first token."""
        return self.end == len(self.token_ids)


@dataclass(frozen=True, slots=True)
class DecodeSlot:
    """One sequence in a decode step: token goes in at position, where its KV is written; token number index comes out.

    index counts generated tokens from 0 (prefill's), so the first decode step samples index 1.
    """

    request_id: str
    token: int
    position: int
    index: int
    pages: Sequence[int]
    sampling: Sampling

    @property
    def tokens(self) -> int:
        """Tokens that this slot puts in."""
        return 1


class PrefillRunner(Protocol):
    """Runs prompt chunks over the pool."""

    async def run(self, chunks: Sequence[PrefillChunk]) -> Sequence[Token | None]:
        """Write the chunks' KV; return token first_index of each chunk that completes its prompt, else None."""


class DecodeRunner(Protocol):
    """Runs one token of every slot over the pool."""

    async def run(self, slots: Sequence[DecodeSlot]) -> Sequence[Token]:
        """Write each slot's KV at its position; return one new token for each slot."""
