"""Live members on one node, whose intervals pass when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from realtime.backends.base import Backend, Page, Publication, Submit
from realtime.backends.livenames import live_channel
from realtime.services import Services
from realtime.services.live_members import LiveMembers

Shown = dict[str, Any]

INTERVAL = 0.1

__all__ = ["INTERVAL", "Node", "Shown"]


class Node:
    """A node whose intervals pass when the test says so."""

    def __init__(self, backend: Backend) -> None:
        self.services = Services.on(backend)
        self.pushed: list[Shown] = []
        self.looks: list[tuple[str, int]] = []
        """Every board that was looked at, and for how many members."""
        self.before_look: Callable[[], None] = lambda: None
        self.asleep, self.wake = asyncio.Event(), asyncio.Event()
        self.look = self.services.leaderboards.look
        self.services.leaderboards.look = self._counted  # type: ignore[method-assign]
        self.live = LiveMembers(self.services, self._push, INTERVAL, self._sleep)
        self.task = asyncio.create_task(self.live.run())

    async def _counted(self, board: str, members: Sequence[bytes]) -> tuple[int, Page]:
        self.looks.append((board, len(members)))
        self.before_look()
        return await self.look(board, members)

    def _push(self, channel: bytes, item: Publication, epoch: str) -> None:
        shown = msgspec.json.decode(item.data)
        assert channel.decode() == live_channel(shown["board"], shown["member"])
        assert (item.offset, epoch) == (0, "")
        self.pushed.append(shown)

    async def _sleep(self, interval: float) -> None:
        assert interval == INTERVAL
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()
        self.asleep.clear()

    async def settled(self) -> None:
        """Let it do what there is to do within this interval."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def interval(self) -> None:
        """Let one interval pass, and what is due after it be done."""
        await self.settled()
        if self.asleep.is_set():
            self.wake.set()
        await self.settled()

    async def submit(self, member: str, score: float, board: str = "arcade") -> None:
        await self.services.leaderboards.submit(board, [Submit(member.encode(), score)])

    async def snapshot(self, member: str, board: str = "arcade") -> Shown:
        data = await self.live.snapshot(live_channel(board, member))
        assert data is not None
        answer: Shown = msgspec.json.decode(data)
        return answer

    def ended(self, member: str, board: str = "arcade") -> None:
        self.live.ended(live_channel(board, member))

    def news(self) -> list[tuple[str, int | None, float | None, int | None]]:
        """What was pushed since the last call."""
        pushed, self.pushed = self.pushed, []
        return [(p["member"], p["rank"], p["score"], p["previous_rank"]) for p in pushed]

    async def end(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task
