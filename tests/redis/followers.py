"""Clients that follow a channel wherever it leads, and what they must have seen in the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime.backends.base import Position
from tests.redis.waiting import until
from tests.ws.peer import Peer

__all__ = ["Follower", "Row", "all_live", "check", "following"]

PAUSE = 0.05
"""Seconds before a connection that could not be made is tried again."""

Row = tuple[int, Any]
"""(offset, data)"""


@dataclass
class Follower:
    """Follows one channel over whatever service is there, with its position, as a stock client
    does. ``lives`` are what it received between two losses; the flags say how each began."""

    channel: str
    ports: Callable[[], Sequence[int]]
    lives: list[list[Row]] = field(default_factory=lambda: [[]])
    recovered: list[bool] = field(default_factory=list)
    """What it was told at each time that it came back."""
    position: Position | None = None
    live: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def rows(self) -> list[Row]:
        """What it knows to be all, since the last time that it was told otherwise."""
        return self.lives[-1]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            peer = None
            try:
                peer = await Peer.dial(random.choice(list(self.ports())))
                await peer.connect()
                await self._subscribe(peer)
                self.live.set()
                while True:
                    await self._take(peer, await peer.receive())
            except (OSError, EOFError):  # also what `Peer` raises if it is closed or waits too long
                await asyncio.sleep(PAUSE)
            finally:
                self.live.clear()
                if peer is not None:
                    await peer.end()

    async def _subscribe(self, peer: Peer) -> None:
        before = self.position
        more: dict[str, Any] = {}
        if before is not None:
            more = {"recover": True, "offset": before.offset, "epoch": before.epoch}
        reply = await peer.ask(subscribe={"channel": self.channel, **more})
        if "error" in reply:
            raise ConnectionError(f"refused for now: {reply['error']}")
        result = reply["subscribe"]
        if before is not None:
            self.recovered.append(bool(result.get("recovered")))
            if not self.recovered[-1]:
                self.lives.append([])
        self.position = Position(result.get("offset", 0), result["epoch"])
        for publication in result.get("publications", ()):
            self._note(publication)

    async def _take(self, peer: Peer, item: dict[str, Any]) -> None:
        push = item.get("push", {})
        if not item:
            peer.send_text("{}")
        elif "pub" in push:
            self._note(push["pub"])
        elif push.get("unsubscribe", {}).get("code", 0) >= 2500:  # something may be missing
            self.live.clear()
            await self._subscribe(peer)
            self.live.set()

    def _note(self, publication: dict[str, Any]) -> None:
        assert self.position is not None
        offset = publication["offset"]
        self.lives[-1].append((offset, publication["data"]))
        self.position = Position(offset, self.position.epoch)


@contextlib.asynccontextmanager
async def following(followers: Sequence[Follower]) -> AsyncIterator[None]:
    """They follow; inside, all of them are live at first."""
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        await all_live(followers)
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def all_live(followers: Sequence[Follower]) -> None:
    await until(lambda: all(follower.live.is_set() for follower in followers))


def check(follower: Follower, truth: Sequence[Row]) -> None:
    """It has the end of what was published, once and in order: all of it, if it began at the
    beginning and was never told that something is missing."""
    rows = follower.rows
    if len(follower.lives) == 1:
        assert rows == list(truth), (len(rows), len(truth), follower.recovered)
    else:
        assert rows == list(truth)[len(truth) - len(rows) :]
    for life in follower.lives:
        offsets = [offset for offset, _ in life]
        assert offsets == sorted(set(offsets)), "twice, or out of order"
