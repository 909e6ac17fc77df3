"""The limiter that counts in a Redis which many processes share, without a service between.

It is asked with a deadline for each decision; what happens where there is none, see
`realtime.middleware.fallback`. Nothing is ever raised but `Unavailable`.

Rules are defined in the store at the start, and again when the store has lost them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from realtime.errors import NotFound
from realtime.middleware.distant import REFUSED, Distant
from realtime.middleware.limiter import acquire, renew, settle, take
from realtime.middleware.rules import OnOutage, Rule
from realtime.services.leases import Lease
from realtime.services.limits import Limits, Verdict, Wish

if TYPE_CHECKING:
    from realtime.stored import Options, Stored

__all__ = ["StoreLimiter"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class StoreLimiter(Distant):
    """Counts in the store at ``url``. For asyncio; one instance serves one event loop at a time."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 0.05,
        on_outage: OnOutage = "allow",
        remember: int = REFUSED,
        options: Options | None = None,
    ) -> None:
        """``url`` is what ``realtime serve --store`` takes; ``timeout`` is for the whole decision,
        in seconds; ``remember`` is how many refusals are kept and not asked for again. Raises
        ValueError if the URL is none."""
        super().__init__("the store", timeout, on_outage, remember, log)
        self._url = url
        self._options = options
        self._stored: Stored | None = _stored(url, options)
        self._started: asyncio.Future[None] | None = None

    async def close(self) -> None:
        self._begin()
        await self._end()
        stored, self._stored, self._started = self._stored, None, None
        self._blocked.clear()
        if stored is not None:
            await stored.close()

    async def _define(self, rule: Rule) -> None:
        await (await self._limits()).define(rule.name, rule.spec)
        self._defined.add(rule.name)

    async def _take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        names = [wish.rule for wish in wishes]
        return await self._with_rules(names, lambda limits: take(limits, wishes))

    async def _settle(self, wish: Wish, by: int) -> None:
        await self._with_rules([wish.rule], lambda limits: settle(limits, wish, by))

    async def _acquire(self, wish: Wish, lease_id: str) -> Lease:
        return await self._with_rules([wish.rule], lambda limits: acquire(limits, wish, lease_id))

    async def _renew(self, rule: str, key: str, lease_id: str) -> bool:
        return await self._with_rules([rule], lambda limits: renew(limits, rule, key, lease_id))

    async def _release(self, rule: str, key: str, lease_id: str) -> None:
        await self._with_rules([rule], lambda limits: limits.leases.release(rule, key, lease_id))

    async def _with_rules(
        self, names: Sequence[str], decide: Callable[[Limits], Awaitable[T]]
    ) -> T:
        limits = await self._limits()
        await self._define_new(names)
        try:
            return await decide(limits)
        except NotFound:  # the store was emptied, or somebody has removed them
            await self._define_anew(names)
            return await decide(limits)

    async def _limits(self) -> Limits:
        """Of the store, which is started by whoever comes first."""
        self._begin()
        if self._stored is None:
            self._stored = _stored(self._url, self._options)
        if self._started is None:
            self._started = asyncio.ensure_future(self._stored.start())
        # Whoever gives up waiting must not end it for the others.
        await asyncio.shield(self._started)
        return self._stored.limits

    def _abandon(self) -> None:
        if self._started is not None:
            self._stored, self._started = None, None


def _stored(url: str, options: Options | None) -> Stored:
    from realtime import stored  # a composition root, and a client library: only if it is used

    return stored.Stored(url, options or stored.Options())
