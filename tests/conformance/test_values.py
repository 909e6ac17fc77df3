"""Strings, counters and hashes, on every backend."""

from __future__ import annotations

import pytest

from realtime.backends.base import Backend, NotAnInteger, OutOfBounds, WrongType

from .conftest import LAG, Store

SECOND = 1_000_000


async def test_a_value_is_absent_until_set_and_after_delete(backend: Backend) -> None:
    assert await backend.values.get(b"k") is None
    assert await backend.values.set(b"k", b"v")
    assert await backend.values.get(b"k") == b"v"
    assert await backend.values.delete(b"k", b"other") == 1
    assert await backend.values.get(b"k") is None


async def test_a_value_expires_and_a_later_set_without_ttl_does_not(store: Store) -> None:
    values = store.backend.values
    await values.set(b"k", b"v", ttl=SECOND)
    await store.advance(SECOND - 1000)
    assert await values.get(b"k") == b"v"
    await store.advance(1000 + LAG)
    assert await values.get(b"k") is None
    await values.set(b"k", b"1", ttl=SECOND)
    await values.set(b"k", b"2")
    await store.advance(2 * SECOND)
    assert await values.get(b"k") == b"2"


async def test_only_the_first_reserves(store: Store) -> None:
    values = store.backend.values
    assert await values.set(b"k", b"first", ttl=SECOND, only_if_absent=True)
    assert not await values.set(b"k", b"second", ttl=SECOND, only_if_absent=True)
    assert await values.get(b"k") == b"first"
    await store.advance(SECOND + LAG)
    assert await values.set(b"k", b"third", only_if_absent=True)


async def test_values_are_any_bytes(backend: Backend) -> None:
    data = bytes(range(256)) * 10
    await backend.values.set(data, data)
    assert await backend.values.get(data) == data


async def test_counters_count_and_keep_their_deadline(store: Store) -> None:
    counters = store.backend.counters
    assert await counters.add(b"c", 5, ttl=10 * SECOND) == 5
    await store.advance(6 * SECOND)
    assert await counters.add(b"c", -7, ttl=10 * SECOND) == -2
    await store.advance(4 * SECOND + LAG)
    assert await counters.get([b"c", b"missing"]) == [None, None]


async def test_a_counter_never_leaves_its_bounds_nor_64_bits(backend: Backend) -> None:
    counters = backend.counters
    await counters.set(b"c", 2**63 - 2)
    assert await counters.add(b"c", 1) == 2**63 - 1
    for by, bounds in ((1, {}), (-1, {"minimum": 2**63 - 1}), (1, {"maximum": 7})):
        with pytest.raises(OutOfBounds):
            await counters.add(b"c", by, **bounds)
    assert await counters.get([b"c"]) == [2**63 - 1]
    with pytest.raises(OutOfBounds):
        await counters.add(b"new", 3, maximum=2)
    assert await counters.get([b"new"]) == [None]


@pytest.mark.parametrize("text", [b"", b" 1", b"1.5", b"+1", b"01", b"-0", b"9223372036854775808"])
async def test_only_the_text_of_an_integer_counts(backend: Backend, text: bytes) -> None:
    await backend.values.set(b"c", text)
    with pytest.raises(NotAnInteger):
        await backend.counters.add(b"c", 1)
    assert await backend.values.get(b"c") == text


async def test_a_counter_is_a_string_to_others(backend: Backend) -> None:
    await backend.counters.add(b"c", 41)
    assert await backend.values.get(b"c") == b"41"
    await backend.values.set(b"c", b"-5")
    assert await backend.counters.add(b"c", 1) == -4


async def test_a_hash_is_replaced_whole(backend: Backend) -> None:
    await backend.hashes.put(b"h", {b"a": b"1", b"b": b"2"})
    await backend.hashes.put(b"h", {b"c": b"3"})
    assert await backend.hashes.get(b"h") == {b"c": b"3"}
    assert await backend.hashes.get(b"missing") is None


