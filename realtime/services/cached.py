"""A bounded copy of what lies in the store and hardly ever changes: rules, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["Cached"]

T = TypeVar("T")

CAPACITY = 10_000
"""Names kept. Callers choose names, so this must end; a name beyond it costs one read."""


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

    def put(self, name: str, value: T) -> None:
        """Write-through: call it after the store has the value."""
        if len(self._values) >= CAPACITY:
            del self._values[next(iter(self._values))]
        self._values[name] = value

    def forget(self, name: str) -> None:
        self._values.pop(name, None)
