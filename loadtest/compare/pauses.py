"""What callers notice while all of a large board is written: snapshot, backup, compaction.

Another process reads ranks and submits scores at a steady rate, each request due at an instant
fixed in advance, so that a pause shows in all that were due during it. A round is some seconds
of that, with a few events and a rest after each. Requests that were due between an event's
beginning and its end count as during it; those half a second away from any, as quiet. There is
no peer.

A snapshot and a backup are asked for over HTTP, and last from there to the answer. Compactions
come by themselves, since the service is told to compact after a few seconds' writes; they last
from when the manifest lists another increment to when it lists none but that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from engine.persistence.manifest import MANIFEST, Manifest
from loadtest.compare.http_board import Site, own_site
from loadtest.compare.load.steady import Kind
from loadtest.compare.paced import Span, Stretch, outside, paced, stretch, within
from loadtest.compare.processes import Server, request
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved
from loadtest.compare.wrk import Work

__all__ = ["backup", "compaction", "compactions", "snapshot"]

RATE = 500.0
"""Reads per second, and as many writes: far from what the service can do, so that nothing queues
by itself."""
QUIET_SECONDS = 4.0
SETTLE_SECONDS = 0.5
"""Until the load is connected, and around each event."""
EVENTS = 2
"""In a round."""
MOST_MS = 100.0
"""No request is to wait longer, in whichever of these."""

LOOK_SECONDS = 0.002
PATIENCE_SECONDS = 60.0
"""For the compactions of a round."""
COMPACT_OFTEN = ("--compaction-floor", "300000", "--compaction-ratio", "0.001")
"""A batch of one submission is about a hundred bytes: six seconds' writes."""


class Watched(NamedTuple):
    """Some events, and since when there was no other."""

    since: float
    spans: list[Span]


Events = Callable[[Server], Watched]
"""Let some happen."""


class Round(NamedTuple):
    during: Stretch
    reads: Stretch
    """Of the same, those that read."""
    writes: Stretch
    quiet: Stretch
    seconds: float
    """Of an event."""


def snapshot(effort: Effort) -> list[Row]:
    return _rows("snapshot", partial(_asked_for, "/v1/admin/snapshot", 200), effort)


def backup(effort: Effort) -> list[Row]:
    """A copy of its own, which is read back whole."""
    return _rows("backup", partial(_asked_for, "/v1/admin/backups", 201), effort)


def compaction(effort: Effort) -> list[Row]:
    return _rows("compaction", _come_by_themselves, effort, *COMPACT_OFTEN)


def compactions(listings: Iterable[tuple[float, int]]) -> Iterator[Span]:
    """When each began and ended, from (instant, increments that the manifest lists).

    None runs at first.
    """
    began: float | None = None
    for now, increments in listings:
        if began is None and increments > 1:
            began = now
        elif began is not None and increments == 1:
            yield began, now
            began = None


def _rows(event: str, events: Events, effort: Effort, *options: str) -> list[Row]:
    members = effort.snapshot_members
    with ExitStack() as stack:
        site = own_site(stack, *options, members=members)
        measure = partial(_round, site, members, events)
        (taken,) = interleaved([Contender(event, measure)], effort.snapshot_rounds)
    seconds = mean([each.seconds for each in taken])
    title = f"Requests during a {event} of {members:,} members ({seconds:.2f} s)"
    return [
        Row(
            f"{title}, {name}",
            "ms",
            "lower",
            tuple(
                _line(which, [getattr(getattr(each, part), figure) for each in taken])
                for which, part in (
                    (f"during a {event}", "during"),
                    ("  its reads", "reads"),
                    ("  its writes", "writes"),
                    ("quiet", "quiet"),
                )
            ),
            at_most=MOST_MS if figure == "worst" else None,
        )
        for name, figure in {"p99": "p99", "p99.9": "p999", "worst": "worst"}.items()
    ]


def _line(name: str, rounds: Sequence[float]) -> Line:
    """The median is the figure; the worst round is a note, since nobody waits for a median."""
    return Line(name, tuple(rounds), note=f"worst round {max(rounds):.1f} ms")


def _round(site: Site, members: int, events: Events, number: int) -> Round:
    kinds = {"reads": _kind(site.read), "writes": _kind(site.submit)}
    with paced(site.server, members, RATE, kinds) as load:
        time.sleep(SETTLE_SECONDS)
        since, spans = events(site.server)
        ended = time.monotonic()
    reads, writes = load.latencies["reads"], load.latencies["writes"]
    quiet = outside(spans, since, ended, SETTLE_SECONDS)
    return Round(
        during=stretch(within([*reads, *writes], spans)),
        reads=stretch(within(reads, spans)),
        writes=stretch(within(writes, spans)),
        quiet=stretch(within([*reads, *writes], quiet)),
        seconds=mean([end - start for start, end in spans]),
    )


def _kind(work: Work) -> Kind:
    return Kind(work.method, work.path, "" if work.body == "-" else work.body)


def _asked_for(path: str, expected: int, server: Server) -> Watched:
    since = time.monotonic()
    time.sleep(QUIET_SECONDS)
    spans: list[Span] = []
    for _ in range(EVENTS):
        began = time.monotonic()
        status, answer = request(server.port, "POST", path)
        spans.append((began, time.monotonic()))
        if status != expected:
            raise RuntimeError(f"POST {path}: {status} {answer!r}")
        time.sleep(2 * SETTLE_SECONDS)
    return Watched(since, spans)


def _come_by_themselves(server: Server) -> Watched:
    """Raises RuntimeError if they do not."""
    listings = _listings(server.folder / "data" / "appendonlydir" / MANIFEST)
    since = next(now for now, increments in listings if increments == 1)
    spans = list(islice(compactions(listings), EVENTS))
    time.sleep(2 * SETTLE_SECONDS)
    return Watched(since, spans)


def _listings(manifest: Path) -> Iterator[tuple[float, int]]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := time.monotonic()) < deadline:
        yield now, len(Manifest.parse(manifest.read_bytes()).increments)
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"too few compactions within {PATIENCE_SECONDS:.0f} s")
