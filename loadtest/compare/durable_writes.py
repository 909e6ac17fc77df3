"""Writes that survive: against Redis with the same promise, and against our own without it.

All submit scores over HTTP, as in `http_board`. Who promises that an answer is on disk waits
for the disk, but the writes of many connections wait together: one fsync for all. Hence many
connections, and, for what a single caller notices, one. How long the disk takes for an fsync
stands in the titles, since nothing says more about these figures.

    always          ours --durability always        Redis appendfsync always
    bounded:1000    ours --durability bounded:1000  Redis appendfsync everysec

Ours refuses writes rather than let more than a second of them wait for the disk; Redis goes on
for up to two. The files stay below the 64 MiB at which either would write them anew.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from statistics import median

from loadtest.compare import boards
from loadtest.compare.http_board import FASTAPI, MEMBERS, OURS, Site, fastapi_site, own_site
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing
from loadtest.compare.report import Row
from loadtest.compare.rounds import Effort, interleaved
from loadtest.compare.wrk import Load, Sample, contender, line

__all__ = ["against_redis", "against_snapshots", "fsync_ms"]

CONNECTIONS = 64
ALWAYS, BOUNDED, SNAPSHOT = "always", "bounded:1000", "snapshot"
PEERS = {ALWAYS: "always", BOUNDED: "everysec"}
"""What Redis calls what comes nearest."""

TIMES = {ALWAYS: 1.0, BOUNDED: 4.0}
"""How many times as good ours is to be. Waiting for the disk costs all alike; where nobody does,
it is to be what it is without a disk."""

SHARE = 0.75
"""What the journal is to leave of the throughput without it, at least."""


def against_redis(effort: Effort) -> list[Row]:
    """Raises Missing if there is nothing to make the load with."""
    load = Load.of(CONNECTIONS, effort.http_seconds, MEMBERS)
    with ExitStack() as stack:
        ours = [_own(stack, level) for level in PEERS]
        peers: list[Site] = []
        missing: tuple[str, ...] = ()
        try:
            peers = [_peer(stack, level) for level in PEERS]
        except Missing as reason:
            missing = (f"{FASTAPI}: {reason}",)
        taken = _measured([*ours, *peers], load, effort.rounds)
    promise = {ALWAYS: "on disk when answered", BOUNDED: "on disk within a second"}
    return [
        Row(
            f"HTTP: submit, {promise[level]}, {_circumstances(load)}",
            "requests/s",
            "higher",
            (
                line(own.name, taken[own.name]),
                *(
                    line(site.name, taken[site.name], TIMES[level])
                    for site in peers
                    if site.name == _peer_name(level)
                ),
            ),
            missing,
        )
        for level, own in zip(PEERS, ours, strict=True)
    ]


def against_snapshots(effort: Effort) -> list[Row]:
    """What the journal costs. Raises Missing as above."""
    with ExitStack() as stack:
        sites = [_own(stack, level) for level in (BOUNDED, SNAPSHOT, ALWAYS)]
        many = Load.of(CONNECTIONS, effort.http_seconds, MEMBERS)
        one = many._replace(connections=1, rounds_before=effort.rounds + 1)
        return [_cost(sites, load, effort.rounds) for load in (many, one)]


def fsync_ms(folder: str | None = None, times: int = 50) -> float:
    """What one fdatasync of a hundred bytes more takes there, in milliseconds: the median."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(times):
            file.write(bytes(100))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return median(taken) * 1e3


def _own(stack: ExitStack, level: str) -> Site:
    return own_site(stack, "--durability", level, name=f"{OURS}, {level}")


def _peer(stack: ExitStack, level: str) -> Site:
    redis = stack.enter_context(servers.redis_server(PEERS[level]))
    with boards.redis_client(redis) as client:
        boards.fill_redis(client, MEMBERS)
    return fastapi_site(stack, redis, _peer_name(level))


def _peer_name(level: str) -> str:
    return f"{FASTAPI}, {PEERS[level]}"


def _cost(sites: list[Site], load: Load, rounds: int) -> Row:
    """The journal against snapshots; a target only where throughput, not latency, is asked for."""
    taken = _measured(sites, load, rounds)
    aims = {f"{OURS}, {SNAPSHOT}": SHARE} if load.connections > 1 else {}
    lines = [line(site.name, taken[site.name], aims.get(site.name)) for site in sites]
    title = f"What the journal costs: HTTP submit, {_circumstances(load)}"
    return Row(title, "requests/s", "higher", tuple(lines))


def _measured(sites: list[Site], load: Load, rounds: int) -> dict[str, tuple[Sample, ...]]:
    samples = interleaved(
        [contender(site.name, load, site.server, site.submit) for site in sites], rounds
    )
    return dict(zip([site.name for site in sites], samples, strict=True))


def _circumstances(load: Load) -> str:
    connections = "1 connection" if load.connections == 1 else f"{load.connections} connections"
    return f"{connections}, an fsync takes {fsync_ms():.2f} ms"
