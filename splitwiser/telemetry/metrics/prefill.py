"""Owns a prefill worker's metrics."""

from splitwiser.engine.base import StepSpan
from splitwiser.telemetry.metrics.base import (
    BATCH_BUCKETS,
    REQUEST_BUCKETS_S,
    STEP_BUCKETS_S,
    TOKEN_BUCKETS,
    WorkerMetrics,
)


class PrefillMetrics(WorkerMetrics):
    """Of one prefill worker. Times are in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._queue = self._histogram("prefill_queue_time_seconds", "Waiting for pages and a batch", REQUEST_BUCKETS_S)
        self._prefill = self._histogram(
            "request_prefill_time_seconds", "First chunk's start to the first token", REQUEST_BUCKETS_S
        )
        self._step = self._histogram("prefill_step_seconds", "One engine step", STEP_BUCKETS_S)
        self._batch = self._histogram("prefill_batch_size", "Prompts of a step", BATCH_BUCKETS)
        self._chunk = self._histogram("prefill_step_tokens", "Prompt tokens of a step", TOKEN_BUCKETS)
        self._tokens = self._counter("prompt_tokens", "Prompt tokens computed")
        self._paused = self._counter("prefill_paused_seconds", "Held back while decode caught up")
        self._prefix_queries = self._counter("prefix_cache_queries", "Prompt tokens looked up in the prefix index")
        self._prefix_hits = self._counter("prefix_cache_hits", "Prompt tokens whose KV was in the prefix index")
        self._host_hits = self._counter("prefix_cache_host_hits", "Those of the hits that came back from host memory")
        self._pages_saved = self._counter("kv_pages_saved", "Pages copied to host memory")
        self._grants = self._counter("kv_grants", "Grants made at the store")
        self._withdrawn = self._counter("kv_grants_withdrawn", "Grants taken back before they were claimed")

    def step(self, span: StepSpan, batch_size: int) -> None:
        """An engine step is over."""
        self._step.observe((span.end_ns - span.start_ns) / 1e9)
        self._batch.observe(batch_size)
        self._chunk.observe(span.tokens)
        self._tokens.inc(span.tokens)

    def paused(self, seconds: float) -> None:
        """A next step was held back so long."""
        self._paused.inc(seconds)

    def prefilled(self, queue_s: float, prefill_s: float) -> None:
        """A prompt has its first token: how long it waited, and how long it then took."""
        self._queue.observe(queue_s)
        self._prefill.observe(prefill_s)

    def looked_up(self, tokens: int, cached_tokens: int, *, loaded_tokens: int) -> None:
        """A prompt of that many tokens was looked up. The KV of cached_tokens was there: loaded_tokens' on the host."""
        self._prefix_queries.inc(tokens)
        self._prefix_hits.inc(cached_tokens)
        self._host_hits.inc(loaded_tokens)

    def saved(self, pages: int) -> None:
        """So many pages have a copy in host memory now."""
        self._pages_saved.inc(pages)

    def granted(self) -> None:
        """A prompt's pages were granted."""
        self._grants.inc()

    def withdrawn(self) -> None:
        """A grant was taken back."""
        self._withdrawn.inc()
