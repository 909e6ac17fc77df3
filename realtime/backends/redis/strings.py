"""Strings, the counters that strings may hold, and hashes, in Redis.

Where Redis has a command that means what the seam means, that command is sent. A counter with
bounds needs a script, and so do several counters at once: MGET would take a key of another type
for an absent one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from redis.crc import key_slot

from realtime.backends.base import EngineError, NotAnInteger, OutOfBounds, WrongType
from realtime.backends.redis.calls import Calls, CommandFailed, misuse
from realtime.backends.redis.scripts import load
from realtime.backends.redis.typed import TypedCalls

__all__ = ["Counters", "Hashes", "Values"]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

ADD = load("counter_add", "_int64", writes=True)
GET_ALL = load("counters_get", writes=False)
PUT = load("hash_put", "_chunks", writes=True)
PATCH = load("hash_patch", "_chunks", writes=True)
COMMIT = load("hash_commit", writes=True)


class Values:
    """Strings: see `realtime.backends.base.Values`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = TypedCalls(calls, "string")

    async def get(self, key: bytes) -> bytes | None:
        value: bytes | None = await self._calls.command(key, b"GET", key)
        return value

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Not MGET, which takes a key of another type for an absent one. What is asked in one
        turn of the loop leaves in one write."""
        if len(keys) == 1:
            return [await self.get(keys[0])]
        return await asyncio.gather(*[self.get(key) for key in keys])

    async def set(
        self, key: bytes, value: bytes, *, ttl: int | None = None, only_if_absent: bool = False
    ) -> bool:
        """PX counts from the millisecond that has begun and is kept through its last one, so
        that rounding up never shortens the time to live."""
        words = [b"SET", key, value]
        if ttl is not None:
            words += (b"PX", b"%d" % max(1, -(-ttl // 1000)))
        if only_if_absent:
            words.append(b"NX")
        return await self._calls.command(key, *words, writes=True) is not None

    async def delete(self, *keys: bytes) -> int:
        """In a cluster the keys lie in one slot. What is large is freed behind everybody's back."""
        if not keys:
            return 0
        deleted: int = await self._calls.command(keys[0], b"UNLINK", *keys, writes=True)
        return deleted


class Counters:
    """Strings that hold 64-bit integers: see `realtime.backends.base.Counters`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def add(
        self,
        key: bytes,
        by: int,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        ttl: int | None = None,
    ) -> int:
        """INCRBY knows no bounds but 64 bits, and does not say what it refused to add to."""
        try:
            if minimum is None and maximum is None and ttl is None:
                value: int = await self._calls.command(key, b"INCRBY", key, b"%d" % by, writes=True)
                return value
        except CommandFailed as failed:
            if "overflow" not in str(failed):
                raise _refusal(failed, key) or failed from None
        return await self._add(key, by, minimum, maximum, ttl)

    async def get(self, keys: Sequence[bytes]) -> list[int | None]:
        """One step where one server has them all; in a cluster one per slot."""
        if not keys:
            return []
        if not self._calls.sharded:
            return _integers(keys, await self._calls.run(GET_ALL, keys))
        groups: dict[int, list[bytes]] = {}
        for key in dict.fromkeys(keys):
            groups.setdefault(key_slot(key), []).append(key)
        answers = await asyncio.gather(
            *(self._calls.run(GET_ALL, group) for group in groups.values())
        )
        found: dict[bytes, bytes | int | None] = {}
        for group, texts in zip(groups.values(), answers, strict=True):
            found.update(zip(group, texts, strict=True))
        return _integers(keys, [found[key] for key in keys])

    async def set(self, key: bytes, value: int) -> None:
        if not INT64_MIN <= value <= INT64_MAX:
            raise OutOfBounds(f"{value} does not fit 64 bits", value)
        await self._calls.command(key, b"SET", key, b"%d" % value, writes=True)

    async def _add(
        self, key: bytes, by: int, minimum: int | None, maximum: int | None, ttl: int | None
    ) -> int:
        low = INT64_MIN if minimum is None else minimum
        high = INT64_MAX if maximum is None else maximum
        numbers = (by, max(low, INT64_MIN), min(high, INT64_MAX), 0 if ttl is None else ttl)
        try:
            done, text = await self._calls.run(ADD, [key], *(b"%d" % number for number in numbers))
        except CommandFailed as failed:
            raise _refusal(failed, key) or failed from None
        before = 0 if text is None else _integer(key, text)
        if not done:
            raise OutOfBounds(f"{before} + {by} is outside {low}..{high}", before)
        return before + by


class Hashes:
    """Small records: see `realtime.backends.base.Hashes`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = TypedCalls(calls, "hash")

    async def get(self, key: bytes) -> dict[bytes, bytes] | None:
        fields: dict[bytes, bytes] = await self._calls.command(key, b"HGETALL", key)
        return fields or None

    async def fields(self, key: bytes, names: Sequence[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = await self._calls.command(key, b"HMGET", key, *names)
        return found

    async def put(self, key: bytes, fields: Mapping[bytes, bytes]) -> None:
        flat = [part for pair in fields.items() for part in pair]
        await self._calls.run(PUT, [key], *flat)

    async def patch(
        self, key: bytes, changes: Mapping[bytes, bytes], removals: Sequence[bytes] = ()
    ) -> None:
        flat = [part for pair in changes.items() for part in pair]
        await self._calls.run(PATCH, [key], b"%d" % len(removals), *removals, *flat)

    async def commit(
        self,
        key: bytes,
        seen: Mapping[bytes, bytes | None],
        changes: Mapping[bytes, bytes],
        *,
        present: bytes | None = None,
        values: Mapping[bytes, bytes] | None = None,
        gone: Sequence[bytes] = (),
    ) -> bool:
        values = values or {}
        keys = [key, key if present is None else present, *values, *gone]
        words = [b"%d" % len(seen), b"%d" % len(changes), b"%d" % len(values)]
        for name, text in seen.items():
            words += (name, b"" if text is None else b"+" + text)
        for name, text in changes.items():
            words += (name, text)
        done: int = await self._calls.run(COMMIT, keys, *words, *values.values())
        return done > 0


def _refusal(failed: CommandFailed, key: bytes) -> EngineError | None:
    if "not an integer" in str(failed):
        return NotAnInteger(key)
    return misuse(failed, key, "string")


def _integers(keys: Iterable[bytes], texts: Iterable[bytes | int | None]) -> list[int | None]:
    return [
        None if text is None else _integer(key, text) for key, text in zip(keys, texts, strict=True)
    ]


def _integer(key: bytes, text: bytes | int) -> int:
    """The number of a text; only the one way to write it counts. An int stands for no string."""
    if isinstance(text, int):
        raise WrongType(key, "value of another type", "string")
    try:
        number = int(text)
    except ValueError:
        raise NotAnInteger(key) from None
    if b"%d" % number != text or not INT64_MIN <= number <= INT64_MAX:
        raise NotAnInteger(key)
    return number
