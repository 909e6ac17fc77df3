"""The short way and the long way give the same answers, whatever a request looks like."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterator
from http.client import HTTPResponse
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service
from tests.support import eventually
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


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """The next answer of a connection that is kept; it has a length."""
    with HTTPResponse(connection) as answer:
        answer.begin()
        return answer.status, answer.read()


def until_read(connection: socket.socket) -> None:
    """Wait until the service, on this machine, has read all that was sent."""
    eventually(lambda: in_kernel(connection) == 0)


def in_kernel(connection: socket.socket) -> int:
    """Bytes on their way to the other end that it has not read."""
    here, there = (in_hex(at) for at in (connection.getsockname(), connection.getpeername()))
    unread = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        sent, came = queues.split(":")
        if (local, remote) == (here, there):
            unread += int(sent, 16)
        elif (local, remote) == (there, here):
            unread += int(came, 16)
    return unread


def in_hex(address: tuple[str, int]) -> str:
    """As the kernel writes an address of IPv4."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


def asked_in_turn(connection: socket.socket, *requests: bytes) -> list[tuple[int, Any]]:
    answers = []
    for request in requests:
        connection.sendall(request)
        status, body = read_answer(connection)
        answers.append((status, json.loads(body)))
    return answers


def test_who_repeats_a_request_is_answered_each_time(service: Service) -> None:
    """From the third time on its head is known, and is not parsed any more, whatever its body."""
    amounts = [0, 1, 2, 30, 400, 5000, 60, 7, 80000]
    bodies = [b'{"by":%d}' % amount for amount in amounts]
    with connected(service) as connection:
        answers = asked_in_turn(connection, *[sized(b"again", body) for body in bodies])
    assert [answer["value"] for _, answer in answers] == list(accumulate(amounts))


@pytest.mark.parametrize("times", [0, 4], ids=["new", "known"])
@pytest.mark.parametrize("length", [b"7", b"8 8", b"-8", b"8x", b"9" * 30])
def test_the_length_of_a_known_request_is_looked_at(
    service: Service, length: bytes, times: int
) -> None:
    """Wrong or odd, it is told as of any other request."""
    request = sized(b"length")
    with connected(service) as connection:
        asked_in_turn(connection, *[request] * times)
        connection.sendall(request.replace(b"Content-Length: 8", b"Content-Length: " + length))
        status, _ = read_answer(connection)
    assert status == 400
    assert is_well(service)


@pytest.mark.parametrize("times", [0, 4], ids=["new", "known"])
@pytest.mark.parametrize("missing", [1, 792])
def test_the_rest_of_a_known_request_is_waited_for(
    service: Service, missing: int, times: int
) -> None:
    name = b"rest%d-%d" % (missing, times)
    request = sized(name)
    length = b"Content-Length: %d" % (len(BODY) + missing)
    with connected(service) as connection:
        asked_in_turn(connection, *[request] * times)
        connection.sendall(request.replace(b"Content-Length: 8", length))
        until_read(connection)
        connection.sendall(b" " * missing)
        status, body = read_answer(connection)
    assert (status, json.loads(body)["value"]) == (200, times + 1)


def test_a_known_request_may_not_grow_beyond_the_bound(service: Service) -> None:
    request = sized(b"grows")
    with connected(service) as connection:
        asked_in_turn(connection, *[request] * 4)
        connection.sendall(sized(b"grows", b" " * 1000 + BODY))
        status, _ = read_answer(connection)
    assert status == 413


def test_only_the_same_head_is_taken_for_the_same(service: Service) -> None:
    """Other names of the same length, other headers, other bodies: all of them mean themselves."""
    known, other = sized(b"known"), sized(b"other")
    longer = sized(b"known", b'{"by":10}')
    tagged = sized(b"known", extra=b"X-Tag: 1\r\n")
    with connected(service) as connection:
        requests = [known, known, known, other, longer, known, tagged, other, known]
        answers = asked_in_turn(connection, *requests)
    told = [(answer["name"], answer["value"]) for _, answer in answers]
    assert told == [
        ("known", 1), ("known", 2), ("known", 3), ("other", 1), ("known", 13), ("known", 14),
        ("known", 15), ("other", 2), ("known", 16),
    ]  # fmt: skip


@pytest.mark.parametrize("cut", [1, 20, -10, -3], ids=["first byte", "line", "head", "body"])
def test_a_known_request_may_come_in_pieces(service: Service, cut: int) -> None:
    name = b"pieces%d" % cut
    request = sized(name)
    with connected(service) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked_in_turn(connection, *[request] * 4)
        connection.sendall(request[:cut])
        connection.sendall(request[cut:])
        _, whole = read_answer(connection)
        connection.sendall(request * 2 + sized(name, extra=CLOSE))
        rest = values(read_all(connection))
    assert [answer["value"] for answer in (json.loads(whole), *rest)] == [5, 6, 7, 8]


def test_the_rest_of_a_request_is_never_taken_for_one(service: Service) -> None:
    """A request always cut at the same place: what comes second is no request of its own."""
    request = sized(b"tail")
    first, second = request[:30], request[30:]
    with connected(service) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for value in range(1, 5):
            connection.sendall(first)
            until_read(connection)  # so that the two are read apart, which is what this is about
            connection.sendall(second)
            _, body = read_answer(connection)
            assert json.loads(body)["value"] == value
        connection.sendall(second)
        status, _ = read_answer(connection)
    assert status == 400
    assert is_well(service)


def test_a_known_request_is_refused_as_any_other(service: Service) -> None:
    """What is wrong with the body, or with the name, is found every time."""
    good, bad = b'{"by":1}', b'{"by":x}'
    with connected(service) as connection:
        answers = asked_in_turn(
            connection, *[sized(b"bad", body) for body in (good, good, good, bad, good, bad)]
        )
    assert [status for status, _ in answers] == [200, 200, 200, 400, 200, 400]


def test_what_is_refused_in_the_head_stays_refused(service: Service) -> None:
    request = sized(b"media").replace(b"application/json", b"text/html")
    with connected(service) as connection:
        answers = asked_in_turn(connection, *[request] * 4)
    assert [status for status, _ in answers] == [415] * 4


def test_a_read_that_is_known_has_an_answer_of_its_own(service: Service) -> None:
    get = b"GET /v1/counters/read HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(service) as reader, connected(service) as writer:
        asked_in_turn(writer, sized(b"read"))
        for value in range(1, 6):
            ((_, answer),) = asked_in_turn(reader, get)
            assert answer["value"] == value
            asked_in_turn(writer, sized(b"read"))
