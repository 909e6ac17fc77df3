"""Waiting for what other processes do, without stopping the loop that the test itself needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

__all__ = ["until"]

PAUSE = 0.005


async def until(condition: Callable[[], bool | Awaitable[bool]], within: float = 20.0) -> float:
    """Poll until the condition holds; how long that took, in seconds. Fails after ``within``."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return loop.time() - started
        if loop.time() - started > within:
            pytest.fail(f"not within {within} s: {condition}")
        await asyncio.sleep(PAUSE)
