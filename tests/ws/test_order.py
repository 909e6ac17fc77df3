"""What one connection sees, it sees in the order in which it happened.

Over a store in this process that is one order of everything. From a store at the other end of
a wire publications come beside the answers: replies are in order, publications are in order,
and which of both is first is not promised. Frames are counted where nobody waits for a wire,
since an answer that takes a while has a frame of its own.
"""

from __future__ import annotations

import json

from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Object, Peer


def told(item: Object) -> str:
    """An object in a word: a reply's method and id, or a push's kind and data."""
    if "push" in item:
        push = item["push"]
        if "pub" in push:
            return f"{push['channel']}:{push['pub']['data']}"
        return next(kind for kind in ("join", "leave") if kind in push)
    return f"{next(key for key in item if key != 'id')} {item['id']}"


async def take(peer: Peer, count: int) -> list[str]:
    return [told(await peer.receive()) for _ in range(count)]


def lines(*commands: Object) -> str:
    return "\n".join(json.dumps(command) for command in commands)


async def test_many_commands_in_one_frame_are_answered_in_order(near_house: House) -> None:
    peer = await near_house.dial()
    commands: list[Object] = [
        {"id": 1, "connect": {}},
        {"id": 2, "subscribe": {"channel": "a"}},
        {"id": 3, "publish": {"channel": "a", "data": 1}},
        {"id": 4, "history": {"channel": "a", "limit": 5}},
        {"id": 5, "unsubscribe": {"channel": "a"}},
        {"id": 6, "publish": {"channel": "a", "data": 2}},
        {"id": 7, "presence_stats": {"channel": "a"}},
    ]
    peer.send_text(lines(*commands) + "\n")
    assert await take(peer, 8) == [
        "connect 1",
        "subscribe 2",
        "a:1",
        "publish 3",
        "history 4",
        "unsubscribe 5",
        "publish 6",
        "presence_stats 7",
    ]


async def test_replies_and_publications_are_each_in_order(any_house: House) -> None:
    peer, other = await any_house.peer(), await any_house.peer()
    await peer.subscribe("a")
    await other.subscribe("a")
    commands: list[Object] = []
    for number in range(0, 40, 2):
        commands.append({"id": 10 + number, "publish": {"channel": "a", "data": number}})
        commands.append({"id": 11 + number, "presence_stats": {"channel": "a"}})
    peer.send_text(lines(*commands))
    seen = await take(peer, 60)
    published = [f"a:{number}" for number in range(0, 40, 2)]
    assert [item for item in seen if item.startswith("a:")] == published
    assert [int(item.split()[1]) for item in seen if " " in item] == list(range(10, 50))
    assert await take(other, 20) == published


async def test_nothing_arrives_outside_of_a_subscription(any_house: House) -> None:
    peer = await any_house.peer()
    commands: list[Object] = []
    for number in range(10, 60, 5):
        commands += [
            {"id": number, "publish": {"channel": "a", "data": "before"}},
            {"id": number + 1, "subscribe": {"channel": "a"}},
            {"id": number + 2, "publish": {"channel": "a", "data": "within"}},
            {"id": number + 3, "unsubscribe": {"channel": "a"}},
            {"id": number + 4, "publish": {"channel": "a", "data": "after"}},
        ]
    peer.send_text(lines(*commands))
    seen: list[str] = []
    while not seen or seen[-1] != "publish 59":
        seen += await take(peer, 1)
    within = False
    for item in seen:
        within = item.startswith("subscribe") or (within and not item.startswith("unsubscribe"))
        assert within or not item.startswith("a:"), seen
        assert item not in ("a:before", "a:after"), seen


async def test_a_burst_of_commands_is_answered_in_few_frames(serving: Serve) -> None:
    house = await serving()
    peer = await house.peer()
    before = peer.frames
    burst = [{"id": 10 + n, "presence_stats": {"channel": "a"}} for n in range(64)]
    peer.send_text(lines(*burst))
    assert await take(peer, 64) == [f"presence_stats {10 + n}" for n in range(64)]
    assert peer.frames - before == 4


async def test_a_long_backlog_is_carried_out_to_its_end(any_house: House) -> None:
    peer = await any_house.peer()
    backlog = [{"id": 10 + n, "presence_stats": {"channel": "a"}} for n in range(500)]
    peer.send_text(lines(*backlog))
    assert await take(peer, 500) == [f"presence_stats {10 + n}" for n in range(500)]


async def test_commands_before_a_goodbye_are_carried_out(any_house: House) -> None:
    peer = await any_house.peer()
    backlog = [{"id": 10 + n, "publish": {"channel": "a", "data": n}} for n in range(200)]
    peer.send_text(lines(*backlog))
    await peer.leave()
    await any_house.until(lambda: len(any_house.door.clients) == 0)
    assert (await any_house.services.channels.history("a")).position.offset == 200


