"""A data directory whose journal holds a number of mixed writes and has no base yet.

    python -m loadtest.compare.load.journaled DIRECTORY WRITES

Of ten writes, six submit a score to one of ten boards, two count and two are about sessions: of
these, one in four creates one, the others patch one. The store is the service's own, without
doors. Each write is alone in its turn of the event loop, so each is a batch of its own: more of
them than any load over HTTP would make, where those that arrive together share one.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable
from pathlib import Path

import uvloop

from realtime.backends.base import Submit
from realtime.embedded_store import EmbeddedStore
from realtime.services import Services
from realtime.settings import Settings

__all__ = ["Writes", "write"]

BOARDS = 10
MEMBERS = 20_000
"""Of each board."""
COUNTERS = 50_000
USERS = 20_000
IDLE, ABSOLUTE = 86_400.0, 864_000.0
"""Seconds that a session lives: longer than anybody measures."""


class Writes:
    """One write after the other, the same ones at every run but for the ids of sessions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._draw = random.Random(11)
        self._sessions: list[str] = []
        self._number = 0

    def next(self) -> Awaitable[object]:
        self._number += 1
        kind = self._number % 10
        if kind < 6:
            return self._submit()
        return self._count() if kind < 8 else self._session()

    def _submit(self) -> Awaitable[object]:
        member = b"player:%d" % self._draw.randrange(MEMBERS)
        entry = Submit(member, float(self._number))  # higher than any before: it changes the board
        board = f"board:{self._draw.randrange(BOARDS)}"
        return self._services.leaderboards.submit(board, [entry])

    def _count(self) -> Awaitable[object]:
        return self._services.counters.add(f"page:{self._draw.randrange(COUNTERS)}")

    def _session(self) -> Awaitable[object]:
        if self._draw.randrange(4) and self._sessions:
            chosen = self._draw.choice(self._sessions)
            changes = {"last": b'"/page/%d"' % self._number}
            return self._services.sessions.patch(chosen, changes, [])
        return self._log_in()

    async def _log_in(self) -> None:
        user = f"user:{self._draw.randrange(USERS)}"
        data = {"theme": b'"dark"', "cart": b"[1,2,3]"}
        session_id, _ = await self._services.sessions.create(
            user, data, idle_timeout=IDLE, absolute_timeout=ABSOLUTE
        )
        self._sessions.append(session_id)


async def write(data: Path, number: int) -> None:
    """Raises SnapshotError if not all of them are on disk when it returns."""
    store = EmbeddedStore(Settings(data=data, durability="bounded:10000", compaction_ratio=0))
    await store.load(lambda words: None)
    writes = Writes(Services.on(store.backend))
    for _ in range(number):
        await writes.next()
        await asyncio.sleep(0)  # the turn ends, and the batch is sealed
    await store.close()


if __name__ == "__main__":
    uvloop.run(write(Path(sys.argv[1]), int(sys.argv[2])))
