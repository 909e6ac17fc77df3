"""Channels of the embedded backend: publications, who is here, and what others change.

Publisher and subscribers are in this process: what is published is heard before the publish
returns, nothing is lost on the way, and there is nobody else who could change anything. Only
when everything is replaced at once (`Engine.replace`) all who keep a copy are told, and the
subscribers of all channels have to recover.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from engine.channels import Mirror
from engine.engine import Engine
from realtime.backends.base import (
    ChangeListener,
    ChannelListener,
    ClientInfo,
    Guard,
    History,
    LossListener,
    Position,
    PresenceStats,
    Published,
    Wildcard,
)
from realtime.backends.keys import channel_key, result_key

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
        self,
        channel: bytes,
        data: bytes,
        *,
        info: bytes | None = None,
        tags: bytes | None = None,
        size: int = 0,
        ttl: int = 0,
        guard: Guard | None = None,
        wildcard: Wildcard | None = None,
    ) -> Published:
        publish = self._channels.publish
        if guard is None and wildcard is None:
            if size > 0 and ttl > 0:  # else nothing is kept, and nothing needs to be written
                self._admit()
            key = channel_key(channel)
            return publish(channel, key, data, info=info, tags=tags, size=size, ttl=ttl)
        self._admit()
        key = _key(channel, wildcard)
        mirror = None if wildcard is None else _mirror(wildcard)
        result = None if guard is None or guard.key is None else result_key(key, guard.key)
        return publish(
            channel, key, data, info=info, tags=tags, size=size, ttl=ttl,
            guard=guard, result=result, mirror=mirror,
        )  # fmt: skip

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
        wildcard: Wildcard | None = None,
    ) -> History:
        return self._channels.history(
            _key(channel, wildcard), since=since, limit=limit, reverse=reverse
        )

    async def remove_history(self, channel: bytes, *, wildcard: Wildcard | None = None) -> None:
        self._admit()
        self._channels.remove_history(_key(channel, wildcard))

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

    async def subscribe(self, channel: bytes, *, wildcard: Wildcard | None = None) -> None:
        """Every publication of this engine is made in this process: it is only noted."""
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: bytes) -> None:
        """See ``subscribe``."""
        self._subscribed.discard(channel)

    def _doubt(self) -> None:
        for channel in self._subscribed:
            for lost in self._lost:
                lost(channel)


def _key(channel: bytes, wildcard: Wildcard | None) -> bytes:
    return channel_key(channel, None if wildcard is None else wildcard.channel)


def _mirror(wildcard: Wildcard) -> Mirror:
    return Mirror(wildcard.channel, channel_key(wildcard.channel), wildcard.size, wildcard.ttl)


class Presence:
    """Who is here. It is not stored: when the process dies, nobody is here."""

    def __init__(self) -> None:
        self._channels: dict[bytes, _Room] = {}

    async def add(self, channel: bytes, info: ClientInfo) -> bool:
        return self._channels.setdefault(channel, _Room()).enter(info)

    async def remove(self, channel: bytes, client: str) -> bool:
        room = self._channels.get(channel)
        if room is None:
            return False
        last = room.exit(client)
        if not room.clients:
            del self._channels[channel]
        return last

    async def members(self, channel: bytes) -> list[ClientInfo]:
        room = self._channels.get(channel)
        return [] if room is None else list(room.clients.values())

    async def stats(self, channel: bytes) -> PresenceStats:
        room = self._channels.get(channel)
        return PresenceStats(0, 0) if room is None else room.stats()

    async def channels(self) -> dict[bytes, int]:
        return {channel: len(room.clients) for channel, room in self._channels.items()}


class _Room:
    """Who is in one channel."""

    __slots__ = ("clients", "nameless", "users")

    def __init__(self) -> None:
        self.clients: dict[str, ClientInfo] = {}
        self.nameless = 0
        self.users: dict[str, int] = {}
        """User -> connections, for those who have a name."""

    def enter(self, info: ClientInfo) -> bool:
        """Whether the user comes with its first connection."""
        before = self.clients.get(info.client)
        if before is not None and before.user != info.user:
            self.exit(info.client)
            before = None
        self.clients[info.client] = info
        if before is not None:
            return False
        if not info.user:
            self.nameless += 1
            return False
        count = self.users[info.user] = self.users.get(info.user, 0) + 1
        return count == 1

    def exit(self, client: str) -> bool:
        """Whether the user goes with its last connection."""
        info = self.clients.pop(client, None)
        if info is None:
            return False
        if not info.user:
            self.nameless -= 1
            return False
        count = self.users.pop(info.user) - 1
        if count:
            self.users[info.user] = count
        return count == 0

    def stats(self) -> PresenceStats:
        return PresenceStats(len(self.clients), len(self.users), self.nameless)


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
