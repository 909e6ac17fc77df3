"""From effects to sealed batches, and those that are still to be written."""

from __future__ import annotations

from engine.effects import Effect
from engine.persistence.commands import encode_all
from engine.persistence.journal import seal
from realtime.journal.stats import JournalStats

__all__ = ["Batches"]


class Batches:
    """What has happened and is not in the file. Numbers go on after the journal that was read."""

    __slots__ = ("_stats", "effects", "sequence", "synced", "unwritten")

    def __init__(self, stats: JournalStats) -> None:
        self.effects: list[Effect] = []
        """Since the last batch was sealed."""
        self.unwritten: list[bytes] = []
        """Sealed batches that a failed write left behind, oldest first."""
        self.sequence = 0
        """Of the newest batch."""
        self.synced = 0
        """The newest batch that is known to be on disk; each batch tells."""
        self._stats = stats

    def seal(self) -> bytes:
        """Make a batch of the effects, of which there is one at least. O(bytes)."""
        self.sequence += 1
        batch = seal(self.sequence, self.synced, encode_all(self.effects))
        self.effects.clear()
        self._stats.batches += 1
        self._stats.bytes += len(batch)
        return batch

    def take(self) -> list[bytes]:
        """All that is to be written; if that fails, it belongs into ``unwritten`` again."""
        batches, self.unwritten = self.unwritten, []
        if self.effects:
            batches.append(self.seal())
        return batches

    def forget(self) -> None:
        """All of it is void."""
        self.effects.clear()
        self.unwritten.clear()
