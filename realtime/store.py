"""What holds the data, whole: this process, or a Redis that several share.

Both are opened from the settings, brought up by ``load``, kept alive by ``background`` and
``tick``, and ended by ``close``. `realtime.app` knows no other difference between them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Protocol

from realtime.backends.base import Backend
from realtime.embedded_store import EmbeddedStore
from realtime.gate import Gate
from realtime.keeping import KeepsBackups, SavesSnapshots
from realtime.metrics import Probe
from realtime.settings import Settings

__all__ = ["Store", "open_store"]


class Store(Protocol):
    """What holds the data."""

    @property
    def backend(self) -> Backend: ...

    @property
    def gate(self) -> Gate | None:
        """What all that leaves the process must pass; None if nothing needs to wait."""

    @property
    def snapshots(self) -> SavesSnapshots | None:
        """Where it can be told to write to disk; None if it cannot."""

    @property
    def backups(self) -> KeepsBackups | None:
        """What it keeps of former days; None if it keeps nothing."""

    async def load(self, progress: Callable[[str], None]) -> str:
        """Begin; one line about it, for people. ``progress`` hears how far it is, if it takes long,
        in a few words and perhaps in another thread."""

    def background(self) -> list[Coroutine[object, object, None]]:
        """What runs beside the doors, each until it is cancelled."""

    def tick(self) -> None:
        """A little housekeeping, ten times a second."""

    def probes(self) -> list[Probe]:
        """Its figures."""

    async def close(self) -> None:
        """Write what is unwritten. Raises SnapshotError."""


def open_store(settings: Settings) -> Store:
    """The store that the settings name. Raises SettingsError."""
    if settings.is_embedded:
        return EmbeddedStore(settings)
    from realtime.shared_store import SharedStore  # redis-py takes 0.1 s, and many need none

    return SharedStore(settings)
