"""The live channels of leaderboards: tops of boards, and where their members stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime.services import Services
from realtime.services.live import LiveBoards
from realtime.services.live_members import Deliver, LiveMembers

__all__ = ["LiveChannels"]


class LiveChannels:
    """One of each per process.

    ``watched`` says whether anybody here is subscribed to a channel, ``deliver`` tells those who
    are, and ``interval`` is the least time between two publications on a channel, in seconds.
    """

    def __init__(
        self,
        services: Services,
        watched: Callable[[str], bool],
        deliver: Deliver,
        interval: float = 0.1,
    ) -> None:
        self.boards = LiveBoards(services, watched, interval)
        self.members = LiveMembers(services, deliver, interval)

    async def snapshot(self, channel: str) -> bytes | None:
        """What a new subscriber of ``channel`` is to see first; None if it is no live channel.

        To be called when the subscriber counts as watching already."""
        top = await self.boards.snapshot(channel)
        return await self.members.snapshot(channel) if top is None else top

    def ended(self, channel: str) -> None:
        """The last subscriber of a channel, of whatever kind, has gone. O(1)."""
        self.members.ended(channel)

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self.boards.run())
            both.create_task(self.members.run())
