"""What survives: the promise that an answer makes.

always         answered means on disk: it survives a power cut
bounded:<ms>   answered means written: it survives the death of the process at once, and a
               power cut once it is <ms> old. Where the disk cannot keep up with that,
               writes are refused rather than the bound silently stretched
snapshot       what was in the last snapshot
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ALWAYS", "DEFAULT", "SNAPSHOT", "Durability", "bounded", "parse"]

DEFAULT: Final = "bounded:1000"

LEAST_BOUND, LARGEST_BOUND = 10, 60_000
"""Milliseconds. Less than a few fsyncs of a slow disk would refuse in ordinary operation."""

SYNC_AT = 0.5
"""The part of the bound after which an fsync begins; the rest is what the disk may take for it."""


@dataclass(frozen=True, slots=True)
class Durability:
    """One level. ``bound`` is in seconds: None where there is no journal, 0 for always."""

    name: str
    bound: float | None

    @property
    def is_journaled(self) -> bool:
        return self.bound is not None

    @property
    def waits_for_disk(self) -> bool:
        """An answer leaves only when what it tells of is on disk."""
        return self.bound == 0

    def __str__(self) -> str:
        return self.name


SNAPSHOT: Final = Durability("snapshot", None)
ALWAYS: Final = Durability("always", 0.0)


def bounded(milliseconds: int) -> Durability:
    """The level that bounds what a power cut may cost."""
    return Durability(f"bounded:{milliseconds}", milliseconds / 1000)


def parse(text: str) -> Durability:
    """The level that a setting names. Raises ValueError, with a sentence."""
    if text in ("always", "snapshot"):
        return ALWAYS if text == "always" else SNAPSHOT
    level, _, given = text.partition(":")
    if level == "bounded" and given.isascii() and given.isdigit() and len(given) < 10:
        milliseconds = int(given)
        if LEAST_BOUND <= milliseconds <= LARGEST_BOUND:
            return bounded(milliseconds)
    raise ValueError(
        "write always, snapshot, or bounded:<ms> with a whole number from "
        f"{LEAST_BOUND} to {LARGEST_BOUND}"
    )
