"""What tests of other things lean on: ports that nobody else is given."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from tests import support
from tests.support import free_port, free_ports

ROOT = Path(__file__).parents[1]


def listening(port: int) -> socket.socket:
    """As servers do."""
    return socket.create_server(("127.0.0.1", port))


def test_a_server_may_listen_on_a_free_port_again_and_again() -> None:
    port = free_port()
    for _ in range(2):
        with listening(port) as server, socket.create_connection(("127.0.0.1", port)) as client:
            peer, _ = server.accept()
            with peer:  # which closes first, and so keeps the port for a while
                peer.sendall(b"x")
            assert client.recv(2) == b"x"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_the_system_gives_a_free_port_to_nobody_else() -> None:
    """Not even while nobody listens there."""
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_two_runs_of_the_tests_never_have_the_same_port() -> None:
    code = "from tests.support import free_ports; print(*free_ports(200)); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as run:
        assert run.stdout is not None
        theirs = {int(port) for port in run.stdout.readline().split()}
        ours = set(free_ports(200))
        run.communicate("\n")
    assert len(theirs) == len(ours) == 200
    assert not theirs & ours


def test_not_all_ports_of_a_long_run_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "HELD", 2)
    monkeypatch.setattr(support, "_held", held := deque[socket.socket]())
    *earlier, last_but_one, last = free_ports(5)
    assert len(earlier) == 3
    assert [sock.getsockname()[1] for sock in held] == [last_but_one, last]
    for sock in held:
        sock.close()
