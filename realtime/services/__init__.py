"""The features: key names, policy and validation, over any backend."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.backends.base import Backend
from realtime.services.channels import Channels
from realtime.services.counters import Counters
from realtime.services.leaderboards import Leaderboards
from realtime.services.limits import Limits
from realtime.services.namespaces import Namespace, Namespaces
from realtime.services.revocations import Revocations
from realtime.services.sessions import Sessions

__all__ = ["DEFAULT_NAMESPACES", "Services"]

DEFAULT_NAMESPACES = Namespaces(Namespace())
"""Every channel has the defaults."""


@dataclass(frozen=True, slots=True)
class Services:
    """One of each, on one backend."""

    backend: Backend
    leaderboards: Leaderboards
    counters: Counters
    sessions: Sessions
    limits: Limits
    channels: Channels
    revocations: Revocations

    @classmethod
    def on(cls, backend: Backend, namespaces: Namespaces = DEFAULT_NAMESPACES) -> Services:
        """All services on one backend; ``namespaces`` say what channels may and keep."""
        return cls(
            backend=backend,
            leaderboards=Leaderboards(backend),
            counters=Counters(backend),
            sessions=Sessions(backend),
            limits=Limits(backend),
            channels=Channels(backend, namespaces),
            revocations=Revocations(backend),
        )
