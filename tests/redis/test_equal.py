"""The same random steps on both backends: every answer, every error and every key left is equal."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from engine.clock import MINUTE, SECOND
from realtime.backends.base import (
    Amended,
    Board,
    FixedWindow,
    LimitRule,
    Ranking,
    SessionKeys,
    SlidingLog,
    SlidingWindow,
    Submit,
    Take,
    TokenBucket,
)
from realtime.backends.keys import board_key, session_key, shard_of, user_key
from tests.redis.pair import Pair

STRINGS = st.sampled_from([b"s1", b"s2", b"s3"])
"""Values and counters meet here."""
HASHES = st.sampled_from([b"h1", b"h2"])
BUCKETS = st.sampled_from([b"b1", b"b2", b"b3"])
BOARD = st.just(board_key(b"1"))
ANY = st.sampled_from([b"s1", b"h1", b"b1"]) | BOARD
"""Now and then somebody uses a key of another type."""

ttls = st.none() | st.integers(1, 10 * SECOND)
pauses = st.integers(0, 3000) | st.integers(0, 5 * SECOND) | st.integers(0, 2 * MINUTE)

texts = st.binary(max_size=3) | st.integers(-50, 50).map(lambda n: b"%d" % n)
records = st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), texts, max_size=3)

edges = st.sampled_from([2**63 - 1, -(2**63), 2**53, 0])
numbers = st.integers(-9, 9) | st.tuples(edges, st.integers(-3, 3)).map(
    lambda n: max(-(2**63), min(2**63 - 1, sum(n)))
)

bounds = st.none() | st.sampled_from([-3.0, 0.0, 2.5, 4.0])
rankings = st.builds(
    Ranking,
    descending=st.booleans(),
    keep=st.sampled_from(["best", "latest", "sum"]),
    ranks=st.sampled_from(["ordinal", "competition"]),
    max_entries=st.none() | st.integers(1, 5),
    min_score=bounds,
    max_score=bounds,
)
free = rankings.map(lambda r: Ranking(r.descending, r.keep, r.ranks, r.max_entries))
boards = st.builds(Board, st.sampled_from([b"1", b"2"]).map(board_key), free | rankings)
pairs = st.tuples(rankings, free).map(
    lambda both: [Board(board_key(b"%d" % n), ranking) for n, ranking in enumerate(both, 1)]
)
# The last is the name that sorts behind all others: 0xFF begins none, it marks places.
members = st.sampled_from([b"a", b"b", b"B", b"ab", b"\x00", b"z", "\U0010ffff".encode()])
scores = st.one_of(
    st.integers(-3, 6).map(lambda n: n / 2),
    st.sampled_from([-0.0, 1e308, -1e308, 0.1, 2.0**53, float("inf"), float("-inf")]),
    st.floats(allow_nan=False),
)
submits = st.builds(Submit, members, scores, st.none() | texts)

plain: st.SearchStrategy[LimitRule] = st.one_of(
    st.builds(SlidingLog, st.integers(1, 7), st.integers(1, 5 * SECOND)),
    st.builds(TokenBucket, st.integers(1, 7), st.integers(1, 5 * SECOND), st.integers(1, 9)),
    st.builds(FixedWindow, st.integers(1, 7), st.integers(1, 5 * SECOND)),
    st.builds(SlidingWindow, st.integers(1, 7), st.integers(1, 5 * SECOND)),
    st.sampled_from([TokenBucket(5, SECOND, 5), FixedWindow(5, SECOND), SlidingWindow(5, SECOND)]),
)
limits: st.SearchStrategy[LimitRule] = plain | st.builds(
    Amended,
    plain,
    plain.map(lambda rule: rule.parameters),
    st.sampled_from(["as-is", "proportional", "reset"]),
)
costs = st.integers(0, 10)
LEASES = st.sampled_from([b"l1", b"l2"])
HOLDS = st.sampled_from([b"rl:r:{k}:hold:1", b"rl:r:{k}:hold:2"])

USERS = (b"ada", b"b}o{b")
users = st.sampled_from(USERS)
names = st.sampled_from([b"1", b"2", b"3"])
owned = st.tuples(users, names).map(lambda who: session_key(shard_of(who[0]), who[1]))
timeouts = st.integers(1, 5 * SECOND) | st.integers(MINUTE, 5 * MINUTE)
removals = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=2)


class Equal(RuleBasedStateMachine):
    """Each step is asked of both, see `Pair`."""

    pair: Pair

    def __init__(self) -> None:
        super().__init__()
        self.pair.reset()

    def teardown(self) -> None:
        self.pair.check_contents()

    # Time

    @rule(pause=pauses)
    def wait(self, pause: int) -> None:
        self.pair.advance(pause)

    @rule(jump=pauses)
    def step_back(self, jump: int) -> None:
        self.pair.advance(-jump)

    @rule()
    def look_at_all_that_is_kept(self) -> None:
        self.pair.check_contents()

    # Values, counters, hashes

    @rule(key=STRINGS | ANY)
    def get_value(self, key: bytes) -> None:
        self.pair.values.get(key)

    @rule(key=STRINGS | BOARD, value=texts, ttl=ttls, only_if_absent=st.booleans())
    def set_value(self, key: bytes, value: bytes, ttl: int | None, only_if_absent: bool) -> None:
        if ttl is not None:
            # Redis counts from the millisecond that has begun. Only a deadline that is a whole
            # one itself is the same on both sides.
            ttl = -(-ttl // 1000) * 1000 - self.pair.clock() % 1000
        self.pair.values.set(key, value, ttl=ttl, only_if_absent=only_if_absent)

    @rule(keys=st.lists(STRINGS | HASHES | BUCKETS | ANY, max_size=3))
    def delete(self, keys: list[bytes]) -> None:
        self.pair.values.delete(*keys)

    @rule(
        key=STRINGS | HASHES | BOARD,
        by=numbers,
        minimum=st.none() | numbers,
        maximum=st.none() | numbers,
        ttl=ttls,
    )
    def add(
        self, key: bytes, by: int, minimum: int | None, maximum: int | None, ttl: int | None
    ) -> None:
        self.pair.counters.add(key, by, minimum=minimum, maximum=maximum, ttl=ttl)

    @rule(key=STRINGS, by=numbers)
    def add_without_bounds(self, key: bytes, by: int) -> None:
        self.pair.counters.add(key, by)

    @rule(keys=st.lists(STRINGS | ANY, max_size=4))
    def get_counters(self, keys: list[bytes]) -> None:
        self.pair.counters.get(keys)

    @rule(key=STRINGS, value=numbers | st.sampled_from([2**63, -(2**63) - 1]))
    def set_counter(self, key: bytes, value: int) -> None:
        self.pair.counters.set(key, value)

    @rule(key=HASHES | ANY)
    def get_hash(self, key: bytes) -> None:
        self.pair.hashes.get(key)

    @rule(key=HASHES, fields=records)
    def put_hash(self, key: bytes, fields: dict[bytes, bytes]) -> None:
        self.pair.hashes.put(key, fields)

    # Leaderboards

    @rule(board=boards, entry=submits)
    def submit(self, board: Board, entry: Submit) -> None:
        self.pair.sorted_sets.submit(board, [entry])

    @rule(board=boards, entries=st.lists(submits, max_size=6))
    def submit_batch(self, board: Board, entries: list[Submit]) -> None:
        self.pair.sorted_sets.submit(board, entries)

    @rule(boards=pairs, entry=submits)
    def submit_to_both(self, boards: Sequence[Board], entry: Submit) -> None:
        self.pair.sorted_sets.submit_to(boards, [entry])

    @rule(board=boards, member=members)
    def ask_for_a_member(self, board: Board, member: bytes) -> None:
        self.pair.sorted_sets.standing(board, member)
        self.pair.sorted_sets.size(board)

    @rule(board=boards, member=members)
    def remove(self, board: Board, member: bytes) -> None:
        self.pair.sorted_sets.remove(board, member)

    @rule(board=boards, offset=st.integers(0, 5), limit=st.integers(0, 9), metadata=st.booleans())
    def page(self, board: Board, offset: int, limit: int, metadata: bool) -> None:
        self.pair.sorted_sets.page(board, offset, limit, metadata=metadata)

    @rule(
        board=boards,
        scores=st.tuples(scores, scores),
        offset=st.integers(0, 3),
        limit=st.integers(0, 9),
        metadata=st.booleans(),
    )
    def page_by_score(
        self, board: Board, scores: tuple[float, float], offset: int, limit: int, metadata: bool
    ) -> None:
        for low, high in (scores, sorted(scores)):
            self.pair.sorted_sets.page_by_score(board, low, high, offset, limit, metadata=metadata)

    @rule(board=boards, wanted=st.lists(members, max_size=6), metadata=st.booleans())
    def some_members(self, board: Board, wanted: list[bytes], metadata: bool) -> None:
        self.pair.sorted_sets.members(board, wanted, metadata=metadata)

    @rule(board=boards, member=members, radius=st.integers(0, 4), metadata=st.booleans())
    def around(self, board: Board, member: bytes, radius: int, metadata: bool) -> None:
        self.pair.sorted_sets.around(board, member, radius, metadata=metadata)

    # Rate limits

    @rule(key=BUCKETS | HASHES, limit=limits, cost=costs)
    def take(self, key: bytes, limit: LimitRule, cost: int) -> None:
        self.pair.buckets.take(key, limit, cost)

    @rule(takes=st.lists(st.builds(Take, BUCKETS, limits, costs), max_size=5))
    def take_all(self, takes: list[Take]) -> None:
        self.pair.buckets.take_all(takes)

    @rule(key=BUCKETS | HASHES, limit=limits, by=st.integers(-10, 10), until=st.none() | pauses)
    def adjust(self, key: bytes, limit: LimitRule, by: int, until: int | None) -> None:
        due = None if until is None else self.pair.clock() + until
        self.pair.buckets.adjust(key, limit, by, due)

    @rule(key=HOLDS | HASHES, regained_after=pauses, ttl=timeouts)
    def hold(self, key: bytes, regained_after: int, ttl: int) -> None:
        # A deadline that is no whole millisecond is rounded up there, see `set_value`.
        ttl = -(-ttl // 1000) * 1000 - self.pair.clock() % 1000
        self.pair.buckets.hold(key, regained_after, ttl)

    @rule(key=HOLDS | HASHES)
    def unhold(self, key: bytes) -> None:
        self.pair.buckets.unhold(key)

    @rule(key=LEASES | STRINGS, limit=st.integers(1, 3), lease=names, ttl=timeouts)
    def acquire(self, key: bytes, limit: int, lease: bytes, ttl: int) -> None:
        self.pair.leases.acquire(key, limit, lease, ttl)

    @rule(key=LEASES, lease=names, ttl=timeouts)
    def renew(self, key: bytes, lease: bytes, ttl: int) -> None:
        self.pair.leases.renew(key, lease, ttl)

    @rule(key=LEASES | HASHES, lease=names)
    def release(self, key: bytes, lease: bytes) -> None:
        self.pair.leases.release(key, lease)

    @rule(key=LEASES | HASHES, limit=st.integers(0, 3))
    def active(self, key: bytes, limit: int) -> None:
        self.pair.leases.active(key, limit)
        self.pair.leases.count(key)

    @rule(key=HASHES | STRINGS, changes=records, removals=removals)
    def patch_hash(self, key: bytes, changes: dict[bytes, bytes], removals: list[bytes]) -> None:
        self.pair.hashes.patch(key, changes, removals)

    # Sessions

    @rule(
        user=users,
        name=names,
        fields=records,
        idle=timeouts,
        absolute=timeouts,
        owned=st.booleans(),
    )
    def create_session(
        self,
        user: bytes,
        name: bytes,
        fields: dict[bytes, bytes],
        idle: int,
        absolute: int,
        owned: bool,
    ) -> None:
        self.pair.sessions.create(
            SessionKeys(session_key(shard_of(user), name), user_key(user) if owned else None),
            fields,
            user=user if owned else None,
            idle_timeout=idle,
            absolute_timeout=absolute,
        )

    @rule(record=owned, touch=st.booleans())
    def read_session(self, record: bytes, touch: bool) -> None:
        self.pair.sessions.read(record, touch=touch)

    @rule(
        record=owned,
        changes=records,
        removals=removals,
        expected=st.none() | st.integers(1, 3),
        size=st.none() | st.integers(0, 12),
    )
    def patch_session(
        self,
        record: bytes,
        changes: dict[bytes, bytes],
        removals: list[bytes],
        expected: int | None,
        size: int | None,
    ) -> None:
        self.pair.sessions.patch(
            record, changes, removals, expected_version=expected, max_size=size
        )

    @rule(record=owned)
    def delete_session(self, record: bytes) -> None:
        self.pair.sessions.delete(record)

    @rule(user=users)
    def list_sessions(self, user: bytes) -> None:
        self.pair.sessions.of_user(user_key(user))

    @rule(user=users)
    def end_sessions(self, user: bytes) -> None:
        self.pair.sessions.end_all(user_key(user))


def test_both_backends_are_one(pair: Pair) -> None:
    run_state_machine_as_test(
        type("EqualOnThisServer", (Equal,), {"pair": pair}),
        settings=settings(max_examples=250, stateful_step_count=60, deadline=None),
    )
