"""10,000 idle WebSocket connections: what one costs, and how long a word to all of them takes.

All of them subscribe to one channel, and say nothing. Memory is the growth of the server's
resident set over the first hundred, which pay for what is made once, divided by the others; what
the kernel holds for a socket is not in it. The word is one publication of 100 bytes, from its POST
to the first byte at the last connection. They are opened and read by this process, which is as
slow for nchan as for ours. Each round has a server of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

import uvloop

from loadtest.compare.fan_out import NCHAN
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing, Server, resident
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved
from loadtest.connections import (
    BODY,
    PUBLISH,
    UPGRADE,
    WARM,
    Opening,
    broadcast,
    opened,
    opening,
    raise_limit,
)

__all__ = ["rows"]

CONNECTIONS = 10_000
SPARE = 1_000
"""Files and connections that there must be besides."""
MOST_KIB = 12.0


class Held(NamedTuple):
    kib: float
    """Of a connection."""
    milliseconds: float
    """Until all had the word."""


class Holder(NamedTuple):
    serve: Callable[[], AbstractContextManager[Server]]
    way: Opening
    path: str
    body: bytes


OURS = Holder(servers.realtime, opening("websocket", subscribe=True), PUBLISH, BODY)
THEIRS = Holder(
    partial(servers.nchan, CONNECTIONS + SPARE),
    (UPGRADE % b"/subscribe", b"", b"\r\n\r\n"),
    "/publish",
    b'"%b"' % (b"x" * 98),
)


def rows(effort: Effort) -> list[Row]:
    allowed = raise_limit()
    if allowed < CONNECTIONS + SPARE:
        raise Missing(f"only {allowed} open files are allowed (ulimit -Hn)")
    holders = {"realtime": OURS, NCHAN: THEIRS}
    missing: tuple[str, ...] = ()
    try:
        with THEIRS.serve():
            pass
    except Missing as reason:
        del holders[NCHAN]
        missing = (f"{NCHAN}: {reason}",)
    contenders = [Contender(name, partial(_hold, holder)) for name, holder in holders.items()]
    taken = interleaved(contenders, effort.snapshot_rounds)
    title = f"{CONNECTIONS:,} idle connections"
    memory = [tuple(each.kib for each in held) for held in taken]
    times = [tuple(each.milliseconds for each in held) for held in taken]
    return [
        Row(f"{title}, memory", "KiB each", "lower", _lines(holders, memory), missing, MOST_KIB),
        Row(f"{title}, a word to all", "ms", "lower", _lines(holders, times), missing),
    ]


def _lines(holders: dict[str, Holder], figures: list[tuple[float, ...]]) -> tuple[Line, ...]:
    return tuple(Line(name, each) for name, each in zip(holders, figures, strict=True))


def _hold(holder: Holder, number: int) -> Held:
    with holder.serve() as server:
        return uvloop.run(_measured(holder, server))


async def _measured(holder: Holder, server: Server) -> Held:
    first = await opened(server.port, WARM, holder.way)
    before = resident(server.pid)
    idles = await opened(server.port, CONNECTIONS - WARM, holder.way)
    grown = resident(server.pid) - before
    seconds = await broadcast(server.port, [*first, *idles], holder.path, holder.body)
    for idle in (*first, *idles):
        idle.transport.abort()
    return Held(grown / 1024 / len(idles), seconds * 1e3)
