"""Coming back: exactly what was missed, or the news that nobody can prove what was.

The table is that of the reference implementation's own broker tests, stream mode.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from realtime.backends.base import Backend, Position, Publication, Submit
from realtime.services.namespaces import Namespace, Namespaces
from realtime.ws import hub as hub_module
from realtime.ws.door import Options
from tests.ws.conftest import Serve
from tests.ws.house import House, Suspending
from tests.ws.peer import Object


class Row(NamedTuple):
    size: int
    ttl: float
    published: int
    passed: float
    since: int
    recovered: bool
    missed: int
    limit: int = 300


LOST = {"channel": "c", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}
"""The push that sends a client back to its position."""

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
        namespaces=Namespaces(Namespace(history_size=row.size, history_ttl=row.ttl)),
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
        position = (await house.services.channels.publish(channel, b"%d" % number)).position
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
    house.send_away(peer.client)
    assert (await peer.hang_up()).code == 3503
    doors.before.set()
    await house.until(lambda: len(house.door.clients) == 0 and not house.state.tasks)
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
    reply = await peer.receive()
    assert (reply["id"], reply["subscribe"]["positioned"]) == (2, True)
    assert await peer.pushed() == LOST
    assert not house.hub.is_watched("c")
    assert "error" not in await peer.ask(subscribe={"channel": "c", "recover": True})


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


async def test_a_store_that_skips_one_after_the_history_sends_the_client_back(
    serve: Serve,
) -> None:
    """Nobody but the subscriber knows what its history ended with: others may have missed none."""
    house = await serve(wrap=Doors().around)
    epoch = (await publish(house, 2)).epoch
    peer, early = await house.peer(), await house.peer()
    await early.subscribe("c")
    house.hub.deliver(b"c", Publication(3, b"3"), epoch)
    assert (await peer.subscribe("c"))["offset"] == 2
    house.hub.deliver(b"c", Publication(4, b"4"), epoch)
    assert await peer.pushed() == LOST
    assert [await early.published() for _ in range(2)] == [3, 4]


async def test_the_middle_of_another_epoch_does_not_go_on_from_the_history(serve: Serve) -> None:
    house = await serve(wrap=Doors().around)
    await publish(house, 2)
    peer = await house.peer()
    await peer.subscribe("c")
    house.hub.deliver(b"c", Publication(3, b"3"), "another")
    assert await peer.pushed() == LOST


async def test_who_was_promised_no_position_is_sent_whatever_comes(serve: Serve) -> None:
    """A publisher may keep history where by default there is none."""
    house = await serve(suspending=True, namespaces=Namespaces(Namespace(history_size=0)))
    await house.services.channels.publish("c", b"1", history=(5, 60))
    peer, early = await house.peer(), await house.peer()
    await early.subscribe("c")
    peer.send(subscribe={"channel": "c"})
    await house.until(lambda: len(house.hub._topics[b"c"].arrivals) == 1)
    await house.services.channels.publish("c", b"2", history=(5, 60))
    assert (await peer.receive())["subscribe"] == {}
    await house.services.channels.publish("c", b"3", history=(5, 60))
    for one in (peer, early):
        assert [await one.published() for _ in range(2)] == [2, 3]


async def test_who_may_have_missed_something_is_sent_back_and_recovers(any_house: House) -> None:
    peers = [await any_house.peer() for _ in range(3)]
    plain, watching, elsewhere = peers
    start = await plain.subscribe("c")
    await watching.subscribe("c", join_leave=True)
    await watching.pushed()
    await elsewhere.subscribe("other")
    await publish(any_house, 1)
    assert [await peer.published() for peer in (plain, watching)] == [1, 1]
    any_house.hub.lost(b"c")
    any_house.hub.lost(b"c")
    any_house.hub.lost(b"nobody is here")
    # What comes after the hole would be taken for what comes next.
    await publish(any_house, 2)
    for peer in (plain, watching):
        assert await peer.pushed() == LOST
        result = await peer.subscribe("c", recover=True, offset=1, epoch=start["epoch"])
        assert [item["offset"] for item in result["publications"]] == [2, 3]
    assert any_house.hub.closes == {}
    await any_house.services.channels.publish("other", b'"still here"')
    assert await elsewhere.published() == "still here"


async def test_a_crowd_is_sent_back_a_few_at_a_time(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are served meanwhile, and who ends otherwise meanwhile is not closed twice."""
    monkeypatch.setattr(hub_module, "LOSSES_PER_TURN", 1)
    peers = [await any_house.peer() for _ in range(6)]
    for peer in peers:
        await peer.subscribe("a")
        await peer.subscribe("b")
    any_house.hub.lost(b"a")
    any_house.hub.lost(b"b")
    peers[4].vanish()
    any_house.send_away(peers[5].client)
    await publish(any_house, 1, channel="a")
    for peer in peers[:4]:
        for channel in ("a", "b"):  # and not even the publication between them
            assert await peer.pushed() == {**LOST, "channel": channel}
        await peer.subscribe("a")
    assert (await peers[5].hang_up()).code == 3503
    await any_house.until(lambda: len(any_house.door.clients) == 4)
    assert any_house.hub.subscriptions == 4


