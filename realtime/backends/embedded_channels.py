"""Channels of the embedded backend: publications, who is here, and what others change.

Publisher and subscribers are in this process: what is published is heard before the publish
returns, nothing is lost on the way, and there is nobody else who could change anything.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.engine import Engine
from realtime.backends.base import (
    ChangeListener,
    ChannelListener,
    ClientInfo,
    History,
    LossListener,
    Position,
)
from realtime.backends.keys import channel_key

__all__ = ["Channels", "Presence", "Watches"]


class Channels:
    def __init__(self, engine: Engine) -> None:
        self._channels = engine.channels
        self._counters = engine.counters

    async def publish(
        self, channel: bytes, data: bytes, *, info: bytes | None = None, size: int = 0, ttl: int = 0
    ) -> Position:
        return self._channels.publish(
            channel, channel_key(channel), data, info=info, size=size, ttl=ttl
        )

    async def publish_next(
        self, channel: bytes, data: bytes, *, version: bytes, after: int
    ) -> bool:
        if (self._counters.get(version) or 0) != after:
            return False
        self._counters.add(version, 1)
        self._channels.publish(channel, channel_key(channel), data)
        return True

    async def history(
        self,
        channel: bytes,
        *,
        since: Position | None = None,
        limit: int = 0,
        reverse: bool = False,
    ) -> History:
        return self._channels.history(
            channel_key(channel), since=since, limit=limit, reverse=reverse
        )

    async def remove_history(self, channel: bytes) -> None:
        self._channels.remove_history(channel_key(channel))

    def listen(
        self, listener: ChannelListener, lost: LossListener | None = None
    ) -> Callable[[], None]:
        """Nothing is lost on the way from this process to itself."""
        return self._channels.listen(listener)

    async def subscribe(self, channel: bytes) -> None:
        """Nothing to ask for: every publication of this engine is made in this process."""

    async def unsubscribe(self, channel: bytes) -> None:
        """See ``subscribe``."""


class Presence:
    """Who is here. It is not stored: when the process dies, nobody is here."""

    def __init__(self) -> None:
        self._channels: dict[bytes, dict[str, ClientInfo]] = {}

    async def add(self, channel: bytes, info: ClientInfo) -> None:
        self._channels.setdefault(channel, {})[info.client] = info

    async def remove(self, channel: bytes, client: str) -> None:
        members = self._channels.get(channel)
        if members is not None and members.pop(client, None) is not None and not members:
            del self._channels[channel]

    async def members(self, channel: bytes) -> list[ClientInfo]:
        return list(self._channels.get(channel, {}).values())

    async def channels(self) -> dict[bytes, int]:
        return {channel: len(members) for channel, members in self._channels.items()}


class Watches:
    """Nobody else changes what this process holds."""

    def listen(self, listener: ChangeListener) -> None:
        """There is nothing to hear."""

    async def watch(self, key: bytes) -> None:
        """See ``listen``."""
