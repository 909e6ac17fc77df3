"""Sorted sets made of others: unions, intersections, differences and ranges that Redis stores.

Redis logs these as they were asked, so the answer is worked out again. n is the number of
members read.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.persistence.arguments import double, integer
from engine.persistence.commands import Command
from engine.persistence.errors import Malformed
from engine.persistence.replay_sortedsets import Bounds, by_name, by_rank, by_score
from engine.persistence.replay_state import Handler, State, Table
from engine.sortedset import SortedSet

__all__ = ["STORED"]

Scores = dict[bytes, float]
Input = tuple[Scores, float]
"""The scores of one set, and its weight."""
Aggregate = Callable[[float, float], float]
Join = Callable[[list[Input], Aggregate], Scores]


def _total(one: float, other: float) -> float:
    """What is no number, as infinities of both signs make it, is 0 to Redis."""
    return _number(one + other)


def _number(score: float) -> float:
    return score if score == score else 0.0


_AGGREGATES: dict[bytes, Aggregate] = {b"SUM": _total, b"MIN": min, b"MAX": max}


def _union(inputs: list[Input], aggregate: Aggregate) -> Scores:
    """Small sets first, as Redis does: floating point depends on the order."""
    total: Scores = {}
    for scores, weight in sorted(inputs, key=_size):
        for member, score in scores.items():
            product = _number(score * weight)
            total[member] = aggregate(total[member], product) if member in total else product
    return total


def _intersection(inputs: list[Input], aggregate: Aggregate) -> Scores:
    """Also small sets first. Only the first product is made a number before it is joined."""
    (scores, weight), *others = sorted(inputs, key=_size)
    total = {member: _number(score * weight) for member, score in scores.items()}
    for scores, weight in others:
        total = {
            member: aggregate(score, scores[member] * weight)
            for member, score in total.items()
            if member in scores
        }
    return total


def _difference(inputs: list[Input], aggregate: Aggregate) -> Scores:
    gone = set[bytes]().union(*(scores for scores, _ in inputs[1:]))
    return {member: score for member, score in inputs[0][0].items() if member not in gone}


def _size(joined: Input) -> int:
    return len(joined[0])


def _joined(join: Join) -> Handler:
    def handler(state: State, command: Command) -> None:
        target, count = command[1], integer(command[2])
        keys, options = command[3 : 3 + count], command[3 + count :]
        if not 1 <= count == len(keys):
            raise Malformed(f"{count} keys are not what follows")
        weights, aggregate = _options(options, count)
        inputs = [
            (dict(state.sorted_set(key) or ()), weight)
            for key, weight in zip(keys, weights, strict=True)
        ]
        _store(state, target, join(inputs, aggregate))

    return handler


def _options(options: list[bytes], count: int) -> tuple[list[float], Aggregate]:
    """Weights, and how the scores of one member are joined."""
    weights, aggregate = [1.0] * count, _AGGREGATES[b"SUM"]
    while options:
        name = options[0].upper()
        if name == b"WEIGHTS" and len(options) > count:
            weights = [double(written) for written in options[1 : 1 + count]]
            options = options[1 + count :]
        elif name == b"AGGREGATE" and options[1].upper() in _AGGREGATES:
            aggregate = _AGGREGATES[options[1].upper()]
            options = options[2:]
        else:
            raise Malformed(f"there is no option {name[:40]!r}")
    return weights, aggregate


def _store(state: State, key: bytes, scores: Scores) -> None:
    """In the place of what is there; nothing is stored as no key."""
    if scores:
        state.keyspace.put(key, SortedSet(scores.items()))
    else:
        state.keyspace.delete(key)


def _range(state: State, command: Command) -> None:
    """ZRANGESTORE target source first last [BYSCORE|BYLEX] [REV] [LIMIT offset count]"""
    _, target, source, first, last, *options = command
    words = {word.upper() for word in options}
    if not words & {b"LIMIT"} and words - {b"BYSCORE", b"BYLEX", b"REV"}:
        raise Malformed("there is no such option")
    reverse = b"REV" in words
    board = state.sorted_set(source) or SortedSet()
    if b"BYSCORE" in words or b"BYLEX" in words:
        bounds = by_score if b"BYSCORE" in words else by_name
        ends = (last, first) if reverse else (first, last)
        start, stop = _turned(bounds(board, *ends), len(board)) if reverse else bounds(board, *ends)
    else:
        start, stop = by_rank(board, first, last)
    start, stop = _limited((max(0, start), stop), options)
    _store(state, target, dict(board.slice(start, stop, reverse=reverse)))


def _turned(bounds: Bounds, size: int) -> Bounds:
    """The same rows, counted from the other end."""
    return size - bounds[1], size - bounds[0]


def _limited(bounds: Bounds, options: list[bytes]) -> Bounds:
    words = [word.upper() for word in options]
    if b"LIMIT" not in words:
        return bounds
    at = words.index(b"LIMIT")
    offset, count = integer(options[at + 1]), integer(options[at + 2])
    start = bounds[0] + offset
    if offset < 0:
        return start, start
    return start, bounds[1] if count < 0 else min(bounds[1], start + count)


STORED: Table = {
    b"ZUNIONSTORE": _joined(_union),
    b"ZINTERSTORE": _joined(_intersection),
    b"ZDIFFSTORE": _joined(_difference),
    b"ZRANGESTORE": _range,
}