async def test_the_wrong_type_is_refused_and_nothing_changes(backend: Backend) -> None:
    await backend.hashes.put(b"h", {b"a": b"1"})
    with pytest.raises(WrongType):
        await backend.counters.add(b"h", 1)
    with pytest.raises(WrongType):
        await backend.values.get(b"h")
    assert await backend.hashes.get(b"h") == {b"a": b"1"}


async def test_fields_of_a_hash_come_and_go(backend: Backend) -> None:
    await backend.hashes.patch(b"h", {b"a": b"1", b"b": b"2"})
    await backend.hashes.patch(b"h", {b"b": b"3"}, [b"a", b"none"])
    assert await backend.hashes.get(b"h") == {b"b": b"3"}
    await backend.hashes.patch(b"h", {}, [b"b"])
    assert await backend.hashes.get(b"h") is None
    await backend.hashes.patch(b"h", {}, [])
    await backend.hashes.patch(b"h", {b"c": b"4"}, [b"c"])
    assert await backend.hashes.get(b"h") == {b"c": b"4"}


async def test_several_values_are_read_at_once(backend: Backend) -> None:
    await backend.values.set(b"{k}a", b"1")
    await backend.values.set(b"{k}b", b"")
    assert await backend.values.get_all([b"{k}b", b"{k}c", b"{k}a"]) == [b"", None, b"1"]
    assert await backend.values.get_all([]) == []
    await backend.hashes.put(b"{k}c", {b"a": b"1"})
    with pytest.raises(WrongType):
        await backend.values.get_all([b"{k}a", b"{k}c"])


async def test_some_fields_of_a_record_are_read(backend: Backend) -> None:
    assert await backend.hashes.fields(b"h", [b"a", b"b"]) == [None, None]
    await backend.hashes.put(b"h", {b"a": b"1", b"c": b""})
    assert await backend.hashes.fields(b"h", [b"c", b"b", b"a"]) == [b"", None, b"1"]
    await backend.values.set(b"s", b"1")
    with pytest.raises(WrongType):
        await backend.hashes.fields(b"s", [b"a"])


async def test_a_record_is_changed_if_it_is_as_it_was_seen(backend: Backend) -> None:
    hashes, values = backend.hashes, backend.values
    await hashes.put(b"{h}", {b"a": b"1", b"b": b""})
    for key in (b"{h}x", b"{h}y", b"{h}there"):
        await values.set(key, b"old")

    async def commit(seen: dict[bytes, bytes | None], present: bytes | None = None) -> bool:
        return await hashes.commit(
            b"{h}",
            seen,
            {b"a": b"2", b"new": b"3"},
            present=present,
            values={b"{h}x": b"new", b"{h}z": b"\xff"},
            gone=[b"{h}y", b"{h}none"],
        )

    refused: list[dict[bytes, bytes | None]] = [
        {b"a": b"2"}, {b"a": None}, {b"b": None}, {b"c": b""}, {b"a": b"1", b"b": b"1"}
    ]  # fmt: skip
    for seen in refused:
        assert await commit(seen) is False
    assert await commit({b"a": b"1"}, b"{h}nothing") is False
    assert await hashes.get(b"{h}") == {b"a": b"1", b"b": b""}
    keys = [b"{h}x", b"{h}y", b"{h}z"]
    assert await values.get_all(keys) == [b"old", b"old", None]
    assert await commit({b"a": b"1", b"b": b"", b"c": None}, b"{h}there") is True
    assert await hashes.get(b"{h}") == {b"a": b"2", b"b": b"", b"new": b"3"}
    assert await values.get_all(keys) == [b"new", None, b"\xff"]


async def test_a_record_may_come_into_being_by_a_commit(backend: Backend) -> None:
    assert await backend.hashes.commit(b"h", {b"a": b"1"}, {b"b": b"1"}) is False
    assert await backend.hashes.get(b"h") is None
    assert await backend.hashes.commit(b"h", {b"a": None}, {b"b": b"1"}) is True
    assert await backend.hashes.get(b"h") == {b"b": b"1"}
    await backend.values.set(b"s", b"1")
    with pytest.raises(WrongType):
        await backend.hashes.commit(b"s", {}, {b"b": b"1"})
