"""From one increment to another, in the instant between two batches; see `Journal.switch`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from realtime.journal.disk import Increment

__all__ = ["Switch"]


@dataclass(slots=True)
class Switch:
    """What is to be done, and who waits for it."""

    increment: Increment
    at_boundary: Callable[[], None]
    done: asyncio.Future[None]
    begun: bool = False
    """The boundary has been crossed in memory, and is being written."""

    def end(self, fault: Exception | None) -> None:
        if fault is None:
            self.done.set_result(None)
        else:
            self.increment.close()
            self.done.set_exception(fault)
            self.done.exception()  # whoever waited may have gone away
