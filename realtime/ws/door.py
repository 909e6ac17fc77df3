"""What all connections of the WebSocket door share, and the bounds they live in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from realtime.access import Access
from realtime.services import Services
from realtime.services.departures import Departures
from realtime.services.live_channels import LiveChannels
from realtime.settings import Settings
from realtime.tokens import TokenError
from realtime.ws.clients import Clients
from realtime.ws.entrance import ConnectionLimits, Entrance
from realtime.ws.handshake import Rejection
from realtime.ws.hub import Hub
from realtime.ws.joins import Joins
from realtime.ws.quotas import Quotas, Rates
from realtime.ws.rpc import Perform

if TYPE_CHECKING:
    from realtime.ws.client import Client

__all__ = ["Door", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Bounds of one connection, and where pages may connect from. Times are seconds."""

    allowed_origins: frozenset[str] = frozenset()
    """Web pages that may connect besides our own: ``https://game.example``. ``*``: all."""
    ping_interval: float = 25.0
    """Stock clients reconnect after 10 s more than this without a word. 0: no pings."""
    pong_timeout: float = 8.0
    connect_timeout: float = 10.0
    """From the handshake to a successful connect command."""
    close_timeout: float = 2.0
    """How long a peer may take to read up to our close frame and answer it."""
    queue_bytes: int = 1024 * 1024
    """What may wait for one slow reader before it is closed."""
    message_bytes: int = 64 * 1024
    """The largest frame, or fragmented message, that a client may send."""
    deflate: bool = False
    """Whether clients that want it are sent compressed frames, and may send such."""
    deflate_bytes: int = 512
    """Frames shorter than this are not compressed."""
    max_channels: int = 128
    """Subscriptions of one connection."""
    recovery_limit: int = 300
    """Publications in a recovery or a page of history, at most."""
    token_grace: float = 25.0
    """How long after its end a token may still be replaced."""
    personal_channels: bool = False
    """Whether every user is subscribed to the channel ``#user``."""
    rates: Rates = field(default_factory=Rates)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)

    @classmethod
    def of(cls, settings: Settings) -> Options:
        """What the settings of the service say of this door."""
        return cls(
            allowed_origins=frozenset(settings.allowed_origins),
            ping_interval=settings.ws_ping_interval,
            pong_timeout=settings.ws_pong_timeout,
            connect_timeout=settings.ws_connect_timeout,
            queue_bytes=settings.ws_queue_bytes,
            message_bytes=settings.ws_message_bytes,
            deflate=settings.ws_deflate,
            deflate_bytes=settings.ws_deflate_bytes,
            max_channels=settings.ws_max_channels,
            token_grace=settings.token_grace,
            personal_channels=settings.personal_channels,
            rates=Rates(
                commands=settings.ws_command_rate,
                bytes=settings.ws_byte_rate,
                subscribes=settings.ws_subscribe_rate,
                user_commands=settings.ws_user_command_rate,
                user_bytes=settings.ws_user_byte_rate,
                patience=settings.ws_patience,
            ),
            connections=ConnectionLimits(
                settings.ws_connection_rate, settings.ws_connections_per_user or None
            ),
        )

    @property
    def counts_users(self) -> bool:
        """Whether it matters how many connections a user has."""
        return self.connections.per_user is not None

    @property
    def reply_bytes(self) -> int:
        """A reply this large still leaves room in the queue for what comes while it is read."""
        return self.queue_bytes // 2


@dataclass(frozen=True, slots=True)
class Door:
    """One per process."""

    hub: Hub
    services: Services
    access: Access
    options: Options
    live: LiveChannels
    clients: Clients[Client] = field(default_factory=Clients)
    now: Callable[[], float] = time.time
    """Seconds since 1970: tokens say in these when they end."""
    node: str = field(default_factory=lambda: uuid4().hex)
    """The name of this process among those that share a store."""
    operations: Perform | None = None
    """What an rpc may ask for; None: nothing."""
    on_message: Callable[[Client, bytes], None] | None = None
    """Called with the JSON text of what a client sends without asking for a reply."""
    departures: Departures | None = None
    """Who wants to know of users who come and go; None: nobody does."""
    quotas: Quotas = field(init=False)
    entrance: Entrance = field(init=False)
    joins: Joins = field(init=False)

    def __post_init__(self) -> None:
        options, clock = self.options, self.hub.wheel.clock
        quotas = Quotas(options.rates, self.services.backend.buckets, clock)
        entrance = Entrance(options.connections, clock, self.clients.count)
        joins = Joins(self.hub, self.services.backend, self.node)
        object.__setattr__(self, "joins", joins)
        object.__setattr__(self, "quotas", quotas)
        object.__setattr__(self, "entrance", entrance)

    async def arrived(self, user: str) -> None:
        """A connection of the user begins: its first answer waits for this."""
        if self.departures is not None and user:
            await self.departures.arrive(user)

    async def departed(self, user: str) -> None:
        """A connection of the user has ended: the last one here, if no client is left of it."""
        if self.departures is not None and user and not self.clients.count(user):
            await self.departures.leave(user)

    def turn_away(self, bearer: str) -> Rejection | None:
        """Why a connection is not opened; None counts it, and lets it in.

        ``bearer`` is what the request says of who comes; only the connect command may tell.
        """
        return self.entrance.turn_away(self._user(bearer) if self.options.counts_users else "")

    def _user(self, bearer: str) -> str:
        if not bearer:
            return ""
        try:
            principal = self.access.principal(bearer)
        except TokenError:
            return ""  # connecting will show it
        return "" if principal is None else principal.user