async def test_what_one_turn_publishes_leaves_in_one_frame(serving: Serve) -> None:
    house = await serving()
    peers = [await house.peer() for _ in range(3)]
    for peer in peers:
        await peer.subscribe("a")
    for number in range(16):
        await house.services.channels.publish("a", b"%d" % number)
    for peer in peers:
        before = peer.frames
        assert await take(peer, 16) == [f"a:{number}" for number in range(16)]
        assert peer.frames - before == 1


async def test_a_frame_holds_no_more_than_clients_take(serving: Serve) -> None:
    house = await serving()
    peer = await house.peer()
    await peer.subscribe("a")
    before = peer.frames
    for _ in range(40):
        await house.services.channels.publish("a", b"0")
    await take(peer, 40)
    assert peer.frames - before == 3
    for _ in range(3):
        await house.services.channels.publish("a", b'"%b"' % (b"x" * 40_000))
    await take(peer, 3)
    assert peer.frames - before == 6


async def test_a_reply_does_not_overtake_what_was_published_before_it(near_house: House) -> None:
    peer, other = await near_house.peer(), await near_house.peer()
    await peer.subscribe("a")
    await other.subscribe("a")
    peer.send_text(
        lines(
            {"id": 11, "publish": {"channel": "a", "data": 1}},
            {"id": 12, "presence_stats": {"channel": "a"}},
            {"id": 13, "publish": {"channel": "a", "data": 2}},
            {"id": 14, "unsubscribe": {"channel": "a"}},
        )
    )
    assert await take(peer, 6) == [
        "a:1",
        "publish 11",
        "presence_stats 12",
        "a:2",
        "publish 13",
        "unsubscribe 14",
    ]
    assert await take(other, 2) == ["a:1", "a:2"]


async def test_who_comes_in_the_middle_of_a_turn_gets_the_rest_of_it(serving: Serve) -> None:
    house = await serving()
    early, late = await house.peer(), await house.peer()
    await early.subscribe("a")
    late.send_text(
        lines(
            {"id": 11, "publish": {"channel": "a", "data": 1}},
            {"id": 12, "subscribe": {"channel": "a"}},
            {"id": 13, "publish": {"channel": "a", "data": 2}},
            {"id": 14, "unsubscribe": {"channel": "a"}},
            {"id": 15, "publish": {"channel": "a", "data": 3}},
            {"id": 16, "subscribe": {"channel": "a"}},
            {"id": 17, "publish": {"channel": "a", "data": 4}},
        )
    )
    assert await take(late, 9) == [
        "publish 11",
        "subscribe 12",
        "a:2",
        "publish 13",
        "unsubscribe 14",
        "publish 15",
        "subscribe 16",
        "a:4",
        "publish 17",
    ]
    assert await take(early, 4) == ["a:1", "a:2", "a:3", "a:4"]


async def test_who_unsubscribes_gets_nothing_that_is_pending(serve: Serve) -> None:
    house = await serve()
    peer, other = await house.peer(), await house.peer()
    await peer.subscribe("a")
    await other.subscribe("a")
    # Both arrive within one turn: what is published first is still pending at the second.
    other.send(publish={"channel": "a", "data": 1})
    peer.send(unsubscribe={"channel": "a"})
    assert sorted(await take(other, 2)) == ["a:1", "publish 3"]
    rest = await take(peer, 1)
    if rest == ["a:1"]:
        rest = await take(peer, 1)
    assert rest == ["unsubscribe 3"]


async def test_joins_come_after_the_reply_and_among_publications_in_order(
    near_house: House,
) -> None:
    watcher = await near_house.peer()
    watcher.send_text(
        lines(
            {"id": 11, "subscribe": {"channel": "a", "join_leave": True}},
            {"id": 12, "publish": {"channel": "a", "data": 1}},
            {"id": 13, "unsubscribe": {"channel": "a"}},
            {"id": 14, "subscribe": {"channel": "a", "join_leave": True}},
        )
    )
    assert await take(watcher, 7) == [
        "subscribe 11",
        "join",
        "a:1",
        "publish 12",
        "unsubscribe 13",
        "subscribe 14",
        "join",
    ]


async def test_join_is_never_after_leave_however_quickly_one_goes(any_house: House) -> None:
    watcher, hasty = await any_house.peer(), await any_house.peer()
    await watcher.subscribe("a", join_leave=True)
    await watcher.pushed()
    hasty.send(subscribe={"channel": "a"})
    await hasty.leave()
    assert await take(watcher, 2) == ["join", "leave"]


async def test_publications_of_many_writers_are_seen_in_one_order(any_house: House) -> None:
    writers = [await any_house.peer() for _ in range(8)]
    for writer in writers:
        await writer.subscribe("a")
    for number in range(20):
        for index, writer in enumerate(writers):
            writer.send(publish={"channel": "a", "data": [index, number]})
    seen = []
    for writer in writers:
        pushes: list[Object] = []
        while len(pushes) < 160:
            item = await writer.receive()
            if "push" in item:
                pushes.append(item["push"]["pub"])
        seen.append([push["data"] for push in pushes])
        assert [push["offset"] for push in pushes] == list(range(1, 161))
    assert all(other == seen[0] for other in seen)
