"""Who keeps a copy, and who has seen more than a backup holds, is told when it takes over."""

from __future__ import annotations

import asyncio

import msgspec

from engine.clock import MINUTE, ManualClock
from engine.engine import Engine
from realtime.backends.base import Position, Publication, Ranking, Submit
from realtime.backends.keys import VERSION, board_key
from realtime.embedded import Embedded
from realtime.going_back import raise_versions, version_keys
from realtime.keeping import Restored
from realtime.services.channels import Recovered
from realtime.services.limits import RuleSpec
from realtime.services.live import LiveBoards
from tests.backups.conftest import Keeper, Open


async def publish(keeper: Keeper, *numbers: int) -> Position:
    position = Position(0, "")
    for number in numbers:
        position = (await keeper.embedded.channels.publish("news", b"%d" % number)).position
    return position


async def come_back(keeper: Keeper, since: Position) -> Recovered:
    return await keeper.embedded.channels.recover("news", since, 100)


async def go_back(keeper: Keeper, name: str) -> Restored:
    restored = await keeper.backups.restore(name)
    keeper.engine.keyspace._check()
    return restored


async def test_positions_stay_honest(start: Open) -> None:
    keeper = await start()
    held = await publish(keeper, 1, 2, 3)
    made = await keeper.backups.create()
    beyond = await publish(keeper, 4, 5)
    await go_back(keeper, made.name)
    again = await publish(keeper, 104, 105, 106)
    assert again.offset > beyond.offset
    assert not (await come_back(keeper, beyond)).recovered
    position, recovered, missed = await come_back(keeper, held)
    assert (position, recovered) == (again, True)
    assert [item.data for item in missed] == [b"104", b"105", b"106"]


async def test_forth_again_is_another_life_too(start: Open) -> None:
    keeper = await start()
    await publish(keeper, 1, 2, 3)
    made = await keeper.backups.create()
    beyond = await publish(keeper, 4, 5)
    restored = await go_back(keeper, made.name)
    between = await publish(keeper, 104)
    await go_back(keeper, restored.kept.name)
    assert (await come_back(keeper, beyond)).recovered
    assert not (await come_back(keeper, between)).recovered


async def test_subscribers_of_all_channels_have_to_recover(start: Open) -> None:
    keeper = await start()
    channels = keeper.embedded.services.backend.channels
    heard: list[bytes] = []
    lost: list[bytes] = []

    def hear(channel: bytes, item: Publication, epoch: str) -> None:
        heard.append(item.data)

    unlisten = channels.listen(hear, lost.append)
    for channel in (b"news", b"other", b"left"):
        await channels.subscribe(channel)
    await channels.unsubscribe(b"left")
    made = await keeper.backups.create()
    await go_back(keeper, made.name)
    assert sorted(lost) == [b"news", b"other"]
    await publish(keeper, 1)
    assert heard == [b"1"]
    unlisten()
    await go_back(keeper, made.name)
    await publish(keeper, 2)
    assert (len(lost), heard) == (2, [b"1"])


async def test_rules_that_are_kept_by_name_are_read_anew(start: Open) -> None:
    keeper = await start()
    features = keeper.embedded
    await features.limits.define("login", RuleSpec(limit=1, per=60))
    await features.leaderboards.configure("golf", Ranking(descending=False))
    await features.limits.take("login", "ada")
    made = await keeper.backups.create()
    await features.limits.define("login", RuleSpec(limit=5, per=60))
    await features.leaderboards.configure("golf", Ranking(descending=True))
    assert (await features.limits.take("login", "bob")).allowed
    await go_back(keeper, made.name)
    await features.leaderboards.submit("golf", [Submit(b"ada", 3), Submit(b"bob", 2)])
    page = await features.leaderboards.page("golf", 0, 10)
    assert [entry.member for entry in page.entries] == [b"bob", b"ada"]
    assert (await features.limits.take("login", "cleo")).allowed
    assert not (await features.limits.take("login", "cleo")).allowed


async def test_live_boards_show_what_is_there_now_under_a_higher_version(start: Open) -> None:
    keeper = await start()
    services = keeper.embedded.services
    heard: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    services.backend.channels.listen(
        lambda channel, item, epoch: heard.put_nowait(msgspec.json.decode(item.data))
    )
    live = LiveBoards(services, {"leaderboard:arcade"}.__contains__, interval=0)
    running = asyncio.create_task(live.run())
    assert await live.snapshot("leaderboard:arcade") is not None
    await keeper.embedded.leaderboards.submit("arcade", [Submit(b"ada", 1)])
    first = await heard.get()
    made = await keeper.backups.create()
    await keeper.embedded.leaderboards.submit("arcade", [Submit(b"bob", 2)])
    second = await heard.get()
    assert (first["version"], second["version"]) == (1, 2)
    await go_back(keeper, made.name)
    third = await heard.get()
    assert (third["version"], third["entries"]) == (3, first["entries"])
    running.cancel()


def versions(clock: ManualClock, **numbers: int) -> Engine:
    engine = Engine(clock)
    for board, number in numbers.items():
        engine.counters.set(board_key(board.encode()) + VERSION, number)
    return engine


def test_versions_only_grow() -> None:
    clock = ManualClock()
    seen = versions(clock, same=3, higher=9, lower=1, gone=2**40)
    seen.strings.set(b"lb:{odd}:version", b"text")
    seen.hashes.put(b"lb:{hash}:version", {b"a": b"b"})
    seen.strings.set(b"cnt:{x}:version", b"7", ttl=MINUTE)
    then = versions(clock, same=3, higher=2, lower=5)
    then.strings.set(b"lb:{odd}:version", b"older text")
    keys = version_keys(seen.keyspace.values)
    assert b"cnt:{x}:version" not in keys
    raise_versions(then, seen, keys)
    expected = versions(clock, same=3, higher=9, lower=5, gone=2**40)
    expected.strings.set(b"lb:{odd}:version", b"older text")
    assert dict(then.keyspace.values) == dict(expected.keyspace.values)


def test_an_engine_that_is_replaced_holds_what_the_other_held() -> None:
    clock = ManualClock()
    one, other = Embedded(clock).engine, Engine(clock)
    other.counters.set(b"cnt:{a}", 1)
    one.counters.set(b"cnt:{b}", 2)
    told: list[int] = []
    one.replaced.append(lambda: told.append(len(one.keyspace)))
    changes = one.effects.changes
    assert one.replace(other) == {b"cnt:{b}": 2}
    assert (one.counters.get(b"cnt:{a}"), one.counters.get(b"cnt:{b}")) == (1, None)
    assert (told, one.effects.changes) == ([1], changes + 1)
