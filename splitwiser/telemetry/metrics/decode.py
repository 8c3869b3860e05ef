"""Owns a decode worker's metrics."""

from splitwiser.engine.base import StepSpan
from splitwiser.telemetry.metrics.base import BATCH_BUCKETS, REQUEST_BUCKETS_S, STEP_BUCKETS_S, WorkerMetrics


class DecodeMetrics(WorkerMetrics):
    """Of one decode worker. Times are in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._queue = self._histogram("decode_queue_time_seconds", "Waiting for pages", REQUEST_BUCKETS_S)
        self._claim = self._histogram("kv_claim_seconds", "Taking granted pages over at the store", STEP_BUCKETS_S)
        self._handoff = self._histogram("handoff_seconds", "Grant to the end of the first decode step", STEP_BUCKETS_S)
        self._decode = self._histogram(
            "request_decode_time_seconds", "All decode steps of a request", REQUEST_BUCKETS_S
        )
        self._step = self._histogram("decode_step_seconds", "One engine step", STEP_BUCKETS_S)
        self._batch = self._histogram("decode_batch_size", "Sequences of a step", BATCH_BUCKETS)
        self._tokens = self._counter("generation_tokens", "Tokens computed, first tokens not included")
        self._claims = self._counter("kv_claims", "Grants claimed")
        self._pages = self._counter("handoff_pages", "Pages of granted prompts taken over, shared ones included")
        self._bytes_copied = self._counter("handoff_bytes_copied", "KV bytes moved because a page was not taken over")
        self._refused = self._counter("kv_claims_refused", "Claims refused", ["reason"])

    def step(self, span: StepSpan, batch_size: int) -> None:
        """An engine step is over."""
        self._step.observe((span.end_ns - span.start_ns) / 1e9)
        self._batch.observe(batch_size)
        self._tokens.inc(span.tokens)

    def claimed(self, queue_s: float, claim_s: float, pages: int, bytes_copied: int) -> None:
        """Granted pages were taken over: how long the request waited for free pages, and how long the claim took."""
        self._queue.observe(queue_s)
        self._claim.observe(claim_s)
        self._claims.inc()
        self._pages.inc(pages)
        self._bytes_copied.inc(bytes_copied)

    def refused(self, reason: str) -> None:
        """A claim was refused, by the stable reason of its error."""
        self._refused.labels(reason).inc()

    def decoded(self, handoff_s: float, decode_s: float) -> None:
        """A request's last step is over."""
        self._handoff.observe(handoff_s)
        self._decode.observe(decode_s)
