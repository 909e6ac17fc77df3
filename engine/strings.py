"""Strings, and the counters that strings may hold."""

from __future__ import annotations

from engine.core import Core
from engine.errors import NotAnInteger, OutOfBounds
from engine.keyspace import String, text

__all__ = ["Counters", "Strings"]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class Strings:
    """Bytes under a key, with an optional time to live."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def get(self, key: bytes) -> bytes | None:
        """The value, or None. O(1). Raises WrongType."""
        value = self._core.keyspace.string(key, self._core.clock())
        return None if value is None else text(value)

    def set(
        self, key: bytes, value: bytes, *, ttl: int | None = None, only_if_absent: bool = False
    ) -> bool:
        """Store; answer False only if ``only_if_absent`` found a value of any type. O(1)."""
        core = self._core
        now = core.clock()
        if only_if_absent and core.keyspace.get(key, now) is not None:
            return False
        core.put_string(key, value, None if ttl is None else now + ttl)
        return True

    def delete(self, *keys: bytes) -> int:
        """Delete values of any type; how many there were. O(keys)."""
        core = self._core
        now = core.clock()
        return sum(
            1 for key in keys if core.keyspace.get(key, now) is not None and core.delete(key)
        )


class Counters:
    """Signed 64-bit integers. In memory they are ints; elsewhere their decimal text."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def add(
        self,
        key: bytes,
        by: int,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        ttl: int | None = None,
    ) -> int:
        """The new value; ``ttl`` applies if this call creates the counter. O(1).

        Raises OutOfBounds if the value would leave the bounds or 64 bits, NotAnInteger and
        WrongType for what else is stored there; then nothing was changed.
        """
        core = self._core
        now = core.clock()
        value = core.keyspace.string(key, now)
        if value is None:
            before, deadline = 0, None if ttl is None else now + ttl
        else:
            before, deadline = _integer(key, value), core.keyspace.deadline(key)
        after = before + by
        low = INT64_MIN if minimum is None else minimum
        high = INT64_MAX if maximum is None else maximum
        if not (low <= after <= high and INT64_MIN <= after <= INT64_MAX):
            raise OutOfBounds(f"{before} + {by} is outside {low}..{high}", before)
        core.put_string(key, after, deadline)
        return after

    def get(self, key: bytes) -> int | None:
        """The value, or None. O(1). Raises NotAnInteger and WrongType."""
        value = self._core.keyspace.string(key, self._core.clock())
        return None if value is None else _integer(key, value)

    def set(self, key: bytes, value: int) -> None:
        """Store a value that never expires. O(1). Raises OutOfBounds beyond 64 bits."""
        if not INT64_MIN <= value <= INT64_MAX:
            raise OutOfBounds(f"{value} does not fit 64 bits", value)
        self._core.put_string(key, value, None)


def _integer(key: bytes, value: String) -> int:
    """The number a string holds; only the one way to write it counts, as in Redis."""
    if isinstance(value, int):
        return value
    written = text(value)
    try:
        number = int(written)
    except ValueError:
        raise NotAnInteger(key) from None
    if b"%d" % number != written or not INT64_MIN <= number <= INT64_MAX:
        raise NotAnInteger(key)
    return number
