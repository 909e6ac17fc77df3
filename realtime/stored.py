"""All features inside your own process, on a Redis or Valkey that several processes share.

    from realtime.stored import Stored

    async with Stored("redis://127.0.0.1:6379") as features:
        await features.limits.define("login", RuleSpec(limit=5, per=60))
        verdict = await features.limits.take("login", "user:1")

The same keys as ``realtime serve --store`` uses: both may work on them side by side. Every
call may raise `realtime.backends.base.BackendUnavailable`, within the time-out of the options.
"""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

from realtime.backends.redis.address import parse
from realtime.backends.redis.dial import Options
from realtime.backends.redis.store import RedisStore
from realtime.features import Features
from realtime.services import DEFAULT_NAMESPACES, Services
from realtime.services.namespaces import Namespaces

__all__ = ["Options", "Stored"]

log = logging.getLogger("realtime.store")

DEFAULT_OPTIONS = Options()


class Stored(Features):
    """The services on a store; an asynchronous context, or ``start`` and ``close``."""

    __slots__ = ("_store",)

    def __init__(
        self,
        url: str,
        options: Options = DEFAULT_OPTIONS,
        *,
        namespaces: Namespaces = DEFAULT_NAMESPACES,
    ) -> None:
        """``url`` is what ``--store`` takes. Raises ValueError if it is none. ``namespaces``:
        see `realtime.embedded.Embedded`."""
        self._store = RedisStore(parse(url), options)
        super().__init__(Services.on(self._store.backend, namespaces))

    async def start(self) -> None:
        """Connect. A store that is away is no error: it is used once it is there."""
        amiss = await self._store.start()
        if amiss is not None:
            log.warning("%s is away: %s", self._store.address, amiss)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._store.close()

    def sweep(self, budget: int = 1000) -> int:
        """Nothing of it lies in this process, so there is nothing to give back."""
        return 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
