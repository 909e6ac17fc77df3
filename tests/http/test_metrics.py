"""Meters, and the text that Prometheus reads."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime.metrics import BOUNDS, Meter, Metrics, Probe


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The values of a sample by the values of its labels, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name == name
    }


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (BOUNDS[0], 0), (BOUNDS[0] + 1e-9, 1), (BOUNDS[-1], len(BOUNDS) - 1), (1e9, -1)],
)
def test_an_upper_bound_belongs_to_its_bucket(seconds: float, bucket: int) -> None:
    meter = Meter("read")
    meter.record(200, seconds)
    assert meter.buckets[bucket] == 1
    assert sum(meter.buckets) == 1


def test_buckets_are_cumulated_and_end_at_everything() -> None:
    metrics = Metrics()
    meter = metrics.meter("read")
    for seconds in (0.00001, 0.002, 100.0):
        meter.record(200, seconds)
    found = samples(metrics, "realtime_http_request_seconds_bucket")
    counts = [count for (_, _), count in found.items()]
    assert counts == sorted(counts)
    assert found[("+Inf", "read")] == 3
    assert samples(metrics, "realtime_http_request_seconds_count") == {("read",): 3}
    assert samples(metrics, "realtime_http_request_seconds_sum")[("read",)] == pytest.approx(
        100.00201
    )


def test_answers_are_counted_by_status_and_refusals_take_no_time() -> None:
    metrics = Metrics()
    meter = metrics.meter("read")
    meter.record(200, 0.1)
    meter.record(200, 0.1)
    meter.count(401)
    assert meter.total == 3
    assert samples(metrics, "realtime_http_requests_total") == {
        ("read", "200"): 2,
        ("read", "401"): 1,
    }
    assert samples(metrics, "realtime_http_request_seconds_count") == {("read",): 2}


def test_an_operation_never_asked_for_has_no_series() -> None:
    metrics = Metrics()
    metrics.meter("read")
    assert samples(metrics, "realtime_http_request_seconds_count") == {}


def test_probes_are_read_when_the_text_is_made() -> None:
    read: list[float] = []

    def probe() -> float:
        read.append(len(read))
        return read[-1]

    metrics = Metrics(
        [Probe("keys", "Keys.", probe), Probe("changes", "Changes.", lambda: 5, True)]
    )
    assert read == []
    assert samples(metrics, "realtime_keys") == {(): 0}
    assert samples(metrics, "realtime_changes_total") == {(): 5}
    assert metrics.readings()["keys"] == 2


def test_the_process_itself_is_described() -> None:
    assert samples(Metrics(), "process_resident_memory_bytes")[()] > 1_000_000
