"""No collection is long: what is old is frozen, and what is new is looked at now and then."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import count

import pytest

import realtime.collector
from realtime.collector import EVERY, GROWTH, NEVER, SHARE, Collector, paused


class Memory:
    """How many blocks are in use, as the test says."""

    def __init__(self) -> None:
        self.blocks = 1_000_000

    def __call__(self) -> int:
        return self.blocks


class Cycle:
    """Garbage that only a collection can find."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def collector(memory: Memory) -> Iterator[Collector]:
    made = Collector(memory)
    yield made
    made.close()


def minute(collector: Collector) -> None:
    for _ in range(EVERY):
        collector.tick()


def test_what_is_loaded_is_frozen_and_never_visited_by_itself(collector: Collector) -> None:
    before = gc.get_threshold()
    kept = [Cycle() for _ in range(1000)]
    collector.loaded()
    assert gc.get_freeze_count() >= len(kept)
    assert gc.get_threshold()[2] == NEVER
    assert not any(found is kept for found in gc.get_objects())
    collector.close()
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)


def test_garbage_is_found_within_a_minute(collector: Collector) -> None:
    collector.loaded()
    found: list[str] = []

    class Told(Cycle):
        def __del__(self) -> None:
            found.append("collected")

    Told()
    for _ in range(EVERY - 1):
        collector.tick()
    assert collector.stats.full == 0
    collector.tick()
    assert found == ["collected"]
    stats = collector.stats
    assert (stats.full, stats.frozen) == (1, 1)
    assert 0 < stats.last_seconds <= stats.longest_seconds


def test_a_long_collection_is_rare(memory: Memory) -> None:
    length = 1 / 64
    collector = Collector(memory, count(step=length).__next__)
    collector.loaded()
    minute(collector)
    for _ in range(int(SHARE * length) - 1):
        collector.tick()
    assert collector.stats.full == 1
    collector.tick()
    assert (collector.stats.full, collector.stats.longest_seconds) == (2, length)
    collector.close()


def test_growth_is_frozen_unseen(
    collector: Collector, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime.collector, "SHARE", 0)
    collector.loaded()
    memory.blocks += GROWTH + 1
    grown = [Cycle() for _ in range(1000)]
    before = gc.get_freeze_count()
    minute(collector)
    assert gc.get_freeze_count() >= before + len(grown)
    assert (collector.stats.full, collector.stats.frozen) == (0, 2)
    minute(collector)
    assert (collector.stats.full, collector.stats.frozen) == (1, 2)


def test_only_a_new_height_is_growth(
    collector: Collector, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waves of connections would else be frozen each time, and their garbage with them."""
    monkeypatch.setattr(realtime.collector, "SHARE", 0)
    collector.loaded()
    for blocks in (1_200_000, 500_000, 1_200_000, 500_000, 1_200_000):
        memory.blocks = blocks
        minute(collector)
    assert (collector.stats.full, collector.stats.frozen) == (4, 2)


def test_by_default_the_blocks_are_those_of_python() -> None:
    collector = Collector()
    collector.loaded()
    minute(collector)
    assert collector.stats.full == 1
    collector.close()


def test_nothing_is_collected_while_loading() -> None:
    with paused():
        assert not gc.isenabled()
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
