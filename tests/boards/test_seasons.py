"""Seasons of the engine, and of Redis, against the model; and in snapshots and journals."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from engine.clock import ManualClock
from engine.engine import Engine
from engine.errors import EngineError
from engine.keyspace import Keyspace
from engine.persistence.commands import Command
from engine.persistence.replay import Replay
from engine.sortedset import SortedSet
from realtime.backends import embedded
from realtime.backends.keys import SEASONS
from tests.boards.against import KEY
from tests.boards.seasons import SeasonsAgainstModel
from tests.persistence.samples import plain
from tests.redis.pair import Pair


class OnTheEngine(SeasonsAgainstModel):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.engine = Engine(self.clock)
        self.sets = embedded.backend(self.engine).sorted_sets
        self.effects: list[Command] = []
        self.engine.effects.listen(lambda effect: self.effects.append(list(effect)))

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

    def teardown(self) -> None:
        """The journal has it, too."""
        keyspace = Keyspace()
        replay = Replay(keyspace, now=0)
        replay.apply(self.effects)
        replay.settle()
        assert plain(keyspace.items(0)) == plain(self.engine.keyspace.items(0))


class OnBoth(SeasonsAgainstModel):
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
        indices = [key for key in found if key.endswith((b":places", b":scores"))]  # Redis' own
        for index in indices:
            assert found.pop(index)
            assert index.rpartition(b":")[0] in found, "of what is not there any more"
        assert found == expected
        assert len(found.get(KEY + SEASONS, ("", {}, None))[1]) == len(self.over)


def test_the_engine() -> None:
    run_state_machine_as_test(
        OnTheEngine, settings=settings(max_examples=100, stateful_step_count=30, deadline=None)
    )


def test_both_backends(pair: Pair) -> None:
    run_state_machine_as_test(
        type("OnThisServer", (OnBoth,), {"pair": pair}),
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
