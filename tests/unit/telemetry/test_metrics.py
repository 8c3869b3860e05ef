"""Metrics are scraped over HTTP under the names dashboards know, and counting a token costs next to nothing."""

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from splitwiser.engine.base import StepSpan
from splitwiser.errors import StartupError
from splitwiser.telemetry.metrics import DecodeMetrics, PrefillMetrics, RouterMetrics, StoreMetrics, serve_metrics
from splitwiser.telemetry.metrics.base import ServiceMetrics

STEP = StepSpan(0, 4_000_000, 48)


def value(metrics: ServiceMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"splitwiser_{name}", labels)


def scrape(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def test_a_scrape_has_the_field_own_names_under_our_prefix():
    metrics = RouterMetrics()
    metrics.watch_requests(lambda: 3, lambda: 2)
    port, close = serve_metrics(metrics.registry, 0)
    try:
        families = scrape(port)
    finally:
        close()
    for name in (
        *("time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"),
        *("request_queue_time_seconds", "num_requests_running", "num_requests_waiting"),
        *("prompt_tokens", "generation_tokens", "requests"),
    ):
        assert f"splitwiser_{name}" in families, name
    assert families["splitwiser_num_requests_running"].samples[0].value == 3


def test_a_port_in_use_stops_the_start_with_help():
    port, close = serve_metrics(RouterMetrics().registry, 0)
    try:
        with pytest.raises(StartupError, match=rf"telemetry.metrics_port: cannot serve metrics on 127.0.0.1:{port}"):
            serve_metrics(RouterMetrics().registry, port)
    finally:
        close()


def test_a_closed_port_can_be_taken_again():
    port, close = serve_metrics(RouterMetrics().registry, 0)
    close()
    again, close = serve_metrics(RouterMetrics().registry, port)
    close()
    assert again == port


def test_services_of_one_process_do_not_share_counts():
    first, second = RouterMetrics(), RouterMetrics()
    first.first_tokens(1, 0.1)
    assert value(second, "time_to_first_token_seconds_count") == 0


def test_a_request_is_counted_by_outcome_with_its_tokens():
    metrics = RouterMetrics()
    metrics.first_tokens(1, 0.2)
    metrics.next_tokens(1, 0.01)
    metrics.next_tokens(2, 0.6)
    metrics.finished("stop", 1.5, prompt_tokens=40)
    assert value(metrics, "requests_total", outcome="stop") == 1
    assert value(metrics, "prompt_tokens_total") == 40
    assert value(metrics, "generation_tokens_total") == 4
    assert value(metrics, "inter_token_latency_seconds_count") == 3
    assert value(metrics, "e2e_request_latency_seconds_sum") == 1.5


ROUTER, PREFILL, DECODE, STORE = RouterMetrics, PrefillMetrics, DecodeMetrics, StoreMetrics


@pytest.mark.parametrize(
    ("kind", "act", "sample", "labels", "expected"),
    [
        (ROUTER, lambda m: m.retried(), "requests_retried_total", {}, 1),
        (ROUTER, lambda m: m.left_queue(0.2), "request_queue_time_seconds_sum", {}, 0.2),
        (ROUTER, lambda m: m.registry_failed(), "registry_errors_total", {}, 1),
        (PREFILL, lambda m: m.step(STEP, 2), "prefill_step_seconds_sum", {}, 0.004),
        (PREFILL, lambda m: m.step(STEP, 2), "prompt_tokens_total", {}, 48),
        (PREFILL, lambda m: m.prefilled(0.1, 0.3), "request_prefill_time_seconds_sum", {}, 0.3),
        (PREFILL, lambda m: m.granted(), "kv_grants_total", {}, 1),
        (PREFILL, lambda m: m.withdrawn(), "kv_grants_withdrawn_total", {}, 1),
        (DECODE, lambda m: m.step(STEP, 6), "decode_batch_size_sum", {}, 6),
        (DECODE, lambda m: m.step(STEP, 6), "generation_tokens_total", {}, 48),
        (DECODE, lambda m: m.claimed(0.1, 0.002, 3, 0), "kv_claims_total", {}, 1),
        (DECODE, lambda m: m.claimed(0.1, 0.002, 3, 0), "handoff_pages_total", {}, 3),
        (DECODE, lambda m: m.refused("STALE_HANDLE"), "kv_claims_refused_total", {"reason": "STALE_HANDLE"}, 1),
        (DECODE, lambda m: m.decoded(0.003, 2.0), "handoff_seconds_sum", {}, 0.003),
        (STORE, lambda m: m.granted(), "kv_grants_total", {}, 1),
        (STORE, lambda m: m.claimed(), "kv_claims_total", {}, 1),
        (STORE, lambda m: m.refused("STALE_HANDLE"), "store_refusals_total", {"reason": "STALE_HANDLE"}, 1),
        (
            STORE,
            lambda m: (m.connected("decode"), m.disconnected("decode")),
            "store_connections",
            {"role": "decode"},
            0,
        ),
        (STORE, lambda m: m.lease_expired(), "store_expired_leases_total", {}, 1),
        (STORE, lambda m: m.malformed_frame(), "store_malformed_frames_total", {}, 1),
        (STORE, lambda m: m.segment("pool", 4096), "store_segment_bytes", {"segment": "pool"}, 4096),
    ],
)
def test_each_event_moves_its_metric(
    kind: type[ServiceMetrics], act: Callable[[Any], object], sample: str, labels: dict[str, str], expected: float
):
    metrics = kind()
    act(metrics)
    assert value(metrics, sample, **labels) == pytest.approx(expected)


def test_pages_of_all_states_come_from_one_reading():
    metrics, readings = StoreMetrics(), iter([{"free": 9, "decode": 1}, {"free": 4, "decode": 6}])
    metrics.watch_pages(lambda: next(readings))
    port, close = serve_metrics(metrics.registry, 0)
    try:
        sums = [sum(sample.value for sample in scrape(port)["splitwiser_kv_pages"].samples) for _ in range(2)]
    finally:
        close()
    assert sums == [10, 10]


def test_a_token_costs_microseconds():
    metrics = RouterMetrics()

    def batch_us() -> float:
        began = time.thread_time()
        for _ in range(5_000):
            metrics.next_tokens(1, 0.021)
        return (time.thread_time() - began) / 5_000 * 1e6

    # Of CPU time: about 1.5 where it was measured; the bound leaves room for a slower machine.
    assert min(batch_us() for _ in range(5)) < 10
