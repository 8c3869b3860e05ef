"""Owns the router's metrics: what clients see of the service."""

from collections.abc import Sequence

from splitwiser.telemetry.metrics.base import REQUEST_BUCKETS_S, STEP_BUCKETS_S, WorkerMetrics


class RouterMetrics(WorkerMetrics):
    """Times are in seconds, as the client would measure them at the router."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = self._counter("requests", "Requests that ended, by outcome", ["outcome"])
        self._rejected = self._counter("requests_rejected", "Requests refused before any work", ["reason"])
        self._retried = self._counter("requests_retried", "Requests prefilled again after their worker was lost")
        self._prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of requests that ended")
        self._generation_tokens = self._counter("generation_tokens", "Tokens streamed to clients")
        self._ttft = self._histogram("time_to_first_token_seconds", "Arrival to first token", REQUEST_BUCKETS_S)
        self._itl = self._histogram("inter_token_latency_seconds", "Between tokens of a request", STEP_BUCKETS_S)
        self._e2e = self._histogram("e2e_request_latency_seconds", "Arrival to the last message", REQUEST_BUCKETS_S)
        self._queue = self._histogram("request_queue_time_seconds", "In the router's queue", REQUEST_BUCKETS_S)
        # Bound once: these run for every token of every request.
        self._add_gap = self._itl.observe
        self._add_tokens = self._generation_tokens.inc

    def rejected(self, reason: str) -> None:
        """A request was refused, by the stable reason of its error."""
        self._rejected.labels(reason).inc()

    def retried(self) -> None:
        """A request is prefilled again."""
        self._retried.inc()

    def left_queue(self, seconds: float) -> None:
        """A request was given to a prefill worker after waiting this long."""
        self._queue.observe(seconds)

    def first_token(self, seconds: float) -> None:
        """A request's first token left, this long after its arrival."""
        self._ttft.observe(seconds)
        self._add_tokens()

    def next_token(self, gap_s: float) -> None:
        """A token after the first left, this long after the one before it in its request."""
        self._add_gap(gap_s)
        self._add_tokens()

    def next_tokens(self, gaps_s: Sequence[float]) -> None:
        """Several tokens left, of one request or of many."""
        for gap_s in gaps_s:
            self._add_gap(gap_s)
        self._add_tokens(len(gaps_s))

    def finished(self, outcome: str, seconds: float, prompt_tokens: int) -> None:
        """A request ended, this long after its arrival. outcome: a finish reason, `cancelled`, or an error's reason."""
        self._requests.labels(outcome).inc()
        self._e2e.observe(seconds)
        self._prompt_tokens.inc(prompt_tokens)
