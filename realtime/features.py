"""What an object with all features has, whatever holds its data."""

from __future__ import annotations

from realtime.services import Services
from realtime.services.channels import Channels
from realtime.services.counters import Counters
from realtime.services.leaderboards import Leaderboards
from realtime.services.limits import Limits
from realtime.services.sessions import Sessions

__all__ = ["Features"]


class Features:
    """The services by name. Not thread-safe: one event loop, one object."""

    __slots__ = ("services",)

    def __init__(self, services: Services) -> None:
        self.services = services

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
