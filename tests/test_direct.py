"""The short way and the long way give the same answers, whatever a request looks like."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service
from tests.test_server import ask, connected, is_well, read_all

BODY = b'{"by":1}'
POST = b"POST /v1/counters/%b/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.fixture(scope="module", params=STORES)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """On a store that is never waited for, and on one that is."""
    folder = tmp_path_factory.mktemp("direct")
    with (
        store_options(request.param, folder) as options,
        running_service(None, "--max-body", "1000", *options) as service,
    ):
        yield service


def sized(name: bytes, body: bytes = BODY, extra: bytes = b"") -> bytes:
    return POST % name + extra + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(name: bytes) -> bytes:
    parts = b'3\r\n{"b\r\n5\r\ny":1}\r\n0\r\n\r\n'
    return POST % name + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + parts


def values(answers: bytes) -> list[Any]:
    return [json.loads(body) for body in re.findall(rb"\{[^{}]*\}", answers)]


@pytest.mark.parametrize(
    "request_",
    [
        sized(b"a", extra=CLOSE),
        chunked(b"b"),
        sized(b"c", extra=CLOSE + b"Expect: 100-continue\r\n"),
        sized(b"d").replace(b"HTTP/1.1", b"HTTP/1.0"),
        sized(b"%65", extra=CLOSE),
    ],
    ids=["sized", "chunked", "expect", "1.0", "escaped"],
)
def test_every_way_to_send_a_body_counts_once(service: Service, request_: bytes) -> None:
    with connected(service) as connection:
        connection.sendall(request_)
        (answer,) = values(read_all(connection))
    assert answer["value"] == 1


def test_a_request_may_come_byte_by_byte(service: Service) -> None:
    with connected(service) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in sized(b"slow", extra=CLOSE):
            connection.sendall(bytes([byte]))
        assert values(read_all(connection)) == [{"name": "slow", "value": 1}]


def test_a_long_pipeline_of_all_kinds_is_answered_in_order(service: Service) -> None:
    """More than a burst, both ways mixed: the answers must still come in the order asked."""
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    batch = b'{"operations":[{"method":"POST","path":"/v1/counters/p/add","body":{}}]}'
    slow = (
        b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(batch)
        + batch
    )
    unit = [sized(b"p"), get, sized(b"p"), slow, sized(b"p"), sized(b"p")]
    with connected(service) as connection:
        connection.sendall(b"".join(unit) * 50 + sized(b"p", extra=CLOSE))
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 200 OK") == 301
    counted = [int(value) for value in re.findall(rb'"value":(\d+)', answers)]
    assert counted == list(range(1, 252))


def test_a_head_has_a_length_and_no_body(service: Service) -> None:
    ask(service, sized(b"h", extra=CLOSE))
    with connected(service) as connection:
        connection.sendall(b"HEAD /v1/counters/h HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"content-length: 22\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("extra", [b"", b"Expect: 100-continue\r\n"], ids=["sized", "expect"])
def test_a_body_over_the_bound_is_refused_before_it_is_read(service: Service, extra: bytes) -> None:
    head = POST % b"big" + CLOSE + extra + b"Content-Length: 1001\r\n\r\n"
    status, body = ask(service, head)
    assert status == 413
    assert json.loads(body)["status"] == 413
    status, _ = ask(service, sized(b"big", b" " * (1000 - len(BODY)) + BODY, CLOSE))
    assert status == 200


def test_a_peer_that_never_reads_is_not_written_to_without_end(service: Service) -> None:
    """Small requests with large answers: what piles up is bounded by pausing, not by memory."""
    entries = ",".join(f'{{"member":"m{n:0200}","score":{n}}}' for n in range(3))
    put = b'{"entries":[' + entries.encode() + b"]}"
    scores = (
        b"POST /v1/leaderboards/wide/scores HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
    )
    status, _ = ask(service, scores % len(put) + CLOSE + b"\r\n" + put)
    assert status == 200
    page = b"GET /v1/leaderboards/wide/entries HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(service) as connection:
        connection.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < 100_000_000:
                sent += connection.send(page * 1000)
        assert is_well(service)
