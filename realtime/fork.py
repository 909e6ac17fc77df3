"""A function run in a forked copy of the process, and what it answers.

The copy sees all memory as it was at the instant of the fork, for the price of the page
tables; pages are copied only as either side writes to them. That makes a consistent
snapshot out of any function, however long it runs. What a fork shares must be undone:

* file descriptors: the copy closes all but those it was given. An open socket would keep
  a connection alive after its server died, and the lock of the data directory would stay
  taken.
* signals: handlers, and the descriptor through which they wake the event loop, belong to
  the parent. Signals are held back until the copy has let go of them.
* exits: the copy ends in ``os._exit``; no `finally` of the parent, no atexit, no flush of a
  half-written buffer may run twice.

Only the forking thread lives on in the copy, so the function must not take a lock that
another thread may have held, such as that of a logger or of a stream.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import NoReturn

__all__ = ["Child", "ChildFailed", "fork"]

NICENESS = 10
"""Where both compete for a core, the parent gets ten times the share of its copy."""

REPORT_SIZE = 4096
"""The most a child may answer: what one write to a pipe carries whole."""

_DONE, _FAILED = b"+", b"-"


class ChildFailed(Exception):
    """The copy raised, or something ended it; the text says which."""


class Child:
    """The running copy, as its parent sees it."""

    __slots__ = ("_guard", "_reaped", "_report", "pid")

    def __init__(self, pid: int, report: int) -> None:
        self.pid = pid
        self._report = report
        self._reaped = False
        self._guard = threading.Lock()  # a pid may be killed only until it has been reaped

    def wait(self) -> bytes:
        """Block until the copy has ended, and answer what the function answered.

        Raises ChildFailed. For a thread of its own, and once only.
        """
        report = b""
        while part := os.read(self._report, REPORT_SIZE):
            report += part
        os.close(self._report)
        with self._guard:
            _, status = os.waitpid(self.pid, 0)
            self._reaped = True
        if report[:1] == _DONE:
            return report[1:]
        if report[:1] == _FAILED:
            raise ChildFailed(report[1:].decode("utf-8", "replace"))
        raise ChildFailed(f"the process that wrote it {_ending(status)}")

    def kill(self) -> None:
        """End the copy at once. No-op if it has ended."""
        with self._guard:
            if not self._reaped:
                os.kill(self.pid, signal.SIGKILL)


def fork(work: Callable[[], bytes], keep: Iterable[int] = ()) -> Child:
    """Run ``work`` in a copy that keeps only the descriptors ``keep`` open. O(memory mapped).

    Raises OSError if the system has no room for a copy.
    """
    reading, writing = os.pipe()
    held_back = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = _fork()
        if pid == 0:
            _live(work, writing, [*keep, writing], held_back)
    except OSError:
        os.close(reading)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_back)
        os.close(writing)
    return Child(pid, reading)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns of forks beside other threads, whose locks the copy could wait for.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _live(work: Callable[[], bytes], report: int, keep: list[int], mask: Iterable[int]) -> NoReturn:
    """The whole life of the copy. Nothing may leave this function, not even an exception."""
    status = 1
    try:
        gc.disable()  # a collection would write to every object, and so copy every page
        _close_all_but(keep)  # first of all: were the parent killed now, its lock must be free
        _let_go_of_signals(mask)
        os.nice(NICENESS)
        os.write(report, _DONE + work())
        status = 0
    except BaseException as fault:
        os.write(report, _FAILED + (str(fault) or repr(fault)).encode()[: REPORT_SIZE - 1])
    finally:
        os._exit(status)


def _let_go_of_signals(mask: Iterable[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    # Ctrl-C reaches the whole process group, but is meant for the parent, which decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _close_all_but(keep: list[int]) -> None:
    """Close every other descriptor; as far as the highest that is open, not that may be."""
    end = max(map(int, os.listdir("/dev/fd"))) + 1
    start = 0
    for descriptor in sorted(keep):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, end)


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with status {os.waitstatus_to_exitcode(status)} and no word"
