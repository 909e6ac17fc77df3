"""What becomes of what a slow reader is sent: what its channels want, and never more than fits."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.services.namespaces import Namespace, Namespaces, SlowPolicy
from realtime.ws.codes import CLOSE_SLOW
from realtime.ws.door import Options
from realtime.ws.hub import Hub
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Peer
from tests.ws.wire import LIMIT, Wire, published

KIB = 1024


def namespace(name: str, policy: SlowPolicy) -> Namespace:
    return Namespace(name=name, prefix=f"{name}:", slow=policy, join_leave=False)


NAMESPACES = Namespaces(
    Namespace(),
    [
        namespace("oldest", SlowPolicy.DROP_OLDEST),
        namespace("latest", SlowPolicy.LATEST),
        namespace("all", SlowPolicy.DISCONNECT),
    ],
)


def make_hub() -> Hub:
    return Hub(namespaces=NAMESPACES)


@pytest.fixture
async def hub() -> Hub:
    return make_hub()


def publish(hub: Hub, channel: str, *values: int, size: int = 0) -> None:
    """Each in a turn of its own."""
    for value in values:
        published(hub, channel, f"{value:0{size}}" if size else value)
        hub.flush()


async def test_who_keeps_up_gets_everything_whatever_the_policy(hub: Hub) -> None:
    wire = Wire(hub)
    for channel in ("oldest:1", "latest:1", "all:1"):
        wire.subscribe(channel)
        publish(hub, channel, 1, 2, 3)
        assert wire.heard() == [f"{channel}:{value}" for value in (1, 2, 3)]
    assert hub.drops == 0


async def test_latest_holds_one_publication_the_newest(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("latest:1")
    wire.stall()
    publish(hub, "latest:1", 1, 2)
    for value in (3, 4, 5):  # of several within a turn, too, the last
        published(hub, "latest:1", value)
    hub.flush()
    wire.read_on()
    assert wire.heard() == ["latest:1:5"]
    assert hub.drops == 4
    assert hub.deliveries == 1
    publish(hub, "latest:1", 6, 7)
    assert wire.heard() == ["latest:1:6", "latest:1:7"]


async def test_drop_oldest_holds_the_newest_that_fit_without_a_hole_among_them(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("oldest:1")
    wire.stall()
    publish(hub, "oldest:1", *range(500), size=KIB)
    assert wire.outbox.waiting <= LIMIT
    wire.read_on()
    values = [int(word.split(":")[2]) for word in wire.heard()]
    assert values == list(range(500 - len(values), 500))
    assert len(values) > LIMIT / 2 / KIB * 0.9
    assert hub.drops == 500 - len(values)
    assert hub.deliveries == len(values)
    assert wire.closed is None


async def test_one_that_is_larger_than_the_room_is_dropped_alone(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("oldest:1")
    wire.stall()
    publish(hub, "oldest:1", 1, size=LIMIT)
    assert wire.outbox.waiting == 0
    publish(hub, "oldest:1", 2)
    wire.read_on()
    assert wire.heard() == ["oldest:1:2"]


async def test_of_much_in_one_turn_the_newest_are_held(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("oldest:1")
    wire.stall()
    for value in range(100):
        published(hub, "oldest:1", f"{value:0{KIB}}")
    hub.flush()
    wire.read_on()
    values = [int(word.split(":")[2]) for word in wire.heard()]
    assert len(values) > 25
    assert values == list(range(100 - len(values), 100))


async def test_a_channel_never_costs_another_one_its_own(hub: Hub) -> None:
    wire = Wire(hub)
    for channel in ("oldest:1", "oldest:2", "latest:1", "all:1"):
        wire.subscribe(channel)
    wire.stall()
    publish(hub, "oldest:2", 1, 2, 3)
    publish(hub, "latest:1", 1, 2)
    publish(hub, "all:1", 1, 2)
    publish(hub, "oldest:1", *range(500), size=KIB)
    wire.read_on()
    heard = wire.heard()
    assert [word for word in heard if not word.startswith("oldest:1")] == [
        "oldest:2:1", "oldest:2:2", "oldest:2:3", "latest:1:2", "all:1:1", "all:1:2",
    ]  # fmt: skip
    assert wire.closed is None


async def test_replies_are_never_dropped_and_take_the_room_of_what_may_be(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("oldest:1")
    wire.stall()
    publish(hub, "oldest:1", *range(500), size=KIB)
    for number in range(50):
        wire.outbox.send(b'{"id":%d,"x":"%b"}' % (number, b"x" * KIB))
        hub.flush()
        assert wire.outbox.waiting <= LIMIT
    assert wire.closed is None
    publish(hub, "oldest:1", 501)
    wire.read_on()
    heard = wire.heard()
    replies = [word for word in heard if word.isdigit()]
    assert replies == [str(number) for number in range(50)]
    assert heard[-1] == "oldest:1:501"


async def test_a_reply_comes_after_what_was_published_before_it(hub: Hub) -> None:
    """Also where that is held, and may be dropped."""
    wire = Wire(hub)
    wire.subscribe("latest:1")
    wire.subscribe("oldest:1")
    wire.stall()
    published(hub, "latest:1", 1)
    published(hub, "oldest:1", 1)
    wire.reply(7)
    published(hub, "oldest:1", 2)
    hub.flush()
    wire.read_on()
    assert wire.heard() == ["latest:1:1", "oldest:1:1", "7", "oldest:1:2"]


async def test_newest_values_that_do_not_fit_at_all_end_the_connection(hub: Hub) -> None:
    """A value that stays wrong is worse than coming back."""
    wire = Wire(hub)
    for number in range(5):
        wire.subscribe(f"latest:{number}")
    wire.stall()
    for number in range(5):
        publish(hub, f"latest:{number}", 1, size=LIMIT // 4)
    assert wire.closed == CLOSE_SLOW


async def test_all_or_nothing_disconnects(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("all:1")
    wire.subscribe("oldest:1")
    wire.stall()
    publish(hub, "oldest:1", *range(100), size=KIB)
    publish(hub, "all:1", *range(40), size=KIB)
    assert wire.closed is None, "it has at least half the room"
    publish(hub, "all:1", *range(40), size=KIB)
    assert wire.closed == CLOSE_SLOW
    assert hub.drops > 0


async def test_who_ends_while_it_lags_holds_nothing_any_more(hub: Hub) -> None:
    wire = Wire(hub)
    wire.subscribe("oldest:1")
    wire.stall()
    publish(hub, "oldest:1", 1)
    wire.outbox.cut()
    publish(hub, "oldest:1", 2)
    assert wire.outbox.waiting == 0
    wire.end()
    assert not hub._topics


CHANNELS = ("oldest:1", "oldest:2", "latest:1", "latest:2", "all:1")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(CHANNELS), st.integers(0, 3_000)),
        st.tuples(
            st.sampled_from(["subscribe", "unsubscribe"]), st.sampled_from(CHANNELS), st.just(0)
        ),
        st.tuples(st.sampled_from(["reply", "stall", "read_on", "turn"]), st.just(""), st.just(0)),
    ),
    max_size=120,
)


class Ledger:
    """What was published to a connection, and what of it it may have heard."""

    def __init__(self, hub: Hub, wire: Wire) -> None:
        self.hub, self.wire = hub, wire
        self.sent: dict[str, list[int]] = defaultdict(list)
        self.got: dict[str, list[int]] = defaultdict(list)
        self.replies = 0
        self.answered: list[int] = []
        self.count = 0
        self.lagged = False

    def step(self, what: str, channel: str, size: int) -> None:
        joined = channel in self.wire.outbox.fans
        if what == "publish":
            self.count += 1
            published(self.hub, channel, [self.count, "x" * size])
            if joined:
                self.sent[channel].append(self.count)
        elif what == "subscribe" and not joined:
            self.wire.subscribe(channel)
        elif what == "unsubscribe" and joined:
            self.hub.settle(self.wire.outbox)
            self.wire.unsubscribe(channel)
        elif what == "reply":
            self.replies += 1
            self.wire.reply(self.replies)
        elif what == "turn":
            self.hub.flush()
        elif what == "stall":
            self.lagged = True
            self.wire.stall()
        elif what == "read_on":
            self.wire.read_on()
        self.hear()

    def hear(self) -> None:
        for item in self.wire.objects():
            if "push" in item:
                self.got[item["push"]["channel"]].append(item["push"]["pub"]["data"][0])
            else:
                self.answered.append(item["id"])


@given(steps)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_happens_order_is_kept_and_only_what_may_be_is_dropped(
    script: list[tuple[str, str, int]],
) -> None:
    async def play() -> None:
        hub = make_hub()
        wire, witness = Wire(hub), Wire(hub)
        ledger, other = Ledger(hub, wire), Ledger(hub, witness)
        for channel in CHANNELS:
            witness.subscribe(channel)
        for what, channel, size in script:
            ledger.step(what, channel, size)
            assert wire.outbox.waiting <= LIMIT
        for each in (ledger, other):
            each.step("read_on", "", 0)
            each.step("turn", "", 0)
        check(ledger, hub, closed=wire.closed is not None)
        assert sum(map(len, other.got.values())) == ledger.count, "others notice nothing"
        for each_wire in (wire, witness):
            each_wire.end()
        assert not hub._topics

    asyncio.run(play())


def check(ledger: Ledger, hub: Hub, *, closed: bool) -> None:
    for channel, got in ledger.got.items():
        assert got == sorted(set(got)), "in order, and none twice"
        assert set(got) <= set(ledger.sent[channel])
    if closed:
        return
    assert ledger.answered == list(range(1, ledger.replies + 1))
    assert ledger.got["all:1"] == ledger.sent["all:1"]
    for channel in ("latest:1", "latest:2"):
        assert ledger.got[channel][-1:] == ledger.sent[channel][-1:], "the newest always comes"
    if not ledger.lagged:
        assert all(ledger.got[channel] == ledger.sent[channel] for channel in CHANNELS)
    dropped = sum(len(sent) - len(ledger.got[channel]) for channel, sent in ledger.sent.items())
    assert hub.drops == dropped


# Over sockets

PAYLOAD = b'"%b"' % (b"x" * 32 * KIB)
PUBLICATIONS = 400
"""Of PAYLOAD: more than the buffers of any kernel take."""


async def stalled(house: House, channel: str) -> Peer:
    peer = await house.peer(receive_buffer=4 * KIB)
    await peer.subscribe(channel)
    return peer


async def all_read(peer: Peer, until: Callable[[Any], bool]) -> list[Any]:
    """The publications up to one that ``until`` is true of."""
    found: list[Any] = []
    while not found or not until(found[-1]):
        found.append((await peer.pushed())["pub"])
    return found


@pytest.mark.parametrize("channel", ["latest:1", "oldest:1"])
async def test_a_reader_that_stalls_is_not_closed_but_misses_some(
    serve: Serve, channel: str
) -> None:
    limit = 256 * KIB
    house = await serve(options=Options(queue_bytes=limit), namespaces=NAMESPACES)
    slow = await stalled(house, channel)
    (connection,) = house.state.connections
    for _ in range(PUBLICATIONS):
        await house.services.channels.publish(channel, PAYLOAD)
        await asyncio.sleep(0)
        assert connection._outbox.waiting <= limit  # type: ignore[union-attr]
    await house.until(lambda: house.hub.publications == PUBLICATIONS)
    await house.services.channels.publish(channel, b'"last"')
    found = await all_read(slow, lambda pub: pub["data"] == "last")
    offsets = [pub["offset"] for pub in found]
    assert offsets == sorted(set(offsets))
    assert 0 < len(offsets) < PUBLICATIONS
    assert house.hub.drops == PUBLICATIONS + 1 - len(offsets)
    assert house.hub.closes == {}
    if channel.startswith("oldest"):
        newest = list(range(PUBLICATIONS - 1, PUBLICATIONS + 2))
        assert offsets[-3:] == newest, "what fits is without a hole"
    await house.services.channels.publish(channel, b'"after"')
    assert (await slow.pushed())["pub"]["offset"] == PUBLICATIONS + 2, "it keeps up again"


async def test_what_stalled_readers_hold_is_held_once(serving: Serve) -> None:
    """By reference: all of them together hold the newest publications, and not a copy each."""
    house = await serving(options=Options(queue_bytes=256 * KIB), namespaces=NAMESPACES)
    crowd = [await stalled(house, "oldest:1") for _ in range(10)]
    for _ in range(PUBLICATIONS):
        await house.services.channels.publish("oldest:1", PAYLOAD)
        await asyncio.sleep(0)
    held: dict[int, int] = {}
    total = 0
    for connection in house.state.connections:
        outbox = connection._outbox  # type: ignore[union-attr]
        for piece in outbox._held._pieces.values():
            held[id(piece.data)] = len(piece.data)
            total += len(piece.data)
    assert len(crowd) == 10
    assert total > 10 * 64 * KIB
    assert sum(held.values()) <= 128 * KIB
