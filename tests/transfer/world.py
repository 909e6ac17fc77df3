"""A world of a given size, made through the services, and everything they answer about it.

For tests that move a world to another store: ``fill`` one store, move it, and compare what
`answers` gives before and after. Nothing in it depends on which backend the services stand on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime.backends.base import Ranking, Submit
from realtime.services import Services
from realtime.services.limits import Algorithm, RuleSpec
from realtime.services.seasons import SeasonRules

__all__ = ["Size", "World", "answers", "fill"]

BATCH = 1_000
"""Entries in one submission."""

RANKINGS = (
    Ranking(),
    Ranking(descending=False, keep="latest"),
    Ranking(keep="sum", ranks="competition"),
    Ranking(max_entries=1_000_000, min_score=-1e9, max_score=1e9),
)
SEASONAL = ("{season}:board", Ranking(ties="first", keep="sum"))
"""A board that has had three seasons, of which one is packed; and a view of it."""
SEASONS = 3
ALGORITHMS: tuple[Algorithm, ...] = ("token_bucket", "sliding_window", "fixed_window")
DAY = 86_400.0
PAGE = 1_000


@dataclass(frozen=True)
class Size:
    """How much of everything there is."""

    boards: int = 8
    entries: int = 200
    """On each board; every tenth with metadata."""
    counters: int = 20
    sessions: int = 100
    callers: int = 50
    """Under each of three rules, one per algorithm."""
    channels: int = 10
    publications: int = 30
    """On each channel, of which the newest twenty are kept."""


@dataclass(frozen=True)
class World:
    """What there is to ask for."""

    size: Size
    boards: tuple[str, ...]
    members: tuple[str, ...]
    counters: tuple[str, ...]
    sessions: tuple[str, ...]
    users: tuple[str, ...]
    rules: tuple[str, ...]
    callers: tuple[str, ...]
    channels: tuple[str, ...]


async def fill(services: Services, size: Size, seed: int = 1) -> World:
    """Make it. Numbers are drawn from ``seed``; ids of sessions and epochs are the services'."""
    draw = random.Random(seed)
    world = World(
        size,
        boards=tuple(_named("board", size.boards)),
        members=tuple(f"player:{number}" for number in range(size.entries)),
        counters=tuple(_named("counter", size.counters)),
        sessions=await _fill_sessions(services, size, draw),
        users=tuple(f"user {number}" for number in range(max(1, size.sessions // 3))),
        rules=ALGORITHMS,
        callers=tuple(_named("caller", size.callers)),
        channels=tuple(_named("channel", size.channels)),
    )
    await _fill_boards(services, world, draw)
    await _fill_seasons(services, world, draw)
    await _fill_counters(services, world, draw)
    await _fill_limits(services, world, draw)
    await _fill_channels(services, world, draw)
    return world


async def answers(services: Services, world: World) -> dict[str, Any]:
    """What the services say about everything, by a name; nothing is touched or spent."""
    said: dict[str, Any] = {}
    for board in world.boards:
        said |= {
            f"board {board}: {name}": found for name, found in await _board(services, world, board)
        }
    said |= await _seasons(services, world)
    for name in world.counters:
        said[f"counter {name}"] = await services.counters.get(name)
    for session in world.sessions:
        said[f"session {session}"] = await services.sessions.read(session, touch=False)
    for user in world.users:
        said[f"sessions of {user}"] = await services.sessions.of_user(user)
    for rule in world.rules:
        said[f"rule {rule}"] = await services.limits.spec(rule)
        for caller in world.callers:
            said[f"{rule} for {caller}"] = (await services.limits.peek(rule, caller)).decision
    for channel in world.channels:
        said[f"channel {channel}"] = await services.channels.history(channel, limit=-1)
    return said


async def _board(services: Services, world: World, board: str) -> Sequence[tuple[str, Any]]:
    boards = services.leaderboards
    middle = world.members[len(world.members) // 2]
    pages = [
        (f"page {offset}", await boards.page(board, offset, PAGE, metadata=True))
        for offset in range(0, world.size.entries, PAGE)
    ]
    return [
        ("rules", await boards.rules(board)),
        ("size", await boards.size(board)),
        ("standing", await boards.standing(board, middle)),
        ("around", await boards.around(board, middle, 5, metadata=True)),
        ("by score", await boards.page(board, 0, 50, minimum=-10, maximum=500)),
        ("members", await boards.members(board, world.members[:50], metadata=True)),
        *pages,
    ]


async def _seasons(services: Services, world: World) -> dict[str, Any]:
    boards, (name, _) = services.leaderboards, SEASONAL
    said: dict[str, Any] = {
        "season": await boards.catch_up(name),
        "season rules": await boards.seasons(name),
        "season closed": await boards.closed(name),
    }
    for number in range(1, SEASONS + 2):
        season = await boards.at(name, season=number)
        said[f"season {number}"] = await season.page(0, PAGE, metadata=True)
        said[f"season {number}: middle"] = await season.members(world.members[:50], metadata=True)
    view = await boards.at(name, view="all-time")
    return said | {"season of all time": await view.page(0, PAGE, metadata=True)}


def _named(what: str, count: int) -> Sequence[str]:
    """Names of which some need care in keys: tags of their own, braces, other letters."""
    forms = (f"{what}:%d", f"{{{what}s}}:%d", f"{what} %d", f"{what}}}{{%d", f"ü{what}%d")
    return [forms[number % len(forms)] % number for number in range(count)]


async def _fill_boards(services: Services, world: World, draw: random.Random) -> None:
    for number, board in enumerate(world.boards):
        await services.leaderboards.configure(board, RANKINGS[number % len(RANKINGS)])
        entries = [
            Submit(member.encode(), _score(draw), b'{"n":%d}' % at if at % 10 == 0 else None)
            for at, member in enumerate(world.members)
        ]
        for start in range(0, len(entries), BATCH):
            await services.leaderboards.submit(board, entries[start : start + BATCH])


async def _fill_seasons(services: Services, world: World, draw: random.Random) -> None:
    boards, (name, ranking) = services.leaderboards, SEASONAL
    rules = SeasonRules(resets=(), archives=SEASONS, views=("all-time",))
    await boards.configure(name, ranking, rules)
    for number in range(SEASONS + 1):
        entries = [
            Submit(member.encode(), float(draw.randrange(9)), b"1" if at % 3 else None)
            for at, member in enumerate(world.members[:PAGE])
        ]
        await boards.submit(name, entries)
        if number < SEASONS:
            closed = await boards.close_season(name)
            if number == 0:
                await boards.archives.pack(name, closed)


def _score(draw: random.Random) -> float:
    """Whole ones that tie, fractions, and some that need every digit."""
    return draw.choice((float(draw.randrange(100)), draw.uniform(-1e6, 1e6), draw.random() * 1e-9))


async def _fill_counters(services: Services, world: World, draw: random.Random) -> None:
    for number, name in enumerate(world.counters):
        by = draw.randrange(-(2**62), 2**62)
        await services.counters.add(name, by, ttl=DAY if number % 2 else None)


async def _fill_sessions(services: Services, size: Size, draw: random.Random) -> tuple[str, ...]:
    """Three of a user, and every fourth of nobody."""
    ids = []
    for number in range(size.sessions):
        session, _ = await services.sessions.create(
            None if number % 4 == 3 else f"user {number // 3}",
            {"name": b'"Ada"', "cart": b"[%d]" % draw.randrange(10**9)},
            idle_timeout=DAY / 2 + number,
            absolute_timeout=DAY,
        )
        if number % 5 == 0:
            await services.sessions.patch(session, {"cart": b"[]"}, ["name"])
        ids.append(session)
    return tuple(ids)


async def _fill_limits(services: Services, world: World, draw: random.Random) -> None:
    """Hours go by before any of them is full again, and expires."""
    for rule in ALGORITHMS:
        await services.limits.define(rule, RuleSpec(rule, limit=7_000, per=DAY))
        for caller in world.callers:
            await services.limits.take(rule, caller, draw.randrange(1_000, 7_000))


async def _fill_channels(services: Services, world: World, draw: random.Random) -> None:
    for number, channel in enumerate(world.channels):
        info = b'{"user":"ada"}' if number % 2 else None
        for _ in range(world.size.publications):
            data = b'{"n":%d}' % draw.randrange(10**6)
            await services.channels.publish(channel, data, info=info, history=(20, DAY))
