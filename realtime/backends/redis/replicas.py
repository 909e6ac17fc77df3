"""Writes that are answered only once replicas have them.

``WAIT`` after a pipeline tells how many replicas have confirmed everything before it. It answers
for the whole connection, so one of them serves all writes of the pipeline: they are carried
out, their answers are held, and given out, or refused, by what it says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from realtime.backends.base import BackendUnavailable
from realtime.backends.redis.question import Question

__all__ = ["Replicas"]

WAIT_SHARE = 0.4
"""The part of a deadline that replicas have: a write may have to wait for those before it."""

Held = Sequence[tuple[asyncio.Future[Any], asyncio.Future[Any]]]
"""Of each write, what its caller waits for, and what the master said."""


class Replicas:
    """How many must have a write, and how long they may take."""

    __slots__ = ("_count", "_name", "_words")

    def __init__(self, name: str, count: int, timeout: float) -> None:
        """``timeout`` is that of a question, in seconds; ``name`` is the server's, for messages."""
        self._name = name
        self._count = count
        milliseconds = max(1, round(timeout * WAIT_SHARE * 1000))
        self._words = (b"WAIT", b"%d" % count, b"%d" % milliseconds)

    def hold(self, batch: list[Question]) -> asyncio.Future[Any] | None:
        """Add the question how many have it to a batch, and hold the answers of its writes.

        Answers the future of that question; None, and nothing is done, if there are no writes."""
        loop = asyncio.get_running_loop()
        held: list[tuple[asyncio.Future[Any], asyncio.Future[Any]]] = []
        for place, question in enumerate(batch):
            if question.writes:
                early: asyncio.Future[Any] = loop.create_future()
                held.append((question.answer, early))
                batch[place] = question._replace(answer=early)
        if not held:
            return None
        confirmed: asyncio.Future[Any] = loop.create_future()
        confirmed.add_done_callback(lambda done: self._release(held, done))
        batch.append(Question(self._words, confirmed, batch[-1].due, None, False, False))
        return confirmed

    def _release(self, held: Held, confirmed: asyncio.Future[Any]) -> None:
        fault = confirmed.exception()
        copies = 0 if fault is not None else cast(int, confirmed.result())
        if fault is None and copies < self._count:
            fault = BackendUnavailable(
                f"{self._name}: written, but {copies} of {self._count} replicas have it in time"
            )
        for answer, early in held:
            failed = early.exception() or fault
            if answer.done():
                continue
            if failed is not None:
                answer.set_exception(failed)
            else:
                answer.set_result(early.result())
