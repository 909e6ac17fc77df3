"""The real door over a real store, within the test's own event loop, on a clock it moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from uvicorn.server import ServerState

from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from realtime.access import Access
from realtime.backends.base import Backend
from realtime.direct import direct_http
from realtime.embedded import Embedded
from realtime.gate import Gate
from realtime.http import api
from realtime.http.rpc import Operations
from realtime.server import HttpBounds
from realtime.services import DEFAULT_NAMESPACES, Services
from realtime.services.feed import Feed
from realtime.services.live_channels import LiveChannels
from realtime.services.namespaces import Namespaces
from realtime.state import ServiceState
from realtime.streaming import refusal, streaming_http
from realtime.ws.connection import websocket_protocol
from realtime.ws.control import FEED, KEPT, KEPT_FOR, Control
from realtime.ws.door import Door, Options
from realtime.ws.governor import Governor
from realtime.ws.hub import Hub
from realtime.ws.streams import Streams
from tests.journaled import journaled
from tests.redis.servers import RedisServer
from tests.redis.stores import opened
from tests.ws.peer import Peer

__all__ = ["House", "Suspending", "WallClock", "house"]

T = TypeVar("T")

YEAR = 365 * 86_400.0
"""Seconds. A node that is alive renews its presence as real time passes, but a test may let
hours pass in a moment: nobody must be taken for gone by that."""


class Suspending:
    """A store whose every answer takes a few turns of the event loop, like one on a wire."""

    def __init__(self, store: Any, turns: int = 3) -> None:
        self._store = store
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name == "listen":
            return method

        async def later(*args: Any, **options: Any) -> Any:
            for _ in range(self._turns):
                await asyncio.sleep(0)
            answer = await method(*args, **options)
            for _ in range(self._turns):
                await asyncio.sleep(0)
            return answer

        return later


class WallClock:
    """Seconds since 1970, as a test says."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@dataclass
class House:
    """Everything a test may want to look at or move."""

    services: Services
    door: Door
    control: Control
    hub: Hub
    live: LiveChannels
    engine_clock: ManualClock
    state: ServerState
    port: int
    peers: list[Peer]
    wall: WallClock
    _now: list[float]

    def pass_time(self, seconds: float) -> None:
        """For deadlines of connections, for tokens and for what the engine keeps."""
        self._now[0] += seconds
        self.wall.at += seconds
        self.engine_clock.advance(round(seconds * SECOND))
        self.hub.wheel.turn()

    async def dial(self, **options: Any) -> Peer:
        """A peer after the WebSocket handshake, or what came of it."""
        self.peers.append(await Peer.dial(self.port, **options))
        return self.peers[-1]

    async def peer(self, token: str = "", **options: Any) -> Peer:
        """A peer after a successful connect command."""
        peer = await self.dial(**options)
        await peer.connect(token)
        return peer

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the event loop turn until the condition holds; the test's time-out ends it."""
        while not condition():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0)

    def send_away(self, client: str) -> None:
        """Close a client's connection for good."""
        found = self.door.clients.get(client)
        assert found is not None
        found.disconnect()

    def shut_down(self) -> None:
        """What uvicorn does first on SIGTERM."""
        for connection in list(self.state.connections):
            connection.shutdown()


def _suspending(backend: Backend) -> Backend:
    return replace(
        backend,
        channels=Suspending(backend.channels),
        presence=Suspending(backend.presence),
        immediate=False,
    )


@contextlib.asynccontextmanager
async def house(
    *,
    options: Options | None = None,
    access: Access | None = None,
    namespaces: Namespaces = DEFAULT_NAMESPACES,
    suspending: bool = False,
    wrap: Callable[[Backend], Backend] | None = None,
    server: RedisServer | None = None,
    journal: Path | None = None,
    wall: WallClock | None = None,
) -> AsyncIterator[House]:
    """A served house; leaving it ends every connection and checks that nobody is left behind.

    Its store is the ``server``, or an engine in this process, whose every change may go into a
    ``journal`` in that folder before anybody is told."""
    async with _backend(server, journal) as (backend, clock, gate):
        wrap = _suspending if suspending else wrap
        services = Services.on(backend if wrap is None else wrap(backend), namespaces)
        wall = wall or WallClock()
        access = access or Access(None, now=wall)
        feed = None if backend.immediate else Feed(backend, FEED, KEPT, KEPT_FOR)
        served = _served(services, clock, access, options or Options(), gate, wall, feed)
        async with served as built:
            yield built


@contextlib.asynccontextmanager
async def _backend(
    server: RedisServer | None, journal: Path | None
) -> AsyncIterator[tuple[Backend, ManualClock, Gate | None]]:
    if server is not None:
        assert server.clock is not None
        async with opened(server, presence_ttl=YEAR) as store:
            yield store.backend, server.clock, None
        return
    clock = ManualClock()
    if journal is None:
        yield Embedded(clock).services.backend, clock, None
        return
    async with journaled(Engine(clock), journal) as (backend, gate):
        yield backend, clock, gate


@contextlib.asynccontextmanager
async def _served(
    services: Services,
    clock: ManualClock,
    access: Access,
    options: Options,
    gate: Gate | None,
    wall: WallClock,
    feed: Feed | None,
) -> AsyncIterator[House]:
    now = [1000.0]
    hub = Hub(lambda: now[0], services.channels.namespaces)
    hub.gate = gate
    live = LiveChannels(services, hub.is_watched, hub.deliver, interval=0)
    services.backend.channels.listen(hub.deliver, hub.lost)
    state = ServerState()
    door = Door(
        *(hub, services, access, options, live),
        now=wall,
        operations=lambda *asked: Operations(plain.dispatcher)(*asked),
    )
    control = Control(door.clients, services.channels.namespaces, door.node, feed)
    governor = Governor(door, control, f"node-{door.node[:4]}")
    ready = ServiceState(ready=True)
    plain = api.build(services, access, state=ready, options=api.Options(), clients=governor)
    protocol = websocket_protocol(door)
    config = uvicorn.Config(plain, ws=protocol, lifespan="off", log_config=None)  # type: ignore[arg-type]
    config.load()
    streams = Streams(door, refusal)
    http = streaming_http(
        streams,
        direct_http(
            HttpBounds(),
            lambda: True,
            plain,
            waits=not services.backend.immediate,
            gate=None if gate is None else gate.wrap,
        ),
    )
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: http(config, state, {}, loop), "127.0.0.1", 0)
    await control.start()
    works = (hub.run(), live.run(), streams.emulation.run(), governor.run())
    running = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0)
    port = server.sockets[0].getsockname()[1]
    built = House(services, door, control, hub, live, clock, state, port, [], wall, now)
    try:
        yield built
    finally:
        server.close()
        built.shut_down()
        built.pass_time(1000)  # nobody answers: their last term ends
        await _drained(built)
        for peer in built.peers:
            await peer.end()
        await control.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _drained(built: House) -> None:
    """Whatever clients did, nothing of them stays behind."""
    await built.until(lambda: not (built.state.connections or built.state.tasks))
    await asyncio.sleep(0)
    hub = built.hub
    await built.until(lambda: len(built.door.clients) == 0 and not built.state.tasks)
    assert (hub.connections, hub.subscriptions, hub._topics) == (0, 0, {})
    assert not built.live.members._boards
    assert not await built.services.channels.active()
