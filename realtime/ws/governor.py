"""What other doors may ask about clients and have done to them: the control plane, in their words.

Orders go to every node by `realtime.ws.control`. The list of clients is of this node, which knows
nothing of the clients of others; how other nodes do, `realtime.services.nodes` has heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice

from realtime import __version__
from realtime.backends.base import Position
from realtime.governing import Close, Connected, Whom
from realtime.services.names import name_bytes
from realtime.services.nodes import Node, Nodes
from realtime.tokens import ChannelOptions
from realtime.ws import codes
from realtime.ws.client import Client
from realtime.ws.control import Control, Target
from realtime.ws.door import Door
from realtime.ws.messages import Resume

__all__ = ["Governor"]


class Governor:
    """Implements `realtime.governing.GovernsClients` over one door."""

    def __init__(
        self, door: Door, control: Control, name: str, own: Callable[[], int] = lambda: 0
    ) -> None:
        """``name`` is what people call this node; ``own`` says how many subscriptions are the
        service's own, each of a channel by itself, and so nobody's."""
        self._door = door
        self._control = control
        self._name = name
        self._own = own
        self._started = time.monotonic()
        self._nodes = Nodes(door.services.backend, self._described, time.monotonic)

    async def run(self) -> None:
        """Tell other nodes of this one, and hear of them, until cancelled."""
        await self._nodes.run()

    async def disconnect(self, whom: Whom, close: Close | None = None) -> None:
        told = codes.CLOSE_FORCED if close is None else codes.Close(*close)
        await self._control.disconnect(_target(whom), told)

    async def unsubscribe(self, whom: Whom, channel: str) -> None:
        await self._control.unsubscribe(_target(whom), channel)

    async def subscribe(
        self,
        whom: Whom,
        channel: str,
        options: ChannelOptions,
        *,
        since: Position | None = None,
        expires: float | None = None,
    ) -> None:
        resume = None if since is None else Resume(True, since.offset, since.epoch)
        await self._control.subscribe(
            _target(whom), channel, options, resume=resume, expires=expires
        )

    async def refresh(self, whom: Whom, expires: float | None) -> None:
        if expires is not None and expires <= self._door.now():
            await self._control.disconnect(_target(whom), codes.CLOSE_EXPIRED)
        else:
            await self._control.refresh(_target(whom), expires)

    def connected(self, user: str | None, offset: int, limit: int) -> tuple[int, list[Connected]]:
        clients = self._door.clients
        if user is None:
            found: Iterable[Client] = clients
            total = len(clients)
        else:
            found = clients.of(user)
            total = clients.count(user)
        return total, [_connected(one) for one in islice(found, offset, offset + limit)]

    def nodes(self) -> list[Node]:
        return self._nodes.all()

    def _described(self) -> Node:
        hub, clients, own = self._door.hub, self._door.clients, self._own()
        return Node(
            uid=self._door.node,
            name=self._name,
            version=__version__,
            clients=len(clients),
            users=clients.users,
            subscriptions=hub.subscriptions - own,
            channels=hub.channels - own,
            uptime=time.monotonic() - self._started,
            figures={
                "commands": hub.commands,
                "publications": hub.publications,
                "deliveries": hub.deliveries,
                "drops": hub.drops,
            },
        )


def _target(whom: Whom) -> Target:
    """Raises InvalidInput for what no connection can be called."""
    for what in ("user", "client", "session"):
        if name := getattr(whom, what):
            name_bytes(what, name)
    return Target(whom.user, whom.client, whom.session, whom.spared)


def _connected(client: Client) -> Connected:
    return Connected(
        client=client.id,
        user=client.user,
        name=client.name,
        version=client.version,
        transport=client.transport,
        since=client.since,
        channels=list(client.subscriptions),
    )
