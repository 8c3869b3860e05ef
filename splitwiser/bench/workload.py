"""Owns the workload: which requests come when and how long each is. Knows no text, no model and no clock.

Every change of a workload is a method that says what it changes; nothing is fitted in silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One request: when it arrives after the start, how long its prompt and output are, and the seed of its prompt."""

    arrival_s: float
    prompt_tokens: int
    output_tokens: int
    seed: int

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in the order of their arrival; the first arrives at 0."""

    name: str
    requests: tuple[PlannedRequest, ...]

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[PlannedRequest]:
        return iter(self.requests)

    @property
    def duration_s(self) -> float:
        """From the first arrival to the last."""
        return self.requests[-1].arrival_s if self.requests else 0.0

    @property
    def rate_per_s(self) -> float:
        """Arrivals per second over the duration; 0 for fewer than two requests."""
        return (len(self) - 1) / self.duration_s if self.duration_s else 0.0

    def first(self, count: int) -> "Workload":
        """The first count requests."""
        return replace(self, requests=self.requests[:count])

    def piece(self, start: int, count: int) -> "Workload":
        """The count requests from place start on, the first of them at 0."""
        cut = self.requests[start : start + count]
        start_s = cut[0].arrival_s if cut else 0.0
        return replace(self, requests=tuple(replace(r, arrival_s=r.arrival_s - start_s) for r in cut))

    def faster(self, factor: float) -> "Workload":
        """The same requests with every gap divided by factor."""
        return replace(self, requests=tuple(replace(r, arrival_s=r.arrival_s / factor) for r in self.requests))

    def at_rate(self, requests_per_s: float) -> "Workload":
        """The same requests with all gaps scaled alike so that their mean rate is this one."""
        return self.faster(requests_per_s / self.rate_per_s) if self.rate_per_s else self

    def scaled_lengths(self, factor: float) -> "Workload":
        """Every prompt and output multiplied by factor, at least one token each."""
        return replace(self, requests=tuple(_scaled(r, factor) for r in self.requests))

    def fitted(self, max_tokens: int) -> "Workload":
        """All lengths scaled by one factor so that the longest request fits; unchanged if it does already."""
        longest = max((r.tokens for r in self.requests), default=0)
        return self.scaled_lengths(max_tokens / longest) if longest > max_tokens else self

    def clipped(self, max_tokens: int) -> "Workload":
        """Requests that do not fit are cut: the output to half of max_tokens, then the prompt to what is left."""
        return replace(self, requests=tuple(_clipped(r, max_tokens) for r in self.requests))


def _scaled(request: PlannedRequest, factor: float) -> PlannedRequest:
    # Rounding down keeps prompt + output within the length that the factor was made for.
    prompt_tokens = max(1, int(request.prompt_tokens * factor))
    return replace(request, prompt_tokens=prompt_tokens, output_tokens=max(1, int(request.output_tokens * factor)))


def _clipped(request: PlannedRequest, max_tokens: int) -> PlannedRequest:
    if request.tokens <= max_tokens:
        return request
    output_tokens = max(1, min(request.output_tokens, max_tokens // 2))
    prompt_tokens = min(request.prompt_tokens, max_tokens - output_tokens)
    return replace(request, prompt_tokens=prompt_tokens, output_tokens=output_tokens)
