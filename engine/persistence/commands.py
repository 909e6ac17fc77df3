"""Commands as Redis writes them into a journal: arrays of strings, each with its length.

    *3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$1\\r\\nv\\r\\n        SET k v

Writing is on the path of every change: the heads of short strings are ready made, everything
goes into one list, and the list is joined once. It costs about 0.3 µs an effect.

Reading believes no length before it was compared with what is there, or with a bound. It
tells apart bytes that can still become a command (`Incomplete`: a file that was cut) from
bytes that never will (`Malformed`). Pure: no file, no offset; whoever has those adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.effects import Effect
from engine.persistence.errors import Malformed

__all__ = [
    "EXEC",
    "MAX_COMMAND",
    "MULTI",
    "Command",
    "Incomplete",
    "Split",
    "encode",
    "encode_all",
    "parse",
    "split",
    "transaction",
]

Command = list[bytes]
"""Its name and its arguments; never empty."""

Split = Callable[[bytes], list[Command]]
"""All commands of a text that ends with one. Raises Malformed. `split` is one; C is faster."""

MAX_COMMAND = 1 << 30
"""Bytes of one command, and arguments too: twice what Redis takes for one string. It bounds what
a length in a file can make us read, not what the engine can hold."""

MULTI, EXEC = b"MULTI", b"EXEC"

_BEGIN, _END = b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n"
_DIGITS = 10
"""Of a length: enough for MAX_COMMAND."""
LINE = 1 + _DIGITS + 2
_CRLF = b"\r\n"


class Incomplete(Exception):
    """The bytes are the beginning of a command; at least ``missing`` more must follow."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"at least {missing} more bytes must follow")
        self.missing = missing


class _Heads(dict[int, bytes]):
    """The length of a string, or the number of them, as it is written; small ones ready made."""

    def __init__(self, shape: bytes) -> None:
        super().__init__((number, shape % number) for number in range(1024))
        self._shape = shape

    def __missing__(self, number: int) -> bytes:
        return self._shape % number


_KNOWN_COUNTS = {b"*%d" % number: number for number in range(1, 64)}
_KNOWN_LENGTHS = {b"$%d" % number: number for number in range(1024)}
"""What nearly every line of a number is: read by looking it up."""
_COUNTS = _Heads(b"*%d")
_LENGTHS = _Heads(b"\r\n$%d\r\n")


def encode(effect: Effect) -> bytes:
    """The command of one effect. O(its bytes)."""
    lengths = _LENGTHS
    parts = [_COUNTS[len(effect)]]
    for part in effect:
        parts.append(lengths[len(part)])
        parts.append(part)
    parts.append(_CRLF)
    return b"".join(parts)


def encode_all(effects: Sequence[Effect]) -> bytes:
    """The commands of these effects; within MULTI and EXEC if there are several. O(their bytes).

    Whoever replays them then takes all or none.
    """
    if len(effects) == 1:
        return encode(effects[0])
    counts, lengths, crlf = _COUNTS, _LENGTHS, _CRLF
    parts = [_BEGIN]
    append = parts.append  # looked up once: this is the loop of a busy service
    for effect in effects:
        append(counts[len(effect)])
        for part in effect:
            append(lengths[len(part)])
            append(part)
        append(crlf)
    append(_END)
    return b"".join(parts)


def parse(data: bytes, at: int = 0) -> tuple[Command, int]:
    """The command that begins at ``at``, and where it ends. O(its bytes).

    Raises Incomplete if it may go on behind the end of ``data``, Malformed if it cannot.
    """
    known, crlf, find = _KNOWN_LENGTHS, _CRLF, data.find
    end = find(crlf, at, at + LINE)
    count = _KNOWN_COUNTS.get(data[at:end]) if end > 0 else None
    if count is None:
        count, end = _number(data, at, b"*")
    if count < 1:
        raise Malformed("a command has no name")
    command: Command = []
    at = end + 2
    for _ in range(count):
        end = find(crlf, at, at + LINE)
        length = known.get(data[at:end]) if end > 0 else None
        if length is None:
            length, end = _number(data, at, b"$")
        start = end + 2
        end = start + length
        at = end + 2
        if data[end:at] != crlf:
            raise _unended_string(data, end)
        command.append(data[start:end])
    return command, at


def split(data: bytes) -> list[Command]:
    """Every command of ``data``. O(n). Raises Malformed, also if the last one is cut short."""
    commands: list[Command] = []
    at, size = 0, len(data)
    try:
        while at < size:
            command, at = parse(data, at)
            commands.append(command)
    except Incomplete:
        raise Malformed("a command is cut short") from None
    return commands


def transaction(commands: list[Command]) -> list[Command]:
    """The commands of a batch, without the MULTI and EXEC around several. O(n).

    Raises Malformed if several have none: a Redis would then take a part of them.
    """
    if len(commands) == 1:
        return commands
    if commands[:1] != [[MULTI]] or commands[-1] != [EXEC]:
        raise Malformed("the commands of a batch are no transaction")
    return commands[1:-1]


def _number(data: bytes, at: int, mark: bytes) -> tuple[int, int]:
    """The number behind ``mark`` at ``at``, and where its line end is."""
    end = data.find(_CRLF, at, at + LINE)
    if end < 0:
        raise _unended(data, at, mark)
    digits = data[at + 1 : end]
    if data[at : at + 1] != mark or not digits.isdigit() or (number := int(digits)) > MAX_COMMAND:
        raise Malformed(f"{data[at:end]!r} stands where {mark.decode()} and a length must be")
    return number, end


def _unended(data: bytes, at: int, mark: bytes) -> Exception:
    """What it means that no line ends here: it was cut, or it is no line of a number."""
    line = data[at : at + LINE]
    digits = line[1:].removesuffix(b"\r")
    cut = at + len(line) == len(data) and len(digits) <= _DIGITS
    if cut and line[:1] in (b"", mark) and (not digits or digits.isdigit()):
        return Incomplete(2 if line[-1:] != b"\r" else 1)
    return Malformed(f"{line!r} stands where {mark.decode()} and a length must be")


def _unended_string(data: bytes, end: int) -> Exception:
    """What it means that no line end follows the string that ends at ``end``."""
    if data[end:] in (b"", b"\r"):
        return Incomplete(end + 2 - len(data))
    return Malformed("a string does not end where its length says")
