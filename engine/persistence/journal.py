"""Increments: what happened since the base, batch after batch, each with a seal.

A batch is what one turn of the event loop changed. It is an annotation, which Redis skips
like any line that begins with #, and the commands (see `engine.persistence.commands`):

    #RT:<sequence>:<bytes>:<synced>:<crc>\\r\\n
    <bytes> bytes of commands; of several, the first is MULTI and the last EXEC

``sequence`` counts batches from 1 and goes on from file to file. ``synced`` is the newest
batch that was known to be on disk, fsynced, when this one was written. ``crc`` is CRC-32 in
eight hexadecimal digits, of everything between ``#RT:`` and itself, and of the commands.

A redis-server that served the folder meanwhile has appended commands without a seal, and
``#TS:<seconds>``. Those are read as Redis reads them. Every other annotation is damage.

Whole records come out with the offset where they begin. What is not whole is either *torn*,
as a crash leaves the end of the last file, or damage; `engine.persistence.tail` tells which.
n is the size of the file; no more of it is in memory than one batch and a piece.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, NoReturn

from engine.persistence.annotations import (
    LINE,
    MAX_LINE,
    TIMESTAMP,
    is_beginning,
    matches,
    seal,
)
from engine.persistence.commands import EXEC, MAX_COMMAND, MULTI, Command, Incomplete, parse
from engine.persistence.errors import JournalDamaged, Malformed
from engine.persistence.tail import Tail
from engine.persistence.window import Window

__all__ = ["MAX_BATCH", "Batch", "Increment", "Raw", "Record", "Torn", "seal"]

MAX_BATCH = MAX_COMMAND
"""Bytes of the commands of one batch that a file can make us hold."""

HASH, STAR = b"#*"

SHOWN = 20
"""Bytes that an error shows of what makes no sense."""


class Batch(NamedTuple):
    """A batch whose seal matches. The sequence is the next one."""

    offset: int
    sequence: int
    synced: int
    body: bytes


class Raw(NamedTuple):
    """Commands without a seal: one, or those between a MULTI and its EXEC."""

    offset: int
    commands: list[Command]


Record = Batch | Raw


@dataclass(frozen=True, slots=True)
class Torn:
    """A crash while the end of the last file was written: what has to be cut off."""

    file: str
    offset: int
    """Where the last whole record ends."""
    dropped: int
    """Bytes from there to the end of the file."""
    why: str


class Increment:
    """One file, read once from its beginning: an iterator of records. O(n).

    Iterating raises JournalDamaged. ``torn`` is set when it ends, if the file is the last one
    and has a torn tail.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        start: int = 0,
        sequence: int | None = None,
        last: bool = False,
    ) -> None:
        """``sequence`` is of the batch before this file; None: any may come first."""
        self._window = Window(file, start)
        self._file = file
        self._last = last
        self.name = name
        self.sequence = sequence
        """Of the last batch."""
        self._next_sequence = None if sequence is None else sequence + 1
        self.good = start
        """Where the last whole record ends."""
        self.torn: Torn | None = None

    @property
    def size(self) -> int:
        """Bytes of the file, as it was when it was opened."""
        return self._window.size

    def __iter__(self) -> Iterator[Record]:
        window = self._window
        while True:
            yield from self._batches()
            try:
                record = self._next()
            except Incomplete:
                self._end(cut=True, what="the file ends within a batch or a command")
                return
            except Malformed as fault:
                self._end(cut=False, what=str(fault))
                return
            if record is None:
                return
            yield record
            self.good = window.offset

    def _batches(self) -> Iterator[Batch]:
        """What follows of batches that are as they should be and lie whole in what was read.

        Whatever else there is, is for ``_next``. The loop of a million batches: no calls in it.
        """
        window = self._window
        data, at, expected = window.data, window.at, self._next_sequence
        base, end_of_data = window.offset - at, len(data)
        match, crc32 = LINE.match, zlib.crc32
        while (line := match(data, at)) is not None:
            number, size, noted, checksum = line.groups()
            sequence, synced, start = int(number), int(noted), line.end()
            end = start + int(size)
            if end > end_of_data or sequence != expected or synced >= sequence:
                return
            body = data[start:end]
            if crc32(body, crc32(data[line.start(1) : line.start(4)])) != int(checksum, 16):
                return
            window.at = at = end
            self.sequence, self._next_sequence = sequence, (expected := sequence + 1)
            yield Batch(self.good, sequence, synced, body)
            self.good = base + end

    def _next(self) -> Record | None:
        """The next record; None at the end. Raises Incomplete and Malformed."""
        window = self._window
        while window.fill(MAX_LINE) or window.at < len(window.data):
            line = LINE.match(window.data, window.at)
            if line is not None:
                return self._batch(line)
            mark = window.data[window.at]
            if mark == STAR:
                return self._raw()
            if mark != HASH:
                shown = window.data[window.at : window.at + SHOWN]
                raise Malformed(f"{shown!r} begins neither a batch nor a command")
            self._skip_timestamp()
            self.good = window.offset
        return None

    def _batch(self, line: re.Match[bytes]) -> Batch:
        """The batch whose line has been found."""
        window = self._window
        sequence, size, synced = int(line[1]), int(line[2]), int(line[3])
        start = line.end()
        end = start + size
        if end <= len(window.data):
            body = window.data[start:end]
            window.at = end
        else:
            window.at = start
            body = self._long_body(size)
        if not matches(line, body):
            raise Malformed(f"the checksum of batch {sequence} does not match")
        if sequence != self._next_sequence or synced >= sequence:
            self._check_order(sequence, synced)
        self.sequence, self._next_sequence = sequence, sequence + 1
        return Batch(self.good, sequence, synced, body)

    def _long_body(self, size: int) -> bytes:
        """A body that reaches beyond the piece that was read."""
        window = self._window
        if size > MAX_BATCH:
            raise Malformed(f"a batch announces {size} bytes")
        if size > window.remaining:
            raise Incomplete(size - window.remaining)
        window.fill(size)
        return window.take(size)

    def _check_order(self, sequence: int, synced: int) -> None:
        """Whole as the batch is, it must be the next one; no crash makes it another."""
        if synced >= sequence:
            what = f"batch {sequence} says that batch {synced} is on disk already"
            raise JournalDamaged(what, self.name, self.good)
        if self.sequence is not None:
            what = f"batch {sequence} follows batch {self.sequence}"
            raise JournalDamaged(what, self.name, self.good)

    def _raw(self) -> Raw:
        offset = self._window.offset
        command = self._command()
        if not _is(command, MULTI):
            return Raw(offset, [command])
        commands: list[Command] = []
        while not _is(command := self._command(), EXEC):
            commands.append(command)
            if self._window.offset - offset > MAX_BATCH:
                raise Malformed("a transaction has no end")
        return Raw(offset, commands)

    def _command(self) -> Command:
        """One command without a seal, timestamps before it skipped."""
        window = self._window
        while True:
            if not window.fill(1):
                raise Incomplete(1)
            if window.data[window.at] == HASH:
                self._skip_timestamp()
                continue
            try:
                command, window.at = parse(window.data, window.at)
                return command
            except Incomplete as cut:
                held = len(window.data) - window.at
                if held + cut.missing > MAX_COMMAND:
                    raise Malformed("a command is longer than 1 GiB") from None
                # Twice as much each time, so that a long command is not parsed too often.
                if not window.fill(held + cut.missing):
                    raise
                window.fill(2 * held)

    def _skip_timestamp(self) -> None:
        window = self._window
        whole = window.fill(MAX_LINE)
        stamp = TIMESTAMP.match(window.data, window.at)
        if stamp is not None:
            window.at = stamp.end()
            return
        rest = window.data[window.at : window.at + MAX_LINE]
        if not whole and is_beginning(rest):
            raise Incomplete(1)
        raise Malformed(f"{rest[:SHOWN]!r} is no annotation of ours, nor of Redis")

    def _end(self, *, cut: bool, what: str) -> None:
        """Nothing more is whole. Raises JournalDamaged unless a crash explains it."""
        if not self._last:
            self._damaged(f"{what}, and this is not the last file" if cut else what)
        tail = Tail(self._file, self.good, self.size, self._next_sequence)
        torn, why = tail.verdict(what, cut=cut)
        if not torn:
            self._damaged(why)
        self.torn = Torn(self.name, self.good, self.size - self.good, why)

    def _damaged(self, what: str) -> NoReturn:
        raise JournalDamaged(what, self.name, self.good)


def _is(command: Command, name: bytes) -> bool:
    return len(command) == 1 and command[0].upper() == name
