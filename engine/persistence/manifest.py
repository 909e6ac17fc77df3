"""The manifest of a journal: which files it has, and in which order. Redis 7's own.

    file appendonly.aof.2.base.rdb seq 2 type b
    file appendonly.aof.5.incr.aof seq 5 type i
    file appendonly.aof.6.incr.aof seq 6 type i
    file appendonly.aof.1.base.rdb seq 1 type h

State is the base (b; at most one), then every increment (i) in order. What a compaction has
made superfluous is history (h) until it is deleted. Words are pairs of key and value; pairs
that are unknown are accepted and forgotten, as Redis does. Lines that begin with # are notes.

One letter decides whether a file is state or history, so what we write ends in a note with the
CRC-32 of the lines before it, in eight hexadecimal digits. Where it is, it must be right; a
redis-server that takes the folder over writes the manifest anew, without.

    #RT:8c1d09f3

Numbers of files only grow. They count files, not batches.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass, replace

from engine.persistence.errors import JournalDamaged, Malformed

__all__ = ["MANIFEST", "Manifest", "Part"]

PREFIX = "appendonly.aof"
MANIFEST = f"{PREFIX}.manifest"

MAX_LINE = 1024
"""Bytes of a line with its end: Redis' own bound."""

SEAL = b"#RT:"

_BASE, _INCREMENT, _HISTORY = "b", "i", "h"

