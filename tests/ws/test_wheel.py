"""Deadlines: never early, late by a tick at most, and moved or cleared without a trace."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.ws.wheel import Wheel


class Waiter:
    """Notes when it was told."""

    def __init__(self, clock: list[float]) -> None:
        self.due: int | None = None
        self.told: list[float] = []
        self._clock = clock

    def on_deadline(self) -> None:
        self.told.append(self._clock[0])


def wheel_at(start: float) -> tuple[Wheel, list[float]]:
    now = [start]
    return Wheel(lambda: now[0], 0.1), now


@given(
    st.floats(0, 1e6),
    st.lists(st.floats(0, 50), max_size=20),
    st.lists(st.floats(0.01, 3), min_size=1, max_size=200),
)
def test_everybody_is_told_once_and_in_time(
    start: float, delays: list[float], steps: list[float]
) -> None:
    wheel, now = wheel_at(start)
    waiters = []
    for delay in delays:
        waiter = Waiter(now)
        wheel.set(waiter, delay)
        waiters.append((start + delay, waiter))
    longest = max(steps)
    for step in steps:
        now[0] += step
        wheel.turn()
    for due, waiter in waiters:
        assert len(waiter.told) == (1 if waiter.due is None else 0)
        for told in waiter.told:
            assert due - 1e-6 <= told <= due + 0.2 + longest
        if not waiter.told:
            assert now[0] < due + 0.2


def test_a_deadline_can_be_moved_and_cleared() -> None:
    wheel, now = wheel_at(5.0)
    moved, cleared = Waiter(now), Waiter(now)
    wheel.set(moved, 1)
    wheel.set(moved, 3)
    wheel.set(cleared, 1)
    wheel.clear(cleared)
    wheel.clear(cleared)
    now[0] = 7
    wheel.turn()
    assert not moved.told
    now[0] = 8.1
    wheel.turn()
    assert moved.told == [8.1]
    assert not cleared.told
    assert moved.due is cleared.due is None
    assert not wheel._waiting


def test_who_is_told_may_clear_the_deadline_of_another() -> None:
    wheel, now = wheel_at(0.0)

    class Jealous(Waiter):
        other: Jealous

        def on_deadline(self) -> None:
            super().on_deadline()
            wheel.clear(self.other)

    one, two = Jealous(now), Jealous(now)
    one.other, two.other = two, one
    wheel.set(one, 1)
    wheel.set(two, 1)
    now[0] = 2
    wheel.turn()
    assert len(one.told) + len(two.told) == 1


def test_a_deadline_set_for_now_comes_with_the_next_tick() -> None:
    wheel, now = wheel_at(1.0)
    waiter = Waiter(now)
    wheel.set(waiter, -5)
    wheel.turn()
    assert not waiter.told
    now[0] = 1.11
    wheel.turn()
    assert waiter.told
