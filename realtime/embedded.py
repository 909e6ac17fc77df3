"""All features inside your own process: no server, no socket, no store to run.

    from realtime.embedded import Embedded

    features = Embedded()
    await features.limits.define("login", RuleSpec(limit=5, per=60))
    verdict = await features.limits.take("login", "user:1")

The engine lives as long as the object. `realtime.app` composes the same parts behind doors.
"""

from __future__ import annotations

from engine.clock import Clock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.services import DEFAULT_HISTORY, Services
from realtime.services.channels import Channels, HistoryPolicy
from realtime.services.counters import Counters
from realtime.services.leaderboards import Leaderboards
from realtime.services.limits import Limits
from realtime.services.sessions import Sessions

__all__ = ["Embedded"]


class Embedded:
    """The engine and the services on it. Not thread-safe: one event loop, one object."""

    __slots__ = ("engine", "services")

    def __init__(
        self, clock: Clock | None = None, *, history: HistoryPolicy = DEFAULT_HISTORY
    ) -> None:
        """``clock`` answers microseconds since 1970; tests pass one that they move."""
        self.engine = Engine(clock or embedded.system_clock())
        self.services = Services.on(embedded.backend(self.engine), history)

    @property
    def leaderboards(self) -> Leaderboards:
        return self.services.leaderboards

    @property
    def counters(self) -> Counters:
        return self.services.counters

    @property
    def sessions(self) -> Sessions:
        return self.services.sessions

    @property
    def limits(self) -> Limits:
        return self.services.limits

    @property
    def channels(self) -> Channels:
        return self.services.channels

    def sweep(self, budget: int = 1000) -> int:
        """Give back the memory of what expired, for up to ``budget`` microseconds.

        Call it now and then in a long-lived process; answers are right without it.
        """
        return self.engine.sweep(budget)
