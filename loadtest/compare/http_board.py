"""HTTP: read a rank, and submit a score and learn the rank, on a board of 100,000 members.

The timed region holds whole requests over keep-alive connections of loopback, as wrk counts
them: parsing, routing, the board, the answer. wrk draws a random member for each request.
Ours answers member, score, rank, percentile and total (of a submission: both ranks and
scores); FastAPI the same less the percentile and the previous ones; webdis can do one Redis
command per request, so it reads a rank only, and submits by a Lua script.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from loadtest.compare import boards
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing, Server
from loadtest.compare.report import Row
from loadtest.compare.rounds import Effort, interleaved
from loadtest.compare.wrk import Load, Work, contender, line

__all__ = ["FASTAPI", "MEMBERS", "OURS", "Site", "fastapi_site", "own_site", "row", "rows"]

MEMBERS = 100_000
CONNECTIONS = 16
SUBMIT_LUA = (
    "redis.call('ZADD',KEYS[1],'GT',ARGV[1],ARGV[2]) return redis.call('ZREVRANK',KEYS[1],ARGV[2])"
)
ENTRY = '{"member":"$m","score":$s}'

OURS = "realtime"
FASTAPI = "FastAPI + redis-py + Redis"
WEBDIS = "webdis + Redis"


class Site(NamedTuple):
    """A server, and how it is asked for the two things."""

    name: str
    server: Server
    read: Work
    submit: Work


def rows(effort: Effort) -> list[Row]:
    """Raises Missing if there is nothing to make the load with."""
    load = Load.of(CONNECTIONS, effort.http_seconds, MEMBERS)
    with ExitStack() as stack:
        sites, missing = _sites(stack)
        return [
            row("HTTP: rank read", load, sites, missing, lambda site: site.read, 5, effort),
            row("HTTP: submit and rank", load, sites, missing, lambda site: site.submit, 4, effort),
        ]


def own_site(
    stack: ExitStack,
    *options: str,
    store: str = "memory://",
    name: str = OURS,
    members: int = MEMBERS,
) -> Site:
    """Our service, filled; ``options`` are of ``realtime serve``."""
    ours = stack.enter_context(servers.realtime(*options, store=store))
    boards.fill_service(ours, members)
    board = f"/v1/leaderboards/{boards.NAME}"
    read = Work("GET", f"{board}/members/$m")
    return Site(name, ours, read, Work("POST", f"{board}/scores", ENTRY))


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


def fastapi_site(stack: ExitStack, redis: Server, name: str = FASTAPI) -> Site:
    """The peer, on a Redis that is filled."""
    board = f"/leaderboards/{boards.NAME}"
    return Site(
        name,
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
    load: Load,
    sites: Sequence[Site],
    missing: Sequence[str],
    work: Callable[[Site], Work],
    times: float,
    effort: Effort,
) -> Row:
    """Every site with this work; ours is to be ``times`` as good as FastAPI."""
    samples = interleaved(
        [contender(site.name, load, site.server, work(site)) for site in sites], effort.rounds
    )
    lines = [
        line(site.name, taken, times if site.name == FASTAPI else None)
        for site, taken in zip(sites, samples, strict=True)
    ]
    title = f"{name}, {load.members:,} members, {load.connections} connections"
    return Row(title, "requests/s", "higher", tuple(lines), tuple(missing))
