"""Latencies under a steady load, and what of them fell into some stretches of time.

The load runs in another process (`loadtest.compare.load.steady`), whose clock is ours. A stretch
is told by its beginning and its end; a request belongs to it if it was due within. So a pause
shows in all requests that were due during it, and not in one.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from loadtest.compare.load.steady import Kind, Plan
from loadtest.compare.processes import Server

__all__ = ["Latencies", "Paced", "Span", "Stretch", "outside", "paced", "stretch", "within"]

FEWEST = 50
"""Requests: with fewer, a percentile says nothing."""

Latencies = Sequence[tuple[float, float]]
"""(when a request was due, how long until its answer), in seconds."""

Span = tuple[float, float]
"""Beginning and end, in seconds of the monotonic clock."""


class Stretch(NamedTuple):
    """Latencies in milliseconds."""

    p50: float
    p99: float
    p999: float
    worst: float


class Paced:
    """A load under way; ``latencies`` is there, by kind, once it has ended."""

    latencies: Mapping[str, Latencies]


@contextlib.contextmanager
def paced(server: Server, members: int, rate: float, kinds: Mapping[str, Kind]) -> Iterator[Paced]:
    """Load, as long as the block runs. Raises RuntimeError if a request failed."""
    found = server.folder / "latencies.json"
    plan = Plan(server.port, members, rate, kinds, str(found))
    command = (sys.executable, "-m", "loadtest.compare.load.steady")
    load = Paced()
    with subprocess.Popen(
        (*command, msgspec.json.encode(plan).decode()), stdin=subprocess.PIPE
    ) as asking:
        yield load
        asking.communicate()  # standard input ends, and so do they
    if asking.returncode:
        raise RuntimeError("the load failed: see above")
    load.latencies = json.loads(found.read_text())


def within(latencies: Latencies, spans: Sequence[Span]) -> list[float]:
    """How long the requests took, in milliseconds, that were due in one of the spans. O(n·spans)"""
    return [
        latency * 1e3
        for due, latency in latencies
        if any(began <= due < ended for began, ended in spans)
    ]


def outside(spans: Sequence[Span], began: float, ended: float, margin: float) -> list[Span]:
    """What is left of the time from ``began`` to ``ended``, with a margin kept to each span."""
    left: list[Span] = []
    for start, end in sorted(spans):
        if start - margin > began:
            left.append((began, start - margin))
        began = max(began, end + margin)
    return [*left, (began, ended)] if ended > began else left


def stretch(milliseconds: Sequence[float]) -> Stretch:
    """Its figures. Raises RuntimeError if there are too few."""
    found, number = sorted(milliseconds), len(milliseconds)
    if number < FEWEST:
        raise RuntimeError(f"only {number} requests: too few to say anything")
    return Stretch(
        found[number // 2], found[number * 99 // 100], found[number * 999 // 1000], found[-1]
    )
