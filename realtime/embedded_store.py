"""The store that is this process: the engine, and what writes it down."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from engine.engine import Engine
from realtime.backends import embedded
from realtime.metrics import Probe
from realtime.settings import Settings
from realtime.snapshots import Snapshots

__all__ = ["EmbeddedStore"]

SWEEP_BUDGET = 1_000
"""Microseconds a tick may spend on giving back the memory of expired keys."""


class EmbeddedStore:
    """The engine in this process, and its snapshots."""

    def __init__(self, settings: Settings) -> None:
        self._engine = Engine(embedded.system_clock())
        self.backend = embedded.backend(self._engine)
        self.snapshots: Snapshots | None = None
        if settings.data is not None:
            self.snapshots = Snapshots(
                self._engine, settings.data, interval=settings.snapshot_interval
            )

    async def load(self) -> str:
        if self.snapshots is None:
            return "memory only: a restart forgets everything (see --data)"
        return await asyncio.to_thread(self.snapshots.load)

    def background(self) -> list[Coroutine[object, object, None]]:
        return [] if self.snapshots is None else [self.snapshots.run()]

    def tick(self) -> None:
        self._engine.sweep(SWEEP_BUDGET)

    def probes(self) -> list[Probe]:
        engine = self._engine
        own = [
            Probe("keys", "Keys held.", lambda: len(engine.keyspace)),
            Probe("changes", "Changes made.", lambda: engine.effects.changes, counts=True),
        ]
        return own if self.snapshots is None else [*own, *_snapshot_probes(self.snapshots)]

    async def close(self) -> None:
        if self.snapshots is not None:
            await self.snapshots.close()


def _snapshot_probes(snapshots: Snapshots) -> list[Probe]:
    return [
        Probe(
            "snapshot_unsaved_changes",
            "Changes that the last good snapshot does not have.",
            lambda: snapshots.stats.unsaved_changes,
        ),
        Probe(
            "snapshot_failures",
            "Snapshots that could not be written.",
            lambda: snapshots.stats.failures,
            counts=True,
        ),
        Probe(
            "snapshot_success_time",
            "When the last good snapshot was written, in seconds since 1970.",
            lambda: snapshots.stats.last_success_at or 0,
        ),
        Probe(
            "snapshot_fork_seconds",
            "How long the last fork stopped the service.",
            lambda: snapshots.stats.fork_seconds,
        ),
    ]
