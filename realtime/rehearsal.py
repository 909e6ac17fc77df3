"""Between publications, one that goes nowhere, so that the next real one finds its way warm.

Publishing touches some thousands of lines of the processor's caches: code, and what it looks at.
Done again and again it takes 20 µs. A process that then idles for ten milliseconds finds that
others have used the caches meanwhile, in a virtual machine above all, and the next publication
waits for memory at every step: 350 µs, before the first subscriber is written to. So as long as
publications keep coming, but not every moment, the same steps are gone through every
millisecond on a stage of its own: a connection that leads nowhere, an engine, a journal and a hub
that nobody else knows. Nothing of it can be seen, counted or met from outside.

    request ──> DirectHttp ──> Door ──> Channels ──> engine ──> Hub ──> Fan ──> nowhere
                                                        └──> Journal ──> /dev/null

Cost: while publications come with gaps between them, some 7 % of a core; otherwise ten looks a
second at one number.
"""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from engine.engine import Engine
from realtime.access import Access
from realtime.backends import embedded
from realtime.backends.base import Position
from realtime.direct import direct_http
from realtime.http.channels import publish
from realtime.http.dispatch import Dispatcher
from realtime.http.door import Door
from realtime.http.endpoint import Endpoint
from realtime.http.idempotency import Once
from realtime.http.router import Router
from realtime.journal.disk import Increment
from realtime.journal.durability import bounded
from realtime.journal.journal import Journal
from realtime.metrics import Meter
from realtime.server import HttpBounds
from realtime.services import Services
from realtime.state import ServiceState
from realtime.ws.fan import Fan, Flavour
from realtime.ws.framing import WEBSOCKET, Framing
from realtime.ws.hub import Hub
from realtime.ws.sinks import Sink

__all__ = ["INTERVAL", "Rehearsal"]

INTERVAL = 0.001
"""Seconds without a publication after which there is a rehearsal, and between two."""

LOOK = 0.1
"""Seconds between two looks at whether publications have begun to come."""

MOST = 200
"""Rehearsals in a row: after that publications are so rare that it is not worth its cost."""

NEVER = 10**12
"""Milliseconds until the journal that keeps nothing is brought to disk."""

CHANNEL = "rehearsal"
BODY = b'{"data":{"text":"' + b"x" * 80 + b'"}}'
REQUEST = (
    b"POST /v1/channels/%b/messages HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (CHANNEL.encode(), len(BODY), BODY)
)


class Rehearsal:
    """Watches the hub of the service, and has a stage of its own."""

    def __init__(self, hub: Hub) -> None:
        self.count = 0
        """Rehearsals so far."""
        self._hub = hub
        self._stage: _Stage | None = None

    @property
    def answered(self) -> int:
        """How many were answered as a publication is."""
        return 0 if self._stage is None else self._stage.meter.statuses.get(HTTPStatus.OK, 0)

    @property
    def delivered(self) -> int:
        """How many arrived at the one who listens."""
        return 0 if self._stage is None else self._stage.hub.deliveries

    async def run(self) -> None:
        """Rehearse whenever it is worth while, until cancelled."""
        seen, left = self._hub.publications, 0
        try:
            while True:
                await asyncio.sleep(INTERVAL if left else LOOK)
                heard = self._hub.publications
                if heard != seen:
                    seen, left = heard, MOST
                elif left:
                    left -= 1
                    self.rehearse()
        finally:
            self.close()

    def rehearse(self) -> None:
        """Go through it once; the rest follows at the end of this turn of the event loop."""
        if self._stage is None:
            self._stage = _Stage()
        self.count += 1
        self._stage.protocol.data_received(REQUEST)

    def close(self) -> None:
        """Nothing is rehearsed any more."""
        if self._stage is not None:
            self._stage.journal.increment.close()


class _Stage:
    """The door of a service that nobody is connected to, and somebody who listens there."""

    def __init__(self) -> None:
        engine = Engine(embedded.system_clock())
        self.journal = Journal(engine.effects, bounded(NEVER))
        self.journal.start(_Nowhere(), 0)
        gate = self.journal.gate
        gate.gathers = True
        services = Services.on(embedded.backend(engine, self.journal))
        self.hub = Hub()
        self.hub.gate = gate
        services.backend.channels.listen(self.hub.deliver, self.hub.lost)
        arrival = self.hub.arrive(_Listener(), CHANNEL)
        self.hub.go_live(arrival, Position(0, ""), Flavour(), repeats=False)
        self.meter = Meter(publish.name)
        door = _door(services, self.meter)
        made = direct_http(HttpBounds(), lambda: True, door, waits=False, gate=gate.wrap)
        config = uvicorn.Config(door, http=made, loop="none", lifespan="off", log_config=None)
        self.protocol = made(config, ServerState(), {})
        self.protocol.connection_made(_NullTransport())


def _door(services: Services, meter: Meter) -> Door:
    """A door with one operation."""
    router: Router[Endpoint] = Router()
    endpoint = Endpoint(publish, {"channels": services.channels}, meter)
    router.add(publish.method, publish.path, endpoint)
    return Door(
        state=ServiceState(ready=True),
        access=Access(None),
        dispatcher=Dispatcher(router, Once(services.backend.values, 1)),
        pages=_no_pages,
        unmatched=Meter("unmatched"),
        body_limit=len(REQUEST),
    )


async def _no_pages(*_: Any) -> None:
    """There are none."""


class _Nowhere(Increment):
    """A journal's file that keeps nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        self.path = Path(os.devnull)
        self.size = 0
        self.distrusted = False
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        self._ragged = False

    def sync(self) -> None:
        """There is nothing to be on disk."""


class _NullTransport(asyncio.Transport):
    """A connection to nobody, who takes everything."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """It is gone."""

    def is_closing(self) -> bool:
        return False


class _Listener:
    """The `Subscriber`."""

    def __init__(self) -> None:
        self.sink: Sink = _NullTransport().write
        self.direct: Sink = self.sink
        self.framing: Framing = WEBSOCKET
        self.lags = False
        self.fans: dict[str, Fan] = {}

    def queue(self, objects: list[bytes]) -> None:
        """Nothing was published while it subscribed."""

    def flush(self) -> None:
        """Nothing is queued."""

    def hold(self, fan: Fan, data: bytes, kept: int, dropped: int) -> None:
        """Never called: it does not lag."""

    def lose(self, channel: str) -> None:
        """Never called: nothing is lost here."""
