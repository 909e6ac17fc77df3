"""Calls to values of one type. An answer that says misuse becomes what the seam raises for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from realtime.backends.redis.calls import Calls, CommandFailed, misuse
from realtime.backends.redis.scripts import Script

__all__ = ["TypedCalls"]


class TypedCalls:
    """As `Calls`, and raises WrongType with the first key where the type is not ``wanted``."""

    __slots__ = ("_calls", "_wanted")

    def __init__(self, calls: Calls, wanted: str) -> None:
        self._calls = calls
        self._wanted = wanted

    async def command(self, key: bytes, *words: bytes, writes: bool = False) -> Any:
        try:
            return await self._calls.command(key, *words, writes=writes)
        except CommandFailed as failed:
            raise misuse(failed, key, self._wanted) or failed from None

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        try:
            return await self._calls.run(script, keys, *args)
        except CommandFailed as failed:
            raise misuse(failed, keys[0], self._wanted) or failed from None
