"""One client: who it is, and how it comes, stays and goes.

A command is answered by a reply, refused with a number, or ends the connection (see
`realtime.ws.codes`); what each one does once the client has connected is in
`realtime.ws.commands`. Commands are carried out one at a time, in the order they came, and so
is what others do to the client: the service subscribes it to something, its token expires, its
position is lost. Those wait for their turn between two commands (``perform``).

Whatever is sent goes into the connection's `Outbox`; nothing here touches a socket, or knows
whether it is one of WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil
from uuid import uuid4

from realtime import __version__
from realtime.access import Principal
from realtime.backends.base import BackendUnavailable, ClientInfo
from realtime.errors import RealtimeError, TooManyRequests
from realtime.services.namespaces import PERSONAL_PREFIX, Namespace
from realtime.tokens import ChannelOptions
from realtime.ws import codes, messages, pushes
from realtime.ws.codes import Close, Disconnect, Refusal, Refused, Unsubscribed
from realtime.ws.commands import COMMANDS
from realtime.ws.credentials import Admitted, admitted, of_headers
from realtime.ws.door import Door
from realtime.ws.expiry import Expiry, ttl
from realtime.ws.messages import Command, Connect, ConnectResult
from realtime.ws.outbox import Outbox
from realtime.ws.subscriptions import Begun, Subscriptions
from realtime.ws.wish import NO_OPTIONS, Wish, decreed

__all__ = ["Client", "Work"]

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]
"""Something done to a client that it has not asked for. May raise Disconnect."""


class Client:
    """Made with the connection; ``principal`` is None until it has connected."""

    __slots__ = (
        "_close",
        "_expiry",
        "_outbox",
        "_perform",
        "_refused",
        "_subscriptions",
        "bearer",
        "door",
        "id",
        "name",
        "principal",
        "quota",
        "session",
        "since",
        "user",
        "version",
    )

    def __init__(
        self,
        door: Door,
        outbox: Outbox,
        close: Callable[[Close], None],
        perform: Callable[[Work], None],
        session: str = "",
    ) -> None:
        """``close`` ends the connection. ``perform`` has something done soon, between commands.

        ``session`` is a secret by which requests of their own belong to this client, on
        transports that go one way only.
        """
        self.id = str(uuid4())
        self.session = session
        self.user = ""
        self.name = self.version = ""
        """What the program at the other end calls itself."""
        self.since = 0.0
        """When it connected, in seconds since 1970."""
        self.principal: Principal | None = None
        self.bearer = ""
        """The credentials that came with the handshake."""
        self.door = door
        self.quota = door.quotas.of_connection()
        self._outbox = outbox
        self._close = close
        self._perform = perform
        self._refused = False
        """It tried to connect in vain, and is to go."""
        self._subscriptions: Subscriptions | None = None
        self._expiry: Expiry | None = None

    # What the client does

    async def handle(self, command: Command, size: int = 0) -> None:
        """Carry out one command of so many bytes. Raises Disconnect if that ends the connection."""
        number, request = command
        self.door.hub.commands += 1
        self._check_state(number, request)
        try:
            self.quota.admit(size)
            if self.principal is None:
                assert isinstance(request, Connect)
                await self._connect(number, request)
                return
            if self.door.quotas.shared and self.principal.user:
                await self.quota.admit_user(self.principal.user, size)
            await COMMANDS[type(request)](self, number, request)
        except TooManyRequests as error:
            self.quota.refused()
            self.refuse(number, Refusal.of(error))
        except Refused as refused:
            self.refuse(number, refused.refusal)
        except RealtimeError as error:
            self.refuse(number, Refusal.of(error))
        except BackendUnavailable:
            self.refuse(number, codes.INTERNAL)
        except Disconnect:
            raise
        except Exception:
            log.exception("a command failed: %s", type(request).__name__)
            self.refuse(number, codes.INTERNAL)

    def reply(self, number: int, method: bytes, result: messages.Result = None) -> None:
        self._outbox.send(messages.reply(number, method, result))

    def refuse(self, number: int, refusal: Refusal) -> None:
        """A `send` has no number, and is not answered."""
        if number:
            self._outbox.send(messages.error_reply(number, *refusal))

    @property
    def caller(self) -> Principal:
        assert self.principal is not None, "a command before connect got through"
        return self.principal

    @property
    def transport(self) -> str:
        """What its replies and pushes travel by: the name of a `Framing`."""
        return self._outbox.framing.name

    @property
    def subscriptions(self) -> Subscriptions:
        assert self._subscriptions is not None, "a command before connect got through"
        return self._subscriptions

    def namespace(self, channel: str) -> Namespace:
        """Whose options a channel has. Raises Refused, and Disconnect if no channel is named."""
        if not channel:
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("no channel"))
        found = self.door.services.channels.namespaces.find(channel)
        if found is None:
            raise Refused(codes.UNKNOWN_CHANNEL)
        return found

    def renew(self, admission: Admitted) -> messages.RefreshResult:
        """Let it stay on other credentials of the same user. O(1)."""
        self.principal = admission.principal
        self.expire_at(admission.expires)
        result = messages.RefreshResult()
        if admission.expires != math.inf:
            result.expires = True
            result.ttl = ttl(admission.expires, self.door.now())
        return result

    # What others do to it

    def disconnect(self, close: Close = codes.CLOSE_FORCED) -> None:
        """Send this client away; the code says whether it may come back."""
        self._close(close)

    def stands(self) -> bool:
        """Whether it would be let in again now: keys expire and are revoked, tokens as well."""
        return self.principal is not None and self.door.access.stands(self.principal)

    def subscribe(self, wish: Wish) -> None:
        """Subscribe it soon, unless it is already, and tell it."""
        self._do(partial(self._subscribe, wish))

    def unsubscribe(self, channel: str, why: Unsubscribed = codes.SERVER_UNSUBSCRIBED) -> None:
        """Unsubscribe it soon, and tell it."""
        self._do(partial(self._end, channel, why))

    def lost(self, channel: str) -> None:
        """Something on the channel did not reach it: it is to recover. Nothing more comes there."""
        self._do(partial(self._lose, channel))

    def message(self, data: bytes) -> None:
        """Tell this client alone something. ``data`` is JSON text."""
        self._outbox.send(pushes.message(data))

    def expire_at(self, expires: float) -> None:
        """From now on the connection ends then (seconds since 1970); never at infinity. O(1)."""
        if self._expiry is not None:
            self._expiry.clear()
            self._expiry = None
        if expires != math.inf:
            self._expiry = Expiry(
                self.door.hub.wheel, partial(self.disconnect, codes.CLOSE_EXPIRED)
            )
            self._expiry.set(expires, self.door.now(), self.door.options.token_grace)

    async def depart(self) -> None:
        """Forget the client. Its socket is closed already."""
        self._close = _ignore
        self._perform = _ignore_work
        self.expire_at(math.inf)
        if self._subscriptions is not None:
            await self._withdraw()

    # Coming in

    def _check_state(self, number: int, request: messages.Request | None) -> None:
        """Raises Disconnect unless this may come now."""
        is_connect = isinstance(request, Connect)
        if self._refused:
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("connect was refused"))
        if (self.principal is None) is not is_connect:
            detail = "connected already" if is_connect else "connect comes first"
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because(detail))
        if number == 0 and not isinstance(request, messages.Send):
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("a command has an id"))

    async def _connect(self, number: int, request: Connect) -> None:
        self._refused = True
        credentials = request.token or self.bearer or of_headers(request.headers)
        admission = admitted(self.door.access, credentials)
        self.door.entrance.admit(admission.principal.user)
        self.user = admission.user
        self.name, self.version = request.name, request.version
        self._enter(admission)
        try:
            begun = await self._begin_all(self._server_side(request, admission))
            await self.door.arrived(self.user)
        except BaseException:
            await self._withdraw()
            raise
        self._refused = False
        result = self._connected(admission, begun)
        self.reply(number, b"connect", result)
        for one in begun:
            await self.subscriptions.complete(one)

    def _enter(self, admission: Admitted) -> None:
        """From now on others may act upon it."""
        self.since = self.door.now()
        told = None if admission.token is None else admission.token.info
        info = ClientInfo(self.id, self.user, told)
        self._outbox.on_lost = self.lost
        self._subscriptions = Subscriptions(self.door, self._outbox, info, self._on_expiry)
        self.door.clients.enter(self)

    async def _withdraw(self) -> None:
        """Leave nothing behind."""
        self.door.clients.exit(self)
        subscriptions, self._subscriptions = self.subscriptions, None
        try:
            await subscriptions.clear()
        finally:
            await self.door.departed(self.user)

    def _server_side(self, request: Connect, admission: Admitted) -> list[Wish]:
        """What it is subscribed to without asking. Raises Refused and Disconnect."""
        channels: dict[str, ChannelOptions] = {}
        if admission.token is not None:
            channels = dict.fromkeys(admission.token.channels, NO_OPTIONS)
            channels.update(admission.token.subs)
        user = admission.principal.user
        if self.door.options.personal_channels and user:
            channels.setdefault(PERSONAL_PREFIX + user, NO_OPTIONS)
        if len(channels) > self.door.options.max_channels:
            raise Disconnect(codes.CLOSE_CHANNEL_LIMIT)
        return [
            decreed(channel, self.namespace(channel), options, resume=request.subs.get(channel))
            for channel, options in channels.items()
        ]

    async def _begin_all(self, wishes: list[Wish]) -> list[Begun]:
        for wish in wishes:
            self.subscriptions.check(wish.channel)
        if self.door.services.backend.immediate:
            return [await self.subscriptions.begin(wish) for wish in wishes]
        begin = self.subscriptions.begin
        # All of them are waited for, also if one fails: none may go on behind our back.
        outcomes = await asyncio.gather(*map(begin, wishes), return_exceptions=True)
        begun: list[Begun] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            begun.append(outcome)
        return begun

    def _connected(self, admission: Admitted, begun: list[Begun]) -> ConnectResult:
        ping = ceil(self.door.options.ping_interval)
        now = self.door.now()
        result = ConnectResult(self.id, __version__, ping, pong=ping > 0, time=int(now * 1000))
        renewed = self.renew(admission)
        result.expires, result.ttl = renewed.expires, renewed.ttl
        if begun:
            result.subs = {one.wish.channel: one.start.result for one in begun}
        if self.session:
            result.session, result.node = self.session, self.door.node
        return result

    # Between commands

    def _do(self, work: Work) -> None:
        self._perform(partial(self._try, work))

    async def _try(self, work: Work) -> None:
        """What nobody waits for has nobody to tell: it is logged. Raises Disconnect."""
        if self.principal is None or self._subscriptions is None:
            return
        try:
            await work()
        except Refused as refused:
            log.warning("client %s was not subscribed: %s", self.id, refused.refusal.message)
        except RealtimeError as error:
            log.warning("client %s was not subscribed: %s", self.id, error.detail)
        except BackendUnavailable as error:
            log.warning("client %s: the store did not answer: %s", self.id, error)
            raise Disconnect(codes.CLOSE_INSUFFICIENT_STATE) from None

    async def _subscribe(self, wish: Wish) -> None:
        if wish.channel in self.subscriptions:
            return
        self.subscriptions.check(wish.channel)
        begun = await self.subscriptions.begin(wish)
        self._outbox.send(pushes.subscribed(wish.channel, begun.start.result))
        await self.subscriptions.complete(begun)

    async def _end(self, channel: str, why: Unsubscribed) -> None:
        await self.subscriptions.end(channel, why)

    async def _lose(self, channel: str) -> None:
        await self.subscriptions.lose(channel)

    async def _expire(self, channel: str) -> None:
        await self.subscriptions.expire(channel)

    def _on_expiry(self, channel: str) -> None:
        self._do(partial(self._expire, channel))


def _ignore(close: Close) -> None:
    """Closed already; and the connection is not kept alive by being called back."""


def _ignore_work(work: Work) -> None:
    """Nobody is left to do something to."""
