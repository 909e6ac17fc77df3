"""Rules that are kept by name: cheap where nobody else writes, right where others do."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends.base import BackendUnavailable, Ranking, Submit
from realtime.embedded import Embedded
from realtime.services import Services
from realtime.services.cached import CAPACITY, KEEP, Cached, Watched, cached
from realtime.services.limits import RuleSpec
from tests.services.shared import SharedStore, Watching


class Rig:
    """A watched copy of values that the test changes, and whose loads it can hold up."""

    def __init__(self) -> None:
        self.stored: dict[str, str] = {"a": "1", "b": "1"}
        self.loads: list[str] = []
        self.now = 100.0
        self.door: asyncio.Event | None = None
        self.watching = Watching(Engine(ManualClock()))
        self.copy = Watched(self._load, self._key, self.watching, lambda: self.now)

    async def _load(self, name: str) -> str:
        self.loads.append(name)
        value, door = self.stored[name], self.door
        if door is not None:
            await door.wait()
        return value

    def _key(self, name: str) -> bytes:
        return b"key of " + name.encode()

    def change(self, name: str, value: str, *, told: bool = True) -> None:
        self.stored[name] = value
        if told:
            self.watching.tell(self._key(name))

    async def slow(self, name: str) -> Slow:
        """A get that has read its value, and is still to be answered."""
        reads = len(self.loads) + 1
        self.door = asyncio.Event()
        slow = Slow(asyncio.create_task(self.copy.get(name)), self.door)
        while len(self.loads) < reads:  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0)
        self.door = None
        return slow


class Slow(NamedTuple):
    task: asyncio.Task[str]
    door: asyncio.Event

    async def end(self) -> str:
        self.door.set()
        return await self.task


async def test_a_value_is_loaded_once_and_watched_before() -> None:
    rig = Rig()
    assert [await rig.copy.get("a") for _ in range(3)] == ["1"] * 3
    assert rig.copy.peek("a") == "1"
    assert (rig.loads, rig.watching.asked) == (["a"], [b"key of a"])
    slow = await rig.slow("b")
    assert rig.watching.asked[-1] == b"key of b", "a change during the load must be heard of"
    assert await slow.end() == "1"


async def test_what_somebody_else_changed_is_forgotten_and_the_rest_kept() -> None:
    rig = Rig()
    for name in ("a", "b"):
        await rig.copy.get(name)
    rig.change("a", "2")
    rig.watching.tell(b"some key of others")
    assert (rig.copy.peek("a"), rig.copy.peek("b")) == (None, "1")
    assert await rig.copy.get("a") == "2"
    assert rig.watching.asked == [b"key of a", b"key of b", b"key of a"]


async def test_when_anything_may_have_changed_everything_is_forgotten() -> None:
    rig = Rig()
    for name in ("a", "b"):
        await rig.copy.get(name)
    rig.watching.tell(None)
    assert (rig.copy.peek("a"), rig.copy.peek("b")) == (None, None)
    assert await rig.copy.get("b") == "1"


@pytest.mark.parametrize("everything", [False, True])
async def test_what_changes_while_it_is_loaded_answers_and_is_not_kept(everything: bool) -> None:
    rig = Rig()
    slow = await rig.slow("a")
    rig.change("a", "2", told=not everything)
    if everything:
        rig.watching.tell(None)
    assert await slow.end() == "1"
    assert rig.copy.peek("a") is None
    assert await rig.copy.get("a") == "2"


async def test_a_load_that_began_after_the_change_is_kept_and_the_one_before_it_not() -> None:
    rig = Rig()
    old = await rig.slow("a")
    rig.change("a", "2")
    new = await rig.slow("a")
    assert await new.end() == "2"
    assert await old.end() == "1"
    assert rig.copy.peek("a") == "2"


async def test_loads_that_overlap_without_end_are_kept_all_the_same() -> None:
    """Under steady traffic there is always one more load under way when one ends."""
    rig = Rig()
    first = await rig.slow("a")
    second = await rig.slow("a")
    await first.end()
    assert rig.copy.peek("a") == "1"
    await second.end()


async def test_a_load_that_overlaps_and_comes_late_drops_none_but_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("realtime.services.cached.CAPACITY", 2)
    rig = Rig()
    first, second = await rig.slow("a"), await rig.slow("a")
    await first.end()
    await rig.copy.get("b")
    await second.end()
    assert (rig.copy.peek("a"), rig.copy.peek("b")) == ("1", "1")


async def test_our_own_write_is_read_back_and_not_assumed() -> None:
    """Another node may have written between our write and its answer."""
    rig = Rig()
    under_way = await rig.slow("a")
    rig.change("a", "3", told=False)
    rig.copy.put("a", "2")
    assert await under_way.end() == "1"
    assert rig.copy.peek("a") is None
    assert await rig.copy.get("a") == "3"


async def test_nothing_is_kept_for_ever_on_the_word_of_a_watch() -> None:
    rig = Rig()
    await rig.copy.get("a")
    rig.change("a", "2", told=False)
    rig.now += KEEP - 0.001
    assert await rig.copy.get("a") == "1"
    rig.now += 0.001
    assert rig.copy.peek("a") is None
    assert await rig.copy.get("a") == "2"
    assert rig.copy.peek("a") == "2"


async def test_a_load_that_fails_leaves_nothing_behind() -> None:
    """Callers choose names: those that there are none of must not be kept either."""
    rig = Rig()
    for _ in range(2):
        with pytest.raises(KeyError):
            await rig.copy.get("missing")
    assert (rig.copy._marks, rig.copy._names) == ({}, {})
    rig.stored["missing"] = "1"
    assert await rig.copy.get("missing") == "1"


async def test_a_store_that_is_away_is_not_worked_around() -> None:
    rig = Rig()

    async def away(key: bytes) -> None:
        raise BackendUnavailable

    rig.watching.watch = away  # type: ignore[method-assign]
    with pytest.raises(BackendUnavailable):
        await rig.copy.get("a")
    assert rig.loads == []


@pytest.mark.parametrize("watched", [False, True])
async def test_what_is_kept_by_name_is_bounded(watched: bool) -> None:
    loads: list[str] = []

    async def load(name: str) -> str:
        loads.append(name)
        return name

    watching = Watching(Engine(ManualClock()))
    copy = Watched(load, str.encode, watching) if watched else Cached(load)
    for number in range(CAPACITY + 1):
        await copy.get(str(number))
    assert copy.peek("0") is None
    assert await copy.get("1") == "1"
    assert len(loads) == CAPACITY + 1
    copy.put("1", "one")
    copy.forget("1")
    assert copy.peek("1") is None
    if isinstance(copy, Watched):
        assert len(copy._marks) == len(copy._names) == len(copy._values) == CAPACITY - 1


@given(st.lists(st.sampled_from(["get", "change", "end", "all", "put", "time"]), max_size=40))
async def test_the_copy_is_never_older_than_the_last_news(steps: list[str]) -> None:
    """Whatever is done in whatever order: what is here is what the store had when last heard of."""
    rig = Rig()
    under_way: list[Slow] = []
    for number, step in enumerate(steps, 2):
        if step == "get" and rig.copy.peek("a") is None:
            under_way.append(await rig.slow("a"))
        elif step == "change":
            rig.change("a", str(number))
        elif step == "end" and under_way:
            await under_way.pop(number % len(under_way)).end()
        elif step == "all":
            rig.watching.tell(None)
        elif step == "put":
            rig.change("a", str(number), told=False)
            rig.copy.put("a", str(number))
        elif step == "time":
            rig.now += KEEP / 3
        assert rig.copy.peek("a") in (None, rig.stored["a"])
    for slow in under_way:
        await slow.end()
        assert rig.copy.peek("a") in (None, rig.stored["a"])


def test_where_nobody_else_writes_asking_is_a_look_up() -> None:
    backend = Embedded().services.backend

    async def load(name: str) -> str:
        return name

    assert type(cached(backend, load, str.encode)) is Cached
    assert type(cached(SharedStore().node(), load, str.encode)) is Watched


@pytest.fixture
def nodes() -> tuple[Services, Services]:
    store = SharedStore()
    return Services.on(store.node()), Services.on(store.node())


async def test_another_node_changes_the_rules_of_a_board(nodes: tuple[Services, Services]) -> None:
    one, two = nodes
    assert await two.leaderboards.rules("b") == Ranking()
    await two.leaderboards.submit("b", [Submit(b"ada", 1), Submit(b"bob", 2)])
    await one.leaderboards.configure("b", Ranking(descending=False))
    assert await two.leaderboards.rules("b") == Ranking(descending=False)
    assert [e.member for e in (await two.leaderboards.page("b", 0, 9)).entries] == [b"ada", b"bob"]
    await one.leaderboards.drop("b")
    assert await two.leaderboards.rules("b") == Ranking()


async def test_another_node_changes_a_limit(nodes: tuple[Services, Services]) -> None:
    one, two = nodes
    assert await two.limits.spec("login") is None
    await one.limits.define("login", RuleSpec(limit=1, per=60))
    assert [(await two.limits.take("login", "ada")).allowed for _ in range(2)] == [True, False]
    await one.limits.define("login", RuleSpec(limit=5, per=60))
    assert (await two.limits.take("login", "ada")).decision.limit == 5
    assert await two.limits.spec("login") == RuleSpec(limit=5, per=60)


async def test_the_rules_of_a_board_cost_one_watch(nodes: tuple[Services, Services]) -> None:
    one, _ = nodes
    watching = one.backend.watches
    assert isinstance(watching, Watching)
    for _ in range(3):
        await one.leaderboards.size("b")
    assert watching.asked == [b"lb:{b}:rules"]
