"""A second reader of journals, which shares no code with the one under test.

It knows only what the format promises: the manifest names a base and increments; increments
are batches, each a line with its length and checksum, and commands. It stops at the first batch
that is not whole, and says nothing about whether that is a torn tail or damage: the tests know
what they did to the file.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.crash.content import Content, Entry, of_snapshot

__all__ = ["Batch", "Listing", "batches", "listing", "replay"]

Command = list[bytes]

MANIFEST = "appendonly.aof.manifest"
LINE = re.compile(rb"#RT:(\d+):(\d+):(\d+):([0-9a-f]{8})\r\n")


class Listing(NamedTuple):
    """The files that a manifest lists, in the order in which they are replayed."""

    base: Path | None
    increments: list[Path]
    history: list[Path]


class Batch(NamedTuple):
    """One that is whole. Offsets are those of the file."""

    start: int
    end: int
    sequence: int
    synced: int
    commands: list[Command]


def listing(folder: Path) -> Listing:
    """What the manifest says."""
    found: dict[str, list[Path]] = {"b": [], "i": [], "h": []}
    for line in (folder / MANIFEST).read_text().splitlines():
        if not line.startswith("#"):
            _, name, _, _, _, kind = line.split()
            found[kind].append(folder / name)
    assert len(found["b"]) <= 1
    return Listing(next(iter(found["b"]), None), found["i"], found["h"])


def batches(path: Path) -> Iterator[Batch]:
    """Those of one increment, up to the first that is not whole."""
    data = path.read_bytes()
    start = 0
    while match := LINE.match(data, start):
        sequence, size, synced = (int(group) for group in match.group(1, 2, 3))
        body = data[match.end() : match.end() + size]
        sealed = b"%d:%d:%d:" % (sequence, size, synced) + body
        if len(body) < size or zlib.crc32(sealed) != int(match[4], 16):
            return
        end = match.end() + size
        yield Batch(start, end, sequence, synced, list(_commands(body)))
        start = end


def replay(folder: Path) -> Content:
    """What the journal in ``folder`` holds: base, then whole batches, each whole or not at all."""
    files = listing(folder)
    content = {} if files.base is None else of_snapshot(files.base)
    for increment in files.increments:
        for batch in batches(increment):
            for command in batch.commands:
                _VERBS[command[0]](content, *command[1:])
    return content


def _commands(body: bytes) -> Iterator[Command]:
    """Without MULTI and EXEC, which must be there around several."""
    commands, at = [], 0
    while at < len(body):
        command, at = _command(body, at)
        commands.append(command)
    if len(commands) > 1:
        assert (commands[0], commands[-1]) == ([b"MULTI"], [b"EXEC"]), "several, and no transaction"
        commands = commands[1:-1]
    yield from commands


def _command(body: bytes, at: int) -> tuple[Command, int]:
    count, at = _number(body, at, b"*")
    command = []
    for _ in range(count):
        size, at = _number(body, at, b"$")
        command.append(body[at : at + size])
        assert body[at + size : at + size + 2] == b"\r\n"
        at += size + 2
    return command, at


def _number(body: bytes, at: int, mark: bytes) -> tuple[int, int]:
    end = body.index(b"\r\n", at)
    assert body[at : at + 1] == mark
    return int(body[at + 1 : end]), end + 2


def _set(content: Content, key: bytes, value: bytes, *options: bytes) -> None:
    assert not options or options[0] == b"PXAT", options
    content[key] = Entry(value, int(options[1]) if options else None)


def _pexpireat(content: Content, key: bytes, deadline: bytes) -> None:
    content[key] = content[key]._replace(deadline=int(deadline))


def _del(content: Content, *keys: bytes) -> None:
    """One that has expired may be missing: a base is written without it, and its end told later."""
    for key in keys:
        content.pop(key, None)


def _hset(content: Content, key: bytes, *fields: bytes) -> None:
    table = content.setdefault(key, Entry({})).fields
    table.update(zip(fields[::2], fields[1::2], strict=True))


def _zadd(content: Content, key: bytes, *pairs: bytes) -> None:
    table = content.setdefault(key, Entry({})).scores
    for score, member in zip(pairs[::2], pairs[1::2], strict=True):
        table[member] = float(score)


def _remove(content: Content, key: bytes, *names: bytes) -> None:
    """Fields or members; a key that holds nothing is none."""
    table = content[key].fields
    for name in names:
        del table[name]
    if not table:
        del content[key]


def _xadd(
    content: Content, key: bytes, maxlen: bytes, most: bytes, item: bytes, *fields: bytes
) -> None:
    assert maxlen == b"MAXLEN"
    items = content.setdefault(key, Entry([])).items
    items.append((item, fields))
    del items[: -int(most)]


_VERBS: dict[bytes, Callable[..., None]] = {
    b"SET": _set,
    b"PEXPIREAT": _pexpireat,
    b"DEL": _del,
    b"HSET": _hset,
    b"HDEL": _remove,
    b"ZADD": _zadd,
    b"ZREM": _remove,
    b"XADD": _xadd,
}
