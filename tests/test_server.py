"""The HTTP server under bad and slow clients, and from start to end.

Every case uses a real process and raw sockets; after each bad client a good one is served.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.service import Service, running_service

GET = b"GET /v1/counters/c HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    options = ("--header-timeout", "0.5", "--request-timeout", "1", "--max-connections", "20")
    with running_service(tmp_path_factory.mktemp("data"), *options) as service:
        yield service


@contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """What comes until the peer closes; a reset ends it too."""
    parts: list[bytes] = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"")
    return b"".join(parts)


def is_well(service: Service) -> bool:
    with urllib.request.urlopen(f"{service.url}/readyz", timeout=10) as answer:
        return bool(answer.status == 200)


def ask(service: Service, sent: bytes) -> tuple[int, bytes]:
    """The status and the rest of the answer to raw bytes, after which the peer closes."""
    with connected(service) as connection:
        connection.sendall(sent)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"*1\r\n$4\r\nPING\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n\n", 400),
        (GET + b"\r\n", 400),
        (GET + HOST + HOST + b"\r\n", 400),
        (GET + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (GET + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (GET + HOST + b"Content-Length: +5\r\n\r\n", 400),
        (GET + HOST + b"Bad Header: x\r\n\r\n", 400),
        (GET + HOST + b"X: a\x00b\r\n\r\n", 400),
        (GET + HOST + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (GET + HOST + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_request_gets_a_problem_and_is_closed(
    service: Service, sent: bytes, status: int
) -> None:
    answered, body = ask(service, sent)
    assert answered == status
    assert json.loads(body)["status"] == status
    assert is_well(service)


def test_a_header_without_end_is_cut_off(service: Service) -> None:
    """The client never stops sending; what it sends is not kept."""
    with connected(service) as connection:
        connection.sendall(GET + HOST + b"X: ")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(10_000):
                connection.sendall(b"a" * 65536)
    assert is_well(service)


@pytest.mark.parametrize(
    "sent",
    [b"", b"G", GET, GET + HOST, b"POST /v1/counters/c/add HTTP/1.1\r\nHost: localhost\r\n"
     b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"],
    ids=["nothing", "a byte", "a line", "half a head", "half a body"],
)  # fmt: skip
def test_who_takes_too_long_is_closed(service: Service, sent: bytes) -> None:
    status, body = ask(service, sent)
    assert status == 408
    assert json.loads(body)["title"] == "Request Timeout"


def test_a_kept_connection_is_as_bounded_as_a_new_one(service: Service) -> None:
    with connected(service) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(GET)
        assert b"HTTP/1.1 408" in read_all(connection)


def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with connected(service) as connection:
        connection.sendall(one * 5 + last)
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 200") == 5
    assert answers.rindex(b"HTTP/1.1 404") > answers.rindex(b"HTTP/1.1 200")


def test_one_connection_too_many_is_turned_away(service: Service) -> None:
    held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(20)]
    try:
        with connected(service) as connection:
            answer = read_all(connection)
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1\r\n" in answer
    finally:
        for connection in held:
            connection.close()


def test_a_signal_ends_it_in_good_order_and_nothing_is_lost(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        request = urllib.request.Request(
            f"{service.url}/v1/counters/c", b'{"value":7}', method="PUT",
            headers={"content-type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        assert service.stop() == 0
    with (
        running_service(tmp_path) as service,
        urllib.request.urlopen(f"{service.url}/v1/counters/c", timeout=10) as answer,
    ):
        assert json.load(answer) == {"name": "c", "value": 7}


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    command = [sys.executable, "-m", "realtime", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_process_is_kept_off_the_data_and_told_what_to_do(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        refused = serve("--port", "0", "--data", str(tmp_path))
        assert is_well(service)
    assert refused.returncode != 0
    assert "redis://" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_taken_port_is_said_in_one_sentence(service: Service) -> None:
    refused = serve("--port", str(service.port), "--data", "")
    assert refused.returncode != 0
    assert str(service.port) in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_damaged_snapshot_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    snapshot = tmp_path / "dump.rdb"
    snapshot.write_bytes(b"REDIS0010\xfa\x05nonsense")
    refused = serve("--port", "0", "--data", str(tmp_path))
    assert refused.returncode != 0
    assert str(snapshot) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert snapshot.read_bytes() == b"REDIS0010\xfa\x05nonsense"
