"""Owns how conversations are held: in rounds, one turn of each at a time, with whoever answers them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from splitwiser.bench.prefix.conversations import BoundlessCache, Conversation


@dataclass(frozen=True, slots=True)
class Turn:
    """One answered turn. loaded_tokens: those of the cached ones that came back from the host; bound_tokens: those that
    a cache without bound had hit.
    """

    round: int
    prompt_tokens: int
    cached_tokens: int
    loaded_tokens: int
    bound_tokens: int
    answer_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back for one prompt. ttft_ms: 0 where nobody timed it."""

    answer_ids: tuple[int, ...]
    cached_tokens: int
    loaded_tokens: int = 0
    ttft_ms: float = 0.0


class Answerer(Protocol):
    """Answers all prompts of a round, in their order, max_tokens each, greedily and past any end of sequence."""

    async def answer(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> Sequence[Answered]: ...


async def hold(
    conversations: Sequence[Conversation], answerer: Answerer, *, turns: int, max_tokens: int, page_tokens: int
) -> list[Turn]:
    """Hold all conversations to their end. They are changed."""
    bound, done = BoundlessCache(page_tokens), list[Turn]()
    for number in range(turns):
        prompts = [tuple(conversation.prompt_ids) for conversation in conversations]
        most = [bound.hit_tokens(prompt) for prompt in prompts]
        answers = await answerer.answer(prompts, max_tokens)
        for conversation, prompt, hit, answered in zip(conversations, prompts, most, answers, strict=True):
            bound.learn([*prompt, *answered.answer_ids])
            conversation.take(answered.answer_ids)
            done.append(
                Turn(number, len(prompt), answered.cached_tokens, answered.loaded_tokens, hit, answered.answer_ids)
            )
    return done
