"""Sending everybody away, a few at a time, so that they come back spread out.

A connection costs the process that takes over a handshake, a token and its subscriptions; a
hundred thousand in the same second would be refused or time out, and come back once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from math import ceil

from realtime.ws.conversation import Conversation

__all__ = ["BATCH", "PAUSE", "send_away"]

BATCH = 128
"""Connections closed at once, if there is time enough for so few; it takes some 4 ms."""

PAUSE = 0.1
"""Seconds between two batches."""


async def send_away(
    connections: Iterable[object],
    spread: float,
    *,
    flush: Callable[[], None],
    hurry: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Close the conversations among some connections with 3001, within ``spread`` seconds.

    ``flush`` is called before each batch: what was published by then still reaches it. Once
    ``hurry`` says so, the rest is left to the caller. Answers when the last batch is told; its
    farewells may still be on their way. O(connections).
    """
    leaving = [one for one in connections if isinstance(one, Conversation)]
    size = max(BATCH, ceil(len(leaving) / max(1, spread / PAUSE)))
    for start in range(0, len(leaving), size):
        if start:
            await sleep(PAUSE)
        if hurry():
            return
        flush()
        for connection in leaving[start : start + size]:
            connection.shutdown()
