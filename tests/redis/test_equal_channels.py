"""Channels on both backends, at random: positions, histories and versions are equal.

Epochs are random words on either side; what must be equal is when a new one begins. So they
are compared by their number: the first that a channel ever had, the second, and so on.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from engine.clock import DAY, HOUR, MINUTE, SECOND
from engine.stream import Stream
from realtime.backends.base import Backend, Guard, History, Position, Wildcard, recover
from realtime.backends.keys import META, VERSION, board_key, channel_key
from tests.redis.pair import LAG, Pair

ALL = b"n*"
CHANNELS = st.sampled_from([b"news", b"{tag}x", b"quiet", ALL])
WILDCARD = Wildcard(ALL, 3, MINUTE)
BOARD = b"arcade"

data = st.binary(min_size=1, max_size=5)
tags = st.none() | st.just(b'{"a":"b:,"}')
versions = st.sampled_from([0, 1, 2, 3])
version_epochs = st.sampled_from([b"", b"a", b"b"])
keys = st.sampled_from([None, b"k", b"l"])
guards = st.none() | st.builds(Guard, keys, versions, version_epochs)
wildcards = st.sampled_from([None, WILDCARD, Wildcard(ALL, 0, 0)])
infos = st.none() | st.just(b'{"user":"ada"}')
sizes = st.sampled_from([0, 1, 3, 100])
ttls = st.sampled_from([0, SECOND, MINUTE, 100 * DAY])
pauses = st.sampled_from([0, SECOND, 2 * MINUTE, 2 * HOUR, 40 * DAY])
sinces = st.none() | st.sampled_from([0, 1, 2, 3, 5, 8, 99, 2**63 - 1])
limits = st.sampled_from([-1, 0, 1, 2, 10])


class Epochs:
    """Epochs by their number, per channel."""

    def __init__(self) -> None:
        self._seen: dict[tuple[bytes, str], int] = {}

    def number(self, channel: bytes, epoch: str) -> int:
        if not epoch:
            return 0
        known = sum(1 for seen, _ in self._seen if seen == channel)
        return self._seen.setdefault((channel, epoch), known + 1)


class EqualChannels(RuleBasedStateMachine):
    pair: Pair

    def __init__(self) -> None:
        super().__init__()
        self.pair.reset()
        self.epochs = {"embedded": Epochs(), "redis": Epochs()}

    def both(self, channel: bytes, ask: Any, show: Any = lambda answer: answer) -> None:
        shown = [
            show(self.pair.run(ask(backend)), lambda e, at=name: self.epochs[at].number(channel, e))
            for name, backend in (("embedded", self.pair.embedded), ("redis", self.pair.redis))
        ]
        assert shown[0] == shown[1]

    @rule(channel=CHANNELS, data=data, info=infos, size=sizes, ttl=ttls)
    def publish(self, channel: bytes, data: bytes, info: bytes | None, size: int, ttl: int) -> None:
        def ask(backend: Backend) -> Any:
            return backend.channels.publish(channel, data, info=info, size=size, ttl=ttl)

        self.both(channel, ask, lambda at, number: (at.offset, number(at.epoch)))

    @rule(
        channel=CHANNELS,
        data=data,
        tags=tags,
        size=sizes,
        ttl=ttls,
        guard=guards,
        wildcard=wildcards,
    )
    def publish_guarded(
        self,
        channel: bytes,
        data: bytes,
        tags: bytes | None,
        size: int,
        ttl: int,
        guard: Guard | None,
        wildcard: Wildcard | None,
    ) -> None:
        def ask(backend: Backend) -> Any:
            return backend.channels.publish(
                channel, data, tags=tags, size=size, ttl=ttl, guard=guard, wildcard=wildcard
            )

        self.both(channel, ask, lambda at, number: (at.offset, number(at.epoch), at.delivered))

    @rule(channel=CHANNELS, since=sinces, limit=limits)
    def history_of_the_shown(self, channel: bytes, since: int | None, limit: int) -> None:
        at = None if since is None else Position(since, "")

        def ask(backend: Backend) -> Any:
            read = backend.channels.history
            return read(channel, since=at, limit=limit, wildcard=WILDCARD)

        self.both(b"shown " + channel, ask, lambda found, _: (found.position.offset, found[1:]))

    @rule(channel=CHANNELS, since=sinces, limit=limits, reverse=st.booleans())
    def history(self, channel: bytes, since: int | None, limit: int, reverse: bool) -> None:
        at = None if since is None else Position(since, "")

        def ask(backend: Backend) -> Any:
            return backend.channels.history(channel, since=at, limit=limit, reverse=reverse)

        def show(found: History, number: Any) -> Any:
            position = (found.position.offset, number(found.position.epoch))
            return position, found.publications, found.past

        self.both(channel, ask, show)

    @rule(channel=CHANNELS, since=sinces, limit=st.integers(0, 4))
    def recover(self, channel: bytes, since: int | None, limit: int) -> None:
        at = Position(since or 0, "")

        def ask(backend: Backend) -> Any:
            return backend.channels.history(channel, since=at, limit=limit + 1)

        self.both(channel, ask, lambda found, _: recover(at, found, limit))

    @rule(channel=CHANNELS)
    def remove(self, channel: bytes) -> None:
        self.both(channel, lambda b: b.channels.remove_history(channel), lambda answer, _: answer)

    @rule(after=st.integers(0, 3))
    def publish_next(self, after: int) -> None:
        version, channel = board_key(BOARD) + VERSION, b"leaderboard:" + BOARD

        def ask(backend: Backend) -> Any:
            return backend.channels.publish_next(channel, b"{}", version=version, after=after)

        self.both(channel, ask, lambda answer, _: answer)

    @rule(pause=pauses)
    def wait(self, pause: int) -> None:
        """Past a deadline, and past the millisecond that Redis keeps a key longer."""
        self.pair.clock.advance(pause + LAG)

    def teardown(self) -> None:
        self.pair.run(self._versions())

    async def _versions(self) -> None:
        key = board_key(BOARD) + VERSION
        one, other = self.pair.embedded, self.pair.redis
        assert await one.counters.get([key]) == await other.counters.get([key])


def test_both_backends_keep_the_same_histories(pair: Pair) -> None:
    run_state_machine_as_test(
        type("EqualChannelsOnThisServer", (EqualChannels,), {"pair": pair}),
        settings=settings(max_examples=150, stateful_step_count=40, deadline=None),
    )


SINCES = [(number, epoch) for epoch in ("old", "new", "other") for number in range(8)]


def answers(pair: Pair, backend: Backend, epochs: dict[str, str]) -> list[Any]:
    """What subscribers at many positions are told; epochs by what they are."""
    told = []
    for offset, epoch in SINCES:
        since = Position(offset, epochs[epoch])
        found = pair.run(backend.channels.history(b"news", since=since, limit=100))
        told.append((offset, epoch, found, recover(since, found, 99)))
    return told


def publish_on(pair: Pair, backend: Backend, *numbers: int) -> Position:
    position = Position(0, "")
    for number in numbers:
        made = pair.run(backend.channels.publish(b"news", b"%d" % number, size=100, ttl=MINUTE))
        position = made.position
    return position


def test_redis_knows_where_an_epoch_of_the_engine_ended(pair: Pair) -> None:
    pair.engine.effects.listen(lambda effect: pair.client.execute_command(*effect))
    old = publish_on(pair, pair.embedded, 1, 2, 3)
    assert pair.engine.channels.renew_epochs() == 1
    new = publish_on(pair, pair.embedded, 104, 105)
    epochs = {"old": old.epoch, "new": new.epoch, "other": "other"}
    told = answers(pair, pair.redis, epochs)
    assert told == answers(pair, pair.embedded, epochs)
    recovered = [(offset, epoch) for offset, epoch, _, answer in told if answer.recovered]
    assert recovered == [(n, "old") for n in range(4)] + [(n, "new") for n in range(6)]


def test_the_engine_knows_where_an_epoch_of_redis_ended(pair: Pair) -> None:
    key = channel_key(b"news")
    old = publish_on(pair, pair.redis, 1, 2, 3)
    pair.client.hset(key + META, "r", "another server")
    new = publish_on(pair, pair.redis, 104, 105)
    assert new.epoch != old.epoch
    history = Stream()
    for entry_id, fields in pair.client.execute_command("XRANGE", key, "-", "+"):
        flat = tuple(part for field in fields.items() for part in field)
        history.append((int(entry_id.partition(b"-")[0]), 0), flat)
    pair.engine.keyspace.put(key, history)
    pair.engine.keyspace.put(key + META, pair.client.hgetall(key + META))
    epochs = {"old": old.epoch, "new": new.epoch, "other": "other"}
    assert answers(pair, pair.embedded, epochs) == answers(pair, pair.redis, epochs)
