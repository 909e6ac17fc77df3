"""What may be asked about those who are connected, and done to them, from another door.

Doors do not know each other: the HTTP door knows these words only, and who does the work is
`realtime.ws.governor`. What is done to clients is done on every node that shares the store; what
is told of them is what this node knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from realtime.backends.base import Position
from realtime.services.nodes import Node
from realtime.tokens import ChannelOptions

__all__ = ["Close", "Connected", "GovernsClients", "Whom"]


@dataclass(frozen=True, slots=True)
class Whom:
    """One of a user's connections, or all of them. One of the first three is needed."""

    user: str = ""
    client: str = ""
    session: str = ""
    """The secret of a stream whose commands come in requests of their own."""
    spared: tuple[str, ...] = ()
    """Connections of the user that it is not about."""


class Close(NamedTuple):
    """Why a connection ends; the code says whether the client is to come back."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Connected:
    """One connection to this node."""

    client: str
    user: str
    name: str
    version: str
    """Of the program at the other end, as it calls itself."""
    transport: str
    since: float
    """Seconds since 1970."""
    channels: Sequence[str]


class GovernsClients(Protocol):
    """Orders say nothing of whether there was anybody they were for.

    They raise InvalidInput, and BackendUnavailable if other nodes could not be told.
    """

    async def disconnect(self, whom: Whom, close: Close | None = None) -> None:
        """End connections: by default for good, with code 3503."""

    async def unsubscribe(self, whom: Whom, channel: str) -> None:
        """End subscriptions of a channel, whoever wanted them."""

    async def subscribe(
        self,
        whom: Whom,
        channel: str,
        options: ChannelOptions,
        *,
        since: Position | None = None,
        expires: float | None = None,
    ) -> None:
        """Subscribe those who are not yet; nobody is asked whether they may.

        ``since``: with what was published after that position. ``expires``: seconds since 1970.
        Raises NotFound if there must be no such channel.
        """

    async def refresh(self, whom: Whom, expires: float | None) -> None:
        """Have connections end then (seconds since 1970), at once if that is past; None: never."""

    def connected(self, user: str | None, offset: int, limit: int) -> tuple[int, list[Connected]]:
        """How many are connected to this node, and a page of them, the longest connected first;
        of a user, if one is named. O(connections), or of the user's."""

    def nodes(self) -> list[Node]:
        """This node, and the others that were heard of lately, by name."""
