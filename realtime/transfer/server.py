"""One connection to one server, with many commands on the way at once.

What is pushed goes out in batches. While the server works on one, the next is encoded here:
its answers are read only when the next is ready. Nobody waits long for us at the server: it
turns to others every 16 KiB.

redis-py has opened the socket; bytes are hiredis' work alone, since at a million answers
every call in between counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis

from realtime.transfer.ends import TransferError

__all__ = ["Command", "Refused", "Server", "reason"]

BATCH_COMMANDS = 256
BATCH_BYTES = 256 * 1024
"""What is on the way at once, and sent in one piece; a few milliseconds of work."""

BLOCK = 64 * 1024
"""Bytes read at once."""

Command = Sequence[bytes]

_pack = cast(Callable[[tuple[bytes, ...]], bytes], hiredis.pack_command)


class Refused(Exception):
    """An answer that is an error; ``str`` of it is the server's own text."""

    @property
    def code(self) -> str:
        """Its first word, like MOVED."""
        return str(self).partition(" ")[0]


class Server:
    """Blocking. Whatever goes wrong is a TransferError, after which it must not be used."""

    __slots__ = (
        "_bytes",
        "_connection",
        "_count",
        "_expected",
        "_name",
        "_packed",
        "_reader",
        "_secrets",
        "_socket",
    )

    def __init__(self, connection: Any, name: str, secrets: Sequence[str] = ()) -> None:
        """``connection`` is redis-py's, and connected. No message repeats one of ``secrets``."""
        self._connection = connection
        self._socket = connection._sock
        self._reader = hiredis.Reader(replyError=Refused, notEnoughData=_MORE)
        self._name = name
        self._secrets = secrets
        self._packed: list[bytes] = []
        self._bytes = 0
        self._expected = 0  # answers that have not been read

    def push(self, *words: bytes) -> None:
        """Have a command carried out, sooner or later, after all before it."""
        packed = _pack(words)
        self._packed.append(packed)
        self._bytes += len(packed)
        if self._bytes >= BATCH_BYTES or len(self._packed) >= BATCH_COMMANDS:
            self._flush()

    def settle(self) -> None:
        """Wait until all that was pushed is carried out. Raises for the first that was refused."""
        self._flush()
        self._read()

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Their answers, in order; an answer that is an error stands among them, as Refused."""
        self.settle()
        self.tell(commands)
        return self.hear(len(commands))

    def tell(self, commands: Sequence[Command]) -> None:
        """The first half of ``ask``."""
        self._send([_pack(tuple(words)) for words in commands])

    def hear(self, count: int) -> list[Any]:
        """The second half of ``ask``."""
        answers: list[Any] = []
        next_answer, more = self._reader.gets, _MORE
        while len(answers) < count:
            answer = next_answer()
            if answer is more:
                self._feed()
            else:
                answers.append(answer)
        return answers

    def close(self) -> None:
        self._connection.disconnect()

    def failed(self, error: Exception) -> TransferError:
        """What is said of an error of this server."""
        if isinstance(error, Refused) and error.code in _MOVING:
            error = ValueError("the cluster is moving slots; let it finish and run this again")
        return TransferError(f"{self._name}: {reason(error, self._secrets)}")

    def _flush(self) -> None:
        packed, self._packed, self._bytes = self._packed, [], 0
        self._read()
        if packed:
            self._send(packed)
            self._expected = len(packed)

    def _read(self) -> None:
        count, self._expected = self._expected, 0
        for answer in self.hear(count):
            # The answer to EXEC is a list of answers.
            for part in answer if isinstance(answer, list) else (answer,):
                if isinstance(part, Refused):
                    raise self.failed(part)

    def _send(self, packed: Sequence[bytes]) -> None:
        try:
            self._socket.sendall(b"".join(packed))
        except OSError as error:
            raise self.failed(error) from None

    def _feed(self) -> None:
        try:
            block = self._socket.recv(BLOCK)
        except OSError as error:
            raise self.failed(error) from None
        if not block:
            raise self.failed(ConnectionError("it closed the connection"))
        self._reader.feed(block)


def reason(error: Exception, secrets: Sequence[str]) -> str:
    """An error as a clause, on one line. Some servers repeat what they were sent."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    for secret in secrets:
        text = text.replace(secret, "…")
    return text


_MORE = object()
_MOVING = ("MOVED", "ASK", "TRYAGAIN")
