"""Long work in pieces, between which others have their turn, where whoever asked may wait.

On a store in this process requests are mostly driven without a task, and nothing they await may
suspend (see `realtime.direct`). Who runs in a task of its own says so by ``may_wait``.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

__all__ = ["give_way", "may_wait"]

may_wait: ContextVar[bool] = ContextVar("may_wait", default=False)
"""Whether the work of this context is a task, and may suspend."""


async def give_way() -> None:
    """Let the loop turn once, if this work may wait."""
    if may_wait.get():
        await asyncio.sleep(0)
