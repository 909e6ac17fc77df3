"""Two keys have the same seal if nothing about them differs, however they are held."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given

from engine.persistence.rdb import Item
from engine.sortedset import SortedSet
from engine.stream import Stream
from realtime.transfer.digest import ROWS, Total, deadline_of, seal
from tests.persistence.samples import ITEMS, stream
from tests.transfer.samples import every_type

NOW = 1_700_000_000_000_000


def streamed(change: Callable[[Stream], object] = lambda made: None) -> Stream:
    made = stream(((1, 0), (b"d", b"1")), ((2, 0), (b"d", b"2")))
    change(made)
    return made


def removed(made: Stream) -> None:
    made.trim(1)


def numbered(made: Stream) -> None:
    made.last_id = (3, 0)


def counted(made: Stream) -> None:
    made.added = 9


def deleted(made: Stream) -> None:
    made.max_deleted_id = (1, 0)


SEVERAL: list[Item] = [
    (b"k", b"", None),
    (b"k", b"1", None),
    (b"k", b"1", NOW),
    (b"k", b"1", NOW + 1),
    (b"j", b"1", None),
    (b"k", (1, 2), None),
    (b"k", {b"1": b"2"}, None),
    (b"k", {b"12": b""}, None),
    (b"k", {b"": b"12"}, None),
    (b"k", {b"1": b"2", b"3": b"4"}, None),
    (b"k", {b"1": b"4", b"3": b"2"}, None),
    (b"k", SortedSet([(b"1", 2)]), None),
    (b"k", SortedSet([(b"1", 2 + 2**-51)]), None),
    (b"k", SortedSet([(b"1", 2), (b"2", 2)]), None),
    (b"k", SortedSet([(b"12", 2), (b"", 2)]), None),
    (b"k", Stream(), None),
    (b"k", streamed(), None),
    (b"k", streamed(removed), None),
    (b"k", streamed(numbered), None),
    (b"k", streamed(counted), None),
    (b"k", streamed(deleted), None),
    (b"k", stream(((1, 0), (b"d", b"1")), ((2, 1), (b"d", b"2"))), None),
    (b"k", stream(((1, 0), (b"d", b"1")), ((2, 0), (b"", b"d2"))), None),
    (b"k", SortedSet((b"%d" % n, n) for n in range(ROWS + 1)), None),
    (b"k", SortedSet((b"%d" % n, n) for n in range(ROWS + 2)), None),
    (b"k", {b"%d" % n: b"" for n in range(ROWS + 1)}, None),
    (b"k", {b"%d" % n: b"" for n in range(ROWS + 2)}, None),
]


def test_whatever_differs_shows() -> None:
    assert len({seal(item) for item in SEVERAL}) == len(SEVERAL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((b"k", 7, None), (b"k", b"7", None)),
        ((b"k", (1, 2), None), (b"k", b"1 2", None)),
        ((b"k", {b"a": b"1", b"b": b"2"}, None), (b"k", {b"b": b"2", b"a": b"1"}, None)),
        ((b"k", SortedSet([(b"a", -0.0)]), None), (b"k", SortedSet([(b"a", 0.0)]), None)),
        ((b"k", b"v", NOW + 1), (b"k", b"v", NOW + 1000)),
    ],
)
def test_what_only_is_held_otherwise_does_not(one: Item, other: Item) -> None:
    assert seal(one) == seal(other)


def test_a_seal_knows_the_deadline_as_a_store_keeps_it() -> None:
    deadlines = [deadline_of(seal((b"k", b"v", given))) for given in (None, NOW, NOW + 1)]
    assert deadlines == [None, NOW, NOW + 1000]


@given(ITEMS)
def test_the_total_does_not_depend_on_the_order(items: list[Item]) -> None:
    seals = [seal(item) for item in items]
    backwards = Total()
    for sealed in reversed(seals):
        backwards.add(sealed)
    assert str(Total(seals)) == str(backwards)


def test_the_total_of_what_was_taken_away_again_is_that_of_the_rest() -> None:
    first, *rest = map(seal, every_type(NOW))
    total = Total([first, *rest])
    total.remove(first)
    assert str(total) == str(Total(rest)) != str(Total([first, *rest]))
    assert len(str(total)) == len(str(Total())) == 32
