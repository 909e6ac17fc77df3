"""May one more connection be opened? Asked when it is clear whether it is one of ours at all.

Most is decided before the upgrade, where HTTP still has words for it and nothing was spent:

    503    on our way out, or more new connections per second than this process may take
    429    the user has connections enough, if the request says whose it is

Who says so only in the connect command is closed with 3504 instead. Users are counted per
process. How many connections there are at all is bounded earlier still, see `realtime.server`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from realtime.rate import Rate
from realtime.ws import codes
from realtime.ws.codes import Disconnect
from realtime.ws.handshake import Rejection
from realtime.ws.quotas import LocalBucket

__all__ = ["CONNECTIONS", "USER_CONNECTIONS", "ConnectionLimits", "Entrance"]

CONNECTIONS, USER_CONNECTIONS = "connections", "user_connections"
"""What the limits are called among the figures of the service."""

AWAY = 1
"""Seconds after which another process may have taken over, or this one has room again."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """None: no limit."""

    rate: Rate | None = None
    """New connections of this process."""
    per_user: int | None = None
    """Connections of a user at once, to this process. Who has no name is not counted."""


class Entrance:
    """One per process."""

    def __init__(
        self, limits: ConnectionLimits, clock: Callable[[], float], count: Callable[[str], int]
    ) -> None:
        """``count`` answers how many connections a user has; ``clock`` seconds."""
        self.closed = ""
        """Why nobody is let in any more, for a person; empty as long as somebody is."""
        self.refusals = {CONNECTIONS: 0, USER_CONNECTIONS: 0}
        """Limit -> how often it has refused, since the start of the process."""
        self._limits = limits
        self._count = count
        self._bucket = None if limits.rate is None else LocalBucket(limits.rate, clock)

    def turn_away(self, user: str = "") -> Rejection | None:
        """Why a connection is not opened; None counts it, and lets it in. O(1).

        ``user`` is empty where that is not known yet, or nobody's.
        """
        if self.closed:
            return Rejection(HTTPStatus.SERVICE_UNAVAILABLE, self.closed, AWAY)
        if self._is_full(user):
            return Rejection(HTTPStatus.TOO_MANY_REQUESTS, "you have connections enough", AWAY)
        if self._bucket is not None and not self._bucket.take():
            self.refusals[CONNECTIONS] += 1
            return Rejection(HTTPStatus.SERVICE_UNAVAILABLE, "too many new connections", AWAY)
        return None

    def admit(self, user: str) -> None:
        """To be asked by who connects, before it counts. Raises Disconnect."""
        if self._is_full(user):
            raise Disconnect(codes.CLOSE_CONNECTION_LIMIT)

    def _is_full(self, user: str) -> bool:
        most = self._limits.per_user
        if most is None or not user or self._count(user) < most:
            return False
        self.refusals[USER_CONNECTIONS] += 1
        return True
