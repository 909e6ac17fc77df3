"""What several tests need: real programs, free ports, and waiting for an event."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from typing import NoReturn

import pytest

__all__ = ["eventually", "free_port", "missing", "require"]


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
    """A port of loopback that nobody listens on, for a foreign server that cannot bind port 0."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def eventually(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    """Wait for a foreign process: poll until the condition holds, or fail after ``timeout``."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {condition}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
