"""A bounded copy of what lies in the store and hardly ever changes: rules, by name.

Where this process is the only writer, a value is right until this process changes it, or
replaces everything, and asking for one is a look-up. Where others share the store, a value is
kept as long as its key is watched and has not changed: the watch comes first, then the load
(see `Watches`), and what changes while it is being loaded answers who asked for it, and is not
kept.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from realtime.backends.base import Backend, Watches

__all__ = ["Cached", "Watched", "cached"]

T = TypeVar("T")

CAPACITY = 10_000
"""Names kept. Callers choose names, so this must end; a name beyond it costs one read."""

KEEP = 5.0
"""Seconds that a watched value is kept, should the news of a change ever get lost."""


class Cached(Generic[T]):
    """name -> value, loaded at the first use. The oldest goes when it is full."""

    __slots__ = ("_load", "_values")

    def __init__(self, load: Callable[[str], Awaitable[T]]) -> None:
        self._load = load
        self._values: dict[str, T] = {}

    async def get(self, name: str) -> T:
        """O(1), and one load if the name is not here."""
        value = self._values.get(name)
        if value is None:
            value = await self._load(name)
            if value is not None:
                self.put(name, value)
        return value

    def peek(self, name: str) -> T | None:
        """What is here, without loading."""
        return self._values.get(name)

    @property
    def look(self) -> Callable[[str], T | None]:
        """`peek`, for hot paths."""
        return self._values.get

    def put(self, name: str, value: T) -> None:
        """Write-through: call it after the store has the value."""
        if len(self._values) >= CAPACITY and name not in self._values:
            self.forget(next(iter(self._values)))
        self._values[name] = value

    def forget(self, name: str) -> None:
        self._values.pop(name, None)

    def clear(self) -> None:
        self._values.clear()


class _Mark(NamedTuple):
    """As long as it stands, what was loaded after it was set is right; then it may be kept."""

    key: bytes
    until: float


class Watched(Cached[T]):
    """The same of a store that others write to. ``key`` answers where the value of a name lies."""

    __slots__ = ("_clock", "_key", "_marks", "_names", "_watches")

    def __init__(
        self,
        load: Callable[[str], Awaitable[T]],
        key: Callable[[str], bytes],
        watches: Watches,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(load)
        self._key = key
        self._watches = watches
        self._clock = clock
        self._marks: dict[str, _Mark] = {}
        self._names: dict[bytes, str] = {}
        watches.listen(self._changed)

    async def get(self, name: str) -> T:
        """O(1), and a watch and a load if the name is not here, or no longer."""
        value = self.peek(name)
        return await self._fetch(name) if value is None else value

    def peek(self, name: str) -> T | None:
        value = self._values.get(name)
        if value is not None and self._clock() >= self._marks[name].until:
            self.forget(name)
            return None
        return value

    @property
    def look(self) -> Callable[[str], T | None]:
        return self.peek

    def put(self, name: str, value: T) -> None:
        """Only forgets: somebody else may have written after us, and before we were answered."""
        self.forget(name)

    def forget(self, name: str) -> None:
        super().forget(name)
        mark = self._marks.pop(name, None)
        if mark is not None:
            del self._names[mark.key]

    def clear(self) -> None:
        super().clear()
        self._marks.clear()
        self._names.clear()

    async def _fetch(self, name: str) -> T:
        mark = self._mark(name)
        try:
            await self._watches.watch(mark.key)
            value = await self._load(name)
        except BaseException:
            if self._marks.get(name) is mark:
                self.forget(name)
            raise
        if self._marks.get(name) is mark:
            super().put(name, value)
        return value

    def _mark(self, name: str) -> _Mark:
        """One for all loads that are under way at once: else each would spoil the one before."""
        mark = self._marks.get(name)
        if mark is None:
            mark = self._marks[name] = _Mark(self._key(name), self._clock() + KEEP)
            self._names[mark.key] = name
        return mark

    def _changed(self, key: bytes | None) -> None:
        if key is None:
            self.clear()
        elif (name := self._names.get(key)) is not None:
            self.forget(name)


def cached(
    backend: Backend, load: Callable[[str], Awaitable[T]], key: Callable[[str], bytes]
) -> Cached[T]:
    """The cheapest copy that is right on this backend."""
    if not backend.immediate:
        return Watched(load, key, backend.watches)
    kept = Cached(load)
    backend.watches.listen(lambda _: kept.clear())  # nothing is told of there but a new beginning
    return kept
