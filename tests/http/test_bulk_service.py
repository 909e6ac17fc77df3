"""Whole boards in and out of a real service: bodies without a length, clients that leave."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service

BULK = "/v1/leaderboards/arcade/bulk"

Caller = Callable[..., Any]


@pytest.fixture(params=STORES)
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    with (
        store_options(request.param, tmp_path) as options,
        running_service(tmp_path, "--max-body", "65536", *options) as service,
    ):
        yield service


@pytest.fixture
def call(service: Service) -> Iterator[Caller]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port)

    def call(method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, response.read()

    with closing(connection):
        yield call


def entries(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b'{"member":"m%06d","score":%d}\n' % (number, number)


def size(call: Caller) -> int:
    found: int = json.loads(call("GET", "/v1/leaderboards/arcade")[1])["size"]
    return found


@pytest.mark.parametrize("path", [BULK, BULK.replace("bulk", "%62ul%6B"), BULK + "?first_line=1"])
@pytest.mark.parametrize("known_length", [True, False])
def test_a_body_may_be_longer_than_others_however_it_comes(
    call: Caller, path: str, known_length: bool
) -> None:
    count = 5_000
    body = b"".join(entries(count))
    assert len(body) > 65_536
    status, answer = call("POST", path, body if known_length else entries(count))
    assert (status, json.loads(answer)["loaded"]) == (200, count)
    status, dumped = call("GET", BULK)
    assert status == 200
    assert [json.loads(line)["score"] for line in dumped.splitlines()] == [*range(count)][::-1]
    assert call("HEAD", BULK) == (200, b"")
    assert size(call) == count


def test_of_a_client_that_leaves_whole_lines_count(service: Service, call: Caller) -> None:
    body = b"".join(entries(2_000)) + b'{"member":"torn","score":1}'
    head = f"POST {BULK} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body) + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head.encode() + body)
        until(lambda: size(call) >= 1_000)
    status, _ = call("GET", "/v1/leaderboards/arcade/members/torn")
    assert status == 404
    assert not [line for line in service.log if "Traceback" in line]


def test_a_client_that_reads_nothing_of_a_board_holds_nobody_up(
    service: Service, call: Caller
) -> None:
    call("POST", BULK, entries(20_000))
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(f"GET {BULK} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        assert connection.recv(1)
        assert size(call) == 20_000
    assert call("GET", BULK)[1].count(b"\n") == 20_000


def test_others_read_while_a_board_is_loaded(service: Service, call: Caller) -> None:
    """Each sees a board that has grown, and is of one instant."""
    loaded: list[int] = []

    def load() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as connection:
            connection.request("POST", BULK, entries(20_000), encode_chunked=True)
            loaded.append(json.loads(connection.getresponse().read())["loaded"])

    thread = threading.Thread(target=load)
    thread.start()
    seen = [0]
    while thread.is_alive():
        page = json.loads(call("GET", "/v1/leaderboards/arcade/entries?limit=1")[1])
        seen.append(page["total"])
        if page["entries"]:
            assert page["entries"][0]["score"] == page["total"] - 1
    thread.join()
    assert loaded == [20_000]
    assert seen == sorted(seen)
    assert len(set(seen)) > 2


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Ask until it is so."""
    ends = monotonic() + seconds
    while not condition():
        assert monotonic() < ends


def test_a_body_that_keeps_coming_has_time(tmp_path: Path) -> None:
    """It takes longer than a request may, and never stands still that long."""
    with running_service(None, "--request-timeout", "2", "--header-timeout", "2") as service:
        began = monotonic()

        def parts() -> Iterator[bytes]:
            while monotonic() - began < 4.5:
                yield b" " * 65_535 + b"\n"
            yield b'{"member":"ada","score":1}'

        with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as connection:
            connection.request("POST", BULK, parts(), encode_chunked=True)
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["loaded"]) == (200, 1)
