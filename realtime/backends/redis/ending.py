"""The end of tasks that run until they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

__all__ = ["end"]

AGAIN = 0.1
"""Seconds after which a task that goes on is cancelled once more."""


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them, and wait until they have ended, however that was.

    More than once if need be: below us, `asyncio.wait_for` of Python 3.11 loses a cancellation
    that comes together with what it waits for, and whoever was cancelled would go on for ever.
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        ended, going = await asyncio.wait(going, timeout=AGAIN)
        for task in ended:
            if not task.cancelled():
                task.exception()  # of no interest any more; else it would be reported as forgotten
