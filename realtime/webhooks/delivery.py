"""One receiver, and all that is known of it by now: shared by whoever has something to tell it.

Whatever is said goes one way, so that all of it heeds that the receiver is away, and all of it
is counted together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from realtime.metrics import Probe
from realtime.webhooks.endpoint import Undelivered
from realtime.webhooks.event import Event
from realtime.webhooks.pace import Pace

__all__ = ["Delivery", "Figures", "Receiver", "probes"]

log = logging.getLogger("realtime.webhooks")


class Receiver(Protocol):
    """See `realtime.webhooks.endpoint.Endpoint`."""

    @property
    def name(self) -> str: ...

    async def post(self, message: str, body: bytes) -> None: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Figures:
    """For metrics. ``pending`` and ``oldest`` (seconds) are those of the store, of all nodes."""

    pending: int = 0
    oldest: float = 0.0
    sent: int = 0
    failures: int = 0
    """Tries that failed."""
    dropped: int = 0


class Delivery:
    """One per process."""

    def __init__(self, receiver: Receiver, *, most: int, clock: Callable[[], float]) -> None:
        """At most ``most`` requests should be under way. ``clock`` answers seconds, and never
        steps back."""
        self.figures = Figures()
        self.under_way = 0
        """Requests that somebody has set out to make, and counts here until they are answered."""
        self._receiver = receiver
        self._pace = Pace(most, clock)
        self._complaint = ""
        """What the receiver last had against a message: not logged again and again."""

    @property
    def silence(self) -> float:
        """Seconds until the next try; 0 if the receiver is not known to be away."""
        return self._pace.silence

    @property
    def room(self) -> int:
        """How many more requests may be under way now."""
        return self._pace.allows(self.under_way)

    async def post(self, event: Event) -> None:
        """One try. Raises Undelivered, which is counted and, if it is news, logged."""
        try:
            await self._receiver.post(event.id, event.encoded())
        except Undelivered as fault:
            self._fail(fault)
            raise
        self.figures.sent += 1
        if self._pace.heard():
            log.info("%s can be told again", self._receiver.name)

    def give_up(self, event: Event, tries: str) -> None:
        """It was not heard for too long. ``tries`` says how often, or how long, for people."""
        log.error("given up %s: %s of %s, %s", tries, event.type, event.subject, event.id)
        self.figures.dropped += 1

    async def close(self) -> None:
        await self._receiver.close()

    def _fail(self, fault: Undelivered) -> None:
        self.figures.failures += 1
        if fault.away:
            is_news = self._pace.away(fault.retry_after)
        else:
            self._pace.heard()
            is_news = str(fault) != self._complaint
            self._complaint = str(fault)
        if is_news:
            log.warning("%s was not told: %s", self._receiver.name, fault)


def probes(delivery: Delivery) -> list[Probe]:
    """What is known of webhooks, for metrics."""
    figures = delivery.figures
    return [
        Probe("webhook_pending", "Users who left and wait to be told of.", lambda: figures.pending),
        Probe("webhook_oldest_seconds", "The age of the oldest of them.", lambda: figures.oldest),
        Probe("webhook_sent", "Webhooks that were heard.", lambda: figures.sent, counts=True),
        Probe("webhook_failures", "Tries that failed.", lambda: figures.failures, counts=True),
        Probe(
            "webhook_dropped",
            "Webhooks that were given up, since nobody heard them for too long.",
            lambda: figures.dropped,
            counts=True,
        ),
    ]
