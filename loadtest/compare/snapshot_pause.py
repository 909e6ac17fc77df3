"""What readers notice while a board of a million members is saved.

Another process asks for ranks at a steady rate, each request due at an instant fixed in
advance, so that a pause shows in all that were due during it. A round is some seconds of
that, quiet at first, then with three snapshots and a rest after each. Only
requests due between a snapshot's POST and its answer count as under it. There is no peer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean
from typing import NamedTuple

from loadtest.compare import boards
from loadtest.compare.peers import servers
from loadtest.compare.processes import Server, request
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved

__all__ = ["rows"]

RATE = 1000
"""Requests per second: far from what the service can do, so that nothing queues by itself."""
QUIET_SECONDS = 4.0
SETTLE_SECONDS = 0.5
"""Until the readers are connected, and after each snapshot."""
SNAPSHOTS = 3

Latencies = Sequence[tuple[float, float]]
"""(when a request was due, how long until its answer), in seconds."""


class Stretch(NamedTuple):
    """Latencies in milliseconds."""

    p50: float
    p99: float
    worst: float


class Round(NamedTuple):
    during: Stretch
    quiet: Stretch
    snapshot_seconds: float


def rows(effort: Effort) -> list[Row]:
    with servers.realtime() as server:
        boards.fill_service(server, effort.snapshot_members)
        (taken,) = interleaved(
            [Contender("snapshot", partial(_round, server))], effort.snapshot_rounds
        )
    seconds = mean([each.snapshot_seconds for each in taken])
    title = f"Reads while {effort.snapshot_members:,} members are saved ({seconds:.2f} s)"
    kinds: dict[str, Callable[[Stretch], float]] = {
        "p50": lambda stretch: stretch.p50,
        "p99": lambda stretch: stretch.p99,
        "worst": lambda stretch: stretch.worst,
    }
    return [
        Row(
            f"{title}, {kind}",
            "ms",
            "lower",
            (
                Line("during a snapshot", tuple(figure(each.during) for each in taken)),
                Line("quiet", tuple(figure(each.quiet) for each in taken)),
            ),
        )
        for kind, figure in kinds.items()
    ]


def _round(server: Server, number: int) -> Round:
    path = f"/v1/leaderboards/{boards.NAME}/members/player:{{}}"
    found = server.folder / "latencies.json"
    command = (sys.executable, "-m", "loadtest.compare.load.readers")
    told = (str(server.port), path, str(RATE), str(found))
    with subprocess.Popen((*command, *told), stdin=subprocess.PIPE) as readers:
        time.sleep(SETTLE_SECONDS + QUIET_SECONDS)
        quiet_until = time.monotonic()
        snapshots = [_snapshot(server) for _ in range(SNAPSHOTS)]
        readers.communicate()  # standard input ends, and so do they
    if readers.returncode:
        raise RuntimeError("the readers failed: see above")
    latencies: Latencies = json.loads(found.read_text())
    return Round(
        _stretch(latencies, snapshots),
        _stretch(latencies, [(quiet_until - QUIET_SECONDS, quiet_until)]),
        mean([ended - began for began, ended in snapshots]),
    )


def _snapshot(server: Server) -> tuple[float, float]:
    """When it began and ended, by the monotonic clock."""
    began = time.monotonic()
    status, answer = request(server.port, "POST", "/v1/admin/snapshot")
    ended = time.monotonic()
    if status != 200:
        raise RuntimeError(f"no snapshot: {status} {answer!r}")
    time.sleep(SETTLE_SECONDS)
    return began, ended


def _stretch(latencies: Latencies, spans: Sequence[tuple[float, float]]) -> Stretch:
    """The figures of the requests that were due within the spans."""
    found = sorted(
        latency * 1e3
        for due, latency in latencies
        if any(began <= due < ended for began, ended in spans)
    )
    if len(found) < 100:
        raise RuntimeError(f"only {len(found)} requests: too few to say anything")
    return Stretch(found[len(found) // 2], found[len(found) * 99 // 100], found[-1])
