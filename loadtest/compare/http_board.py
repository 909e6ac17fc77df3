"""HTTP: read a rank, and submit a score and learn the rank, on a board of 100,000 members.

The timed region holds whole requests over keep-alive connections of loopback, as wrk counts
them: parsing, routing, the board, the answer. wrk draws a random member for each request.
Ours answers member, score, rank, percentile and total (of a submission: both ranks and
scores); FastAPI the same less the percentile and the previous ones; webdis can do one Redis
command per request, so it reads a rank only, and submits by a Lua script.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from loadtest.compare import boards
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing, Server, find
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved

__all__ = ["FASTAPI", "Site", "fastapi_site", "own_site", "row", "rows"]

MEMBERS = 100_000
CONNECTIONS = 16
SCRIPT = Path(__file__).parent / "load" / "board.lua"
SUBMIT_LUA = (
    "redis.call('ZADD',KEYS[1],'GT',ARGV[1],ARGV[2]) return redis.call('ZREVRANK',KEYS[1],ARGV[2])"
)
ENTRY = '{"member":"$m","score":$s}'

OURS = "realtime"
FASTAPI = "FastAPI + redis-py + Redis"
WEBDIS = "webdis + Redis"


class Work(NamedTuple):
    """A request as the load script takes it."""

    method: str
    path: str
    body: str = "-"


class Site(NamedTuple):
    """A server, and how it is asked for the two things."""

    name: str
    server: Server
    read: Work
    submit: Work


class Sample(NamedTuple):
    """One round of wrk."""

    rate: float
    p50_ms: float
    p99_ms: float


def rows(effort: Effort) -> list[Row]:
    """Raises Missing if there is nothing to make the load with."""
    wrk = find("wrk", "wrk")
    with ExitStack() as stack:
        sites, missing = _sites(stack)
        return [
            row("HTTP: rank read", wrk, sites, missing, lambda site: site.read, 5, effort),
            row("HTTP: submit and rank", wrk, sites, missing, lambda site: site.submit, 4, effort),
        ]


def own_site(stack: ExitStack, store: str = "memory://") -> Site:
    """Our service, filled."""
    ours = stack.enter_context(servers.realtime(store))
    boards.fill_service(ours, MEMBERS)
    board = f"/v1/leaderboards/{boards.NAME}"
    read = Work("GET", f"{board}/members/$m")
    return Site(OURS, ours, read, Work("POST", f"{board}/scores", ENTRY))


def _sites(stack: ExitStack) -> tuple[list[Site], list[str]]:
    """Every server that can be had, filled; and who is missing."""
    missing: list[str] = []
    sites = [own_site(stack)]
    try:
        redis = stack.enter_context(servers.redis_server())
        client = boards.redis_client(redis)
        boards.fill_redis(client, MEMBERS)
    except Missing as reason:
        return sites, [f"{FASTAPI}: {reason}", f"{WEBDIS}: {reason}"]
    client.close()
    for name, start in ((FASTAPI, fastapi_site), (WEBDIS, _webdis)):
        try:
            sites.append(start(stack, redis))
        except Missing as reason:
            missing.append(f"{name}: {reason}")
    return sites, missing


def fastapi_site(stack: ExitStack, redis: Server) -> Site:
    """The peer, on a Redis that is filled."""
    board = f"/leaderboards/{boards.NAME}"
    return Site(
        FASTAPI,
        stack.enter_context(servers.fastapi_redis(redis)),
        Work("GET", f"{board}/members/$m"),
        Work("POST", f"{board}/scores", ENTRY),
    )


def _webdis(stack: ExitStack, redis: Server) -> Site:
    with boards.redis_client(redis) as client:
        script = client.script_load(SUBMIT_LUA)
    return Site(
        WEBDIS,
        stack.enter_context(servers.webdis(redis)),
        Work("GET", f"/ZREVRANK/{boards.NAME}/$m"),
        Work("GET", f"/EVALSHA/{script}/1/{boards.NAME}/$s/$m"),
    )


def row(
    name: str,
    wrk: str,
    sites: Sequence[Site],
    missing: Sequence[str],
    work: Callable[[Site], Work],
    times: float,
    effort: Effort,
) -> Row:
    """Every site with this work; ours is to be ``times`` as good as FastAPI."""

    def contender(site: Site) -> Contender[Sample]:
        return Contender(
            site.name,
            lambda number: _load(wrk, site.server, work(site), number, effort.http_seconds),
        )

    samples = interleaved([contender(site) for site in sites], effort.rounds)
    lines = [
        Line(
            site.name,
            tuple(sample.rate for sample in taken),
            note=f"p50 {median([sample.p50_ms for sample in taken]):.2f} ms, "
            f"p99 {median([sample.p99_ms for sample in taken]):.2f} ms",
            target=times if site.name == FASTAPI else None,
        )
        for site, taken in zip(sites, samples, strict=True)
    ]
    title = f"{name}, {MEMBERS:,} members, {CONNECTIONS} connections"
    return Row(title, "requests/s", "higher", tuple(lines), tuple(missing))


def _load(wrk: str, server: Server, work: Work, number: int, seconds: int) -> Sample:
    """One round of load. Raises RuntimeError if a single request failed."""
    shape = ("-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(SCRIPT))
    first_score = str((number + 1) * 1_000_000)
    told = (*work, str(MEMBERS), first_score)
    url = f"http://127.0.0.1:{server.port}"
    output = subprocess.run(
        (wrk, *shape, url, "--", *told), stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    result = json.loads(output.strip().rpartition("\n")[2])
    if result["failed"]:
        raise RuntimeError(f"{result['failed']} requests to {work.path} failed:\n{output}")
    return Sample(result["rate"], result["p50_ms"], result["p99_ms"])
