"""Boards of the engine, and of Redis, against the model: all rules, and changes of them."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from engine import sortedset
from engine.clock import ManualClock
from engine.engine import Engine
from engine.errors import EngineError
from engine.sortedset import SortedSet
from realtime.backends import embedded
from tests.boards.against import KEY, AgainstModel
from tests.redis.pair import Pair


class OnTheEngine(AgainstModel):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.engine = Engine(self.clock)
        self.sets = embedded.backend(self.engine).sorted_sets

    def ask(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            work.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it was to be immediate")

    def now(self) -> int:
        return self.clock()

    def pass_time(self, duration: int) -> None:
        self.clock.advance(duration)
        self.engine.sweep(1000)

    @invariant()
    def holds(self) -> None:
        self.engine.keyspace._check()
        for value in self.engine.keyspace.values.values():
            if isinstance(value, SortedSet):
                value._check()


class OnBoth(AgainstModel):
    """What one answers, the other must; and both keep the same."""

    pair: Pair

    def __init__(self) -> None:
        super().__init__()
        self.pair.reset()
        self.sets = self.pair.sorted_sets

    def ask(self, work: Any) -> Any:
        if isinstance(work, EngineError):
            raise work
        return work

    def now(self) -> int:
        return self.pair.clock()

    def pass_time(self, duration: int) -> None:
        self.pair.advance(duration)

    def teardown(self) -> None:
        expected, found = self.pair.engine_contents(), self.pair.redis_contents()
        for index in (b":places", b":scores"):  # Redis' own
            found.pop(KEY + index, None)
        assert found == expected


def test_the_engine() -> None:
    run_state_machine_as_test(
        OnTheEngine, settings=settings(max_examples=200, stateful_step_count=40, deadline=None)
    )


def test_the_engine_with_large_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every set is past the size where it turns into a list of lists."""
    monkeypatch.setattr(sortedset, "PLAIN_LIMIT", 2)
    run_state_machine_as_test(
        OnTheEngine, settings=settings(max_examples=100, stateful_step_count=40, deadline=None)
    )


def test_both_backends(pair: Pair) -> None:
    run_state_machine_as_test(
        type("OnThisServer", (OnBoth,), {"pair": pair}),
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
