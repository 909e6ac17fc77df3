"""Entries that leave boards by themselves, for whoever shows these boards.

With `entry_ttl` a board changes although nobody does anything, and nobody tells of it. So
whoever has looked at such a board asks when its next entry leaves, and looks again then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime.backends.base import Board
from realtime.backends.keys import board_key
from realtime.services import Services
from realtime.services.names import name_bytes

__all__ = ["Leaving"]

LONGEST = 60.0
"""Seconds after which we ask anew, should the store's clock have been set."""


class Leaving:
    """``note`` is called with a board of which an entry has left, or may have."""

    def __init__(self, services: Services, note: Callable[[str], None]) -> None:
        self._boards = services.leaderboards
        self._sets = services.backend.sorted_sets
        self._note = note
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def expect(self, board: str) -> None:
        """Have the board noted when its next entry leaves. Costs nothing where none does.

        Raises BackendUnavailable."""
        ranking = await self._boards.rules(board)
        if ranking.entry_ttl is None:
            self.forget(board)
            return
        left = await self._sets.leaving(Board(board_key(name_bytes("board", board)), ranking))
        self.forget(board)
        if left is not None:
            seconds = min(left / 1_000_000, LONGEST)
            loop = asyncio.get_running_loop()
            self._timers[board] = loop.call_later(seconds, self._left, board)

    def forget(self, board: str) -> None:
        """Nobody is shown it any more. O(1)."""
        timer = self._timers.pop(board, None)
        if timer is not None:
            timer.cancel()

    def _left(self, board: str) -> None:
        del self._timers[board]
        self._note(board)
