"""Sessions on Redis, held against the engine: deadlines, the index, bounds."""

from __future__ import annotations

import pytest

from engine.clock import HOUR, MINUTE, SECOND
from realtime.backends.base import SessionKeys
from realtime.backends.keys import session_key, shard_of, user_key
from tests.redis.pair import Pair

ADA = user_key(b"ada")


def record(name: bytes, user: bytes = b"ada") -> bytes:
    return session_key(shard_of(user), name)


def create(
    pair: Pair,
    name: bytes,
    *,
    user: bytes | None = b"ada",
    idle: int = 30 * MINUTE,
    absolute: int = 8 * HOUR,
    fields: dict[bytes, bytes] | None = None,
) -> bytes:
    key = record(name, user or b"nobody")
    keys = SessionKeys(key, None if user is None else user_key(user))
    pair.sessions.create(
        keys, fields or {}, user=user, idle_timeout=idle, absolute_timeout=absolute
    )
    return key


@pytest.mark.parametrize("fraction", [0, 1, 500, 999])
@pytest.mark.parametrize("idle", [1, SECOND - 1, SECOND, HOUR])
def test_deadlines_are_whole_milliseconds_on_both_sides(
    pair: Pair, fraction: int, idle: int
) -> None:
    pair.clock.now += fraction
    key = create(pair, b"s", idle=idle, absolute=SECOND + 1)
    pair.check_contents()
    for touch in (False, True, True):
        pair.sessions.read(key, touch=touch)
        pair.sessions.patch(key, {b"a": b"1"}, [])
        pair.check_contents()
        pair.advance(SECOND // 3 + 7)


def test_a_key_that_is_taken_is_left_alone(pair: Pair) -> None:
    create(pair, b"s", fields={b"a": b"1"})
    create(pair, b"s", fields={b"a": b"2"}, idle=SECOND)
    pair.check_contents()


def test_bookkeeping_cannot_be_passed_in(pair: Pair) -> None:
    create(pair, b"s", fields={b"_version": b"9", b"_absolute": b"9", b"_user": b"bob", b"a": b"1"})
    create(pair, b"t", fields={b"_created": b"9", b"_idle": b"9"}, user=None)
    pair.check_contents()


def test_a_patch_counts_what_it_would_leave(pair: Pair) -> None:
    """To the byte; what is removed makes room, also if it is set again, and our own is free."""
    key = create(pair, b"s", fields={b"a": b"12345", b"b": b"\xff\x00"})
    for changes, removals in (
        ({b"c": b"123456"}, []),
        ({b"a": b"1"}, [b"b", b"no"]),
        ({b"a": b"1234567"}, [b"a"]),
        ({}, [b"a", b"b"]),
        ({}, []),
    ):
        for size in (0, 7, 8, 9, 15, 16):
            pair.sessions.patch(key, changes, removals, max_size=size)
            pair.check_contents()


def test_a_patch_of_another_version_changes_nothing_and_touches_nothing(pair: Pair) -> None:
    key = create(pair, b"s")
    pair.advance(MINUTE)
    for expected in (0, 2, 1, 1, 2, None):
        pair.sessions.patch(key, {b"a": b"1"}, [], expected_version=expected)
        pair.check_contents()


def test_a_session_may_have_more_fields_than_lua_unpacks(pair: Pair) -> None:
    fields = {b"f%d" % n: b"%d" % n for n in range(8_500)}
    key = create(pair, b"s", fields=fields)
    pair.sessions.read(key, touch=True)
    pair.sessions.patch(key, {b"g" + name: b"" for name in fields}, list(fields))
    pair.check_contents()


def test_the_index_is_found_by_the_record_alone(pair: Pair) -> None:
    """Whoever ends a session knows its id and not its user, whose name may be anything."""
    for user in (b"ada", b"a}b{c", b"\x00:{x}", b"%"):
        keys = [create(pair, name, user=user) for name in (b"1", b"2")]
        for key in keys:
            pair.sessions.delete(key)
            pair.sessions.delete(key)
            pair.check_contents()
    key = create(pair, b"3", user=None)
    pair.sessions.delete(key)
    pair.check_contents()


def test_the_index_lives_as_long_as_the_last_session_may(pair: Pair) -> None:
    create(pair, b"long", absolute=3 * HOUR)
    create(pair, b"short", absolute=HOUR)
    pair.check_contents()
    pair.advance(2 * HOUR)
    create(pair, b"next", idle=MINUTE, absolute=HOUR // 2)
    pair.check_contents()
    pair.advance(2 * MINUTE)
    pair.sessions.of_user(ADA)
    pair.check_contents()


def test_at_its_absolute_deadline_a_session_leaves_the_index(pair: Pair) -> None:
    create(pair, b"long", absolute=3 * HOUR)
    create(pair, b"short", absolute=HOUR)
    pair.advance(HOUR)
    create(pair, b"next")
    pair.check_contents()


def test_sessions_are_listed_oldest_first_and_none_is_touched(pair: Pair) -> None:
    for number, absolute in enumerate((5, 3, 4, 3)):
        create(pair, b"%d" % number, absolute=absolute * HOUR, fields={b"n": b"%d" % number})
        pair.advance(MINUTE * (number % 2))
    pair.sessions.of_user(ADA)
    pair.check_contents()
    pair.sessions.end_all(ADA)
    pair.sessions.end_all(ADA)
    pair.check_contents()


def test_what_ended_is_not_counted_among_what_is_ended(pair: Pair) -> None:
    create(pair, b"1", idle=MINUTE)
    create(pair, b"2")
    pair.advance(2 * MINUTE)
    assert pair.sessions.end_all(ADA) == 1
    pair.check_contents()


def test_another_type_is_refused(pair: Pair) -> None:
    key = record(b"s")
    for place in (key, ADA):
        pair.values.set(place, b"v")
    pair.sessions.read(key, touch=True)
    pair.sessions.read(key, touch=False)
    pair.sessions.patch(key, {b"a": b"1"}, [])
    pair.sessions.delete(key)
    pair.sessions.of_user(ADA)
    pair.sessions.end_all(ADA)
    pair.check_contents()
