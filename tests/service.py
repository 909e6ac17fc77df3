"""A real service as a process of its own, for tests that come in through its doors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NotStarted", "Service", "running_service"]

START_TIMEOUT = 60.0


class NotStarted(AssertionError):
    """It ended before it was ready."""

    def __init__(self, exit_code: int, errors: str) -> None:
        super().__init__(f"the service did not start: {errors}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Service:
    """A service that is ready, and where it listens."""

    process: subprocess.Popen[str]
    port: int
    log: list[str]
    """The lines it has written to stderr so far."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and answer the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def running_service(
    data: Path | None,
    *options: str,
    env: dict[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Service]:
    """``realtime serve`` on a free port, with its data in ``data`` (None: in memory).

    ``prefix`` is a command that ends by becoming another."""
    command = [*prefix, *_command(["--port", "0", "--data", str(data or ""), *options])]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment() | (env or {}),
    )
    errors: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        yield Service(process, _port(process, errors), errors)
    finally:
        process.kill()
        process.wait()
        reader.join()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def _command(options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "realtime", "serve", *options]


def _environment() -> dict[str, str]:
    """Ours, without settings that somebody may have exported for another service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REALTIME_")}


def _port(process: subprocess.Popen[str], errors: list[str]) -> int:
    """From the line that says where the HTTP door is: it is printed when all is loaded."""
    assert process.stdout is not None
    watchdog = threading.Timer(START_TIMEOUT, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            if found := re.search(r"http://[^ ]*:(\d+)$", line):
                return int(found[1])
    finally:
        watchdog.cancel()
    raise NotStarted(process.wait(), "".join(errors))
