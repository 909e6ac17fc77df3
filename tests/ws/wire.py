"""A connection without a socket: the transport is a list, which a test lets fill up and drains.

What is fanned out can so be looked at write by write, at any speed of reading.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from realtime.backends.base import Position, Publication
from realtime.ws.codes import Close
from realtime.ws.fan import Flavour
from realtime.ws.framing import WEBSOCKET, Framing
from realtime.ws.hub import Hub
from realtime.ws.outbox import Outbox
from tests.ws.test_framing import unframed

__all__ = ["Wire", "published"]

LIMIT = 64 * 1024
PLAIN = Flavour()


class Wire(asyncio.Transport):
    """One subscriber. ``writes`` are what its transport was given, one by one."""

    def __init__(self, hub: Hub, *, limit: int = LIMIT, framing: Framing = WEBSOCKET) -> None:
        super().__init__()
        self.hub = hub
        self.writes: list[bytes] = []
        self.closed: Close | None = None
        self.outbox = Outbox(hub, self, limit, self._close, framing)
        self._full = 0

    def subscribe(self, channel: str, flavour: Flavour = PLAIN, had: int = 0) -> None:
        """Go live at a position of the epoch ``e``, without a reply."""
        arrival = self.hub.arrive(self.outbox, channel)
        assert self.hub.go_live(arrival, Position(had, "e"), flavour, repeats=False)

    def unsubscribe(self, channel: str) -> bool:
        return self.hub.leave(self.outbox, channel)

    def reply(self, number: int) -> None:
        self.outbox.send(b'{"id":%d}' % number)

    def stall(self, size: int = 0) -> None:
        """The peer reads nothing any more; ``size`` bytes are stuck already."""
        self._full = size
        self.outbox.pause()

    def read_on(self) -> None:
        self._full = 0
        self.outbox.resume()

    def objects(self) -> list[Any]:
        """Everything written since the last call."""
        writes, self.writes = self.writes, []
        text = b"\n".join(payload for data in writes for payload in unframed(data))
        return [json.loads(line) for line in text.split(b"\n")] if text else []

    def heard(self) -> list[str]:
        """The same in few words: ``channel:data`` of a publication, the id of a reply."""
        return [_word(item) for item in self.objects()]

    def end(self) -> None:
        for channel in list(self.outbox.fans):
            self.unsubscribe(channel)

    # What the outbox calls

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return self._full

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The test says when it is full."""

    def _close(self, close: Close) -> None:
        self.closed = close
        self.outbox.drop(b"")


def published(hub: Hub, channel: str, data: object, offset: int = 0, of: str = "") -> None:
    """Deliver a publication as a backend does; ``of``: on which channel a pattern shows it."""
    text = json.dumps(data, ensure_ascii=False).encode()
    item = Publication(offset, text, channel=of.encode() if of else None)
    hub.deliver(channel.encode(), item, "e")


def _word(item: Any) -> str:
    if "push" not in item:
        return str(item["id"])
    push = item["push"]
    if "pub" not in push:
        return next(kind for kind in ("join", "leave") if kind in push)
    return f"{push['channel']}:{push['pub']['data']}"
