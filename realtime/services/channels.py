"""Channels: publish to whoever listens, and let those who were away catch up.

Data is JSON text. Channels named ``leaderboard:{board}`` are live boards: the service
publishes on them and nobody else may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from realtime.backends.base import (
    Backend,
    ClientInfo,
    History,
    Position,
    Publication,
    recover,
)
from realtime.backends.keys import LIVE_PREFIX
from realtime.errors import Forbidden, InvalidInput, TooLarge
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes
from realtime.services.namespaces import Namespaces

__all__ = ["LIVE_PREFIX", "Channels", "HistoryPolicy", "Recovered"]

MAX_HISTORY = 10_000
"""Publications a channel may keep; they lie in memory."""


class HistoryPolicy(NamedTuple):
    """How many publications a channel keeps, and for how many seconds after the last one."""

    size: int
    ttl: float


class Recovered(NamedTuple):
    """The channel's position, whether nothing is missing, and what the subscriber missed."""

    position: Position
    recovered: bool
    publications: list[Publication]


class Channels:
    """Every method may raise InvalidInput for a name, and BackendUnavailable."""

    def __init__(self, backend: Backend, namespaces: Namespaces) -> None:
        self.namespaces = namespaces
        self._channels = backend.channels
        self._presence = backend.presence
        self._waits = not backend.immediate

    async def publish(
        self,
        channel: str,
        data: bytes,
        *,
        info: bytes | None = None,
        history: HistoryPolicy | tuple[int, float] | None = None,
    ) -> Position:
        """Deliver and remember. ``Position(0, "")`` if the channel keeps no history."""
        name = name_bytes("channel", channel)
        if channel.startswith(LIVE_PREFIX):
            raise Forbidden(f"only the service publishes on {LIVE_PREFIX} channels")
        return await self._publish(channel, name, data, info, history)

    async def broadcast(
        self,
        channels: Sequence[str],
        data: bytes,
        *,
        history: HistoryPolicy | tuple[int, float] | None = None,
    ) -> list[Position]:
        """Publish the same to several channels, in order; all names are checked first."""
        if any(channel.startswith(LIVE_PREFIX) for channel in channels):
            raise Forbidden(f"only the service publishes on {LIVE_PREFIX} channels")
        names = [name_bytes("channel", channel) for channel in channels]
        if self._waits:  # they leave in order, in one pipeline: one round trip instead of many
            return await asyncio.gather(
                *[
                    self._publish(channel, name, data, None, history)
                    for channel, name in zip(channels, names, strict=True)
                ]
            )
        return [
            await self._publish(channel, name, data, None, history)
            for channel, name in zip(channels, names, strict=True)
        ]

    async def history(
        self, channel: str, *, since: Position | None = None, limit: int = 0, reverse: bool = False
    ) -> History:
        """Up to ``limit`` publications beyond ``since``; 0 for the position alone."""
        return await self._channels.history(
            name_bytes("channel", channel), since=since, limit=limit, reverse=reverse
        )

    async def recover(self, channel: str, since: Position, limit: int) -> Recovered:
        """What a subscriber at ``since`` missed, if it is provably all of it."""
        found = await self._channels.history(
            name_bytes("channel", channel), since=since, limit=limit + 1
        )
        recovered, missed = recover(since, found, limit)
        return Recovered(found.position, recovered, missed)

    async def remove_history(self, channel: str) -> None:
        await self._channels.remove_history(name_bytes("channel", channel))

    async def active(self) -> list[tuple[str, int]]:
        """Channels with somebody in them, and how many, by name."""
        found = await self._presence.channels()
        return sorted((channel.decode(), count) for channel, count in found.items())

    async def presence(self, channel: str) -> list[ClientInfo]:
        return await self._presence.members(name_bytes("channel", channel))

    async def join(self, channel: str, info: ClientInfo) -> None:
        await self._presence.add(name_bytes("channel", channel), info)

    async def leave(self, channel: str, client: str) -> None:
        await self._presence.remove(name_bytes("channel", channel), client)

    async def subscribe(self, channel: str) -> None:
        """This process has its first subscriber of the channel."""
        await self._channels.subscribe(name_bytes("channel", channel))

    async def unsubscribe(self, channel: str) -> None:
        """This process has lost its last subscriber of the channel."""
        await self._channels.unsubscribe(name_bytes("channel", channel))

    async def _publish(
        self,
        channel: str,
        name: bytes,
        data: bytes,
        info: bytes | None,
        history: HistoryPolicy | tuple[int, float] | None,
    ) -> Position:
        namespace = self.namespaces.of(channel)
        if len(data) > namespace.message_bytes:
            limit = namespace.message_bytes
            raise TooLarge(f"a publication holds at most {limit} bytes, not {len(data)}")
        kept = (namespace.history_size, namespace.history_ttl)
        size, ttl = kept if history is None else history
        if not 0 <= size <= MAX_HISTORY:
            raise InvalidInput(f"history size must be within 0..{MAX_HISTORY}", path="$.history")
        duration = microseconds("history ttl", ttl) if size and ttl else 0
        return await self._channels.publish(name, data, info=info, size=size, ttl=duration)
