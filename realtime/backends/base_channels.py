"""The seam's part of channels: publications and presence; the rules are the `base` seam's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from engine.channel import Guard, History, Position, Publication, Published

__all__ = [
    "ChannelListener",
    "Channels",
    "ClientInfo",
    "Guard",
    "History",
    "LossListener",
    "Position",
    "Presence",
    "PresenceStats",
    "Publication",
    "Published",
    "Wildcard",
]


class Wildcard(NamedTuple):
    """The channel on which others are shown, too; what it keeps, and for how long (µs)."""

    channel: bytes
    size: int
    ttl: int


class ClientInfo(NamedTuple):
    """Who stands behind a connection; what is said of them is JSON text, or None."""

    client: str
    user: str
    info: bytes | None = None
    chan_info: bytes | None = None
    """What is said of them in one channel only."""


class PresenceStats(NamedTuple):
    """How many connections are subscribed, and of how many users who have a name."""

    clients: int
    users: int
    nameless: int = 0
    """Connections of those who have none."""


ChannelListener = Callable[[bytes, Publication, str], None]
"""Called as (channel name, publication, epoch), in order; embedded before ``publish`` returns."""

LossListener = Callable[[bytes], None]
"""Called with the name of a channel."""


class Channels(Protocol):
    """Publications; a channel's name is bytes.

    A channel that is shown on a ``wildcard`` must always be named together with it."""

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
        """Deliver, and append to the history unless ``size`` or ``ttl`` is 0.

        Unless the ``guard`` holds it back. Its key is compared first; its version only with
        those of what the channel keeps. On the wildcard the publication has a position of its
        own there, and the name of this channel; it is appended to both or to neither."""

    async def publish_next(
        self, channel: bytes, data: bytes, *, version: bytes, after: int
    ) -> bool:
        """Deliver ``data``, and count the counter ``version`` on from ``after``.

        False, and nothing is done, if the counter is not at ``after`` (absent is 0): somebody
        else was first. Nothing is kept. ``version`` belongs to the board of the channel."""

    async def history(
        self,
        channel: bytes,
        *,
        since: Position | None = None,
        limit: int = 0,
        reverse: bool = False,
        wildcard: Wildcard | None = None,
    ) -> History:
        """Up to ``limit`` publications (0: the position only; negative: all), exclusive of
        ``since``; ``since`` is compared by offset only. A channel that has none gets an epoch."""

    async def remove_history(self, channel: bytes, *, wildcard: Wildcard | None = None) -> None:
        """Drop the publications; the position lives on."""

    def listen(
        self, listener: ChannelListener, lost: LossListener | None = None
    ) -> Callable[[], None]:
        """Hear the publications of subscribed channels; answers the function that ends it.

        All who listen are told of a publication in one step, between which nothing else happens.
        ``lost`` hears of channels of which some may be missing: subscribers have to recover."""

    async def subscribe(self, channel: bytes, *, wildcard: Wildcard | None = None) -> None:
        """This process wants the channel's publications from now on."""

    async def unsubscribe(self, channel: bytes) -> None: ...


class Presence(Protocol):
    """Who is subscribed to what, over all nodes. A user may have several connections; the user
    of an empty name is nobody, and is not counted."""

    async def add(self, channel: bytes, info: ClientInfo) -> bool:
        """Whether this is the first connection of its user in the channel."""

    async def remove(self, channel: bytes, client: str) -> bool:
        """Whether this was the last connection of its user in the channel."""

    async def members(self, channel: bytes) -> list[ClientInfo]: ...

    async def stats(self, channel: bytes) -> PresenceStats:
        """How many are there. O(1)."""

    async def channels(self) -> dict[bytes, int]:
        """Channels with somebody in them, and how many."""
