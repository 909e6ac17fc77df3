"""Channels of the embedded backend: publications, who is here, and what others change.

Publisher and subscribers are in this process: what is published is heard before the publish
returns, nothing is lost on the way, and there is nobody else who could change anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

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

__all__ = ["ALL_ADMITTED", "Admission", "Channels", "Presence", "Watches"]


class Admission(Protocol):
    """Says whether anything may be written: not while it could not be written down."""

    @property
    def refusal(self) -> str | None:
        """Why not; None if it may."""

    def admit(self) -> None:
        """Called before a write does anything. Raises WritesRefused."""


class _AllAdmitted:
    """Where nothing is written down, nothing is refused."""

    refusal = None

    def admit(self) -> None:
        """Always."""


ALL_ADMITTED: Final[Admission] = _AllAdmitted()


class Channels:
    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._channels = engine.channels
        self._counters = engine.counters
        self._admit = admission.admit

    async def publish(
        self, channel: bytes, data: bytes, *, info: bytes | None = None, size: int = 0, ttl: int = 0
    ) -> Position:
        if size > 0 and ttl > 0:  # else nothing is kept, and nothing needs to be written
            self._admit()
        return self._channels.publish(
            channel, channel_key(channel), data, info=info, size=size, ttl=ttl
        )

    async def publish_next(
        self, channel: bytes, data: bytes, *, version: bytes, after: int
    ) -> bool:
        self._admit()
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
        self._admit()
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
