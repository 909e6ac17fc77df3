"""The store that is this process: the engine, and if it has a data directory, its disk."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.keys import BUCKETS_PREFIX
from realtime.backups import Backups
from realtime.gate import Gate
from realtime.metrics import Probe
from realtime.on_disk import OnDisk
from realtime.settings import Settings
from realtime.snapshots import Snapshots

__all__ = ["EmbeddedStore"]

SWEEP_BUDGET = 1_000
"""Microseconds a tick may spend on giving back the memory of expired keys."""


class EmbeddedStore:
    """The engine in this process."""

    def __init__(self, settings: Settings) -> None:
        self._engine = Engine(embedded.system_clock())
        self._engine.buckets.room.bound(BUCKETS_PREFIX, settings.limit_max_keys)
        self._disk = OnDisk.of(self._engine, settings)
        if self._disk is None:
            self.backend = embedded.backend(self._engine)
        else:
            self.backend = embedded.backend(self._engine, self._disk.admission)

    @property
    def gate(self) -> Gate | None:
        return None if self._disk is None else self._disk.gate

    @property
    def snapshots(self) -> Snapshots | None:
        return None if self._disk is None else self._disk.snapshots

    @property
    def backups(self) -> Backups | None:
        return None if self._disk is None else self._disk.backups

    async def load(self, progress: Callable[[str], None]) -> str:
        if self._disk is None:
            return "memory only: a restart forgets everything (see --data)"
        return await self._disk.load(progress)

    def background(self) -> list[Coroutine[object, object, None]]:
        return [] if self._disk is None else self._disk.background()

    def tick(self) -> None:
        self._engine.sweep(SWEEP_BUDGET)
        if self._disk is not None:
            self._disk.tick()

    def probes(self) -> list[Probe]:
        engine, room = self._engine, self._engine.buckets.room
        own = [
            Probe("keys", "Keys held.", lambda: len(engine.keyspace)),
            Probe("changes", "Changes made.", lambda: engine.effects.changes, counts=True),
            Probe("limit_keys", "Callers that rate limits remember.", lambda: room.used),
            Probe(
                "limit_saturated",
                "Callers refused because there was no room to remember them.",
                lambda: room.refused,
                counts=True,
            ),
        ]
        return own if self._disk is None else [*own, *self._disk.probes()]

    async def close(self) -> None:
        if self._disk is not None:
            await self._disk.close()
