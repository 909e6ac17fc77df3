"""Revocations: tokens that hold by their signature, and shall not any more.

Nothing is kept of a token that is taken, so what is revoked is said, by one of these, until
``until``:

    user     every token of a user that was issued at or before an instant
    token    the one with this jti
    client   nothing that lasts: the connection with this id is closed

They travel by a `Feed`: every node has all of them in memory and asks nobody. Its history is
what survives a restart, and is kept like a log: an entry is said again before it would be
trimmed, while it is still needed. There are at most `LIMIT`, so that both stay bounded; one
more is refused, since forgetting one would let somebody in.

Issue times are whole seconds, as a rule: a token of the very second in which its user is
revoked counts as issued before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from enum import StrEnum
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import NamedTuple

import msgspec

from realtime.backends.base import Backend
from realtime.errors import Conflict, InvalidInput
from realtime.services.feed import Feed
from realtime.services.names import name_bytes

__all__ = ["DEFAULT_TTL", "LIMIT", "MAX_TTL", "Kind", "Revocation", "Revocations"]

log = logging.getLogger(__name__)

FEED = "revocations"

DAY = 86_400.0
DEFAULT_TTL = 30 * DAY
MAX_TTL = 366 * DAY
"""Seconds. Tokens that live longer than this are better not made."""
CLIENT_TTL = 60.0
"""Seconds for which the log bothers to keep what is done at once."""

LIMIT = 20_000
"""Revocations in force at a time; some 10 MB."""
HISTORY = 4 * LIMIT
"""Entries of the log. Each revocation says two old ones again once they are half as old as the
log is long, so the last of `LIMIT` is safe three quarters down."""
AGAIN = 2
SLACK = 4


class Kind(StrEnum):
    """What is revoked."""

    USER = "user"
    TOKEN = "token"
    CLIENT = "client"


class Revocation(NamedTuple):
    """What is revoked, of what age, and until when. Instants are seconds since 1970."""

    kind: Kind
    name: str
    """The user, the jti, or the id of the client."""
    before: float
    """Of a user: tokens issued after this are taken."""
    until: float
    """When it ends, since no token that it is about is left."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Revocation).decode
_Key = tuple[Kind, str]


