"""The commands of strings, as a journal has them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal, InvalidOperation

from engine.keyspace import text
from engine.persistence.arguments import INT64, deadline, double, held, integer, pairs
from engine.persistence.commands import Command
from engine.persistence.errors import Malformed
from engine.persistence.replay_state import Handler, State, Table

__all__ = ["STRINGS", "added"]

MAX_STRING = 512 * 1024 * 1024
"""Bytes, as in Redis: what an offset in SETRANGE can make us allocate."""

_FRACTION = Decimal(1).scaleb(-17)
_EXACT = Context(prec=400)
"""Redis adds in its longest binary floating point and writes 17 digits behind the point."""


def _set(state: State, command: Command) -> None:
    if len(command) == 3:  # the two forms that the engine announces come first
        state.keyspace.put(command[1], held(command[2]))
    elif len(command) == 5 and command[3] == b"PXAT":
        state.keyspace.put(command[1], held(command[2]), deadline(b"PXAT", command[4], 0))
    else:
        _set_with_options(state, command)


def _set_with_options(state: State, command: Command) -> None:
    _, key, value, *options = command
    until = None
    words = iter(map(bytes.upper, options))
    for word in words:
        if word in (b"EX", b"PX", b"EXAT", b"PXAT"):
            until = deadline(word, _next(words), state.now)
        elif word == b"KEEPTTL":
            until = state.keyspace.deadline(key)
        elif word in (b"NX", b"XX"):
            if (key in state.values) == (word == b"NX"):
                return
        elif word != b"GET":
            raise Malformed(f"SET has no option {word[:40]!r}")
    state.keyspace.put(key, held(value), until)


def _next(words: Iterator[bytes]) -> bytes:
    word = next(words, None)
    if word is None:
        raise Malformed("an option has no value")
    return word


def _set_new(state: State, command: Command) -> None:
    _, key, value = command
    if key not in state.values:
        state.keyspace.put(key, held(value))


def _set_for(unit: bytes) -> Handler:
    def handler(state: State, command: Command) -> None:
        _, key, duration, value = command
        state.keyspace.put(key, held(value), deadline(unit, duration, state.now))

    return handler


def _set_many(state: State, command: Command) -> None:
    for key, value in pairs(command[1:]):
        state.keyspace.put(key, held(value))


def _set_many_new(state: State, command: Command) -> None:
    if state.values.keys().isdisjoint(command[1::2]):
        _set_many(state, command)


def _get_and_set(state: State, command: Command) -> None:
    _, key, value = command
    state.keyspace.put(key, held(value))


def _get_and_delete(state: State, command: Command) -> None:
    _, key = command
    state.keyspace.delete(key)


def _get_and_expire(state: State, command: Command) -> None:
    key, options = command[1], [word.upper() for word in command[2:]]
    value = state.string(key)
    if value is None or not options:
        return
    if options == [b"PERSIST"]:
        state.keyspace.put(key, value)
    else:
        unit, number = options
        state.keyspace.set_deadline(key, _until(unit, number, state.now))


def _until(unit: bytes, number: bytes, now: int) -> int:
    if unit not in (b"EX", b"PX", b"EXAT", b"PXAT"):
        raise Malformed(f"there is no unit {unit[:40]!r}")
    return deadline(unit, number, now)


def _append(state: State, command: Command) -> None:
    _, key, tail = command
    before = state.string(key)
    state.keep(key, held(tail) if before is None else held(text(before) + tail))


def _set_range(state: State, command: Command) -> None:
    _, key, offset, part = command
    start, before = integer(offset), state.string(key)
    if not part:
        return
    if not 0 <= start <= MAX_STRING - len(part):
        raise Malformed(f"SETRANGE at {start} is beyond what a string may have")
    old = b"" if before is None else text(before)
    state.keep(key, held(old[:start].ljust(start, b"\0") + part + old[start + len(part) :]))


def _increment(sign: int) -> Handler:
    def handler(state: State, command: Command) -> None:
        key = command[1]
        by = integer(command[2]) if len(command) > 2 else 1
        value = state.string(key)
        before = 0 if value is None else integer(text(value))
        state.keep(key, _within(before + sign * by))

    return handler


def _within(number: int) -> int:
    if number not in INT64:
        raise Malformed(f"{number} does not fit 64 bits")
    return number


def _increment_float(state: State, command: Command) -> None:
    _, key, by = command
    value = state.string(key)
    state.keep(key, held(added(b"0" if value is None else text(value), by)))


def added(number: bytes, by: bytes) -> bytes:
    """The sum of two decimal numbers, as Redis writes it. O(digits)."""
    for part in (number, by):
        double(part)  # raises for what Redis would not take for a number
    try:
        total = _EXACT.add(Decimal(number.decode()), Decimal(by.decode()))
        digits = format(total.quantize(_FRACTION, context=_EXACT), "f")
    except InvalidOperation:
        raise Malformed(f"{number[:40]!r} and {by[:40]!r} have no sum") from None
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0")
    return (f"{whole}.{fraction}" if fraction else whole).encode()


STRINGS: Table = {
    b"SET": _set,
    b"SETNX": _set_new,
    b"SETEX": _set_for(b"EX"),
    b"PSETEX": _set_for(b"PX"),
    b"MSET": _set_many,
    b"MSETNX": _set_many_new,
    b"GETSET": _get_and_set,
    b"GETDEL": _get_and_delete,
    b"GETEX": _get_and_expire,
    b"APPEND": _append,
    b"SETRANGE": _set_range,
    b"INCR": _increment(1),
    b"INCRBY": _increment(1),
    b"DECR": _increment(-1),
    b"DECRBY": _increment(-1),
    b"INCRBYFLOAT": _increment_float,
}
