"""Power cuts, as far as they can be played on a machine that goes on running.

After a kill the file system has all that was written. A power cut may take back whatever was
not synced: the end of the file is missing, or has grown without its contents, which then are
zeros. What was synced for certain the journal itself says: its last batch tells which batch was
known to be on disk when it was written. Beyond that one, anything may be gone.

The promise of ``bounded`` in exact words: acknowledged writes that are lost were all made within
one bound. The service stops writing when the oldest batch that is not on disk is that old. So
from the answer of a lost write to the request of any acknowledged one no more time passes
than the bound, and what the event loop comes late to its timers (TOLERANCE).
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from tests.crash.content import Content
from tests.crash.replayer import Batch, batches, listing
from tests.crash.rig import JOURNAL, Rig
from tests.crash.writers import Writer, seen_by

__all__ = ["Tail", "cut_power", "damage", "lose_power", "tail_of"]

TOLERANCE = 0.15
"""Seconds. Two busy cores, and the loop stands still while it forks for a compaction."""

SECTOR = 512
SHORT = 16
"""Bytes of a sector at the end of the file that still prove something."""
OTHER_BOOT = "00000000-0000-0000-0000-000000000000"


class Tail(NamedTuple):
    """The increment that was written last, and how much of it a power cut leaves alone."""

    path: Path
    synced: int
    """Offset behind which nothing is certain."""
    size: int


def tail_of(data: Path) -> Tail:
    """Read it off the last batch of the last increment that has any."""
    path, last = _last_batch(data / JOURNAL)
    kept = [batch for batch in batches(path) if batch.sequence <= last.synced]
    return Tail(path, kept[-1].end if kept else 0, path.stat().st_size)


def damage(tail: Tail, draw: random.Random) -> None:
    """Take back what may be gone, all or some: cut the file, or leave zeros for its contents."""
    if tail.size == tail.synced:
        return
    at = draw.choice([tail.synced, draw.randint(tail.synced, tail.size)])
    start, end = _sectors(tail, at, draw.randint(1, 8))
    with tail.path.open("r+b") as file:
        if draw.random() < 0.5 or end - start < SHORT:
            file.truncate(at)
        else:
            file.seek(start)
            file.write(bytes(end - start))


def _sectors(tail: Tail, at: int, count: int) -> tuple[int, int]:
    """Where contents are missing: whole sectors, but for what was synced of the first one.

    A piece too short to prove anything is made longer by a sector: what a reader makes of a
    few zeros is not for a random test to decide.
    """
    first = at - at % SECTOR
    start, end = max(tail.synced, first), min(tail.size, first + count * SECTOR)
    if end - start < SHORT and end == tail.size:
        start = max(tail.synced, start - SECTOR)
    elif end - start < SHORT:
        end = min(tail.size, end + SECTOR)
    return start, end


def lose_power(data: Path) -> None:
    """Make the lock say that its owner lived before the machine was started."""
    pid = (data / "lock").read_text().partition("\n")[0]
    (data / "lock").write_text(f"{pid}\n{OTHER_BOOT}\n")


def cut_power(rig: Rig) -> None:
    """After a kill: lose what was not synced, start again, and see that no more is missing."""
    damage(tail_of(rig.data), rig.draw)
    lose_power(rig.data)
    before = rig.copy()
    with rig.service() as service:
        content = rig.check_prefix(service, before)
        for writer in rig.writers:
            _check_bound(writer, content, rig)
            writer.rewind(content)
    rig.tally.cuts += 1


def _check_bound(writer: Writer, content: Content, rig: Rig) -> None:
    """All that is missing was acknowledged within one bound."""
    bound = int(rig.level.partition(":")[2]) / 1000
    newest = max((one.asked for other in rig.writers for one in other.log), default=0.0)
    seen = seen_by(writer.number, content)
    states = [one.marks for one in writer.log]
    if writer.pending is not None and seen == writer.pending.marks:
        return
    assert seen in states or not states or seen == writer.begun_with, (writer.number, seen)
    kept = len(states) - states[::-1].index(seen) if seen in states else 0
    for lost in writer.log[kept:]:
        age = newest - lost.answered
        assert age <= bound + TOLERANCE, f"seed {rig.seed}: {age:.3f} s are missing: {lost}"


def _last_batch(folder: Path) -> tuple[Path, Batch]:
    for path in reversed(listing(folder).increments):
        found = list(batches(path))
        if found:
            return path, found[-1]
    raise AssertionError("the journal has no batch")
