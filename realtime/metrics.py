"""Figures about the service, for Prometheus and for the admin.

The hot path only adds to plain integers: one `Meter` per operation, no lock, no label look-up.
They become text when somebody scrapes. What others know (keys, connections, memory) is not
counted here: it is read from a `Probe` at that moment. No label ever holds what a client sent,
so the number of time series is bounded by the code.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ["BOUNDS", "Meter", "Metrics", "Probe"]

BOUNDS = (
    0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
"""Seconds. A rank is read in about 20 µs of our own time; a batch may take seconds."""


class Probe(NamedTuple):
    """A figure that somebody else knows, read when it is asked for."""

    name: str
    help: str
    read: Callable[[], float]
    counts: bool = False
    """It only grows: a counter rather than a gauge."""


class Meter:
    """How often an operation was answered, with which status, and how long it took."""

    __slots__ = ("buckets", "operation", "seconds", "statuses")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def record(self, status: int, seconds: float) -> None:
        """Count one answer. O(log bounds)."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def count(self, status: int) -> None:
        """Count a refusal at the door, which took no time worth a bucket."""
        self.statuses[status] = self.statuses.get(status, 0) + 1

    @property
    def total(self) -> int:
        return sum(self.statuses.values())


class Metrics:
    """All meters and probes, and the text of them all."""

    def __init__(self, probes: Iterable[Probe] = ()) -> None:
        self.meters: list[Meter] = []
        self._probes = tuple(probes)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collected(self))
        ProcessCollector(registry=self._registry)

    def meter(self, operation: str) -> Meter:
        """A new meter; operations are declared in code, so there are few."""
        meter = Meter(operation)
        self.meters.append(meter)
        return meter

    def readings(self) -> dict[str, float]:
        """Every probe's figure now."""
        return {probe.name: probe.read() for probe in self._probes}

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self._registry)

    def families(self) -> Iterator[Metric]:
        """What Prometheus calls metric families."""
        yield from self._requests()
        for probe in self._probes:
            family = CounterMetricFamily if probe.counts else GaugeMetricFamily
            yield family(f"realtime_{probe.name}", probe.help, value=probe.read())

    def _requests(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "realtime_http_requests", "Requests answered.", labels=("operation", "status")
        )
        took = HistogramMetricFamily(
            "realtime_http_request_seconds", "Time to an answer.", labels=("operation",)
        )
        for meter in self.meters:
            for status, count in sorted(meter.statuses.items()):
                answers.add_metric((meter.operation, str(status)), count)
            if meter.statuses:
                took.add_metric((meter.operation,), _cumulated(meter.buckets), meter.seconds)
        yield answers
        yield took


class _Collected(Collector):
    """What a registry asks for its families."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()

    def describe(self) -> list[Metric]:
        return []


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
        total += count
        rows.append((bound, total))
    return rows
