"""The features: key names, policy and validation, over any backend."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.backends.base import Backend
from realtime.services.channels import Channels, HistoryPolicy
from realtime.services.counters import Counters
from realtime.services.leaderboards import Leaderboards
from realtime.services.limits import Limits
from realtime.services.sessions import Sessions

__all__ = ["Services"]

DEFAULT_HISTORY = HistoryPolicy(size=100, ttl=300.0)


@dataclass(frozen=True, slots=True)
class Services:
    """One of each, on one backend."""

    backend: Backend
    leaderboards: Leaderboards
    counters: Counters
    sessions: Sessions
    limits: Limits
    channels: Channels

    @classmethod
    def on(cls, backend: Backend, history: HistoryPolicy = DEFAULT_HISTORY) -> Services:
        """All services on one backend; ``history`` is what channels keep unless told otherwise."""
        return cls(
            backend=backend,
            leaderboards=Leaderboards(backend),
            counters=Counters(backend),
            sessions=Sessions(backend),
            limits=Limits(backend),
            channels=Channels(backend, history),
        )
