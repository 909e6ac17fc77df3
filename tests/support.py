"""What several tests need: real programs, free ports, and waiting for an event."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

import pytest

__all__ = ["eventually", "free_port", "free_ports", "missing", "require"]

HELD: Final = 500
"""How many ports are held at a time: more than one test ever needs, and fewer than a process
may have open."""

_held: deque[socket.socket] = deque()


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
    """A port of loopback for a server that cannot bind port 0 and tell.

    It stays ours, also while nobody listens there: a server that is killed finds it free when it
    comes back. The system gives it neither to another test, in whatever process, nor to an
    outgoing connection, which might otherwise end up connected to itself."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    # Bound, but never listening. Who has this option may listen there all the same; all servers
    # do. It is set afterwards, since with it the system would share ports of others as well.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _held.append(held)
    if len(_held) > HELD:
        _held.popleft().close()
    port: int = held.getsockname()[1]
    return port


def free_ports(count: int) -> list[int]:
    """Different ones, as `free_port` gives them."""
    return [free_port() for _ in range(count)]


def eventually(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Wait for a foreign process: poll until the condition holds, or fail after ``timeout``."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {condition}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
