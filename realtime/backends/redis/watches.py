"""Hear of changes that other nodes make, by the client-side caching of Redis.

A key that is read after ``CLIENT CACHING YES`` is remembered by the server for this connection;
when it changes, by whomever, the server says so once on the same connection. With the
connection the memory is gone: then everything may have changed.

A server that cannot do that (some managed ones) is taken to have changed everything once a
second: what is kept is then read anew that often.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from realtime.backends.base import BackendUnavailable, ChangeListener
from realtime.backends.redis.calls import CommandFailed
from realtime.backends.redis.link import Link, Push
from realtime.backends.redis.wire import Wire

__all__ = ["Watches"]

log = logging.getLogger("realtime.store")

TRACK = (b"CLIENT", b"TRACKING", b"ON", b"OPTIN")

BLIND = 1.0
"""Seconds for which what was read is kept where the server cannot tell of changes."""


class Watches:
    """See `realtime.backends.base.Watches`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._listeners: tuple[ChangeListener, ...] = ()
        self._blind = False

    def listen(self, listener: ChangeListener) -> None:
        self._listeners = (*self._listeners, listener)

    async def watch(self, key: bytes) -> None:
        try:
            await self._wire.watch(key)
        except CommandFailed as failed:
            raise BackendUnavailable(str(failed)) from None

    def greet(self, link: Link) -> None:
        """A link is up: let the server remember, and forget all that it told before."""
        link.send(TRACK).add_done_callback(self._note_tracking)
        self.doubt()

    def doubt(self) -> None:
        """Anything may have changed: servers that remembered for us are not asked any more."""
        self._tell(None)

    def take(self, push: Push) -> None:
        """What the server said unasked, on a link for questions."""
        if push[0] == b"invalidate":
            for key in push[1] or (None,):  # none: the whole database was emptied
                self._tell(key)

    async def run(self) -> None:
        """Where the server cannot tell, say so in its place, until cancelled."""
        while True:
            await asyncio.sleep(BLIND)
            if self._blind:
                self._tell(None)

    def _note_tracking(self, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled():
            return
        fault = answer.exception()
        if isinstance(fault, CommandFailed):
            if not self._blind:
                log.warning("the store cannot tell of changes, so rules are read anew: %s", fault)
            self._blind = True

    def _tell(self, key: bytes | None) -> None:
        for listener in self._listeners:
            listener(key)
