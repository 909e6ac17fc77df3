"""Builds the HTTP door: declarations in, one ASGI application out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import realtime
from realtime.access import Access
from realtime.governing import GovernsClients
from realtime.http import (
    admin,
    batch,
    boards,
    bulk,
    channels,
    clients,
    counters,
    events,
    leaderboards,
    leases,
    limit_rules,
    limits,
    namespaces,
    seasons,
    sessions,
    standings,
    tokens,
)
from realtime.http.backups import OPERATIONS as BACKUP_OPERATIONS
from realtime.http.dispatch import Dispatcher
from realtime.http.door import Door
from realtime.http.endpoint import Endpoint
from realtime.http.idempotency import Once
from realtime.http.openapi import document
from realtime.http.operation import Operation
from realtime.http.router import Router
from realtime.http.server_api import endpoints
from realtime.http.system import Pages, pages
from realtime.keeping import KeepsBackups, SavesSnapshots
from realtime.metrics import Metrics, Probe
from realtime.services import Services
from realtime.services.bulk import Bulk
from realtime.settings import Settings
from realtime.state import ServiceState

__all__ = ["OPERATIONS", "Options", "build"]

OPERATIONS: tuple[Operation, ...] = (
    *leaderboards.OPERATIONS,
    *boards.OPERATIONS,
    *seasons.OPERATIONS,
    *standings.OPERATIONS,
    *bulk.OPERATIONS,
    *counters.OPERATIONS,
    *sessions.OPERATIONS,
    *limit_rules.OPERATIONS,
    *limits.OPERATIONS,
    *leases.OPERATIONS,
    *channels.OPERATIONS,
    *events.OPERATIONS,
    *clients.OPERATIONS,
    *tokens.OPERATIONS,
    *batch.OPERATIONS,
    *admin.OPERATIONS,
    *namespaces.OPERATIONS,
    *BACKUP_OPERATIONS,
)


AT_ONCE = 32
"""Operations of one request that may wait for the store at the same time."""


@dataclass(frozen=True, slots=True)
class Options:
    """Bounds and defaults of the door. Sizes are bytes, times seconds."""

    body_limit: int = 1024 * 1024
    idempotency_ttl: float = 86_400.0
    session_idle_timeout: float = 1_800.0
    session_absolute_timeout: float = 28_800.0

    @classmethod
    def of(cls, settings: Settings) -> Options:
        """What the settings of the service say of this door."""
        return cls(
            body_limit=settings.max_body,
            idempotency_ttl=settings.idempotency_ttl,
            session_idle_timeout=settings.session_idle_timeout,
            session_absolute_timeout=settings.session_absolute_timeout,
        )


def build(
    services: Services,
    access: Access,
    *,
    state: ServiceState,
    options: Options,
    snapshots: SavesSnapshots | None = None,
    backups: KeepsBackups | None = None,
    clients: GovernsClients | None = None,
    probes: Iterable[Probe] = (),
) -> Door:
    """The door to some services. ``probes`` are what the rest of the process counts; ``clients``
    governs those who come in by other doors."""
    metrics = Metrics(probes)
    router: Router[Endpoint] = Router()
    once = Once(services.backend.values, round(options.idempotency_ttl * 1_000_000))
    dispatcher = Dispatcher(router, once)
    resources = {
        "leaderboards": services.leaderboards,
        "bulk": Bulk(services.backend, services.leaderboards),
        "counters": services.counters,
        "sessions": services.sessions,
        "limits": services.limits,
        "channels": services.channels,
        "revocations": services.revocations,
        "lifetimes": sessions.Lifetimes(
            options.session_idle_timeout, options.session_absolute_timeout
        ),
        "snapshots": snapshots,
        "backups": backups,
        "clients": clients,
        "at_once": 1 if services.backend.immediate else AT_ONCE,
        "dispatcher": dispatcher,
        "stats": Stats(metrics),
    }
    own = [Endpoint(one, resources, metrics.meter(one.name)) for one in OPERATIONS]
    for endpoint in (*own, *endpoints(resources, metrics.meter)):
        router.add(endpoint.operation.method, endpoint.operation.path, endpoint)
    return Door(
        state=state,
        access=access,
        dispatcher=dispatcher,
        pages=pages(Pages(services.backend, access, state, metrics, document(OPERATIONS))),
        unmatched=metrics.meter("unmatched"),
        body_limit=options.body_limit,
    )


class Stats:
    """Answers the figures of the service; the clock starts when it is made."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.monotonic()

    def __call__(self) -> admin.Stats:
        operations = {
            meter.operation: admin.OperationStats(
                statuses={str(status): count for status, count in meter.statuses.items()},
                seconds=meter.seconds,
            )
            for meter in self._metrics.meters
            if meter.statuses
        }
        return admin.Stats(
            version=realtime.__version__,
            uptime=time.monotonic() - self._started,
            figures=self._metrics.readings(),
            operations=operations,
        )
