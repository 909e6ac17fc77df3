"""The composition root: settings in, a running service out. The only module that knows everybody.

    settings -> store -> backend -> services -> live boards, hub -> HTTP and WebSocket doors

Order matters twice. At the start the socket is bound first, so that health checks get an
answer, and everything else says 503 until the snapshot is loaded. At the end the doors
close first, and what they changed is written last.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial

import uvicorn
import uvloop

from realtime.access import Access, Principal
from realtime.collector import Collector
from realtime.direct import direct_http, rendered
from realtime.errors import Unavailable
from realtime.gate import Gate
from realtime.graceful import GracefulServer
from realtime.http import api
from realtime.http.problem import problem
from realtime.http.rpc import Operations
from realtime.metrics import Probe
from realtime.probe import SelfProbe
from realtime.rehearsal import Rehearsal
from realtime.season_probes import season_probes
from realtime.server import HttpBounds, cut_off_slow_requests
from realtime.services import Services
from realtime.services.feed import Feed
from realtime.services.live_channels import LiveChannels
from realtime.services.season_care import SeasonCare
from realtime.services.season_keeper import SeasonKeeper
from realtime.settings import Settings
from realtime.state import ServiceState
from realtime.store import Store, open_store
from realtime.streaming import refusal, streaming_http
from realtime.tokens import Tokens
from realtime.webhooks.webhooks import Webhooks
from realtime.ws.codes import CLOSE_SLOW
from realtime.ws.connection import websocket_protocol
from realtime.ws.control import FEED, KEPT, KEPT_FOR, Control
from realtime.ws.door import Door
from realtime.ws.door import Options as WebSocketOptions
from realtime.ws.governor import Governor
from realtime.ws.hub import Hub
from realtime.ws.revoked import close_revoked
from realtime.ws.streams import Streams

__all__ = ["Application", "serve"]

log = logging.getLogger("realtime")

TICK = 0.1
"""Seconds between two rounds of housekeeping."""

UNCERTAIN = (
    "the change could not be brought to disk: it may survive or not. Read before you try again, "
    "or try again with the same Idempotency-Key"
)
"""For those who were waiting for the disk when it failed."""

BACKLOG = 2_048
"""Connections that may wait to be accepted; uvicorn's own number."""


class Application:
    """One service: its store, its features and its doors."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = ServiceState()
        self.store: Store = open_store(settings)
        self.services = Services.on(self.store.backend, settings.namespaces())
        self.tokens = Tokens.of(settings, self.services.revocations.covers)
        self.access = Access(settings.keys_path, tokens=self.tokens)
        self.hub = Hub(namespaces=self.services.channels.namespaces)
        self.live = LiveChannels(
            *(self.services, self.hub.is_watched, self.hub.deliver),
            settings.leaderboard_live_interval,
        )
        options = WebSocketOptions.of(settings)
        self.webhooks = Webhooks.of(settings, self.store.backend)
        self.seasons = self._season_keeper()
        self.door = Door(
            *(self.hub, self.services, self.access, options, self.live),
            departures=self.webhooks.departures,
            operations=self.operate,
        )
        self.streams = Streams(self.door, refusal)
        self.probe = SelfProbe(self.store.backend, self.hub, time.monotonic)
        self.control = Control(
            self.door.clients,
            self.services.channels.namespaces,
            self.door.node,
            None if settings.is_embedded else Feed(self.store.backend, FEED, KEPT, KEPT_FOR),
        )
        name = f"{platform.node()}_{settings.port}"
        self.governor = Governor(self.door, self.control, name, lambda: self.probe.subscriptions)
        self.services.revocations.on_revoked = partial(close_revoked, self.door.clients)
        self.collector = Collector()
        self.services.backend.channels.listen(self.hub.deliver, self.hub.lost)
        self.http = api.build(
            self.services,
            self.access,
            state=self.state,
            options=api.Options.of(settings),
            snapshots=self.store.snapshots,
            backups=self.store.backups,
            clients=self.governor,
            probes=[*self.store.probes(), *_probes(self), *self._probes_of_tasks()],
        )
        self._operations = Operations(self.http.dispatcher)

    def operate(
        self, caller: Principal, method: str, target: str, body: bytes
    ) -> Awaitable[tuple[int, bytes]]:
        """What an operation of HTTP answers to somebody who asks by another way."""
        return self._operations(caller, method, target, body)

    def server(self) -> GracefulServer:
        """uvicorn, with our protocols at both doors."""
        settings = self.settings
        bounds = HttpBounds(
            header_timeout=settings.header_timeout,
            request_timeout=settings.request_timeout,
            max_header_bytes=settings.max_header_bytes,
            max_connections=settings.max_connections,
        )
        gate = self.store.gate or Gate()
        gate.gathers = True
        self.hub.gate = gate
        gate.refusal = rendered(problem(Unavailable(UNCERTAIN)))
        direct = direct_http(
            bounds,
            lambda: self.state.ready,
            self.http,
            waits=not self.services.backend.immediate,
            gate=gate.wrap,
        )
        config = uvicorn.Config(
            self.http,
            http=streaming_http(self.streams, direct),
            ws=websocket_protocol(self.door),  # type: ignore[arg-type]
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=round(bounds.idle_timeout),
            timeout_graceful_shutdown=settings.shutdown_timeout,
        )
        return GracefulServer(
            config,
            spread=settings.shutdown_spread,
            close_doors=self.close_doors,
            flush=self.hub.flush,
        )

    async def load(self) -> str:
        """Bring back what the last process left; one line about it, for people."""
        line = await self.store.load(self.hear)
        if self.tokens.configured or not self.settings.is_embedded:
            await self.services.revocations.start()
        await self.control.start()
        self.collector.loaded()
        self.state.ready, self.state.reason = True, ""
        return line

    def hear(self, words: str) -> None:
        """How far loading is, for whoever asks. Also called from another thread."""
        self.state.reason = words
        log.info("%s", words)

    def background(self, server: GracefulServer) -> list[Coroutine[object, object, None]]:
        """What runs beside the doors, each until it is cancelled."""
        own = [self.live.run(), self.hub.run(), self.tokens.run(), self._keep_house(server)]
        own += [self.streams.emulation.run(), self.governor.run(), self.seasons.run()]
        if self.settings.rehearse and self.settings.is_embedded:
            own.append(Rehearsal(self.hub).run())
        return [*own, self.probe.run(), *self.webhooks.background(), *self.store.background()]

    async def _keep_house(self, server: GracefulServer) -> None:
        """Every tick a little, every second a little more."""
        loop = asyncio.get_running_loop()
        rounds = 0
        while True:
            await asyncio.sleep(TICK)
            self.store.tick()
            rounds += 1
            if rounds % 10 == 0:
                cut_off_slow_requests(server.server_state.connections, loop.time())
                self.access.refresh()
                self.state.amiss = self.probe.amiss
                self.collector.tick()

    def _season_keeper(self) -> SeasonKeeper:
        backend, boards = self.store.backend, self.services.leaderboards
        care = SeasonCare(backend, boards, boards.archives, self.webhooks.resets)
        return SeasonKeeper(backend, boards, care)

    def _probes_of_tasks(self) -> list[Probe]:
        return [*self.webhooks.probes(), *season_probes(self.seasons.figures)]

    def close_doors(self) -> None:
        """Let nobody in any more who would stay; what has begun goes on."""
        self.state.leaving = True
        self.webhooks.wind_down()
        self.door.entrance.closed = "the service is shutting down"

    async def close(self) -> None:
        """Write what is unwritten. The doors are closed by now. Raises SnapshotError."""
        self.state.ready, self.state.reason = False, "shutting down"
        await self.seasons.close()
        await self.webhooks.close()
        await self.services.revocations.close()
        await self.control.close()
        await self.store.close()


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. ``announce`` gets one line per door, once it is open.

    Raises OSError if the address cannot be bound, SnapshotError if the data cannot be
    loaded or written, DirectoryInUse if another process has it.
    """
    uvloop.run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[str], None]) -> None:
    application = Application(settings)
    server = application.server()
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    background: list[asyncio.Task[None]] = []
    try:
        loaded = await application.load()
        background = [asyncio.create_task(work) for work in application.background(server)]
        for task in background:
            task.add_done_callback(lambda done: _stop_if_failed(done, server))
        for line in _doors(host, port, loaded, application.access.open):
            announce(line)
        await serving
    finally:
        server.should_exit = True
        await serving
        for task in background:
            task.cancel()
        await application.close()
        for task in background:
            if not task.cancelled() and task.done() and task.exception() is not None:
                task.result()


