"""Files written by a forked copy of the process, one copy at a time.

Whoever wants such a file, a snapshot or a backup, waits for its turn: two copies at once would
need the memory of both, and each slows the other down. The copy only writes a temporary file.
The parent gives it its name once the copy has said that all is on disk; a copy that was killed,
or that outlived its parent, leaves what has the name alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from realtime.datadir import NewFile
from realtime.fork import Child, fork
from realtime.snapshot_file import Written

__all__ = ["Copies"]


class Copies:
    """The turns of one process. Cost: see `realtime.fork`."""

    __slots__ = ("_child", "_turn", "fork_seconds")

    def __init__(self) -> None:
        self.fork_seconds = 0.0
        """How long the last fork stopped the service."""
        self._turn = asyncio.Lock()
        self._child: Child | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until no other copy runs; within it, none begins but one's own."""
        async with self._turn:
            yield

    async def write(self, new: NewFile, work: Callable[[], Written], name: str) -> Written:
        """Within one's turn: run ``work`` in a copy, then give its file the name.

        The copy is made before the first suspension, so it sees what the caller sees. Raises
        ChildFailed, and OSError.
        """
        assert self._turn.locked()
        started = time.perf_counter()
        child = fork(lambda: _report(work()), [new.descriptor])
        self.fork_seconds = time.perf_counter() - started
        self._child = child
        try:
            return await asyncio.to_thread(_finish, child, new, name)
        finally:
            self._child = None

    def kill(self) -> None:
        """End the running copy at once, if there is one: who waits for it is told so."""
        if self._child is not None:
            self._child.kill()


def _report(written: Written) -> bytes:
    return b"%d %d" % written


def _finish(child: Child, new: NewFile, name: str) -> Written:
    """Wait for the copy, then give its file the name. For a thread of its own."""
    keys, size = map(int, child.wait().split())
    new.commit(name)
    return Written(keys, size)
