"""What several tests need: real programs, free ports, and waiting for an event."""

from __future__ import annotations

import os
import random
import shutil
import socket
import time
from collections.abc import Callable
from typing import NoReturn

import pytest

__all__ = ["eventually", "free_port", "free_ports", "missing", "require"]

PORTS = range(20_000, 32_768)
"""Below those that Linux hands out to outgoing connections. A server that is killed must find
its port free when it comes back; and who dials a port of that other kind while nobody listens
there may, once in a while, be connected to himself."""


def require(program: str) -> str:
    """Path of a real program. Missing, the test skips; REALTIME_TEST_REQUIRE=1 makes it fail."""
    return shutil.which(program) or missing(program)


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it, because something real is not here."""
    reason = f"{what} is not installed"
    if os.environ.get("REALTIME_TEST_REQUIRE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A port of loopback that nobody uses, for a server that cannot bind port 0."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses."""
    free: list[int] = []
    for port in random.sample(PORTS, 50 + count):
        if len(free) < count and _is_free(port):
            free.append(port)
    assert len(free) == count
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Redis does
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def eventually(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Wait for a foreign process: poll until the condition holds, or fail after ``timeout``."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {condition}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
