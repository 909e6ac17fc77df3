"""What a journal holds, for `realtime check`: file by file, then the state they make."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import anycrc

from engine.keyspace import Keyspace
from engine.persistence.commands import transaction
from engine.persistence.errors import JournalDamaged, JournalError, Malformed
from engine.persistence.journal import Batch, Increment, Torn
from engine.persistence.rdb import Crc
from engine.persistence.recovery import Counted, Recovered, Recovery
from realtime.collector import paused
from realtime.commands.checking.snapshot import Survey
from realtime.recovery import fast_split

__all__ = ["check_increment", "check_journal", "is_repairable", "read_journal"]


def read_journal(folder: Path, now: int) -> tuple[Recovery, Keyspace, Recovered | JournalError]:
    """How far it could be replayed, the state up to there, and how that ended.

    Raises OSError. O(everything).
    """
    crc: Crc = anycrc.Model("CRC64-REDIS").calc
    keyspace = Keyspace()
    recovery = Recovery(folder, keyspace, now=now, crc=crc, split=fast_split())
    try:
        with paused():
            return recovery, keyspace, recovery.run()
    except JournalError as error:
        return recovery, keyspace, error


def check_journal(folder: Path, now: int) -> bool:
    """Print what a journal holds, or what is wrong with it; whether it is sound.

    A torn tail is: a crash leaves one, and the next start cuts it off. Raises OSError.
    """
    recovery, keyspace, outcome = read_journal(folder, now)
    if isinstance(outcome, JournalError):
        hint = f". `realtime check {folder} --repair` keeps what comes before"
        advice = hint if is_repairable(recovery, outcome) else ""
        print(f"{folder}: {outcome}{advice}", file=sys.stderr)
        if recovery.files:
            print(f"{folder}: damaged, up to there")
            _print_files(recovery.files, None)
        return False
    print(f"{folder}: sound, {outcome.bytes:,} bytes")
    _print_files(outcome.files, outcome.torn)
    print(f"  {'last batch':12} {outcome.sequence:>12,}")
    survey = Survey(now)
    survey.add(keyspace.items(0))
    survey.print()
    return True


def is_repairable(recovery: Recovery, error: JournalError) -> bool:
    """Whether cutting an increment makes the journal sound: not what Redis wrote and we lack."""
    increments = [part.name for part in recovery.manifest.increments]
    return isinstance(error, JournalDamaged) and error.file in increments


def check_increment(path: Path) -> bool:
    """Print what a file of commands holds, by itself; whether it is whole. Raises OSError. O(n)."""
    with path.open("rb") as file:
        increment = Increment(file, path.name, last=True)
        counted = Counted(path.name, increment.size)
        try:
            _count(increment, counted)
        except JournalError as error:
            print(f"{path}: {error.what} (at byte {error.offset})", file=sys.stderr)
            return False
    print(f"{path}: sound by itself, {counted.size:,} bytes")
    _print_files([counted], increment.torn)
    if increment.sequence is not None:
        print(f"  {'last batch':12} {increment.sequence:>12,}")
    return True


def _count(increment: Increment, counted: Counted) -> None:
    """Read a file, and do nothing of what it says. Raises JournalDamaged."""
    split = fast_split()
    for record in increment:
        if isinstance(record, Batch):
            try:
                counted.commands += len(transaction(split(record.body)))
            except Malformed as fault:
                raise JournalDamaged(str(fault), counted.name, record.offset) from None
            counted.batches += 1
        else:
            counted.commands += len(record.commands)
            counted.unsealed += len(record.commands)


def _print_files(files: Iterable[Counted], torn: Torn | None) -> None:
    for file in files:
        parts = [f"{file.size:,} bytes"]
        for number, one, many in (
            (file.keys, "key", "keys"),
            (file.batches, "batch", "batches"),
            (file.commands, "command", "commands"),
        ):
            if number:
                parts.append(f"{number:,} {one if number == 1 else many}")
        if file.unsealed:
            parts.append(f"{file.unsealed:,} of them without a seal")
        print(f"  {file.name}: {', '.join(parts)}")
        if torn is not None and torn.file == file.name:
            print(
                f"    a torn tail: {torn.why}; the next start cuts off "
                f"{torn.dropped:,} bytes from byte {torn.offset} on"
            )
