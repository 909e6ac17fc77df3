"""Rounds: A B A B …, so that whatever else the machine does falls on all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["FULL", "QUICK", "Contender", "Effort", "interleaved"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look. The quick figures show the order of things, not the last tenth."""

    rounds: int
    http_seconds: int
    """Of every HTTP round."""
    publications: int
    """Of every round of fan-out with many publishers; a quarter of that with one."""
    paced_seconds: float
    """Of every round at a steady rate of publications."""
    operations: int
    """Of every round inside this process."""
    snapshot_members: int
    """Also of a backup and of a compaction."""
    snapshot_rounds: int
    journaled_writes: int
    recovery_rounds: int


FULL = Effort(
    rounds=5,
    http_seconds=2,
    publications=400,
    paced_seconds=10.0,
    operations=40_000,
    snapshot_members=1_000_000,
    snapshot_rounds=3,
    journaled_writes=1_000_000,
    recovery_rounds=2,
)
QUICK = Effort(
    rounds=3,
    http_seconds=1,
    publications=120,
    paced_seconds=4.0,
    operations=10_000,
    snapshot_members=200_000,
    snapshot_rounds=1,
    journaled_writes=100_000,
    recovery_rounds=1,
)


@dataclass(frozen=True, slots=True)
class Contender(Generic[T]):
    """Somebody who can do the work; ``measure`` is told the number of the round."""

    name: str
    measure: Callable[[int], T]


def interleaved(contenders: Sequence[Contender[T]], rounds: int) -> list[tuple[T, ...]]:
    """The figures of each contender. A first round, for everybody to get warm, is not kept."""
    kept: list[list[T]] = [[] for _ in contenders]
    for number in range(rounds + 1):
        for contender, figures in zip(contenders, kept, strict=True):
            figure = contender.measure(number)
            if number > 0:
                figures.append(figure)
    return [tuple(figures) for figures in kept]
