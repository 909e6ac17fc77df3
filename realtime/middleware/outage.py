"""Asking somebody far away: within a deadline, and not at all while he is known to be away.

A limiter that can hold up the app is worse than none, so every question has a deadline.
Whatever goes wrong on the way - no connection, silence, nonsense - is an outage: `Unavailable`.
What that means for a request is the business of `realtime.middleware.fallback`.

After a few outages in a row the circuit opens: nothing is asked for a moment, so that what is
dead does not cost every request the deadline. Then one question goes first, and the others
follow if it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from realtime.backends.base import EngineError
from realtime.errors import InvalidInput, Unavailable
from realtime.middleware.occasional import Occasional

__all__ = ["Outages", "reason"]

OUTAGES_IN_A_ROW = 5
PAUSE = 1.0
"""Seconds without a question after that many outages in a row."""

ANSWERED = (InvalidInput, EngineError)
"""It is this question that the limiter does not take, and others it does: what one caller asks
must not open the circuit for all."""

T = TypeVar("T")


class Outages:
    """Asks, within the deadline. Serves one event loop."""

    def __init__(self, name: str, timeout: float, log: logging.Logger) -> None:
        """``name`` is who is asked, for the log; ``timeout`` is for a decision, in seconds."""
        if not 0 < timeout < math.inf:
            raise ValueError(f"a deadline is above 0 seconds, not {timeout}")
        self._name = name
        self._timeout = timeout
        self._lines = Occasional(log)
        self._in_a_row = 0
        self._resumes_at = 0.0
        self._probing = False

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer. Raises Unavailable, and nothing else: what we did not think of must not
        reach the app."""
        if self._in_a_row < OUTAGES_IN_A_ROW:
            return await self._ask(question)
        if self._probing or asyncio.get_running_loop().time() < self._resumes_at:
            raise Unavailable("the limiter is not asked for a moment")
        self._probing = True
        try:
            return await self._ask(question)
        finally:
            self._probing = False

    def begin(self) -> None:
        """In another event loop nothing is known of outages, and no question is under way."""
        self._in_a_row, self._probing = 0, False

    def warn(self, message: str) -> None:
        """A line in the log, now and then."""
        self._lines.warn(message)

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await question()
        except Exception as error:
            self._note(error)
            raise Unavailable("the limiter cannot be asked") from error
        self._in_a_row = 0
        return answer

    def _note(self, error: Exception) -> None:
        self._in_a_row = 0 if isinstance(error, ANSWERED) else self._in_a_row + 1
        if self._in_a_row >= OUTAGES_IN_A_ROW:
            self._resumes_at = asyncio.get_running_loop().time() + PAUSE
        self.warn(f"no decision from {self._name}: {reason(error)}")


def reason(error: Exception) -> str:
    """What went wrong, for people."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(error) or type(error).__name__
