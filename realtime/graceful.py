"""Leaving without hurting anybody: what SIGTERM begins, and in which order it ends.

uvicorn stops listening and closes all connections at once. With many WebSockets that is a
storm: all of them come back in the same instant, to the process that takes over. So before
that there is a time in which they are sent away a few at a time:

    SIGTERM ──> the doors are closed: /readyz and new WebSockets get 503, requests are answered
            ──> WebSockets are closed with 3001, in batches, spread over some seconds
            ──> uvicorn's own end: nobody listens, requests under way are answered, then the rest

What is on its way to a client is sent before it is closed. A second Ctrl-C ends the waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from math import ceil
from types import FrameType

import uvicorn

from realtime.ws.shutdown import send_away

__all__ = ["GracefulServer"]

log = logging.getLogger("realtime")


class GracefulServer(uvicorn.Server):
    """uvicorn's server; a signal ends it in good order, and then the process exits 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        spread: float,
        close_doors: Callable[[], None],
        flush: Callable[[], None],
    ) -> None:
        """``spread`` is how many seconds clients are sent away over, at most.

        ``close_doors`` refuses new connections; it is also called within a signal handler, and
        more than once. ``flush`` writes what has been published.
        """
        super().__init__(config)
        self._spread = spread
        self._close_doors = close_doors
        self._flush = flush

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        log.info("shutting down on %s", signal.Signals(sig).name)
        self._close_doors()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send WebSockets away, then all others. Both within the time-out of the shutdown."""
        self._close_doors()
        time = asyncio.get_running_loop().time
        limit = self.config.timeout_graceful_shutdown or 0
        began = time()
        await send_away(
            self.server_state.connections,
            min(self._spread, limit),
            flush=self._flush,
            hurry=lambda: self.force_exit,
        )
        self.config.timeout_graceful_shutdown = max(0, ceil(limit - (time() - began)))
        await super().shutdown(sockets)
