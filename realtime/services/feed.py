"""Feeds: what every node of a service must know, in order and once.

A feed is a channel with history whose name no user can say: it begins with a NUL byte, and
names hold no control characters. Whoever starts it is handed all that is kept, then whatever
is published, on this node or any other; on a store of this process ``publish`` has called the
handlers before it returns.

Nothing is handed over twice and nothing is left out: what arrives is held against the position
of the last one, and where that does not lead on, the history is read from there. After a new
epoch that goes on from the old one, reading begins where the old one ended; after one that does
not, everything that is kept is handed over. Only what was trimmed or had expired before it could
be read is lost, and the log says so.

A handler must not raise, and is called within the event loop: it only notes what it hears.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from realtime.backends.base import Backend, BackendUnavailable, History, Position, Publication
from realtime.services.durations import microseconds

__all__ = ["Feed", "Handler"]

log = logging.getLogger("realtime")

INTERNAL = b"\x00"
"""How the names of channels begin that are not for users."""

AGAIN = 0.5
"""Seconds before a history that could not be read is asked for again."""

Handler = Callable[[bytes], None]
"""Called with what was published."""


class Feed:
    """One internal channel, as seen from this node."""

    def __init__(self, backend: Backend, name: str, size: int, ttl: float) -> None:
        """Keeps ``size`` publications for ``ttl`` seconds after the last one."""
        self._channels = backend.channels
        self._name = INTERNAL + name.encode()
        self._size = size
        self._ttl = microseconds("ttl", ttl)
        self._handlers: tuple[Handler, ...] = ()
        self._had = Position(0, "")
        """The position up to which everything has been handed over."""
        self._behind = True
        """Something may be missing: what arrives is left to the history."""
        self._arrived = False
        """Something was left to the history while it was being read."""
        self._reading: asyncio.Task[None] | None = None
        self._unlisten: Callable[[], None] | None = None

    @property
    def current(self) -> bool:
        """Whether all that was published until now has been handed over, as far as we know."""
        return not self._behind

    async def publish(self, data: bytes) -> Position:
        """Tell all nodes, this one too. O(1). Raises BackendUnavailable."""
        publish = self._channels.publish
        return (await publish(self._name, data, size=self._size, ttl=self._ttl)).position

    def listen(self, handler: Handler) -> Callable[[], None]:
        """Hear what is handed over from now on; answers the function that ends it."""
        self._handlers = (*self._handlers, handler)

        def unlisten() -> None:
            self._handlers = tuple(other for other in self._handlers if other is not handler)

        return unlisten

    async def start(self) -> None:
        """Hand over what is kept, and what is published until ``close``. O(kept).

        While the store is away it is tried again and again, and this returns: see ``current``.
        """
        self._unlisten = self._channels.listen(self._heard, self._lost)
        try:
            await self._catch_up()
        except BackendUnavailable as fault:
            log.warning("feed %s waits for the store: %s", self._label, fault)
            self._read()

    async def close(self) -> None:
        """Hear nothing more."""
        if self._unlisten is not None:
            self._unlisten()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._channels.unsubscribe(self._name)

    @property
    def _label(self) -> str:
        return self._name.removeprefix(INTERNAL).decode()

    def _heard(self, channel: bytes, item: Publication, epoch: str) -> None:
        if channel != self._name:
            return
        if self._behind:
            self._arrived = True
            return
        had = self._had.offset if epoch == self._had.epoch else 0
        if item.offset == had + 1:
            self._had = Position(item.offset, epoch)
            self._hand_over(item)
        elif item.offset > had:
            self._read()

    def _lost(self, channel: bytes) -> None:
        if channel == self._name:
            self._read()

    def _read(self) -> None:
        """Read the history soon: the position no longer leads to what arrives."""
        self._behind = self._arrived = True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._keep_reading())

    async def _keep_reading(self) -> None:
        while self._behind:
            try:
                await self._catch_up()
            except BackendUnavailable:
                await asyncio.sleep(AGAIN)

    async def _catch_up(self) -> None:
        await self._channels.subscribe(self._name)
        while True:
            self._arrived = False
            found = await self._channels.history(self._name, since=self._had, limit=-1)
            if self._follow(found) and not self._arrived:
                self._behind = False
                return

    def _follow(self, history: History) -> bool:
        """Hand over what came since; False if that must be read from another position."""
        had = self._had
        if not history.covers(had):
            past = history.past
            inherited = past.offset if past is not None and past.epoch == had.epoch else 0
            self._had = Position(inherited, history.position.epoch)
            return False
        self._had = history.position
        gone = history.position.offset - had.offset - len(history.publications)
        if had.epoch and gone > 0:
            log.warning("feed %s: %d publications were lost unread", self._label, gone)
        for item in history.publications:
            self._hand_over(item)
        return True

    def _hand_over(self, item: Publication) -> None:
        for handler in self._handlers:
            handler(item.data)
