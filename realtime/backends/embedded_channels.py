"""Channels of the embedded backend: publications, who is here, and what others change.

Publisher and subscribers are in this process: what is published is heard before the publish
returns, nothing is lost on the way, and there is nobody else who could change anything. Only
when everything is replaced at once (`Engine.replace`) all who keep a copy are told, and the
subscribers of all channels have to recover.
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
    def __init__(self, engine: Engine, admission: Admission = ALL_ADMITTED) -> None:
        self._channels = engine.channels
        self._counters = engine.counters
        self._subscribed: set[bytes] = set()
        self._lost: tuple[LossListener, ...] = ()
        engine.replaced.append(self._doubt)
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
        """``lost`` is called when everything was replaced: positions went back in time."""
        unlisten = self._channels.listen(listener)
        if lost is None:
            return unlisten
        self._lost = (*self._lost, lost)

        def unlisten_both() -> None:
            self._lost = tuple(other for other in self._lost if other is not lost)
            unlisten()

        return unlisten_both

    async def subscribe(self, channel: bytes) -> None:
        """Every publication of this engine is made in this process: it is only noted."""
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: bytes) -> None:
        """See ``subscribe``."""
        self._subscribed.discard(channel)

    def _doubt(self) -> None:
        for channel in self._subscribed:
            for lost in self._lost:
                lost(channel)


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
    """Nobody else changes what this process holds, unless all of it is replaced."""

    def __init__(self, engine: Engine) -> None:
        self._listeners: list[ChangeListener] = []
        engine.replaced.append(self._doubt)

    def listen(self, listener: ChangeListener) -> None:
        """Hear when everything was replaced."""
        self._listeners.append(listener)

    async def watch(self, key: bytes) -> None:
        """There is nothing to watch for: no key changes alone without this process."""

    def _doubt(self) -> None:
        for listener in self._listeners:
            listener(None)
