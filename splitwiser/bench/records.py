"""Owns what a load run remembers of each request, and the latencies that follow from it.

TTFT, ITL and TPOT are those of `vllm bench serve`, so that figures compare.
"""

from dataclasses import dataclass, field
from itertools import pairwise

OK = "OK"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: a gRPC status name, and the error tree's reason (for OK the finish reason)."""

    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """Tokens that one message carried, and when. Seconds on the run's clock, which starts with the first arrival."""

    at_s: float
    tokens: int


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request of a run. All times in seconds on the run's clock.

    planned_s is when the workload wanted it sent, sent_s when it was. server_ms are the phases' durations as the server
    echoed them, named as in the Timings message.
    """

    index: int
    request_id: str
    planned_s: float
    sent_s: float
    finished_s: float
    prompt_tokens: int
    outcome: Outcome
    arrived: tuple[Arrived, ...] = ()
    server_ms: dict[str, float] = field(default_factory=dict)

    @property
    def completed(self) -> bool:
        return self.outcome.status == OK

    @property
    def output_tokens(self) -> int:
        return sum(message.tokens for message in self.arrived)

    @property
    def lateness_s(self) -> float:
        """How late the load generator itself was."""
        return self.sent_s - self.planned_s

    @property
    def ttft_s(self) -> float | None:
        """Sending to the first token; None if none came."""
        return self.arrived[0].at_s - self.sent_s if self.arrived else None

    @property
    def itl_s(self) -> tuple[float, ...]:
        """Gaps between the messages that carried tokens, one token each unless the router sent several at once."""
        return tuple(later.at_s - earlier.at_s for earlier, later in pairwise(self.arrived))

    @property
    def e2e_s(self) -> float | None:
        """Sending to the last token; None if none came."""
        return self.arrived[-1].at_s - self.sent_s if self.arrived else None

    @property
    def tpot_s(self) -> float | None:
        """(e2e - TTFT) / (output tokens - 1); None for fewer than two tokens."""
        if self.output_tokens < 2:
            return None
        return (self.arrived[-1].at_s - self.arrived[0].at_s) / (self.output_tokens - 1)

    def meets(self, ttft_s: float, tpot_s: float) -> bool:
        """Whether it completed within both limits; a request of one token has no TPOT and meets any."""
        in_time = self.ttft_s is not None and self.ttft_s <= ttft_s
        return self.completed and in_time and (self.tpot_s or 0.0) <= tpot_s