def _stop_if_failed(task: asyncio.Task[None], server: GracefulServer) -> None:
    """A service that cannot keep house must not pretend to be well: it stops, and exits 1."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("stopping: %r", task.exception())
        server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket: whoever comes before we are ready waits, and is not turned away.

    It listens before anything is loaded, so that a second start fails fast.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _doors(host: str, port: int, loaded: str, is_open: bool) -> Iterator[str]:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    yield f"HTTP       http://{address}"
    yield f"WebSocket  ws://{address}/connection/websocket"
    yield f"API docs   http://{address}/docs"
    yield f"Data       {loaded}"
    if is_open:
        yield "Access     no API key exists: everybody on this machine may do everything"


def _probes(application: Application) -> list[Probe]:
    """The figures that only the whole knows."""
    hub, probe = application.hub, application.probe
    return [
        Probe(
            "connections", "Clients' connections open, of all transports.", lambda: hub.connections
        ),
        Probe(
            "subscriptions",
            "Subscriptions of channels.",
            lambda: hub.subscriptions - probe.subscriptions,
        ),
        Probe(
            "publications",
            "Publications sent out.",
            lambda: hub.publications - probe.heard,
            counts=True,
        ),
        Probe(
            "deliveries",
            "Publications written to sockets.",
            lambda: hub.deliveries - probe.heard,
            counts=True,
        ),
        Probe(
            "delivery_seconds",
            "From publishing to a subscriber of this process, when it was last tried.",
            lambda: probe.seconds,
        ),
        Probe(
            "deaf",
            "Whether publications do not arrive at the subscribers of this process: 1, or 0.",
            lambda: float(bool(probe.amiss)),
        ),
        Probe(
            "drops",
            "Publications not delivered, because a subscriber was too slow for them.",
            lambda: hub.drops,
            counts=True,
        ),
        Probe("commands", "WebSocket commands.", lambda: hub.commands, counts=True),
        Probe(
            "slow_closes",
            "Connections closed because they read too slowly.",
            lambda: hub.closes.get(CLOSE_SLOW.code, 0),
            counts=True,
        ),
        *_refusals(application.door.quotas.refusals),
        *_refusals(application.door.entrance.refusals),
        *_refusals(application.services.channels.rates.refusals),
        Probe(
            "collection_seconds",
            "The longest full garbage collection.",
            lambda: application.collector.stats.longest_seconds,
        ),
    ]


def _refusals(counted: Mapping[str, int]) -> Iterator[Probe]:
    """How often each of some limits has refused."""
    for limit in counted:
        yield Probe(
            f"refused_{limit}",
            f"Refused by the limit of {limit.replace('_', ' ')}.",
            partial(counted.__getitem__, limit),
            counts=True,
        )
