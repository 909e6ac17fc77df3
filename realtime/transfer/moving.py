"""The one way in which anything is moved: copy it, read both sides, compare.

What was written is never believed: the target is read anew, key by key, and so is the source
if somebody may have changed it meanwhile. A source that nobody can change is read before
anything is written: a damaged snapshot shows only at its end.

Every key is replaced whole, so a run that was killed is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from realtime.collector import paused
from realtime.transfer.digest import Seal, Total, deadline_of, seal
from realtime.transfer.ends import Item, Source, Target, TransferError
from realtime.transfer.progress import Progress

__all__ = ["Comparison", "Outcome", "move"]

NAMED = 10
"""Differing keys that are named."""

Seals = dict[bytes, Seal]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The keys of the source on both sides. Those that have expired since are on neither."""

    source: str
    """The digest of all of them."""
    target: str
    different: int
    named: tuple[bytes, ...]
    """The first of those that differ, or are missing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done. Seconds are those of copying, and of reading for the comparison."""

    keys: int
    rows: int
    copied_in: float
    compared_in: float
    compared: Comparison
    left_out: int
    """Keys of the source that are not of our layout."""
    surplus: int
    """Keys of our layout that only the target has, or had: see ``removed``."""
    removed: bool

    @property
    def equal(self) -> bool:
        return not self.compared.different


def move(source: Source, target: Target, progress: Progress, *, replace: bool) -> Outcome:
    """Bring every live key of ours from the source to the target, and compare.

    ``replace`` removes what else the target has of ours, once all is equal. Raises
    TransferError, also if the source has nothing: then its name is likely wrong.
    O(everything), three times.
    """
    with paused():
        seals: Seals = {}
        count = 0
        if source.steady:
            seals = _seals(source, progress)
            count = progress.rows
        with progress.phase("copying", count):
            target.write(progress.watch(_not_empty(source)), len(seals))
        keys, rows, copied_in = progress.keys, progress.rows, progress.seconds
        left_out, compared_in = source.left_out, 0.0
        if not source.steady:
            seals = _seals(source, progress)
            count, compared_in = progress.rows, progress.seconds
        with progress.phase("comparing", count):
            items = progress.watch(target.read_back(seals))
            compared = _compare(seals, items, lambda: max(source.clock(), target.clock()))
        compared_in += progress.seconds
        remove = replace and not compared.different
        surplus = target.surplus(seals, remove=remove)
    return Outcome(keys, rows, copied_in, compared_in, compared, left_out, surplus, remove)


def _seals(source: Source, progress: Progress) -> Seals:
    """Of every key. Raises TransferError if one stands there twice."""
    seals: Seals = {}
    with progress.phase("reading"):
        for item in progress.watch(source.items()):
            if item[0] in seals:
                raise TransferError(f"{source} cannot be used: a key stands there twice")
            seals[item[0]] = seal(item)
    return seals


def _not_empty(source: Source) -> Iterator[Item]:
    items = source.items()
    first = next(items, None)
    if first is None:
        raise TransferError(f"{source} has none of our keys: nothing was changed")
    return chain([first], items)


def _compare(
    seals: Mapping[bytes, Seal], items: Iterator[Item], clock: Callable[[], int]
) -> Comparison:
    source, target = Total(seals.values()), Total()
    missing = dict.fromkeys(seals)
    different: list[bytes] = []
    for item in items:
        key, sealed = item[0], seal(item)
        del missing[key]
        target.add(sealed)
        if sealed != seals[key]:
            different.append(key)
    now = clock()
    for key in missing:
        deadline = deadline_of(seals[key])
        if deadline is not None and deadline <= now:
            source.remove(seals[key])
        else:
            different.append(key)
    return Comparison(str(source), str(target), len(different), tuple(different[:NAMED]))
