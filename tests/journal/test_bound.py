"""When an fsync begins, and when it is late. The loop's clock is one that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from realtime.journal.bound import Bound

BOUND = 1.0


class Timer:
    """A call at an instant."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self._call = call
        self.over = False

    def cancel(self) -> None:
        self.over = True

    def run(self) -> None:
        self.over = True
        self._call()


class Loop:
    """As much of an event loop as `Bound` asks for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, call))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        """Move the clock, and call what is due, in order."""
        self.now = round(self.now + seconds, 6)
        while due := [timer for timer in self.timers if not timer.over and timer.at <= self.now]:
            min(due, key=lambda timer: timer.at).run()


class Watched:
    """A bound, and what it has called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.bound = Bound(
            BOUND, lambda: self.calls.append("sync"), lambda: self.calls.append("late")
        )


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    answer: Any = lambda: loop  # noqa: E731
    monkeypatch.setattr(asyncio, "get_running_loop", answer)
    return loop


@pytest.fixture
def watched(loop: Loop) -> Watched:
    return Watched()


def test_nothing_happens_while_nothing_is_written(watched: Watched, loop: Loop) -> None:
    loop.advance(100)
    assert watched.calls == []
    assert watched.bound.age() == 0


def test_a_sync_begins_half_the_bound_after_the_first_write(watched: Watched, loop: Loop) -> None:
    watched.bound.written()
    loop.advance(0.4)
    watched.bound.written()
    assert watched.calls == []
    loop.advance(0.1)
    assert watched.calls == ["sync"]
    assert watched.bound.age() == 0.5


def test_a_sync_in_time_is_never_late(watched: Watched, loop: Loop) -> None:
    watched.bound.written()
    loop.advance(0.5)
    loop.advance(0.4)
    watched.bound.synced()
    loop.advance(10)
    assert watched.calls == ["sync"]
    assert watched.bound.age() == 0


def test_it_is_late_when_the_oldest_write_is_as_old_as_the_bound(
    watched: Watched, loop: Loop
) -> None:
    watched.bound.written()
    loop.advance(0.999)
    assert watched.calls == ["sync"]
    loop.advance(0.001)
    assert watched.calls == ["sync", "late"]


def test_what_is_written_while_it_syncs_is_for_the_next_one(watched: Watched, loop: Loop) -> None:
    """The one under way may not cover it."""
    watched.bound.written()
    loop.advance(0.5)
    loop.advance(0.2)
    watched.bound.written()
    loop.advance(0.1)
    watched.bound.written()
    watched.bound.synced()
    assert watched.bound.age() == pytest.approx(0.1)
    loop.advance(0.39)
    assert watched.calls == ["sync"]
    loop.advance(0.01)
    assert watched.calls == ["sync", "sync"]


def test_what_has_waited_longer_than_the_bound_is_late_at_once(
    watched: Watched, loop: Loop
) -> None:
    watched.bound.written()
    loop.advance(0.5)
    watched.bound.written()
    loop.advance(2)
    assert watched.calls == ["sync", "late"]
    watched.bound.synced()
    loop.advance(0)
    assert watched.calls == ["sync", "late", "sync", "late"]
    watched.bound.synced()
    loop.advance(10)
    assert watched.calls == ["sync", "late", "sync", "late"]


def test_a_steady_load_is_synced_twice_per_bound(watched: Watched, loop: Loop) -> None:
    for _ in range(1000):
        watched.bound.written()
        loop.advance(0.01)
        if watched.calls and watched.calls[-1] == "sync":
            watched.calls[-1] = "synced"
            watched.bound.synced()
    assert watched.calls == ["synced"] * len(watched.calls)
    assert 19 <= len(watched.calls) <= 21


def test_all_synced_leaves_nothing_to_wait_for(watched: Watched, loop: Loop) -> None:
    watched.bound.written()
    loop.advance(0.5)
    watched.bound.written()
    watched.bound.all_synced()
    loop.advance(10)
    assert watched.calls == ["sync"]
    watched.bound.written()
    loop.advance(0.5)
    assert watched.calls == ["sync", "sync"]


def test_stopped_it_calls_nobody(watched: Watched, loop: Loop) -> None:
    watched.bound.written()
    watched.bound.stop()
    loop.advance(10)
    assert watched.calls == []
    assert watched.bound.age() == 0
