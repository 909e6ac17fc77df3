"""Coming back: exactly what was missed, or the news that nobody can prove what was.

The table is that of the reference implementation's own broker tests, stream mode.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from realtime.backends.base import Backend, Position, Publication
from realtime.services.channels import HistoryPolicy
from realtime.ws.door import Options
from tests.ws.conftest import Serve
from tests.ws.house import House, Suspending
from tests.ws.peer import Closed, Object


class Row(NamedTuple):
    size: int
    ttl: float
    published: int
    passed: float
    since: int
    recovered: bool
    missed: int
    limit: int = 300


VECTORS = [
    Row(10, 60, 0, 0, since=0, recovered=True, missed=0),
    Row(10, 60, 10, 0, since=8, recovered=True, missed=2),
    Row(10, 60, 10, 0, since=5, limit=2, recovered=False, missed=0),
    Row(10, 60, 20, 0, since=8, recovered=False, missed=0),
    Row(10, 60, 20, 0, since=108, recovered=False, missed=0),
    Row(10, 60, 7, 0, since=7, recovered=True, missed=0),
    Row(10, 60, 4, 0, since=0, recovered=True, missed=4),
    Row(10, 1, 10, 3, since=8, recovered=False, missed=0),
    Row(10, 1, 1, 3, since=1, recovered=True, missed=0),
]


@pytest.mark.parametrize("suspending", [False, True], ids=["immediate", "suspending"])
@pytest.mark.parametrize("row", VECTORS, ids=str)
async def test_recovery_vectors(serve: Serve, row: Row, suspending: bool) -> None:
    house = await serve(
        history=HistoryPolicy(row.size, row.ttl),
        options=Options(recovery_limit=row.limit),
        suspending=suspending,
    )
    epoch = (await house.services.channels.history("c")).position.epoch
    for number in range(row.published):
        await house.services.channels.publish("c", b"%d" % number)
    house.pass_time(row.passed)
    peer = await house.peer()
    result = await peer.subscribe("c", recover=True, offset=row.since, epoch=epoch)
    assert result["was_recovering"]
    assert result.get("recovered", False) is row.recovered
    found = result.get("publications", [])
    assert [item["offset"] for item in found] == [row.since + 1 + i for i in range(row.missed)]
    # Recovered, the client counts on from its own offset; lost, it starts from the newest.
    assert result.get("offset", 0) == (row.since if row.recovered else row.published)
    assert result["epoch"] == epoch


async def publish(house: House, count: int, channel: str = "c") -> Position:
    position = Position(0, "")
    for number in range(1, count + 1):
        position = await house.services.channels.publish(channel, b"%d" % number)
    return position


async def test_another_epoch_is_never_recovered(any_house: House) -> None:
    await publish(any_house, 3)
    peer = await any_house.peer()
    result = await peer.subscribe("c", recover=True, offset=2, epoch="another")
    assert "recovered" not in result
    assert result["offset"] == 3


async def test_who_cannot_do_without_recovery_is_refused_instead(any_house: House) -> None:
    await publish(any_house, 3)
    peer = await any_house.peer()
    lost = {"channel": "c", "recover": True, "offset": 2, "epoch": "another", "flag": 2}
    reply = await peer.ask(subscribe=lost)
    assert reply["error"]["code"] == 112
    assert not any_house.hub.is_watched("c")
    assert await any_house.services.channels.presence("c") == []
    await peer.subscribe("c")


async def test_more_than_a_reply_may_hold_is_not_recovered_in_part(serve: Serve) -> None:
    house = await serve(options=Options(queue_bytes=64 * 1024))
    for _ in range(3):
        await house.services.channels.publish("c", b'"%b"' % (b"x" * 20_000))
    peer = await house.peer()
    whole = await peer.subscribe("c", recover=True, offset=2)
    assert len(whole["publications"]) == 1
    await peer.ask(unsubscribe={"channel": "c"})
    lost = await peer.subscribe("c", recover=True, offset=1)
    assert "recovered" not in lost
    assert "publications" not in lost


async def test_a_dropped_socket_costs_nothing(any_house: House) -> None:
    peer = await any_house.peer()
    start = await peer.subscribe("c")
    await publish(any_house, 2)
    assert [await peer.published() for _ in range(2)] == [1, 2]
    peer.vanish()
    await publish(any_house, 3)
    back = await any_house.peer()
    result = await back.subscribe("c", recover=True, offset=2, epoch=start["epoch"])
    assert result["recovered"]
    assert [item["offset"] for item in result["publications"]] == [3, 4, 5]
    await any_house.services.channels.publish("c", b"6")
    assert (await back.pushed())["pub"]["offset"] == 6


class Doors:
    """A store whose histories wait at a door, before or after they are read."""

    def __init__(self) -> None:
        self.before, self.after = asyncio.Event(), asyncio.Event()
        self.before.set()
        self.after.set()
        self.waiting = 0

    def around(self, backend: Backend) -> Backend:
        doors = self

        class Channels(Suspending):
            async def history(self, channel: bytes, **options: Any) -> Any:
                doors.waiting += 1
                await doors.before.wait()
                answer = await self._store.history(channel, **options)
                await doors.after.wait()
                return answer

        return replace(backend, channels=Channels(backend.channels), immediate=False)


async def subscribe_while(
    house: House, doors: Doors, door: asyncio.Event, happens: int, **request: object
) -> tuple[Object, list[int]]:
    """Subscribe; while the history waits at a door, publish. The result, and the pushes."""
    door.clear()
    peer = await house.peer()
    peer.send(subscribe={"channel": "c", **request})
    await house.until(lambda: doors.waiting > 0)
    await publish(house, happens)
    door.set()
    result = (await peer.receive())["subscribe"]
    await publish(house, 1)
    last = (await house.services.channels.history("c")).position.offset
    pushed: list[int] = []
    while last not in pushed:
        pushed.append((await peer.pushed())["pub"]["offset"])
    return result, pushed


@pytest.mark.parametrize("recovering", [False, True])
async def test_what_is_published_before_the_history_is_read_comes_once(
    serve: Serve, recovering: bool
) -> None:
    doors = Doors()
    house = await serve(wrap=doors.around)
    request = {"recover": True, "offset": 0} if recovering else {}
    result, pushed = await subscribe_while(house, doors, doors.before, 3, **request)
    recovered = [item["offset"] for item in result.get("publications", [])]
    assert (recovered, pushed) == (([1, 2, 3], [4]) if recovering else ([], [4]))
    assert result.get("offset", 0) == (0 if recovering else 3)


@pytest.mark.parametrize("recovering", [False, True])
async def test_what_is_published_after_the_history_was_read_is_pushed(
    serve: Serve, recovering: bool
) -> None:
    doors = Doors()
    house = await serve(wrap=doors.around)
    await house.services.channels.publish("c", b"0")
    request = {"recover": True, "offset": 0} if recovering else {}
    result, pushed = await subscribe_while(house, doors, doors.after, 3, **request)
    recovered = [item["offset"] for item in result.get("publications", [])]
    assert recovered == ([1] if recovering else [])
    assert pushed == [2, 3, 4, 5]


async def test_who_is_closed_in_the_middle_of_subscribing_leaves_nothing_behind(
    serve: Serve,
) -> None:
    doors = Doors()
    house = await serve(wrap=doors.around)
    doors.before.clear()
    peer = await house.peer()
    peer.send(subscribe={"channel": "c", "join_leave": True})
    await house.until(lambda: doors.waiting > 0)
    assert house.hub.disconnect(peer.client)
    assert (await peer.hang_up()).code == 3503
    doors.before.set()
    await house.until(lambda: not house.hub.clients and not house.state.tasks)
    assert not house.hub.is_watched("c")
    assert await house.services.channels.presence("c") == []


async def test_a_hole_between_history_and_now_sends_the_client_back(serve: Serve) -> None:
    doors = Doors()
    house = await serve(wrap=doors.around)
    doors.after.clear()
    peer = await house.peer()
    peer.send(subscribe={"channel": "c"})
    await house.until(lambda: doors.waiting > 0)
    house.hub.deliver(b"c", Publication(7, b"1"), "epoch")
    doors.after.set()
    assert await peer.hang_up() == Closed(3010, "insufficient state")


async def test_a_store_that_delivers_late_does_not_deliver_twice(serve: Serve) -> None:
    doors = Doors()
    house = await serve(wrap=doors.around)
    epoch = (await publish(house, 2)).epoch
    peer, early = await house.peer(), await house.peer()
    assert (await early.subscribe("c", recover=True, offset=0))["recovered"]
    assert (await peer.subscribe("c"))["offset"] == 2
    for offset in (2, 3, 4):  # 2 was on its way when the history was read
        house.hub.deliver(b"c", Publication(offset, b"%d" % offset), epoch)
    assert [await peer.published() for _ in range(2)] == [3, 4]
    house.hub.deliver(b"c", Publication(1, b'"anew"'), "new epoch")
    assert await peer.published() == "anew"
