"""The commands of sorted sets, as a journal has them. The last member takes the set with it.

n is the number of members, m the number of those that change.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.persistence.arguments import double, integer, pairs
from engine.persistence.commands import Command
from engine.persistence.errors import Malformed
from engine.persistence.replay_state import Handler, State, Table
from engine.sortedset import SortedSet

__all__ = ["SORTED_SETS", "Bounds", "by_name", "by_rank", "by_score"]

_OPTIONS = {b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"}

Bounds = tuple[int, int]
"""``start <= index < stop``"""


def _add(state: State, command: Command) -> None:
    there = state.values.get(command[1])
    if len(command) == 4 and type(there) is SortedSet:  # what nearly all of a journal may be
        state.set_score(there, command[3], double(command[2]))
        return
    board = state.sorted_set(command[1])
    at = 2
    while command[at].upper() in _OPTIONS:
        at += 1
    options = {word.upper() for word in command[2:at]}
    rows = [(member, double(score)) for score, member in pairs(command[at:])]
    made = SortedSet() if board is None else board
    for member, score in rows:
        _put(made, member, score, options)
    if made and board is None:
        state.keep(command[1], made)


def _put(board: SortedSet, member: bytes, score: float, options: set[bytes]) -> None:
    """Set a score as the options allow."""
    before = board.score(member)
    if before is None:
        if b"XX" not in options:
            board.add(member, score)
        return
    after = before + score if b"INCR" in options else score
    if after != after:
        raise Malformed(f"the score of {member[:40]!r} is not a number")
    refused = (
        b"NX" in options
        or (b"GT" in options and after <= before)
        or (b"LT" in options and after >= before)
    )
    if not refused:
        board.add(member, after)


def _increment(state: State, command: Command) -> None:
    _, key, by, member = command
    _add(state, [b"ZADD", key, b"INCR", by, member])


def _remove(state: State, command: Command) -> None:
    key, members = command[1], command[2:]
    board = state.sorted_set(key)
    if board is not None:
        _take_out(state, key, board, members)


def _take_out(state: State, key: bytes, board: SortedSet, members: list[bytes]) -> None:
    """Remove these members, and the set if none is left. O(m log n)."""
    for member in members:
        board.remove(member)
    if not board:
        state.keyspace.delete(key)


def _remove_range(bounds: Callable[[SortedSet, bytes, bytes], Bounds]) -> Handler:
    def handler(state: State, command: Command) -> None:
        _, key, first, last = command
        board = state.sorted_set(key)
        if board is not None:
            rows = board.slice(*bounds(board, first, last))
            _take_out(state, key, board, [member for member, _ in rows])

    return handler


def by_rank(board: SortedSet, first: bytes, last: bytes) -> Bounds:
    """Both included; negative ones count from the end."""
    size = len(board)
    start, end = integer(first), integer(last)
    return (start + size if start < 0 else start), (end + size if end < 0 else end) + 1


def by_score(board: SortedSet, first: bytes, last: bytes) -> Bounds:
    """``(5`` excludes 5."""
    start = board.below(double(first.removeprefix(b"(")), inclusive=first[:1] == b"(")
    stop = board.below(double(last.removeprefix(b"(")), inclusive=last[:1] != b"(")
    return start, stop


def by_name(board: SortedSet, first: bytes, last: bytes) -> Bounds:
    """``[a`` and ``(a``, ``-`` and ``+``; of members that all have one score. O(n)."""
    members = [member for member, _ in board]
    start = sum(1 for member in members if not _is_above(member, first, b"["))
    stop = sum(1 for member in members if not _is_above(member, last, b"("))
    return start, stop


def _is_above(member: bytes, bound: bytes, included: bytes) -> bool:
    """Whether a member is beyond a bound, or at it where it begins with ``included``."""
    if bound in (b"-", b"+"):
        return bound == b"-"
    mark, name = bound[:1], bound[1:]
    if mark not in (b"[", b"("):
        raise Malformed(f"{bound[:40]!r} is no bound of names")
    return member > name or (member == name and mark == included)


def _pop(*, highest: bool) -> Handler:
    def handler(state: State, command: Command) -> None:
        key = command[1]
        count = integer(command[2]) if len(command) > 2 else 1
        board = state.sorted_set(key)
        if board is not None:
            rows = board.slice(0, count, reverse=highest)
            _take_out(state, key, board, [member for member, _ in rows])

    return handler


SORTED_SETS: Table = {
    b"ZADD": _add,
    b"ZINCRBY": _increment,
    b"ZREM": _remove,
    b"ZREMRANGEBYRANK": _remove_range(by_rank),
    b"ZREMRANGEBYSCORE": _remove_range(by_score),
    b"ZREMRANGEBYLEX": _remove_range(by_name),
    b"ZPOPMIN": _pop(highest=False),
    b"ZPOPMAX": _pop(highest=True),
}
