"""The scripts of leaderboards, and what they are called with.

A board that is a sorted set and nothing else has short scripts, which touch one key or two. All
other rules, and submits that count once or name who was overtaken, have those of ``_rich.lua``,
which touch all keys of a board. Scripts that read have one text for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from realtime.backends.base import Board, Ranking
from realtime.backends.keys import META, SEASON, SEASONS, TTL, archive_key
from realtime.backends.redis.scripts import Script, load

__all__ = [
    "ADAPT",
    "AROUND",
    "AROUND_SCORE",
    "AT_PERCENTILE",
    "DROP",
    "ERASE",
    "HISTOGRAM",
    "LEAVING",
    "LOOK",
    "MEMBERS",
    "ONWARD",
    "PAGE",
    "PAGE_BY_SCORE",
    "REMOVE",
    "REMOVE_RICH",
    "ROLL",
    "SEASON_OF",
    "SET_SEASON",
    "SIZE",
    "STANDING",
    "SUBMIT",
    "SUBMIT_MANY",
    "SUBMIT_RICH",
    "asked",
    "double",
    "erase_keys",
    "keys_of",
    "rich_keys",
    "roll_keys",
    "rules_of",
    "shown",
]

_RICH = ("_chunks", "_stored", "_rich", "_page")


def _reading(name: str, *parts: str, after: tuple[str, ...] = ()) -> dict[bool, Script]:
    """A script by whether the rules of the board are plain. A rich one may remove what is due,
    or make anew what it finds things by; nothing is promised by that. ``parts`` are what plain
    ones need; what both do, comes ``after``."""
    plain = load(name, "_chunks", *parts, "_board", "_page", *after, writes=False)
    return {True: plain, False: load(name, *_RICH, *after, writes=False)}


SUBMIT = load("board_submit", "_board", "_submit", writes=True)
SUBMIT_MANY = load("board_submit_many", "_chunks", "_board", "_submit", writes=True)
SUBMIT_RICH = load("board_submit_rich", *_RICH, "_submit", "_richer", "_season", writes=True)
REMOVE = load("board_remove", writes=True)
REMOVE_RICH = load("board_remove_rich", *_RICH, "_season", writes=True)
ADAPT = load("board_adapt", *_RICH, "_richer", writes=True)
DROP = load("board_drop", "_generation", writes=True)
SEASON_OF = load("board_season", "_season", writes=False)
SET_SEASON = load("board_set_season", "_season", writes=True)
ROLL = load("board_roll", *_RICH, "_season", "_generation", writes=True)
ERASE = load("board_erase", *_RICH, writes=True)
SIZE = load("board_size", *_RICH, writes=False)
LEAVING = load("board_leaving", writes=False)
STANDING = _reading("board_standing")
PAGE = _reading("board_page")
PAGE_BY_SCORE = _reading("board_page_by_score")
AROUND = _reading("board_around")
AROUND_SCORE = _reading("board_around_score")
MEMBERS = _reading("board_members", after=("_members",))
LOOK = _reading("board_look", after=("_members",))
AT_PERCENTILE = _reading("board_at")
HISTOGRAM = _reading("board_histogram")
ONWARD = _reading("board_onward", "_stored", "_board_passed")

ENTRIES = (b"", META, b":places", b":scores")
"""What moves when a season is closed."""
BESIDE = (*ENTRIES[1:], TTL, b":ids", SEASON, b":generation")


def keys_of(board: Board, metadata: bool = True) -> tuple[bytes, ...]:
    """The keys of a step. While a slot moves between two servers, a step on several keys has to
    wait until all have come, also for one that does not exist: none is named without need."""
    return (board.key, board.key + META) if metadata else (board.key,)


def rich_keys(board: Board) -> tuple[bytes, ...]:
    """All keys of a board, as ``_rich.lua`` takes them."""
    return (board.key, *(board.key + end for end in BESIDE))


def roll_keys(board: Board, number: int) -> tuple[bytes, ...]:
    """All keys of a board, and those where its season is put away."""
    archive = archive_key(board.key, number)
    return (*rich_keys(board), board.key + SEASONS, *(archive + end for end in ENTRIES))


def erase_keys(board: Board, number: int) -> tuple[bytes, ...]:
    """All keys of a closed season, and what is kept of it."""
    archive = board._replace(key=archive_key(board.key, number))
    return (*rich_keys(archive), board.key + SEASONS)


def asked(
    scripts: dict[bool, Script], board: Board, metadata: bool
) -> tuple[Script, tuple[bytes, ...]]:
    """The script for the rules of a board, and its keys."""
    if board.ranking.plain:
        return scripts[True], keys_of(board, metadata)
    return scripts[False], rich_keys(board)


@lru_cache(maxsize=4096)
def rules_of(ranking: Ranking, rich: bool = False) -> tuple[bytes, ...]:
    """The rules as the scripts take them; what there is no bound for is empty."""
    bounds = (ranking.min_score, ranking.max_score)
    order = b"desc" if ranking.descending else b"asc"
    if rich:
        ttl = b"" if ranking.entry_ttl is None else b"%d" % ranking.entry_ttl
        seasonal = b"s" if ranking.seasonal else b""
        order = b"%b,%b,%b,%b" % (order, ranking.ties.encode(), ttl, seasonal)
    return (
        order,
        ranking.ranks.encode(),
        ranking.keep.encode(),
        b"" if ranking.max_entries is None else b"%d" % ranking.max_entries,
        *(b"" if bound is None else double(bound) for bound in bounds),
    )


def shown(board: Board) -> Sequence[bytes]:
    """Order and ranks, as the scripts take them."""
    return rules_of(board.ranking, not board.ranking.plain)[:2]


def double(number: float) -> bytes:
    """The shortest text that reads back as the same double; never -0.0."""
    return repr(number + 0.0).encode()
