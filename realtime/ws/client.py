"""One client: who it is, and what its commands do.

A command is answered by a reply, refused with a number, or ends the connection (see
`realtime.ws.codes`). Commands are carried out one at a time, in the order they came.
Whatever is sent goes into the connection's `Outbox`; nothing here touches a socket.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any
from uuid import uuid4

from msgspec import Raw

from realtime import __version__
from realtime.access import Principal
from realtime.backends.base import BackendUnavailable, ClientInfo, Position, Publication
from realtime.errors import RealtimeError
from realtime.services.channels import LIVE_PREFIX
from realtime.ws import codes, messages
from realtime.ws.codes import Close, Disconnect, Refusal, Refused
from realtime.ws.door import Door
from realtime.ws.messages import Command
from realtime.ws.outbox import Outbox
from realtime.ws.subscriptions import Subscriptions

__all__ = ["Client", "Work"]

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]
"""Something done to a client that it has not asked for. May raise Disconnect."""


class Client:
    """Made with the connection; ``principal`` is None until it has connected."""

    __slots__ = (
        "_close",
        "_door",
        "_outbox",
        "_perform",
        "_subscriptions",
        "_who",
        "bearer",
        "id",
        "principal",
        "user",
    )

    def __init__(
        self,
        door: Door,
        outbox: Outbox,
        close: Callable[[Close], None],
        perform: Callable[[Work], None],
    ) -> None:
        """``close`` ends the connection. ``perform`` has something done soon, between commands."""
        self.id = str(uuid4())
        self.user = ""
        self.principal: Principal | None = None
        self.bearer = ""
        """The key that came with the handshake."""
        self._door = door
        self._outbox = outbox
        self._close = close
        self._perform = perform
        self._who = b""
        self._subscriptions: Subscriptions | None = None

    async def handle(self, command: Command) -> None:
        """Carry out one command. Raises Disconnect if that ends the connection."""
        number, request = command
        self._door.hub.commands += 1
        if self.principal is None and not isinstance(request, messages.Connect):
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("connect comes first"))
        if number == 0 and not isinstance(request, messages.Send):
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("a command has an id"))
        try:
            await _COMMANDS[type(request)](self, number, request)
        except Refused as refused:
            self._refuse(number, refused.refusal)
        except RealtimeError as error:
            self._refuse(number, Refusal.of(error))
        except BackendUnavailable:
            self._refuse(number, codes.INTERNAL)
        except Disconnect:
            raise
        except Exception:
            log.exception("a command failed: %s", type(request).__name__)
            self._refuse(number, codes.INTERNAL)

    def disconnect(self) -> None:
        """Send this client away for good."""
        self._close(codes.CLOSE_FORCED)

    def stands(self) -> bool:
        """Whether it would be let in again now: keys expire and are revoked."""
        return self.principal is not None and self._door.access.stands(self.principal)

    async def depart(self) -> None:
        """Forget the client. Its socket is closed already."""
        self._close = _ignore
        if self._subscriptions is not None:
            self._door.clients.exit(self)
            subscriptions, self._subscriptions = self._subscriptions, None
            await subscriptions.clear()

    async def _connect(self, number: int, request: messages.Connect) -> None:
        if self.principal is not None:
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("connected already"))
        self.principal = principal = self._admit(request.token)
        self.user = principal.name if principal.key else ""
        info = ClientInfo(self.id, self.user)
        self._who = messages.client_info(*info)
        self._subscriptions = Subscriptions(self._door, self._outbox, info)
        self._door.clients.enter(self)
        ping = ceil(self._door.options.ping_interval)
        result = messages.ConnectResult(self.id, __version__, ping, pong=ping > 0)
        self._reply(number, b"connect", result)

    async def _subscribe(self, number: int, request: messages.Subscribe) -> None:
        self._require(request.channel, "read")
        await self._subscribed.add(number, request)

    async def _unsubscribe(self, number: int, request: messages.Unsubscribe) -> None:
        self._name(request.channel)
        await self._subscribed.remove(request.channel)
        self._reply(number, b"unsubscribe")

    async def _publish(self, number: int, request: messages.Publish) -> None:
        self._require(request.channel, "publish")
        data = bytes(request.data)
        if not data:
            raise Refused(codes.BAD_REQUEST.because("a publication has data"))
        await self._door.services.channels.publish(request.channel, data, info=self._who)
        self._reply(number, b"publish")

    async def _presence(self, number: int, request: messages.Presence) -> None:
        present = await self._present(request.channel)
        infos = {info.client: messages.client_info(*info) for info in present}
        if sum(map(len, infos.values())) > self._door.options.reply_bytes:
            raise Refused(codes.LIMIT_EXCEEDED.because("too many to list; presence_stats counts"))
        result = messages.PresenceResult({client: Raw(info) for client, info in infos.items()})
        self._reply(number, b"presence", result)

    async def _presence_stats(self, number: int, request: messages.PresenceStats) -> None:
        present = await self._present(request.channel)
        users = {info.user for info in present}
        result = messages.PresenceStatsResult(len(present), len(users))
        self._reply(number, b"presence_stats", result)

    async def _history(self, number: int, request: messages.History) -> None:
        self._require(request.channel, "read")
        if request.channel.startswith(LIVE_PREFIX):
            raise Refused(codes.NOT_AVAILABLE)
        since = (
            None if request.since is None else Position(request.since.offset, request.since.epoch)
        )
        if request.reverse and since is not None and since.offset == 0:
            raise Refused(codes.BAD_REQUEST.because("nothing comes before offset 0"))
        most = self._door.options.recovery_limit
        limit = request.limit if 0 <= request.limit <= most else most
        found = await self._door.services.channels.history(
            request.channel, since=since, limit=limit, reverse=request.reverse
        )
        if since is not None and not found.covers(since):
            raise Refused(codes.UNRECOVERABLE)
        page = _page(found.publications, self._door.options.reply_bytes)
        offset, epoch = found.position
        self._reply(number, b"history", messages.HistoryResult(page, epoch, offset))

    async def _lacking(self, number: int, request: object) -> None:
        raise Refused(codes.NOT_AVAILABLE)

    async def _unknown(self, number: int, request: object) -> None:
        raise Refused(codes.METHOD_NOT_FOUND)

    async def _send(self, number: int, request: messages.Send) -> None:
        raise Disconnect(codes.CLOSE_NOT_AVAILABLE)

    @property
    def _subscribed(self) -> Subscriptions:
        assert self._subscriptions is not None, "a command before connect got through"
        return self._subscriptions

    async def _present(self, channel: str) -> list[ClientInfo]:
        self._require(channel, "read")
        return await self._door.services.channels.presence(channel)

    def _admit(self, token: str) -> Principal:
        """Whose credentials these are. Raises Disconnect."""
        access = self._door.access
        if access.open:
            return access.anonymous
        credentials = token or self.bearer
        if not credentials:
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("a token is needed"))
        principal = access.principal(credentials)
        if principal is None:
            raise Disconnect(codes.CLOSE_INVALID_TOKEN)
        return principal

    def _name(self, channel: str) -> None:
        if not channel:
            raise Disconnect(codes.CLOSE_BAD_REQUEST.because("no channel"))

    def _require(self, channel: str, action: str) -> None:
        """Raises Refused unless the client's key covers this, Disconnect if no channel is named."""
        self._name(channel)
        feature = "leaderboards" if channel.startswith(LIVE_PREFIX) else "channels"
        if self.principal is None or not self.principal.may(feature, action):
            raise Refused(codes.PERMISSION_DENIED)

    def _reply(self, number: int, method: bytes, result: messages.Result = None) -> None:
        self._outbox.send(messages.reply(number, method, result))

    def _refuse(self, number: int, refusal: Refusal) -> None:
        self._outbox.send(messages.error_reply(number, *refusal))


_COMMANDS: dict[type, Callable[[Client, int, Any], Awaitable[None]]] = {
    messages.Connect: Client._connect,
    messages.Subscribe: Client._subscribe,
    messages.Unsubscribe: Client._unsubscribe,
    messages.Publish: Client._publish,
    messages.Presence: Client._presence,
    messages.PresenceStats: Client._presence_stats,
    messages.History: Client._history,
    messages.Rpc: Client._lacking,
    messages.Refresh: Client._lacking,
    messages.SubRefresh: Client._lacking,
    messages.Send: Client._send,
    type(None): Client._unknown,
}


def _ignore(close: Close) -> None:
    """Closed already; and the connection is not kept alive by being called back."""


def _page(found: list[Publication], most: int) -> list[Raw]:
    """As many of the publications, from the first, as fit into ``most`` bytes; at least one."""
    page: list[Raw] = []
    size = 0
    for item in found:
        size += len(item.data)
        if page and size > most:
            break
        page.append(Raw(messages.publication(*item)))
    return page
