"""Growing is a restart: whatever the services were asked, they answer the same elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from engine.clock import SECOND, ManualClock
from realtime.embedded import Embedded
from realtime.recovery import SNAPSHOT
from realtime.snapshot_file import dump, load
from tests.cli.conftest import Run
from tests.redis.servers import RedisServer
from tests.transfer.world import Size, answers, fill


def today() -> ManualClock:
    """A clock that stands at a whole second of now: a real server must not find all expired."""
    return ManualClock(int(time.time()) * SECOND)


def saved(features: Embedded, folder: Path) -> None:
    folder.mkdir()
    with (folder / SNAPSHOT).open("wb") as output:
        dump(features.engine, output.fileno())


def loaded(folder: Path, clock: ManualClock) -> Embedded:
    features = Embedded(clock)
    load(features.engine, folder / SNAPSHOT)
    return features


async def test_every_answer_is_the_same_after_a_way_through_redis_and_back(
    run: Run, tmp_path: Path, server: RedisServer
) -> None:
    features = Embedded(clock := today())
    world = await fill(features.services, Size())
    before = await answers(features.services, world)
    saved(features, tmp_path / "data")
    assert run("migrate", "--from", "data", "--to", server.url).code == 0
    assert run("migrate", "--from", server.url, "--to", "back").code == 0
    again = loaded(tmp_path / "back", clock)
    assert await answers(again.services, world) == before
    assert len(again.engine.keyspace) == len(features.engine.keyspace)


async def test_a_world_has_some_of_everything_and_is_told_apart_from_another() -> None:
    worlds = []
    for seed in (1, 2):
        features = Embedded(today())
        world = await fill(features.services, Size(), seed)
        worlds.append(await answers(features.services, world))
        kinds = {key.partition(b":")[0] for key in features.engine.keyspace.values}
        assert kinds == {b"lb", b"seasons", b"cnt", b"rl", b"sess", b"user", b"chan"}
    one, other = worlds
    assert None not in one.values()
    differing = {name.split()[0] for name in one if one[name] != other.get(name)}
    assert {"board", "season", "counter", "session", "channel", *world.rules} <= differing
