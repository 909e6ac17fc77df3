"""What limiters have in common that are asked over a wire: deadline, circuit, the refused.

A subclass says how a question is put; everything that it raises is an outage.
"""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import TypeVar

from realtime.middleware.blocked import Blocked
from realtime.middleware.limiter import Ends, EndsOfAll, Way
from realtime.middleware.outage import Outages, reason
from realtime.middleware.rules import OnOutage, Rule, check_policy
from realtime.services.leases import Lease
from realtime.services.limits import Verdict, Wish

__all__ = ["REFUSED", "Distant"]

T = TypeVar("T")

START = 1.0
"""Seconds that the start of an app may wait for its rules to be defined, and to be connected."""

REFUSED = 10_000
"""Refusals that are kept by default: about 5 MB."""


class Distant(abc.ABC):
    """A `realtime.middleware.limiter.Limiter`."""

    def __init__(
        self, name: str, timeout: float, on_outage: OnOutage, remember: int, log: logging.Logger
    ) -> None:
        """``name`` is who is asked, for the log; ``timeout`` is for a decision, in seconds;
        ``remember`` is how many refusals are."""
        check_policy(on_outage)
        self._timeout = timeout
        self._outages = Outages(name, timeout, log)
        self._blocked = Blocked(remember)
        self._rules: dict[str, Rule] = {}
        self._counted: set[str] = set()
        self._defined: set[str] = set()
        """Rules that are where we ask as they are here; the others are defined first."""
        self._defining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_outage = on_outage

    @property
    def immediate(self) -> bool:
        return False

    def way(self, rule: Rule, ends: Ends[T]) -> Way[T] | None:
        """There is always a wire to wait for."""
        return None

    def way_of_all(self, rules: Sequence[Rule], ends: EndsOfAll[T]) -> Way[T] | None:
        return None

    async def take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        known = self._blocked.among(wishes)
        if known is not None:
            return known
        verdicts = await self._outages.ask(lambda: self._take(wishes))
        self._blocked.learn(wishes, verdicts, self._counted)
        return verdicts

    async def settle(self, wish: Wish, by: int) -> None:
        await self._outages.ask(lambda: self._settle(wish, by))

    async def acquire(self, wish: Wish, lease_id: str) -> Lease:
        return await self._outages.ask(lambda: self._acquire(wish, lease_id))

    async def renew(self, rule: str, key: str, lease_id: str) -> bool:
        return await self._outages.ask(lambda: self._renew(rule, key, lease_id))

    async def release(self, rule: str, key: str, lease_id: str) -> None:
        await self._outages.ask(lambda: self._release(rule, key, lease_id))

    async def prepare(self, rules: Sequence[Rule], *, at_start: bool = False) -> None:
        names = {rule.name: rule for rule in rules}
        self._rules |= names
        self._counted |= {rule.name for rule in rules if rule.penalty is not None}
        self._defined -= names.keys()
        # A request that waits is not held up for long: twice the deadline, and only the first.
        patience = max(START, self._timeout) if at_start else self._timeout
        try:
            async with asyncio.timeout(patience):
                await self._define_new(names)
        except Exception as error:  # they are defined before they are asked for
            self._outages.warn(f"the rules are not defined yet: {reason(error)}")

    def _begin(self) -> None:
        """Begin anew in another event loop: of a process that was forked, or of the next run.

        What belongs to the other one is left as it is, and not closed: there it may be in use."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                self._outages.begin()
                self._defining = None
                self._abandon()
            self._loop = loop

    @abc.abstractmethod
    def _abandon(self) -> None:
        """Forget connections, which are another loop's."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Called when the app shuts down; the limiter may be used again afterwards."""

    async def _define_new(self, names: Iterable[str]) -> None:
        """See that these rules are defined. That goes on if whoever waits for it gives up: where
        the way is long, it takes longer than a decision may."""
        while not self._defined.issuperset(names):
            if self._defining is None or self._defining.done():
                self._defining = asyncio.create_task(self._define_rest())
                self._defining.add_done_callback(_heard)
            try:
                await asyncio.shield(self._defining)
            except Exception:
                if not self._defined.issuperset(names):
                    raise

    async def _define_anew(self, names: Iterable[str]) -> None:
        """The same for rules that we had defined, and that are gone."""
        self._defined.difference_update(names)
        await self._define_new(names)

    async def _define_rest(self) -> None:
        """All that are not defined. Raises what was wrong with the last of those that cannot be."""
        fault: Exception | None = None
        async with asyncio.timeout(max(START, self._timeout)):
            for rule in [rule for name, rule in self._rules.items() if name not in self._defined]:
                try:
                    await self._define(rule)
                except Exception as error:  # perhaps the next one can be
                    fault = error
        if fault is not None:
            raise fault

    async def _end(self) -> None:
        """Nothing is defined any more."""
        task, self._defining = self._defining, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    @abc.abstractmethod
    async def _define(self, rule: Rule) -> None:
        """Define it, and note in ``_defined`` that it is."""

    @abc.abstractmethod
    async def _take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]: ...

    @abc.abstractmethod
    async def _settle(self, wish: Wish, by: int) -> None: ...

    @abc.abstractmethod
    async def _acquire(self, wish: Wish, lease_id: str) -> Lease: ...

    @abc.abstractmethod
    async def _renew(self, rule: str, key: str, lease_id: str) -> bool: ...

    @abc.abstractmethod
    async def _release(self, rule: str, key: str, lease_id: str) -> None: ...


def _heard(task: asyncio.Task[None]) -> None:
    """Whoever waits for the task is told what went wrong; there may be nobody left."""
    if not task.cancelled():
        task.exception()
