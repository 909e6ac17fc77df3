"""What is asked of a server, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import hiredis
from redis.exceptions import ResponseError

from realtime.backends.base import BackendUnavailable
from realtime.backends.redis.calls import CommandFailed

__all__ = ["EXPECTED", "OUTAGES", "Question", "failure"]

OUTAGES = frozenset(
    (
        "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM",
        "NOREPLICAS", "OOM", "READONLY", "WRONGPASS",
    )
)  # fmt: skip
"""Errors that are no fault of the question: the server cannot do its work now."""

EXPECTED = (
    "ASK ", "MOVED ", "NOSCRIPT ", "TRYAGAIN ", "WRONGTYPE ", "ERR value is not an integer",
    "ERR increment or decrement would overflow",
)  # fmt: skip
"""How errors begin that mean something to whoever asked."""

_pack = cast(Callable[[tuple[bytes, ...]], bytes], hiredis.pack_command)


class Question(NamedTuple):
    """A command on its way, and where its answer goes."""

    words: tuple[bytes, ...]
    answer: asyncio.Future[Any]
    due: float
    """When its time is up, by the loop's clock."""
    confirms: bytes | None
    """The channel whose subscription begins or ends with it: that is answered by a push."""
    writes: bool
    signed: bool
    """The run id of whoever it is sent to is its last word."""

    def packed(self, run_id: bytes) -> bytes:
        """As it is sent to the server of this run id."""
        return _pack((*self.words, run_id) if self.signed else self.words)

    def fail(self, reason: str) -> None:
        """There will be no answer."""
        if not self.answer.done():
            self.answer.set_exception(BackendUnavailable(reason))


def failure(error: ResponseError) -> CommandFailed:
    """What redis-py makes of an error, which may have lost its first word, made whole again."""
    code = getattr(error, "status_code", None)
    if code is not None:
        return CommandFailed(code, str(error))
    code, _, text = str(error).partition(" ")
    return CommandFailed(code, text)
