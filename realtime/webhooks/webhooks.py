"""Webhooks whole, from the settings: who is told of what happened, or that nobody is."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Self

from realtime.backends.base import Backend
from realtime.metrics import Probe
from realtime.services.departures import Departures
from realtime.services.resets import Resets
from realtime.settings import Settings

if TYPE_CHECKING:
    from realtime.webhooks.delivery import Delivery
    from realtime.webhooks.sender import Sender

__all__ = ["Webhooks"]

LEASE = 3
"""Times the time-out of a request: so long a departure belongs to who claimed it. It is time for
the request, and for telling the store what came of it."""


class Webhooks:
    """One per process."""

    @classmethod
    def of(cls, settings: Settings, backend: Backend) -> Self:
        """Raises SettingsError if there is to be a secret and it cannot be read."""
        if settings.webhook_url is None:
            return cls(None, None, None, None)
        # Their client takes 0.1 s to import, and many tell nobody.
        from realtime.webhooks.delivery import Delivery
        from realtime.webhooks.endpoint import Endpoint
        from realtime.webhooks.resets import RESETS_AT_ONCE, ToldResets
        from realtime.webhooks.sender import AT_ONCE, Sender

        timeout = settings.webhook_timeout
        departures = Departures(backend, debounce=settings.webhook_debounce, lease=LEASE * timeout)
        most = AT_ONCE + RESETS_AT_ONCE
        endpoint = Endpoint(
            settings.webhook_url, settings.webhook_secrets, timeout=timeout, connections=most
        )
        delivery = Delivery(endpoint, most=most, clock=time.monotonic)
        max_age = settings.webhook_max_age
        sender = Sender(departures, delivery, max_age=max_age)
        return cls(departures, ToldResets(delivery, max_age=max_age), sender, delivery)

    def __init__(
        self,
        departures: Departures | None,
        resets: Resets | None,
        sender: Sender | None,
        delivery: Delivery | None,
    ) -> None:
        self.departures = departures
        """Where doors say who comes and goes; None if nobody is to be told."""
        self.resets = resets
        """Where the keeper of seasons says which have ended; likewise."""
        self._sender = sender
        self._delivery = delivery

    def background(self) -> list[Coroutine[object, object, None]]:
        """What runs beside the doors, each until it is cancelled."""
        return [] if self._sender is None else [self._sender.run()]

    def probes(self) -> list[Probe]:
        if self._delivery is None:
            return []
        from realtime.webhooks.delivery import probes

        return probes(self._delivery)

    def wind_down(self) -> None:
        """Users are about to be sent away: none of them is taken for gone by this process."""
        if self._sender is not None:
            self._sender.wind_down()

    async def close(self) -> None:
        """Give back what is not told yet. The store is still open."""
        if self._sender is not None:
            await self._sender.close()
        if self._delivery is not None:
            await self._delivery.close()
