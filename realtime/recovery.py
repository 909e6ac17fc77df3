"""What a data directory holds: its journal if it has one, otherwise its snapshot.

A journal is there when its manifest is; then it is the truth, and the snapshot beside it, which
may be older, is not read. That is how Redis sees it, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anycrc
import hiredis

from engine.persistence.commands import Command, Split
from engine.persistence.errors import JournalError, Malformed
from engine.persistence.journal import Torn
from engine.persistence.manifest import MANIFEST
from engine.persistence.rdb import Crc
from engine.persistence.recovery import Recovered, recover
from realtime.collector import paused
from realtime.datadir import JOURNAL
from realtime.keeping import SnapshotError
from realtime.snapshot_file import Content, load

__all__ = [
    "SNAPSHOT",
    "Loaded",
    "Percent",
    "Progress",
    "has_journal",
    "load_directory",
    "torn_line",
]

SNAPSHOT = "dump.rdb"

Progress = Callable[[int, int], None]
"""(bytes read, bytes in all)"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was there."""

    line: str
    """For people."""
    recovered: Recovered | None = None
    """Of the journal, if there was one."""


class Percent:
    """A `Progress` that says it in words, now and then; a total of 0 is one that nobody knows."""

    def __init__(
        self,
        say: Callable[[str], None],
        every: float = 1.0,
        *,
        doing: str = "loading",
        of: str = "bytes",
    ) -> None:
        self._say = say
        self._doing = doing
        self._of = of
        self._every = every
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= self._every:
            self._said = now
            far = f"{100 * done // total} % of {total:,}" if total else f"{done:,}"
            self._say(f"{self._doing}: {far} {self._of}")


def torn_line(data: Path, torn: Torn) -> str:
    """What was cut off, for people."""
    return (
        f"{data / JOURNAL / torn.file}: the last {torn.dropped:,} bytes are dropped, from byte "
        f"{torn.offset:,} on, as a crash leaves the end of a journal: {torn.why}"
    )


def has_journal(data: Path) -> bool:
    """Whether the journal is what counts there. Raises SnapshotError if that cannot be told.

    Increments without their manifest are all that happened since a base that nobody names.
    """
    if (data / JOURNAL / MANIFEST).is_file():
        return True
    for path in (data / JOURNAL).glob("*.incr.aof"):
        if path.stat().st_size:
            raise SnapshotError(
                f"{path} has changes, and the manifest that says what they follow is gone. Nothing "
                f"was changed: put {MANIFEST} back beside it, or move {data / JOURNAL} away to do "
                f"without them; `realtime check {data}` shows what is there"
            )
    return False


def load_directory(
    content: Content, data: Path, progress: Progress = lambda done, total: None
) -> Loaded:
    """Fill an empty keyspace from a data directory. O(everything).

    Raises SnapshotError, and then the keyspace is empty.
    """
    started = time.perf_counter()
    recovered = None
    if has_journal(data):
        where, recovered = data / JOURNAL, _recover(content, data, progress)
        keys = len(content.keyspace)
    elif (data / SNAPSHOT).exists():
        where, keys = data / SNAPSHOT, load(content, data / SNAPSHOT)
    else:
        return Loaded(f"{data}: nothing yet, starting empty")
    seconds = time.perf_counter() - started
    return Loaded(f"{where}: {keys:,} keys loaded in {seconds:.1f} s", recovered)


def _recover(content: Content, data: Path, progress: Progress) -> Recovered:
    crc: Crc = anycrc.Model("CRC64-REDIS").calc
    try:
        with paused():
            return recover(
                data / JOURNAL,
                content.keyspace,
                now=content.clock(),
                crc=crc,
                split=fast_split(),
                progress=progress,
            )
    except (JournalError, OSError) as fault:
        raise SnapshotError(
            f"{data / JOURNAL} cannot be loaded: {fault}. Nothing was changed: `realtime check "
            f"{data}` shows what is whole, and `realtime check {data} --repair` cuts there"
        ) from fault


def fast_split() -> Split:
    """Another `engine.persistence.commands.split`, in C; its parser is kept from body to body."""
    reader, joined = hiredis.Reader(), b"".join

    def split(body: bytes) -> list[Command]:
        nonlocal reader
        reader.feed(body)
        reader.feed(_SENTINEL)
        gets = reader.gets
        commands: list[Command] = []
        try:
            while (command := gets()) is not False:
                if type(command) is not list or not command:
                    raise Malformed(f"{str(command)[:40]!r} is no command")
                joined(command)  # the cheapest way to ask whether all of it is bytes
                commands.append(command)
            if commands[-1:] != [[b"\0"]]:
                raise Malformed("a command is cut short")
        except (hiredis.ProtocolError, MemoryError, TypeError, Malformed) as fault:
            reader = hiredis.Reader()
            raise Malformed(str(fault)) from None
        return commands[:-1]

    return split


_SENTINEL = b"*1\r\n$1\r\n\0\r\n"
"""A command behind a body: it comes out as one only if the body ends with one. The parser itself
does not tell that it waits for more."""
