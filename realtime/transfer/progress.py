"""How far it is, on stderr: one line that is rewritten, or for a log a line now and then.

It is also where Ctrl-C takes effect: between two pieces, so that what is half done can be
taken back. Whoever presses it twice does not want to wait for that.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from realtime.transfer.ends import Item, rows

__all__ = ["Beat", "Progress", "interruptible"]

REWRITTEN_EVERY = 0.2
PRINTED_EVERY = 5.0
"""Seconds; a log should not be full of it."""

ERASE = "\r\x1b[K"

Beat = Callable[[int], None]
"""`Progress.beat`, for those who handle large values."""


class Progress:
    """Counts what passes, phase by phase."""

    def __init__(self, output: TextIO, timer: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._timer = timer
        self._rewrites = output.isatty()
        self._every = REWRITTEN_EVERY if self._rewrites else PRINTED_EVERY
        self._phase = ""
        self._of = 0
        self._started = self._said = timer()
        self._partly = 0  # rows of the value that is on the way
        self.interrupted = False
        self.keys = self.rows = 0
        self.seconds = 0.0
        """What the last phase counted, and how long it took."""

    @contextlib.contextmanager
    def phase(self, name: str, of: int = 0) -> Iterator[None]:
        """Count anew; ``of`` is how many rows there will be, if that is known."""
        self._phase, self._of = name, of
        self.keys = self.rows = self._partly = 0
        self._started = self._said = self._timer()
        try:
            yield
        finally:
            self.seconds = self._timer() - self._started
            if self._rewrites:
                self._output.write(ERASE)
                self._output.flush()

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; each is counted when the next is asked for."""
        for item in items:
            yield item
            self.keys += 1
            self.rows += rows(item[1])
            self._partly = 0
            self.beat()

    def beat(self, rows: int = 0) -> None:
        """So many more rows of a large value are done; say something if it is time to.

        Raises KeyboardInterrupt if somebody pressed Ctrl-C."""
        self._partly += rows
        if self.interrupted:
            raise KeyboardInterrupt
        now = self._timer()
        if now - self._said >= self._every:
            self._said = now
            start, end = (ERASE, "") if self._rewrites else ("", "\n")
            self._output.write(f"{start}{self._line(now)}{end}")
            self._output.flush()

    def _line(self, now: float) -> str:
        rows = self.rows + self._partly
        share = f" ({100 * rows // self._of} %)" if self._of else ""
        rate = rows / max(now - self._started, 1e-3)
        return f"{self._phase}: {self.keys:,} keys, {rows:,} rows{share}, {rate:,.0f} rows/s"


@contextlib.contextmanager
def interruptible(progress: Progress) -> Iterator[None]:
    """The first Ctrl-C waits for the next beat; the second does what it always does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def interrupt(*_: object) -> None:
        progress.interrupted = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
