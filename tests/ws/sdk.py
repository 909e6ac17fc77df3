"""The stock Python client as tests use it: connected within the test, its events awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import centrifuge

__all__ = ["PATIENCE", "Client", "Events", "connecting", "data", "subscribed"]

PATIENCE = 60.0
"""Seconds: a machine may be slow, and time is not what is tested."""

Client = Callable[..., Awaitable[Any]]


class Events:
    """The events of a client or a subscription, by kind, to be awaited one by one."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[Any]] = {}

    def __getattr__(self, name: str) -> Callable[[Any], Awaitable[None]]:
        async def note(event: object) -> None:
            self._of(name).put_nowait(event)

        return note

    async def next(self, kind: str) -> Any:
        return await asyncio.wait_for(self._of(f"on_{kind}").get(), PATIENCE)

    def left(self, kind: str) -> int:
        """How many nobody has awaited."""
        return self._of(f"on_{kind}").qsize()

    def _of(self, name: str) -> asyncio.Queue[Any]:
        return self._queues.setdefault(name, asyncio.Queue())


@contextlib.asynccontextmanager
async def connecting() -> AsyncIterator[Client]:
    """``await connect(url, **options)`` answers a client that is on its way; all are gone in the
    end."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(url: str, **options: Any) -> Any:
            usual = {
                "events": Events(),
                "min_reconnect_delay": 0.01,
                "max_reconnect_delay": 0.05,
                "max_server_ping_delay": PATIENCE,
                "timeout": PATIENCE,
                "proxy": None,
            }
            client = centrifuge.Client(url, **(usual | options))
            await client.connect()
            stack.push_async_callback(client.disconnect)
            return client

        yield connect
    # The client closes its sockets in tasks that nobody waits for.
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    rest = {task for task in rest if "centrifuge" in repr(task) or "websockets" in repr(task)}
    if rest:
        await asyncio.wait(rest, timeout=PATIENCE)


async def subscribed(client: Any, channel: str, **options: Any) -> tuple[Any, Events]:
    events = Events()
    sub = client.new_subscription(channel, events=events, **options)
    await sub.subscribe()
    await sub.ready(PATIENCE)
    return sub, events


async def data(events: Events, count: int) -> list[Any]:
    """Of the next publications."""
    return [(await events.next("publication")).pub.data for _ in range(count)]
