"""What may be asked of a store that keeps itself on disk, and what it answers.

The doors and the services know these words only; who does the work is `realtime.snapshots` and
`realtime.backups`, and on a store that looks after its own disk nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "Backup",
    "BackupError",
    "KeepsBackups",
    "Restored",
    "SavesSnapshots",
    "SnapshotError",
    "SnapshotInfo",
]


class SnapshotError(Exception):
    """A snapshot could not be loaded, or could not be written; the text is for people."""


class BackupError(Exception):
    """A backup could not be written or put in place; the text is for people."""


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot that is on disk."""

    path: str
    bytes: int
    seconds: float
    """How long it took, from the fork to the name."""
    keys: int


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is on disk."""

    name: str
    bytes: int
    created_at: int
    """The instant that it shows, in microseconds since 1970; of a foreign file, its age."""
    keys: int | None = None
    """None where the file has not been read by this process."""

    @property
    def verified(self) -> bool:
        """Whether this process has read it whole, and found it sound."""
        return self.keys is not None


@dataclass(frozen=True, slots=True)
class Restored:
    """What is live now."""

    name: str
    keys: int
    """Those of the backup that have not expired since."""
    kept: Backup
    """What was live before, as a backup of its own."""


class SavesSnapshots(Protocol):
    """Writes everything down when asked."""

    async def save(self) -> SnapshotInfo:
        """A snapshot with everything that was written before the call. Raises SnapshotError."""


class KeepsBackups(Protocol):
    """Copies of everything, each of one instant. A name that there is not raises NotFound."""

    async def list(self) -> Sequence[Backup]:
        """All there are, newest first. Raises BackupError."""

    async def create(self) -> Backup:
        """One more, of now; on disk and verified when it is answered. Raises BackupError."""

    async def delete(self, name: str) -> None:
        """Remove one. Raises BackupError."""

    async def restore(self, name: str) -> Restored:
        """Replace everything that is live. Raises Conflict if it is damaged, and BackupError."""
