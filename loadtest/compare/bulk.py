"""What readers notice while all of a large board is loaded in one request.

Another process reads ranks at a steady rate, each request due at an instant fixed in advance, so
that a pause shows in all that were due during it. The board is empty at first: its members are
those that the lines bring, so some of the reads find nobody yet, and count as well. There is
no peer.
"""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

import msgspec

from loadtest.compare.boards import NAME
from loadtest.compare.load.steady import Kind
from loadtest.compare.paced import Stretch, paced, stretch, within
from loadtest.compare.peers import servers
from loadtest.compare.processes import Server
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved

__all__ = ["rows"]

RATE = 500.0
"""Reads per second: far from what the service can do, so that nothing queues by itself."""
SETTLE_SECONDS = 0.5
"""Until the load is connected."""
MOST_MS = 50.0
"""No read is to wait longer."""
PART = 64 * 1024
"""Bytes that are sent at once."""

PATH = f"/v1/leaderboards/{NAME}"


class Round(NamedTuple):
    reads: Stretch
    rate: float
    """Entries per second."""


class _Loaded(msgspec.Struct):
    loaded: int


def rows(effort: Effort) -> list[Row]:
    members = effort.snapshot_members
    with ExitStack() as stack:
        server = stack.enter_context(servers.realtime(store="memory://"))
        measured = Contender("bulk", lambda _: _round(server, members))
        (taken,) = interleaved([measured], effort.snapshot_rounds)
    title = f"Reads while {members:,} entries are loaded"
    latencies = [
        Row(
            f"{title}, {figure}",
            "ms",
            "lower",
            (Line("reads", tuple(getattr(one.reads, figure) for one in taken)),),
            at_most=MOST_MS if figure == "worst" else None,
        )
        for figure in ("p50", "p99", "worst")
    ]
    loads = Line("one request", tuple(one.rate for one in taken))
    return [*latencies, Row(f"{title}: how fast", "entries/s", "higher", (loads,))]


def _round(server: Server, members: int) -> Round:
    body = _body(members)
    _asked(server, "DELETE", PATH)
    read = Kind("GET", f"{PATH}/entries?members=$m", "")
    with paced(server, members, RATE, {"reads": read}) as load:
        time.sleep(SETTLE_SECONDS)
        began = time.monotonic()
        answer = _asked(server, "POST", f"{PATH}/bulk", body)
        ended = time.monotonic()
    loaded = msgspec.json.decode(answer, type=_Loaded).loaded
    if loaded != members:
        raise RuntimeError(f"{loaded} entries were loaded, not {members}")
    reads = stretch(within(load.latencies["reads"], [(began, ended)]))
    return Round(reads, members / (ended - began))


def _body(members: int) -> bytes:
    draw = random.Random(7)
    return b"".join(
        b'{"member":"player:%d","score":%d}\n' % (number, draw.randrange(1_000_000))
        for number in range(members)
    )


def _parts(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PART):
        yield body[start : start + PART]


def _asked(server: Server, method: str, path: str, body: bytes = b"") -> bytes:
    """Raises RuntimeError if it is refused."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request(method, path, _parts(body), encode_chunked=True)
        response = connection.getresponse()
        answer = response.read()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path}: {response.status} {answer!r}")
    return answer
