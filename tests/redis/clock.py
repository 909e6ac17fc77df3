"""The wall clock of a real redis-server: it stands still, and the test moves it.

Deadlines, rate limits and ``TIME`` of a Redis then show the very microsecond that an engine's
`ManualClock` shows beside it. libfaketime does it: it is loaded into the server, and reads a
file whenever the server asks what time it is. Only wall time is ours; the monotonic clock,
which the server's own timers run on, goes on as ever.
"""

from __future__ import annotations

from pathlib import Path

from engine.clock import SECOND, ManualClock
from tests.support import missing

__all__ = ["ServerClock"]

LIBRARY = "faketime/libfaketime.so.1"
FOLDERS = ("usr/lib/*", "usr/lib*", "usr/local/lib*")
"""Debian's, Fedora's, and where its own Makefile puts it."""


class ServerClock(ManualClock):
    """A `ManualClock` that a redis-server goes by too, from its next command on.

    Setting ``now``, and so `advance`, costs one small file; it may go back.
    """

    __slots__ = ("_now", "_path")

    def __init__(self, folder: Path) -> None:
        self._path = folder / "time"
        super().__init__()

    @property
    def now(self) -> int:
        """Microseconds since 1970."""
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        self._now = now
        seconds, fraction = divmod(now, SECOND)
        # The half after the last digit is for the reader, who multiplies a float and cuts it off.
        # Renamed into place, since half a file would be half a time, and the end of the server.
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{seconds}.{fraction:06}5\n")
        fresh.replace(self._path)

    def reset(self) -> None:
        """Back to where every `ManualClock` begins."""
        self.now = ManualClock().now

    @property
    def environment(self) -> list[str]:
        """For ``env``, in front of the command that is to go by this clock."""
        # The C library comes before jemalloc, which asks for the time while it initialises
        # itself, while libfaketime allocates memory while it answers: they would wait for
        # each other for ever.
        return [
            f"LD_PRELOAD={_library()}:libc.so.6",
            f"FAKETIME_TIMESTAMP_FILE={self._path}",
            "FAKETIME_FMT=%s",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "NO_FAKE_STAT=1",
            "TZ=UTC0",
        ]


def _library() -> Path:
    for folder in FOLDERS:
        for found in sorted(Path("/").glob(f"{folder}/{LIBRARY}")):
            return found
    missing("libfaketime (package faketime)")