class Revocations:
    """Everything that is revoked, as this node knows it. ``covers`` is for every request."""

    def __init__(self, backend: Backend, now: Callable[[], float] = time.time) -> None:
        """``now`` answers seconds since 1970: what tokens count in."""
        self.on_revoked: Callable[[Revocation], None] = _nobody
        """Called on every node, for each; perhaps more than once. It must not raise or wait."""
        self._now = now
        self._feed = Feed(backend, FEED, HISTORY, MAX_TTL)
        self._feed.listen(self._heard)
        self._started = False
        self._users: dict[str, Revocation] = {}
        self._tokens: dict[str, Revocation] = {}
        self._said: dict[_Key, int] = {}
        """When each was said last, counted in entries of the log; the oldest first."""
        self._entries = 0
        self._ends: list[tuple[float, _Key]] = []

    def __len__(self) -> int:
        """How many are kept; those that have ended go when something else is revoked."""
        return len(self._said)

    async def start(self) -> None:
        """Learn what is revoked, and go on learning. O(kept).

        A node that takes no tokens, and has the store for itself, may leave it to the first
        revocation: a service that nobody uses then writes nothing.
        """
        if not self._started:
            self._started = True
            await self._feed.start()

    async def close(self) -> None:
        """Learn nothing more."""
        if self._started:
            await self._feed.close()

    def covers(self, user: str, jti: str, issued_at: float) -> bool:
        """Whether a token that says this is revoked. ``issued_at`` 0 is one of unknown age. O(1)"""
        of_user = self._users.get(user)
        if of_user is not None and issued_at <= of_user.before and self._now() < of_user.until:
            return True
        of_token = self._tokens.get(jti)
        return of_token is not None and self._now() < of_token.until

    def in_force(self, offset: int, limit: int) -> tuple[int, list[Revocation]]:
        """How many there are, and a page of them, the newest first. O(offset + limit)."""
        self._sweep()
        page = islice(reversed(self._said), offset, offset + limit)
        return len(self._said), [self._of(key) for key in page]

    async def revoke_user(self, user: str, ttl: float | None = None) -> Revocation:
        """Every token of the user that was issued until now. ``ttl`` is the longest that one of
        them can still last, in seconds. Raises InvalidInput, Conflict and BackendUnavailable."""
        name_bytes("user", user)
        return await self._revoke(Kind.USER, user, DEFAULT_TTL if ttl is None else ttl)

    async def revoke_token(self, jti: str, ttl: float | None = None) -> Revocation:
        """The token with this id; otherwise as `revoke_user`."""
        name_bytes("jti", jti)
        return await self._revoke(Kind.TOKEN, jti, DEFAULT_TTL if ttl is None else ttl)

    async def close_client(self, client: str) -> Revocation:
        """The connection of this client; its token may still open another."""
        name_bytes("client", client)
        return await self._revoke(Kind.CLIENT, client, CLIENT_TTL)

    async def _revoke(self, kind: Kind, name: str, ttl: float) -> Revocation:
        if not 0 < ttl <= MAX_TTL:
            raise InvalidInput(f"ttl must be above 0 and at most {MAX_TTL:.0f} seconds")
        self._sweep()
        key = (kind, name)
        if kind is not Kind.CLIENT and len(self._said) >= LIMIT and key not in self._said:
            raise Conflict(f"{LIMIT} revocations are in force, and no more are kept")
        await self.start()
        now = self._now()
        revocation = Revocation(kind, name, now, now + ttl)
        await self._feed.publish(_encode(revocation))
        await self._say_again()
        return revocation

    async def _say_again(self) -> None:
        """Those that would soon be trimmed from the log."""
        old = self._entries - HISTORY // 2
        oldest = [key for key in islice(self._said, AGAIN) if self._said[key] <= old]
        for again in [_encode(self._of(key)) for key in oldest]:
            await self._feed.publish(again)

    def _heard(self, data: bytes) -> None:
        self._entries += 1
        try:
            revocation = _decode(data)
        except msgspec.MsgspecError as error:
            log.error("a revocation that this version cannot read: %s", error)
            return
        if revocation.until <= self._now():
            return
        if revocation.kind is not Kind.CLIENT:
            self._keep(revocation)
        self.on_revoked(revocation)

    def _keep(self, revocation: Revocation) -> None:
        """Two of the same user or token are the wider of both, in whichever order they come."""
        key = (revocation.kind, revocation.name)
        table = self._table(revocation.kind)
        had = table.get(revocation.name)
        if had is not None:
            before, until = max(had.before, revocation.before), max(had.until, revocation.until)
            revocation = revocation._replace(before=before, until=until)
        table[revocation.name] = revocation
        self._said.pop(key, None)
        self._said[key] = self._entries
        if had is None or had.until != revocation.until:
            self._end_at(revocation.until, key)

    def _end_at(self, until: float, key: _Key) -> None:
        """Remember to forget it. What was said again with a later end is there twice."""
        if len(self._ends) > SLACK * (len(self._said) + SLACK):
            self._ends = [(self._of(key).until, key) for key in self._said]
            heapify(self._ends)
        else:
            heappush(self._ends, (until, key))

    def _sweep(self) -> None:
        """Forget what has ended. O(log n) for each, amortized."""
        now = self._now()
        while self._ends and self._ends[0][0] <= now:
            until, key = heappop(self._ends)
            if key in self._said and self._of(key).until == until:
                del self._said[key], self._table(key[0])[key[1]]

    def _of(self, key: _Key) -> Revocation:
        return self._table(key[0])[key[1]]

    def _table(self, kind: Kind) -> dict[str, Revocation]:
        return self._users if kind is Kind.USER else self._tokens


def _nobody(revocation: Revocation) -> None:
    """While nobody is connected."""
