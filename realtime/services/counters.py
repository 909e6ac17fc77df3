"""Counters: 64-bit integers that many callers change at once."""

from __future__ import annotations

from collections.abc import Sequence

from realtime.backends.base import Backend, NotAnInteger, OutOfBounds
from realtime.backends.keys import counter_key
from realtime.errors import Conflict, InvalidInput
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes

__all__ = ["Counters"]


class Counters:
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend) -> None:
        self._counters = backend.counters
        self._values = backend.values

    async def add(
        self,
        name: str,
        by: int = 1,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        ttl: float | None = None,
    ) -> int:
        """The new value. ``ttl`` (seconds) applies only if this call creates the counter.

        Raises Conflict, changing nothing, if the value would leave the bounds or 64 bits.
        """
        if minimum is not None and maximum is not None and minimum > maximum:
            raise InvalidInput("min must not be above max", path="$.min")
        duration = None if ttl is None else microseconds("ttl", ttl)
        try:
            return await self._counters.add(
                _key(name), by, minimum=minimum, maximum=maximum, ttl=duration
            )
        except (OutOfBounds, NotAnInteger) as error:
            raise Conflict(f"counter {name!r}: {error}") from None

    async def get(self, name: str) -> int | None:
        return (await self.get_many([name]))[0]

    async def get_many(self, names: Sequence[str]) -> list[int | None]:
        try:
            return await self._counters.get([_key(name) for name in names])
        except NotAnInteger as error:
            raise Conflict(str(error)) from None

    async def set(self, name: str, value: int) -> int:
        """Store a value that never expires."""
        await self._counters.set(_key(name), value)
        return value

    async def delete(self, name: str) -> bool:
        return await self._values.delete(_key(name)) > 0


def _key(name: str) -> bytes:
    return counter_key(name_bytes("counter", name))
