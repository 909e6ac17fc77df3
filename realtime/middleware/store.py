"""The limiter that counts in a Redis which many processes share, without a service between.

It is asked with a deadline for each decision; what happens where there is none, see
`realtime.middleware.outage`. Nothing is ever raised into the app but `Unavailable`.

Rules are defined in the store at the start, and again when the store has lost them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from realtime.backends.base import BackendUnavailable, Decision
from realtime.errors import NotFound
from realtime.middleware.limiter import Take, TakeAll, TakeNow
from realtime.middleware.outage import OnOutage, Outages, reason
from realtime.middleware.rules import Rule
from realtime.services.limits import Limits, Wish

if TYPE_CHECKING:
    from realtime.stored import Options, Stored

__all__ = ["StoreLimiter"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class StoreLimiter:
    """Counts in the store at ``url``. For asyncio; one instance serves one event loop at a time."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 0.05,
        on_outage: OnOutage = "allow",
        options: Options | None = None,
    ) -> None:
        """``url`` is what ``realtime serve --store`` takes; ``timeout`` is for the whole decision,
        in seconds. Raises ValueError if the URL is none."""
        self._url = url
        self._options = options
        self._stored: Stored | None = _stored(url, options)
        self._started: asyncio.Future[None] | None = None
        self._outages = Outages("the store", timeout, on_outage, log)

    def taker_now(self, rule: Rule) -> TakeNow | None:
        """There is always a wire to wait for."""
        return None

    def taker(self, rule: Rule) -> Take:
        async def take(key: str, cost: int) -> Decision | None:
            async def decide(limits: Limits) -> Decision:
                return (await limits.take(rule.name, key, cost)).decision

            return await self._ask([rule], decide)

        return take

    def taker_of_all(self, rules: Sequence[Rule]) -> TakeAll:
        async def take(key: str, cost: int) -> Sequence[Decision] | None:
            async def decide(limits: Limits) -> list[Decision]:
                wishes = [Wish(rule.name, key, cost) for rule in rules]
                return [verdict.decision for verdict in await limits.take_all(wishes)]

            return await self._ask(rules, decide)

        return take

    async def prepare(self, rules: Sequence[Rule]) -> None:
        try:
            await self._define(await self._limits(), rules)
        except BackendUnavailable as error:
            self._outages.warn(f"the rules are not defined yet: {reason(error)}")

    async def close(self) -> None:
        stored, self._stored, self._started = self._stored, None, None
        if stored is not None:
            await stored.close()

    async def _ask(
        self, rules: Sequence[Rule], decide: Callable[[Limits], Awaitable[T]]
    ) -> T | None:
        async def question() -> T:
            limits = await self._limits()
            try:
                return await decide(limits)
            except NotFound:  # nobody has defined them yet, or the store was emptied
                await self._define(limits, rules)
                return await decide(limits)

        return await self._outages.ask(question)

    async def _limits(self) -> Limits:
        """Of the store, which is started by whoever comes first."""
        if self._stored is None:
            self._stored = _stored(self._url, self._options)
        if self._started is None:
            self._started = asyncio.ensure_future(self._stored.start())
        # Whoever gives up waiting must not end it for the others.
        await asyncio.shield(self._started)
        return self._stored.limits

    async def _define(self, limits: Limits, rules: Sequence[Rule]) -> None:
        for rule in rules:
            await limits.define(rule.name, rule.spec)


def _stored(url: str, options: Options | None) -> Stored:
    from realtime import stored  # a composition root, and a client library: only if it is used

    return stored.Stored(url, options or stored.Options())
