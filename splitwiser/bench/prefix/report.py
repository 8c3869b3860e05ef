"""Owns the figures of a prefix measurement."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from splitwiser.bench.prefix.conversations import Shape
from splitwiser.bench.prefix.rounds import Turn
from splitwiser.bench.versions import versions

SCHEMA = "splitwiser.prefix/1"


@dataclass(frozen=True, slots=True)
class Probe:
    """Two prompts of one length, one after the other: a conversation's last, and one that nobody ever sent.

    hit_ms, miss_ms: times to their first tokens.
    """

    prompt_tokens: int
    cached_tokens: int
    hit_ms: float
    miss_ms: float


@dataclass(frozen=True, slots=True)
class PrefixReport:
    """The same conversations with the cache on, with it off, and (vllm) in one unsplit vLLM of as many pages.

    probes: sent one by one to the stack with the cache on, after the conversations.
    """

    engine: str
    model: str
    pool_pages: int
    host_pages: int
    page_tokens: int
    shape: Shape
    cached: Sequence[Turn]
    uncached: Sequence[Turn]
    probes: Sequence[Probe]
    unsplit: Sequence[Turn] | None
    versions: dict[str, str] = field(default_factory=versions)
    schema: str = SCHEMA

    def to_json(self) -> str:
        """One JSON object on one line. Rates are of all prompt tokens."""
        fields = {
            "engine": self.engine,
            "model": self.model,
            "pool_pages": self.pool_pages,
            "host_pages": self.host_pages,
            "page_tokens": self.page_tokens,
            "shape": asdict(self.shape),
            "turns": len(self.cached),
            "prompt_tokens": sum(turn.prompt_tokens for turn in self.cached),
            "hit_rate": {
                "split": _rate(self.cached, [turn.cached_tokens for turn in self.cached]),
                "split_from_host": _rate(self.cached, [turn.loaded_tokens for turn in self.cached]),
                "unsplit": self.unsplit and _rate(self.unsplit, [turn.cached_tokens for turn in self.unsplit]),
                "bound": _rate(self.cached, [turn.bound_tokens for turn in self.cached]),
                "switched_off": _rate(self.uncached, [turn.cached_tokens for turn in self.uncached]),
            },
            "hit_rate_by_round": [
                _rate(turns, [turn.cached_tokens for turn in turns]) for turns in _by_round(self.cached)
            ],
            "ttft_ms": _ttft(self.probes),
            "answers_differ": {
                "switched_off": _differ(self.cached, self.uncached),
                "unsplit": self.unsplit and _differ(self.cached, self.unsplit),
            },
            "versions": self.versions,
            "schema": self.schema,
        }
        return json.dumps(fields)


def _rate(turns: Sequence[Turn], tokens: Sequence[int]) -> float:
    return round(sum(tokens) / sum(turn.prompt_tokens for turn in turns), 4)


def _by_round(turns: Sequence[Turn]) -> list[list[Turn]]:
    return [[turn for turn in turns if turn.round == number] for number in range(turns[-1].round + 1)]


def _ttft(probes: Sequence[Probe]) -> dict[str, float] | None:
    """Medians of the pairs in which most of the known prompt was cached, and of their ratios."""
    pairs = [probe for probe in probes if probe.cached_tokens * 2 > probe.prompt_tokens]
    if not pairs:
        return None
    return {
        "hit": median(probe.hit_ms for probe in pairs),
        "miss": median(probe.miss_ms for probe in pairs),
        "ratio": median(probe.hit_ms / probe.miss_ms for probe in pairs),
        "pairs": len(pairs),
        "prompt_tokens": median(probe.prompt_tokens for probe in pairs),
    }


def _differ(left: Sequence[Turn], right: Sequence[Turn]) -> int:
    return sum(mine.answer_ids != theirs.answer_ids for mine, theirs in zip(left, right, strict=True))
