"""Owns the workload of a prefix measurement: conversations whose every turn sends all that was said before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random

from splitwiser.bench.prompts import random_token_ids
from splitwiser.kv.prefix_hash import PageHasher


@dataclass(frozen=True, slots=True)
class Shape:
    """Token counts of a workload. systems: different system prompts, each shared by a part of the conversations."""

    conversations: int = 16
    turns: int = 5
    systems: int = 4
    system_tokens: int = 96
    user_tokens: int = 40
    answer_tokens: int = 40

    @property
    def longest(self) -> int:
        """Tokens of a last turn's prompt and its answer."""
        return self.system_tokens + self.turns * (self.user_tokens + self.answer_tokens)


@dataclass(slots=True)
class Conversation:
    """What its next turn sends, and what the user will say in the turns after it."""

    prompt_ids: list[int]
    to_say: list[list[int]] = field(default_factory=list)

    def take(self, answer_ids: Sequence[int]) -> None:
        """The turn was answered; what the user says next follows, if there is a next turn."""
        self.prompt_ids += answer_ids
        if self.to_say:
            self.prompt_ids += self.to_say.pop(0)


def make_conversations(shape: Shape, *, vocab_size: int, excluded: Collection[int], seed: int) -> list[Conversation]:
    """The same seed gives the same words; only what the model answers is not in them yet."""
    random = Random(f"prefix {seed}")

    def said(tokens: int) -> list[int]:
        seed = random.getrandbits(32)
        return random_token_ids(tokens, vocab_size=vocab_size, excluded=excluded, seed=seed)

    systems = [said(shape.system_tokens) for _ in range(shape.systems)]
    return [
        Conversation(
            [*systems[index % shape.systems], *said(shape.user_tokens)],
            [said(shape.user_tokens) for _ in range(shape.turns - 1)],
        )
        for index in range(shape.conversations)
    ]


class BoundlessCache:
    """What a cache of whole pages could hit at most: it has no bound, and knows a prompt the moment it is sent."""

    def __init__(self, page_tokens: int) -> None:
        self._hasher = PageHasher("", 0, page_tokens)
        self._known: set[bytes] = set()

    def hit_tokens(self, prompt_ids: Sequence[int]) -> int:
        """Tokens of this prompt's longest known beginning; its last token never is. Then the prompt is known."""
        hashes = self._hasher.chain(self._hasher.root(), prompt_ids)
        findable = (len(prompt_ids) - 1) // self._hasher.page_tokens
        pages = next((n for n, page in enumerate(hashes[:findable]) if page not in self._known), findable)
        self._known.update(hashes)
        return pages * self._hasher.page_tokens

    def learn(self, token_ids: Sequence[int]) -> None:
        """Prompt and answer, but for the answer's last token, whose KV is never computed."""
        self._known.update(self._hasher.chain(self._hasher.root(), token_ids[:-1]))
