"""Owns the router's metrics: what clients see of the service."""

from splitwiser.telemetry.metrics.base import REQUEST_BUCKETS_S, STEP_BUCKETS_S, WorkerMetrics


class RouterMetrics(WorkerMetrics):
    """Times are in seconds, as the client would measure them at the router."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = self._counter("requests", "Requests that ended, by outcome", ["outcome"])
        self._retried = self._counter("requests_retried", "Requests prefilled again after their worker was lost")
        self._gave_way = self._counter("requests_gave_way", "Requests prefilled again because decode ran out of pages")
        self._prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of requests that ended")
        self._generation_tokens = self._counter("generation_tokens", "Tokens streamed to clients")
        self._ttft = self._histogram("time_to_first_token_seconds", "Arrival to first token", REQUEST_BUCKETS_S)
        self._itl = self._histogram("inter_token_latency_seconds", "Between tokens of a request", STEP_BUCKETS_S)
        self._e2e = self._histogram("e2e_request_latency_seconds", "Arrival to the last message", REQUEST_BUCKETS_S)
        self._queue = self._histogram("request_queue_time_seconds", "In the router's queue", REQUEST_BUCKETS_S)
        self._http = self._counter("http_requests", "HTTP requests answered, by path and status", ["path", "status"])
        # Bound once: these run for every token of every request.
        self._add_gap = self._itl.observe
        self._add_tokens = self._generation_tokens.inc

    def retried(self) -> None:
        """A request is prefilled again."""
        self._retried.inc()

    def gave_way(self) -> None:
        """A request is prefilled again because decode needed its pages."""
        self._gave_way.inc()

    def left_queue(self, seconds: float) -> None:
        """A request was given to a prefill worker, for the first time, after waiting this long."""
        self._queue.observe(seconds)

    def first_tokens(self, count: int, seconds: float) -> None:
        """A request's first message left, this long after its arrival; a slow reader finds several tokens in it."""
        self._ttft.observe(seconds)
        self._add_tokens(count)

    def next_tokens(self, count: int, gap_s: float) -> None:
        """A later message left, this long after the one before it in its request: its tokens share the gap."""
        for _ in range(count):
            self._add_gap(gap_s / count)
        self._add_tokens(count)

    def finished(self, outcome: str, seconds: float, prompt_tokens: int) -> None:
        """A request ended, this long after its arrival. outcome: a finish reason, `cancelled`, or an error's reason."""
        self._requests.labels(outcome).inc()
        self._e2e.observe(seconds)
        self._prompt_tokens.inc(prompt_tokens)

    def http_answered(self, path: str, status: int) -> None:
        """An HTTP request ended. path: of the route; status 499: the caller left before the answer's end."""
        self._http.labels(path, str(status)).inc()
