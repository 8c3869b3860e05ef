"""Owns what all services' metrics share: the registry, the prefix, the buckets, and values read at the scrape."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

PREFIX: Final = "splitwiser_"

STEP_BUCKETS_S: Final = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0),
)
"""For what happens once a step: from a simulated step to a stuck one."""

REQUEST_BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 1.5, 2.5, 5.0),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 320.0),
)
"""For what happens once a request: from an idle queue to minutes of generation."""

BATCH_BUCKETS: Final = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
TOKEN_BUCKETS: Final = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class ServiceMetrics:
    """Base of every service's metrics, over a registry of its own. Also counts the process's CPU, memory and files."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, help: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(PREFIX + name, help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(PREFIX + name, help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(PREFIX + name, help, buckets=buckets, registry=self.registry)

    def watch_pages(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Report KV pages by state, all states of one scrape by one call of read, on the scrape's thread."""
        self.registry.register(_Labelled(PREFIX + "kv_pages", "KV pages by state", "state", read))


class WorkerMetrics(ServiceMetrics):
    """What the services share that handle requests."""

    def __init__(self) -> None:
        super().__init__()
        self._registry_errors = self._counter("registry_errors", "Calls of Redis that got no answer in time")

    def registry_failed(self) -> None:
        """Redis did not answer; the request went on without it, or was refused if it was new."""
        self._registry_errors.inc()

    def watch_requests(self, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Report requests in a batch and requests that wait, read on the scrape's thread."""
        self._gauge("num_requests_running", "Requests that are being computed").set_function(running)
        self._gauge("num_requests_waiting", "Requests that wait for pages or a place").set_function(waiting)


class _Labelled(Collector):
    """A gauge with one label whose values are read together."""

    def __init__(self, name: str, help: str, label: str, read: Callable[[], Mapping[str, int]]) -> None:
        self._name, self._help, self._label, self._read = name, help, label, read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._help, labels=[self._label])
        for value, count in self._read().items():
            family.add_metric([value], count)
        yield family
