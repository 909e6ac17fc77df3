"""Requests and answers of any length: they pass piece by piece, and are never held as a whole.

Only the long way in has such a `Stream` (see `realtime.direct`): reading the next part and
writing one may have to wait for the client, which is what bounds the memory of both. A request
within a batch has none: its body is there already, and its answer has to be held.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from realtime.backends.base import BackendUnavailable
from realtime.errors import InvalidRequest, RealtimeError
from realtime.http.operation import Headers

__all__ = ["PACE", "PROGRESSED", "Stream"]

log = logging.getLogger("realtime")

PROGRESSED = "progressed"
"""In the ``state`` of a scope: what begins the time anew in which a request has to arrive."""

PACE = 64 * 1024
"""Bytes: a body of any length is no excuse for coming by the byte."""


class Stream:
    """The connection of one request."""

    __slots__ = ("_progressed", "_receive", "outgoing")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._progressed: Callable[[], None] | None = scope.get("state", {}).get(PROGRESSED)
        self.outgoing: AsyncGenerator[bytes, None] | None = None
        """What is to be answered, if an operation has set it; closed in any case."""

    async def parts(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Raises InvalidRequest if the client leaves before its end.

        Each `PACE` of it that was worked off begins the time anew in which it has to arrive.
        """
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidRequest("the client has gone before the end of its request")
            part = message.get("body", b"")
            yield part
            size += len(part)
            if size >= PACE and self._progressed is not None:
                self._progressed()
                size = 0
            if not message.get("more_body", False):
                return

    async def answer(self, status: int, headers: Headers, send: Send, *, with_body: bool) -> None:
        """Send ``outgoing`` as fast as the client reads.

        If something fails in the middle the answer stays without its end, which clients see.
        """
        assert self.outgoing is not None
        async with aclosing(self.outgoing) as parts:
            await send({"type": "http.response.start", "status": status, "headers": [*headers]})
            if with_body:
                try:
                    await self._send_while_read(parts, send)
                except (BackendUnavailable, RealtimeError) as error:
                    log.warning("an answer was cut off: %s", error)
                    return
            await send({"type": "http.response.body", "body": b""})

    async def _send_while_read(self, parts: AsyncIterator[bytes], send: Send) -> None:
        """Until the end, or until the client has gone: sending to nobody is no error."""
        gone = asyncio.ensure_future(self._until_gone())
        try:
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if gone.done():
                    return
        finally:
            gone.cancel()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
