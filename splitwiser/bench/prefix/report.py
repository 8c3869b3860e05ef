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
class PrefixReport:
    """The same conversations with the cache on, with it off, and (vllm) in one unsplit vLLM of as many pages."""

    engine: str
    model: str
    pool_pages: int
    page_tokens: int
    shape: Shape
    cached: Sequence[Turn]
    uncached: Sequence[Turn]
    unsplit: Sequence[Turn] | None
    versions: dict[str, str] = field(default_factory=versions)
    schema: str = SCHEMA

    def to_json(self) -> str:
        """One JSON object on one line. Rates are of all prompt tokens; TTFT is of the turns after the first."""
        hit, miss = _later_ttft_ms(self.cached), _later_ttft_ms(self.uncached)
        fields = {
            "engine": self.engine,
            "model": self.model,
            "pool_pages": self.pool_pages,
            "page_tokens": self.page_tokens,
            "shape": asdict(self.shape),
            "turns": len(self.cached),
            "prompt_tokens": sum(turn.prompt_tokens for turn in self.cached),
            "hit_rate": {
                "split": _rate(self.cached, [turn.cached_tokens for turn in self.cached]),
                "unsplit": self.unsplit and _rate(self.unsplit, [turn.cached_tokens for turn in self.unsplit]),
                "bound": _rate(self.cached, [turn.bound_tokens for turn in self.cached]),
                "switched_off": _rate(self.uncached, [turn.cached_tokens for turn in self.uncached]),
            },
            "hit_rate_by_round": [
                _rate(turns, [turn.cached_tokens for turn in turns]) for turns in _by_round(self.cached)
            ],
            "ttft_ms": {"cached": hit, "switched_off": miss, "ratio": hit / miss},
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


def _later_ttft_ms(turns: Sequence[Turn]) -> float:
    """The median."""
    return median(turn.ttft_ms for turn in turns if turn.round and turn.ttft_ms is not None)


def _differ(left: Sequence[Turn], right: Sequence[Turn]) -> int:
    return sum(mine.answer_ids != theirs.answer_ids for mine, theirs in zip(left, right, strict=True))