_WORD = re.compile(
    r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\'|\\(?!'))*)'|([^\s"']+))(?=\s|$)""", re.DOTALL
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}
_PLAIN = re.compile(rb"[!#-&(-\[\]-~]+")  # printable, without space, quotes and backslash
_ODD = re.compile(rb"[^!#-&(-\[\]-~ ]")
_SEQ = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the journal: its name within the folder, and its number."""

    name: str
    seq: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files. Every method answers another manifest; which is true is what the disk says."""

    base: Part | None = None
    increments: tuple[Part, ...] = ()
    history: tuple[Part, ...] = ()

    @staticmethod
    def parse(text: bytes, name: str = MANIFEST) -> Manifest:
        """What ``text`` says. Raises JournalDamaged, with the offset of the line. O(n)."""
        reading, offset = _Reading(), 0
        lines = text.split(b"\n")
        try:
            for line in lines[:-1]:
                if line.startswith(SEAL):
                    _check_seal(line, text[:offset], text[offset:])
                elif not line.startswith(b"#"):
                    reading.add(*_part(line))
                offset += len(line) + 1
            if lines[-1]:
                raise Malformed("the last line has no end")
            if not reading.names:
                raise Malformed("the manifest names no file")
        except Malformed as fault:
            raise JournalDamaged(str(fault), name, offset) from None
        return Manifest(reading.base, tuple(reading.increments), tuple(reading.history))

    def text(self) -> bytes:
        """As it is written, in Redis' order. O(files)."""
        rows = [(self.base, _BASE)] if self.base else []
        rows += [(part, _HISTORY) for part in self.history]
        rows += [(part, _INCREMENT) for part in self.increments]
        lines = b"".join(
            b"file %b seq %d type %b\n" % (_quoted(part.name), part.seq, kind.encode())
            for part, kind in rows
        )
        return b"%b%b%08x\n" % (lines, SEAL, zlib.crc32(lines))

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is replayed, in order."""
        return self.increments if self.base is None else (self.base, *self.increments)

    @property
    def next_base(self) -> Part:
        """The file of a base to come; its name was never used."""
        seq = 1 + max((part.seq for part in (self.base, *self.history) if part), default=0)
        return Part(f"{PREFIX}.{seq}.base.rdb", seq)

    @property
    def next_increment(self) -> Part:
        """The file of an increment to come; its name was never used."""
        seq = 1 + max((part.seq for part in (*self.increments, *self.history)), default=0)
        return Part(f"{PREFIX}.{seq}.incr.aof", seq)

    def with_increment(self, part: Part) -> Manifest:
        """One more increment, from now on the last."""
        return replace(self, increments=(*self.increments, part))

    def with_base(self, base: Part, kept: int) -> Manifest:
        """Another base, which holds all but the last ``kept`` increments; the rest is history."""
        split = len(self.increments) - kept
        gone = () if self.base is None else (self.base,)
        history = (*self.history, *gone, *self.increments[:split])
        return Manifest(base, self.increments[split:], history)

    def without_history(self) -> Manifest:
        """The same state; who writes this may delete the files of the history."""
        return replace(self, history=())

    def cut_after(self, name: str, *, keep: bool = True) -> Manifest:
        """Without the increments that follow the one called ``name``; or without it, too."""
        index = [part.name for part in self.increments].index(name)
        return replace(self, increments=self.increments[: index + keep])


class _Reading:
    """The lines so far, held to what they must be together."""

    __slots__ = ("base", "history", "increments", "names")

    def __init__(self) -> None:
        self.base: Part | None = None
        self.increments: list[Part] = []
        self.history: list[Part] = []
        self.names: set[str] = set()

    def add(self, kind: str, part: Part) -> None:
        """One more file. Raises Malformed."""
        if part.name in self.names:
            raise Malformed(f"two lines name the file {part.name!r}")
        self.names.add(part.name)
        if kind == _HISTORY:
            self.history.append(part)
        elif kind == _INCREMENT:
            if self.increments and part.seq <= self.increments[-1].seq:
                raise Malformed(f"increment {part.seq} follows {self.increments[-1].seq}")
            self.increments.append(part)
        elif self.base is not None:
            raise Malformed("there is a second base")
        else:
            self.base = part


def _check_seal(line: bytes, before: bytes, rest: bytes) -> None:
    if rest != line + b"\n":
        raise Malformed("lines follow the one with the checksum")
    if line != b"%b%08x" % (SEAL, zlib.crc32(before)):
        raise Malformed("the checksum of the manifest does not match")


def _part(line: bytes) -> tuple[str, Part]:
    """Type and file of a line. Raises Malformed."""
    if len(line) >= MAX_LINE:
        raise Malformed(f"a line is longer than {MAX_LINE} bytes")
    words = _words(line.decode("latin-1").strip(" \t\r\n"))
    if len(words) < 6 or len(words) % 2:
        raise Malformed(f"{len(words)} words are not the pairs that describe a file")
    if len(set(map(str.lower, words[::2]))) < len(words) // 2:
        raise Malformed("a line says the same thing twice")
    pairs = {key.lower(): value for key, value in zip(words[::2], words[1::2], strict=True)}
    if missing := {"file", "seq", "type"} - pairs.keys():
        raise Malformed(f"a line has no {min(missing)}")
    if pairs["type"] not in (_BASE, _INCREMENT, _HISTORY):
        raise Malformed(f"{pairs['type']!r} is no type of a file")
    if not _SEQ.fullmatch(pairs["seq"]):
        raise Malformed(f"{pairs['seq']!r} is no number of a file")
    name = os.fsdecode(pairs["file"].encode("latin-1"))
    if name in ("", ".", "..") or any(letter in name for letter in "/\\\0"):
        raise Malformed(f"{name!r} is not the name of a file in this folder")
    return pairs["type"], Part(name, int(pairs["seq"]))


def _words(line: str) -> list[str]:
    """The words of a line, quotes resolved, as Redis splits them. Raises Malformed."""
    words: list[str] = []
    at = 0
    while at < len(line):
        match = _WORD.match(line, at)
        if match is None:
            raise Malformed("a quote has no end")
        double, single, plain = match.groups()
        if double is not None:
            words.append(_ESCAPE.sub(_unescaped, double))
        else:
            words.append(plain if single is None else single.replace("\\'", "'"))
        at = match.end()
    return words


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return _ESCAPED.get(escape[2], escape[2])


def _quoted(name: str) -> bytes:
    raw = os.fsencode(name)
    if _PLAIN.fullmatch(raw):
        return raw
    return b'"%b"' % _ODD.sub(lambda byte: b"\\x%02x" % ord(byte[0]), raw)
