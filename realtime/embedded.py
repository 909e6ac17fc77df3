"""All features inside your own process: no server, no socket, no store to run.

    from realtime.embedded import Embedded

    features = Embedded()
    await features.limits.define("login", RuleSpec(limit=5, per=60))
    verdict = await features.limits.take("login", "user:1")

The engine lives as long as the object. `realtime.app` composes the same parts behind doors,
and `realtime.stored.Stored` is the same on a Redis that several processes share.
"""

from __future__ import annotations

from engine.clock import Clock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.keys import BUCKETS_PREFIX
from realtime.features import Features
from realtime.services import DEFAULT_NAMESPACES, Services
from realtime.services.namespaces import Namespaces

__all__ = ["LIMIT_MAX_KEYS", "Embedded"]

LIMIT_MAX_KEYS = 10_000_000
"""About 3 GB: far more than who is limited in one process, and a bound all the same."""


class Embedded(Features):
    """The engine and the services on it."""

    __slots__ = ("engine",)

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        namespaces: Namespaces = DEFAULT_NAMESPACES,
        limit_max_keys: int = LIMIT_MAX_KEYS,
    ) -> None:
        """``clock`` answers microseconds since 1970; tests pass one that they move.
        ``namespaces`` say what channels keep, unless a publisher says otherwise.
        ``limit_max_keys`` bounds the callers that rate limits remember; see `engine.room`."""
        self.engine = Engine(clock or embedded.system_clock())
        self.engine.buckets.room.bound(BUCKETS_PREFIX, limit_max_keys)
        super().__init__(Services.on(embedded.backend(self.engine), namespaces))

    def sweep(self, budget: int = 1000) -> int:
        """Give back the memory of what expired, for up to ``budget`` microseconds.

        Call it now and then in a long-lived process; answers are right without it.
        """
        return self.engine.sweep(budget)