async def test_who_is_still_subscribing_when_something_is_lost_is_sent_back_too(
    serve: Serve,
) -> None:
    doors = Doors()
    house = await serve(wrap=doors.around)
    doors.after.clear()
    peer = await house.peer()
    peer.send(subscribe={"channel": "c"})
    await house.until(lambda: doors.waiting > 0)
    house.hub.lost(b"c")
    doors.after.set()
    assert "subscribe" in await peer.receive()
    assert await peer.pushed() == LOST
    await house.until(lambda: not house.hub.is_watched("c"))
    await peer.subscribe("c")


async def test_who_does_not_read_is_sent_back_like_the_others(any_house: House) -> None:
    """What is held for it came before the hole, and so before the news of it."""
    slow = await any_house.peer(receive_buffer=4096)
    await slow.subscribe("c")
    data = b'"%b"' % (b"x" * 50_000)
    ((outbox, _),) = any_house.hub._topics[b"c"].places()
    while not outbox.lags:
        await any_house.services.channels.publish("c", data)
        await asyncio.sleep(0)
    any_house.hub.lost(b"c")
    while "unsubscribe" not in (item := await slow.pushed()):
        assert item["pub"]["data"] == data[1:-1].decode()
    assert item == LOST


async def test_the_watchers_of_a_live_board_stay(any_house: House) -> None:
    """The next top is complete: they have nothing to recover."""
    peer = await any_house.peer()
    await peer.subscribe("leaderboard:b")
    await peer.pushed()
    any_house.hub.lost(b"leaderboard:b")
    await any_house.services.leaderboards.submit("b", [Submit(b"ada", 1)])
    assert (await peer.published())["entries"] == [{"rank": 1, "member": "ada", "score": 1}]


async def test_an_unsubscribe_does_not_take_the_channel_from_who_comes_meanwhile(
    serve: Serve,
) -> None:
    """On a wire commands keep their order, so they have to be sent in the right one."""
    asked: list[str] = []  # of this channel; the service has others of its own
    leaving = asyncio.Event()

    class Wire(Suspending):
        async def subscribe(self, channel: bytes, **options: bytes | None) -> None:
            if channel == b"c":
                asked.append("subscribe")
            await self._store.subscribe(channel, **options)

        async def unsubscribe(self, channel: bytes) -> None:
            asked.append("unsubscribe")
            await self._store.unsubscribe(channel)
            await leaving.wait()

    house = await serve(
        wrap=lambda backend: replace(backend, channels=Wire(backend.channels), immediate=False)
    )
    first, second = await house.peer(), await house.peer()
    await first.subscribe("c")
    first.send(unsubscribe={"channel": "c"})
    await house.until(lambda: "unsubscribe" in asked)
    await second.subscribe("c")
    leaving.set()
    assert (await first.receive())["unsubscribe"] == {}
    assert asked == ["subscribe", "unsubscribe", "subscribe"]
    await publish(house, 1)
    assert await second.published() == 1
    assert [info.client for info in await house.services.channels.presence("c")] == [second.client]
