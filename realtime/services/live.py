"""Live leaderboards: whoever subscribes to ``leaderboard:{board}`` sees the top as it changes.

Every publication is a complete top with ranks and a version that only grows, so nothing
needs to be recovered: the newest one is all there is to know. However many scores come
in, a board is published at most once per interval, and only if its top has changed. A
new subscriber is sent the last publication at once (`LiveBoards.snapshot`).

One task serves all boards; it sleeps while nothing that anybody watches changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from realtime.backends.base import BackendUnavailable, Entry
from realtime.backends.keys import VERSION, board_key
from realtime.services import Services
from realtime.services.channels import LIVE_PREFIX
from realtime.services.leaderboards import json_score
from realtime.services.names import name_bytes

__all__ = ["LiveBoards"]

TOP = 10


class _Shown(NamedTuple):
    """What the subscribers of a board saw last."""

    entries: list[Entry]
    data: bytes


class LiveBoards:
    """Publishes the boards that somebody watches; ``watched`` says it of a channel.

    ``interval`` is in seconds, and ``sleep`` is how it passes; tests let it pass at once.
    """

    def __init__(
        self,
        services: Services,
        watched: Callable[[str], bool],
        interval: float = 0.1,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._services = services
        self._watched = watched
        self._interval = interval
        self._sleep = sleep
        self._shown: dict[str, _Shown] = {}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        services.leaderboards.on_change(self._note)

    async def snapshot(self, channel: str) -> bytes | None:
        """What a new subscriber of ``channel`` is to see first; None if it is no live board."""
        if not channel.startswith(LIVE_PREFIX):
            return None
        board = channel[len(LIVE_PREFIX) :]
        shown = self._shown.get(board)
        if shown is None:
            entries = await self._top(board)
            shown = await self._render(board, entries, step=1 if entries else 0)
            if entries:
                self._shown[board] = shown
        return shown.data

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            boards, self._changed = self._changed, set()
            for board in boards:
                try:
                    await self._publish(board)
                except BackendUnavailable:
                    self._note(board)  # the top is complete each time: a later one replaces it
            await self._sleep(self._interval)

    def _note(self, board: str) -> None:
        if self._watched(LIVE_PREFIX + board):
            self._changed.add(board)
            self._wake.set()
        else:
            self._shown.pop(board, None)

    async def _publish(self, board: str) -> None:
        entries = await self._top(board)
        shown = self._shown.get(board)
        if shown is not None and shown.entries == entries:
            return
        self._shown[board] = shown = await self._render(board, entries, step=1)
        channel = name_bytes("channel", LIVE_PREFIX + board)
        await self._services.backend.channels.publish(channel, shown.data)

    async def _top(self, board: str) -> list[Entry]:
        return (await self._services.leaderboards.page(board, 0, TOP)).entries

    async def _render(self, board: str, entries: list[Entry], step: int) -> _Shown:
        """A ``step`` of 0 stores nothing: subscribing to random names must not fill the store."""
        key = board_key(name_bytes("board", board)) + VERSION
        counters = self._services.backend.counters
        version = await counters.add(key, step) if step else (await counters.get([key]))[0] or 0
        rows = [
            {"rank": entry.rank, "member": entry.member.decode(), "score": json_score(entry.score)}
            for entry in entries
        ]
        document = {"board": board, "version": version, "entries": rows}
        return _Shown(entries, msgspec.json.encode(document))
