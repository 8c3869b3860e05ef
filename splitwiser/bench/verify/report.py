"""Owns the report of a verification."""

import json
from dataclasses import asdict, dataclass, field

from splitwiser.bench.verify.judge import Mismatch
from splitwiser.bench.versions import versions

SCHEMA = "splitwiser.verify/1"
MOST_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Handoff:
    """Pages that changed owner, as decode counts them and as the answers imply; and bytes that moved in doing so.

    bytes_copied is the sum of what the decode workers' metrics say and of the pages that single requests wrote beyond
    those that hold their tokens: a copy of a prompt's pages within the pool is a page too many.
    again: how often a request was prefilled once more, having given way or lost its worker. Its pages may then have
    changed owner twice, which its answer does not show.
    """

    pages: int
    pages_expected: int
    bytes_copied: int
    again: int = 0

    @property
    def passed(self) -> bool:
        """Every page handed over and none copied; more than those only where requests were prefilled again."""
        too_many = self.pages > self.pages_expected and not self.again
        return self.pages >= self.pages_expected and not too_many and self.bytes_copied == 0


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model's part. requests: greedy ones. seeded_requests: drawn with a seed, each sent twice in other company.

    weight_copies, weight_bytes: by what the workers' memory holds; None on a GPU, whose memory nobody else can read.
    cached_tokens: of all prompts, those whose KV was there already. refusals: requests that a busy stack refused with a
    time to try again, and that were sent again.
    """

    model: str
    requests: int
    seeded_requests: int
    mismatches: tuple[Mismatch, ...]
    seeded_mismatches: tuple[Mismatch, ...]
    weight_copies: int | None
    weight_bytes: int | None
    handoff: Handoff
    cached_tokens: int = 0
    refusals: int = 0

    @property
    def passed(self) -> bool:
        """Every token right, one copy of the weights, every page handed over and none copied."""
        right = not self.mismatches and not self.seeded_mismatches
        return right and self.weight_copies in (1, None) and self.handoff.passed


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """All models. stopped_early: the first mismatch ended it, as asked, and what came after was not sent."""

    engine: str
    results: tuple[ModelResult, ...]
    wall_s: float
    stopped_early: bool
    versions: dict[str, str] = field(default_factory=versions)
    schema: str = SCHEMA

    @property
    def passed(self) -> bool:
        """Whether every model passed."""
        return bool(self.results) and all(result.passed for result in self.results)

    def examples(self) -> list[Mismatch]:
        """The first few mismatches."""
        found = [m for result in self.results for m in (*result.mismatches, *result.seeded_mismatches)]
        return found[:MOST_EXAMPLES]

    def to_json(self) -> str:
        """One JSON object on one line."""
        fields = {
            "passed": self.passed,
            "mismatches": sum(len(result.mismatches) for result in self.results),
            "seeded_mismatches": sum(len(result.seeded_mismatches) for result in self.results),
            "requests": sum(result.requests for result in self.results),
            "seeded_requests": sum(result.seeded_requests for result in self.results),
            "models": [result.model for result in self.results],
            "weight_copies": max((result.weight_copies or 0 for result in self.results), default=0) or None,
            "weight_bytes": {result.model: result.weight_bytes for result in self.results},
            "handoff_bytes_copied": sum(result.handoff.bytes_copied for result in self.results),
            "handoff_pages": sum(result.handoff.pages for result in self.results),
            "handoff_pages_expected": sum(result.handoff.pages_expected for result in self.results),
            "prefilled_again": sum(result.handoff.again for result in self.results),
            "cached_tokens": sum(result.cached_tokens for result in self.results),
            "refusals": sum(result.refusals for result in self.results),
            "examples": [asdict(mismatch) for mismatch in self.examples()],
            "engine": self.engine,
            "wall_s": self.wall_s,
            "stopped_early": self.stopped_early,
            "versions": self.versions,
            "schema": self.schema,
        }
        return json.dumps(fields)
