"""Costs that are known later: an estimate is spent, and settled to the real cost.

Beside the caller's state lies a *hold*, as long as the estimate may be settled. It says when the
clock will have given back what was spent: a bucket is refilled, a window ends. What it has given
back by then is not given back once more, or a caller would spend in this window what he saved in
the last one.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from realtime.backends.base import Backend, Saturated
from realtime.backends.keys import hold_key
from realtime.errors import InvalidInput
from realtime.services.durations import microseconds
from realtime.services.terms import Rule, Verdict, Wish

__all__ = ["MAX_HOLD", "Reservations", "Reserved"]

MAX_HOLD = 86_400.0
"""Seconds until a reservation has to be settled."""


class Reserved(NamedTuple):
    """An estimate that was spent. ``id`` is None if nothing was, and nothing is to be settled."""

    id: str | None
    verdict: Verdict


class Adjust(Protocol):
    """Spend ``wish.cost`` more, or less: see `Buckets.adjust`."""

    async def __call__(self, wish: Wish, until: int | None = None) -> Verdict: ...


class Reservations:
    """Every method may raise InvalidInput, NotFound for a rule, and BackendUnavailable."""

    def __init__(
        self,
        backend: Backend,
        find: Callable[[str], Awaitable[Rule]],
        take: Callable[[Wish], Awaitable[Verdict]],
        adjust: Adjust,
    ) -> None:
        self._buckets = backend.buckets
        self._find = find
        self._take = take
        self._adjust = adjust

    async def reserve(self, wish: Wish, ttl: float) -> Reserved:
        """See `Limits.reserve`."""
        if not 0 < ttl <= MAX_HOLD:
            raise InvalidInput(f"ttl must be above 0 and at most {MAX_HOLD:.0f} seconds")
        verdict = await self._take(wish)
        decision = verdict.decision
        if not decision.allowed or verdict.reason:
            return Reserved(None, verdict)
        reservation = f"{secrets.token_urlsafe(12)}.{wish.cost}"
        found = await self._find(wish.rule)
        hold = hold_key(found.bucket(wish.key), reservation.encode())
        wait = await self._buckets.hold(hold, decision.reset_after, microseconds("ttl", ttl))
        if not wait:
            return Reserved(reservation, verdict)
        await self._adjust(wish._replace(cost=-wish.cost))
        refusal = Saturated(False, decision.limit, 0, wait, wait)
        refused = verdict._replace(decision=refusal, allowed=found.spec.shadow, reason="saturated")
        return Reserved(None, refused)

    async def settle(self, wish: Wish, reservation: str) -> Verdict | None:
        """See `Limits.settle`; ``wish.cost`` is the real cost."""
        found = await self._find(wish.rule)
        estimate = _estimate(reservation)
        if estimate is None:
            return None
        until = await self._buckets.unhold(hold_key(found.bucket(wish.key), reservation.encode()))
        if until is None:
            return None
        return await self._adjust(wish._replace(cost=wish.cost - estimate), until)


def _estimate(reservation: str) -> int | None:
    """What an id says was spent; it is believed only if we know the id."""
    _, dot, cost = reservation.rpartition(".")
    is_one = dot and len(reservation) < 64 and cost.isascii() and cost.isdigit()
    return int(cost) if is_one else None
