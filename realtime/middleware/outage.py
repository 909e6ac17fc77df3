"""What happens to a request about which nobody decides in time.

A limiter that can hold up the app is worse than none, so every decision has a deadline.
Whatever goes wrong on the way - no connection, silence, nonsense - is an outage, and whoever
configured the limiter has said what happens then: requests pass without headers (``allow``), or
are answered 503 (``deny``). After a few outages in a row nothing is asked for a moment, so that
what is dead does not cost every request the deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from realtime.errors import Unavailable
from realtime.middleware.occasional import Occasional

__all__ = ["OnOutage", "Outages", "reason"]

OUTAGES_IN_A_ROW = 5
PAUSE = 1.0
"""Seconds without a question after that many outages in a row."""

OnOutage = Literal["allow", "deny"]

T = TypeVar("T")


class Outages:
    """Asks, within the deadline; and does what was said where there is no answer."""

    def __init__(self, name: str, timeout: float, on_outage: OnOutage, log: logging.Logger) -> None:
        """``name`` is who is asked, for the log; ``timeout`` is for a decision, in seconds."""
        self._name = name
        self._timeout = timeout
        self._denies = on_outage == "deny"
        self._lines = Occasional(log)
        self._in_a_row = 0
        self._resumes_at = 0.0

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The answer; None if requests pass during an outage. Raises Unavailable if they do not.

        Every exception is an outage: one that we did not think of must not reach the app.
        """
        if asyncio.get_running_loop().time() >= self._resumes_at:
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await question()
            except Exception as error:
                self._note(error)
            else:
                self._in_a_row = 0
                return answer
        if self._denies:
            raise Unavailable("the limiter cannot be asked")
        return None

    def warn(self, message: str) -> None:
        """A line in the log, now and then."""
        self._lines.warn(message)

    def _note(self, error: Exception) -> None:
        self._in_a_row += 1
        if self._in_a_row >= OUTAGES_IN_A_ROW:
            self._resumes_at = asyncio.get_running_loop().time() + PAUSE
        self.warn(f"no decision from {self._name}: {reason(error)}")


def reason(error: Exception) -> str:
    """What went wrong, for people."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(error) or type(error).__name__
