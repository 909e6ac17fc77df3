"""Requests that hold many operations: they share the event loop with everybody else's.

On a store of this process operations are done one after another, and after some milliseconds
of work others get their turn. Where there is a store to wait for, waiting is sharing; several
operations may then be under way at once, but never all of them, for each holds its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TypeVar

__all__ = ["Turn", "in_turn"]

TURN = 0.005
"""Seconds of work after which others get their turn."""

T = TypeVar("T")


class Turn:
    """Begins when it is made."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = perf_counter() + TURN

    async def share(self) -> None:
        """Let others have theirs, if ours is over."""
        if perf_counter() > self._ends:
            await asyncio.sleep(0)
            self._ends = perf_counter() + TURN


async def in_turn(jobs: Sequence[Callable[[], Awaitable[T]]], at_once: int = 1) -> list[T]:
    """The results of jobs, begun in order, ``at_once`` of them at a time."""
    turn = Turn()
    results: list[T] = []
    for start in range(0, len(jobs), at_once):
        await turn.share()
        few = jobs[start : start + at_once]
        if len(few) == 1:
            results.append(await few[0]())
        else:
            results += await asyncio.gather(*[job() for job in few])
    return results
