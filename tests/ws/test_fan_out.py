"""Who gets which bytes, and in how many writes: the hub on connections without sockets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from centrifuge.fossil import apply_delta

from realtime.backends.base import Position
from realtime.services.namespaces import Namespace, Namespaces
from realtime.ws.fan import Flavour
from realtime.ws.framing import HTTP_STREAM, SSE, WEBSOCKET
from realtime.ws.hub import Hub
from realtime.ws.turn import JOIN_BYTES
from tests.ws.wire import Wire, published

DELTA = Flavour(delta=True)


@pytest.fixture
async def hub() -> Hub:
    """On the loop of the test, which is not given a turn: the test says when one ends."""
    return Hub()


@pytest.fixture
async def patterns() -> Hub:
    orders = Namespace(name="orders", prefix="orders.", wildcards=True)
    return Hub(namespaces=Namespaces(Namespace(), [orders]))


def wires(hub: Hub, count: int) -> list[Wire]:
    return [Wire(hub) for _ in range(count)]


async def test_subscribers_of_one_channel_are_written_the_very_same_bytes(hub: Hub) -> None:
    some = wires(hub, 3)
    for wire in some:
        wire.subscribe("a")
    for number in range(5):
        published(hub, "a", number)
    hub.flush()
    ((first,), *others) = [wire.writes for wire in some]
    assert all(data is first for (data,) in others)
    assert some[0].heard() == [f"a:{number}" for number in range(5)]
    assert hub.deliveries == 15


async def test_several_channels_leave_in_one_write_and_one_frame(hub: Hub) -> None:
    """Whoever is in the same channels is written the very same bytes here, too."""
    both, also, one = wires(hub, 3)
    for wire in (both, also):
        wire.subscribe("a")
        wire.subscribe("b")
    one.subscribe("b")
    published(hub, "a", 1)
    published(hub, "b", 2)
    published(hub, "a", 3)
    hub.flush()
    ((data,), (same,)) = both.writes, also.writes
    assert data is same
    assert both.heard() == ["a:1", "a:3", "b:2"]
    assert one.heard() == ["b:2"]
    assert hub.deliveries == 7


async def test_a_reply_leaves_with_what_channels_have(hub: Hub) -> None:
    wire, other = wires(hub, 2)
    for each in (wire, other):
        each.subscribe("a")
        each.subscribe("b")
    published(hub, "a", 1)
    wire.reply(7)
    published(hub, "b", 2)
    hub.flush()
    assert len(wire.writes) == len(other.writes) == 1
    assert wire.heard() == ["a:1", "7", "b:2"]
    assert other.heard() == ["a:1", "b:2"]
    assert hub.deliveries == 4


async def test_much_is_not_copied_to_be_joined(hub: Hub) -> None:
    one, other = wires(hub, 2)
    for wire in (one, other):
        wire.subscribe("a")
    one.subscribe("b")
    published(hub, "a", "x" * JOIN_BYTES)
    published(hub, "b", 1)
    hub.flush()
    assert one.writes[0] is other.writes[0]
    assert one.heard() == ["a:" + "x" * JOIN_BYTES, "b:1"]


async def test_who_comes_within_a_turn_gets_only_what_comes_then(hub: Hub) -> None:
    early, late = wires(hub, 2)
    early.subscribe("a")
    published(hub, "a", 1)
    late.subscribe("a")
    published(hub, "a", 2)
    early.unsubscribe("a")
    published(hub, "a", 3)
    hub.flush()
    assert early.heard() == []
    assert late.heard() == ["a:2", "a:3"]


async def test_every_framing_has_its_own_bytes_of_the_same(hub: Hub) -> None:
    kinds = [Wire(hub, framing=framing) for framing in (WEBSOCKET, SSE, HTTP_STREAM, SSE)]
    for wire in kinds:
        wire.subscribe("a")
    published(hub, "a", 1)
    hub.flush()
    written = [data for wire in kinds for data in wire.writes]
    assert len(written) == 4
    assert len(set(written)) == 3
    body = b'{"push":{"channel":"a","pub":{"data":1}}}'
    assert all(body in data for data in written)
    for wire in kinds:
        wire.unsubscribe("a")
    assert not hub.is_watched("a")


async def test_only_who_asked_for_joins_is_told(hub: Hub) -> None:
    asked, other = wires(hub, 2)
    asked.subscribe("a", Flavour(joins=True))
    other.subscribe("a")
    published(hub, "a", 1)
    hub.announce("a", b"join", b"{}")
    published(hub, "a", 2)
    hub.flush()
    assert asked.heard() == ["a:1", "join", "a:2"]
    assert other.heard() == ["a:1", "a:2"]


class Delta:
    """What a stock client makes of the pushes of a channel with differences."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.before = b""
        self.deltas = 0

    def hear(self) -> list[object]:
        heard: list[object] = []
        for item in self.wire.objects():
            pub = item["push"]["pub"]
            text = pub["data"].encode()
            if pub.get("delta"):
                self.deltas += 1
                text = bytes(apply_delta(self.before, text))
            self.before = text
            heard.append(json.loads(text))
        return heard


