"""How the journal is doing, in figures that only grow."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["JournalStats"]


@dataclass(slots=True)
class JournalStats:
    """Since the start of the process."""

    batches: int = 0
    bytes: int = 0
    syncs: int = 0
    failures: int = 0
    """System calls on the journal that failed."""
    refused: int = 0
    """Writes refused while the disk was not to be had."""
