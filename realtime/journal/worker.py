"""One thread that waits for the disk, so that the event loop never does.

Jobs run one after the other, in the order in which they came. That a job is done, or what it
raised, is told on the loop.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable

__all__ = ["Worker"]

Job = Callable[[], None]
Done = Callable[[Exception | None], None]


class Worker:
    """Started by the first job; ended by ``close``."""

    __slots__ = ("_jobs", "_loop", "_thread")

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Job, Done] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None

    def submit(self, job: Job, done: Done) -> None:
        """Run ``job`` in the thread, then ``done`` on the loop that runs now. O(1)."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()
        self._jobs.put((job, done))

    def close(self) -> None:
        """Wait until all that was submitted has been done; what is ``done`` then is not told."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            fault: Exception | None = None
            try:
                job()
            except Exception as error:
                fault = error
            self._loop.call_soon_threadsafe(done, fault)