def document(number: int) -> object:
    return {"match": "é – ü 漢 🎈", "rows": list(range(100)), "score": number}


async def test_differences_follow_the_first_whole_publication(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("a", DELTA)
    client = Delta(wire)
    for number in range(4):
        published(hub, "a", document(number), number + 1)
        hub.flush()
        size = sum(map(len, wire.writes))
        assert client.hear() == [document(number)]
        assert (size < 200) == (number > 0)
    assert client.deltas == 3


async def test_whoever_comes_later_begins_with_a_whole_one(hub: Hub) -> None:
    """Also in the middle of a turn, and after an answer of its own; all end up with the same."""
    early, middle, late = wires(hub, 3)
    clients = [Delta(wire) for wire in (early, middle, late)]
    early.subscribe("a", DELTA)
    published(hub, "a", document(1), 1)
    middle.subscribe("a", DELTA)
    published(hub, "a", document(2), 2)
    published(hub, "a", document(3), 3)
    hub.flush()
    late.subscribe("a", DELTA)
    published(hub, "a", document(4), 4)
    hub.settle(late.outbox)
    published(hub, "a", document(5), 5)
    hub.flush()
    assert [client.hear() for client in clients] == [
        [document(number) for number in numbers]
        for numbers in ([1, 2, 3, 4, 5], [2, 3, 4, 5], [4, 5])
    ]
    assert [client.deltas for client in clients] == [4, 3, 1]


async def test_a_difference_is_of_those_who_have_the_one_before(hub: Hub) -> None:
    """Whoever has met a publication in the history, and not here, gets the next one whole."""
    wire = Wire(hub)
    arrival = hub.arrive(wire.outbox, "a")
    published(hub, "a", document(1), 1)
    assert hub.go_live(arrival, Position(2, "e"), DELTA, repeats=True)
    published(hub, "a", document(2), 2)
    published(hub, "a", document(3), 3)
    published(hub, "a", document(4), 4)
    hub.flush()
    client = Delta(wire)
    assert client.hear() == [document(3), document(4)]
    assert client.deltas == 1


async def test_what_is_not_shorter_as_a_difference_is_sent_whole(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("a", DELTA)
    client = Delta(wire)
    for value in (1, "x", [], document(1)):
        published(hub, "a", value)
        hub.flush()
        assert client.hear() == [value]
    assert client.deltas == 0


async def test_who_wants_no_differences_is_sent_none(hub: Hub) -> None:
    plain, delta = wires(hub, 2)
    plain.subscribe("a")
    delta.subscribe("a", DELTA)
    for number in range(3):
        published(hub, "a", document(number))
    hub.flush()
    assert [item["push"]["pub"] for item in plain.objects()] == [
        {"data": document(number)} for number in range(3)
    ]
    assert Delta(delta).hear() == [document(number) for number in range(3)]


def shown(hub: Hub, channel: str, data: int, offset: int) -> None:
    """A publication of a namespace with wildcards: on its channel, and on the pattern."""
    published(hub, channel, data, data)
    published(hub, "orders.*", data, offset, of=channel)


async def test_patterns_show_what_matches_with_the_channel_it_came_from(patterns: Hub) -> None:
    named, everything, europe, narrow = wires(patterns, 4)
    named.subscribe("orders.eu.1")
    everything.subscribe("orders.*")
    europe.subscribe("orders.eu.*")
    narrow.subscribe("orders.eu.fr:*")
    for offset, channel in enumerate(["orders.eu.1", "orders.us.1", "orders.eu.fr:9"], 1):
        shown(patterns, channel, offset, offset)
    patterns.flush()
    assert named.heard() == ["orders.eu.1:1"]
    pubs = [item["push"]["pub"] for item in everything.objects()]
    assert [(pub["channel"], pub["offset"]) for pub in pubs] == [
        ("orders.eu.1", 1), ("orders.us.1", 2), ("orders.eu.fr:9", 3),
    ]  # fmt: skip
    assert [item["push"]["pub"]["offset"] for item in europe.objects()] == [1, 3]
    assert narrow.heard() == ["orders.eu.fr:*:3"]


def stream(hub: Hub, offsets: Sequence[int]) -> None:
    """Publications on the stream alone, of Europe if they are odd."""
    for offset in offsets:
        place = "eu" if offset % 2 else "us"
        published(hub, "orders.*", offset, offset, of=f"orders.{place}.1")


async def test_a_view_goes_live_among_publications_that_it_does_not_show(patterns: Hub) -> None:
    """It is on the positions of the stream: what it does not show is no hole, and counts."""
    wire = Wire(patterns)
    arrival = patterns.arrive(wire.outbox, "orders.eu.*")
    stream(patterns, [4, 5, 6])
    assert patterns.go_live(arrival, Position(3, "e"), Flavour(), repeats=True)
    stream(patterns, [5, 6, 7, 8, 9])
    patterns.flush()
    assert [item["push"]["pub"]["offset"] for item in wire.objects()] == [5, 7, 9]


async def test_a_view_does_not_go_live_over_a_hole(patterns: Hub) -> None:
    wire = Wire(patterns)
    arrival = patterns.arrive(wire.outbox, "orders.eu.*")
    stream(patterns, [4, 6])
    assert not patterns.go_live(arrival, Position(3, "e"), Flavour(), repeats=True)
    assert wire.unsubscribe("orders.eu.*")


async def test_a_view_is_stopped_where_its_stream_has_a_hole(patterns: Hub) -> None:
    wire = Wire(patterns)
    arrival = patterns.arrive(wire.outbox, "orders.eu.*")
    assert patterns.go_live(arrival, Position(3, "e"), Flavour(), repeats=True)
    stream(patterns, [6, 7])
    patterns.flush()
    assert wire.heard() == []


async def test_a_loss_on_the_stream_concerns_its_views(patterns: Hub) -> None:
    wire, other = wires(patterns, 2)
    wire.subscribe("orders.eu.*")
    other.subscribe("orders.eu.1")
    patterns.lost(b"orders.*")
    published(patterns, "orders.*", 1, 1, of="orders.eu.1")
    published(patterns, "orders.eu.1", 1, 1)
    patterns.flush()
    assert wire.heard() == []
    assert other.heard() == ["orders.eu.1:1"]


async def test_the_stream_is_needed_as_long_as_anybody_looks_at_it(patterns: Hub) -> None:
    europe, everything = wires(patterns, 2)
    europe.subscribe("orders.eu.*")
    everything.subscribe("orders.*")
    assert not everything.unsubscribe("orders.*")
    assert patterns.is_watched("orders.*")
    assert europe.unsubscribe("orders.eu.*")
    assert not patterns.is_watched("orders.*")
    assert not patterns._topics


async def test_one_connection_may_look_through_several_patterns(patterns: Hub) -> None:
    wire = Wire(patterns)
    for channel in ("orders.*", "orders.eu.*", "orders.eu.1"):
        wire.subscribe(channel)
    shown(patterns, "orders.eu.1", 1, 1)
    patterns.flush()
    assert sorted(wire.heard()) == ["orders.*:1", "orders.eu.*:1", "orders.eu.1:1"]
    wire.end()
    assert not patterns._topics


async def test_where_there_are_no_wildcards_a_star_is_a_star(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("orders.eu.*")
    published(hub, "orders.*", 1, 1, of="orders.eu.1")
    published(hub, "orders.eu.*", 2)
    hub.flush()
    assert wire.heard() == ["orders.eu.*:2"]


async def test_a_framing_may_say_what_a_publication_becomes(hub: Hub) -> None:
    bare = replace(SSE, name="bare", publication=lambda head, item, epoch: item.data)
    wire, other = Wire(hub, framing=bare), Wire(hub, framing=SSE)
    for each in (wire, other):
        each.subscribe("a")
    published(hub, "a", 1)
    hub.flush()
    assert b"data: 1\n\n" in wire.writes[0]
    assert b'"data":1' in other.writes[0]
