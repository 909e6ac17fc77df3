"""Many sinks that are handed the same bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from realtime.ws.sinks import Sink, Sinks


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def write_twice(self, data: bytes) -> None:
        self.written += [data, data]


class Other(Transport):
    def write(self, data: bytes) -> None:
        self.written.append(data.upper())


Bind = Callable[[Transport], Sink]


@pytest.mark.parametrize("bind", [lambda it: it.write, lambda it: it.written.append])
def test_each_is_handed_it_once_and_in_order(bind: Bind) -> None:
    transports = [Transport() for _ in range(5)]
    sinks = Sinks([bind(it) for it in transports])
    sinks(b"a")
    sinks(b"b")
    assert sinks.count == 5
    assert [it.written for it in transports] == [[b"a", b"b"]] * 5


def test_sinks_of_several_kinds_are_all_called_as_what_they_are() -> None:
    a, b, c, loose = Transport(), Other(), Transport(), []  # type: ignore[var-annotated]
    Sinks([a.write, b.write, c.write_twice, loose.append])(b"x")
    assert (a.written, b.written, c.written, loose) == ([b"x"], [b"X"], [b"x", b"x"], [b"x"])


def test_nobody_is_handed_nothing() -> None:
    sinks = Sinks([])
    sinks(b"x")
    assert sinks.count == 0


def test_a_sink_that_changes_who_is_listed_changes_nothing_now() -> None:
    """A write may end a connection, and so make another list; this one goes on."""
    first = Transport()
    listed: list[Sink] = [lambda _: listed.clear(), first.write]
    Sinks(listed)(b"x")
    assert first.written == [b"x"]
