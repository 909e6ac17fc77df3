"""Start what is measured, and end it again whatever happens.

Every server listens on a free port of loopback, has a temporary folder of its own, and is
the head of its own process group: when its ``with`` block is left, the whole group ends.
CPU time is the operating system's count, over the server and all its children.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Missing",
    "Server",
    "answers",
    "cpu_seconds",
    "find",
    "listens",
    "request",
    "resident",
    "running",
    "wait_until_idle",
]

START_SECONDS = 30.0
STOP_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Missing(Exception):
    """A program or package that is not installed here; the text says how to get it."""


def find(program: str, package: str) -> str:
    """Path of a program. Raises Missing."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Missing(f"{program} is not installed (Debian package {package})")
    return path


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    pid: int
    folder: Path
    start_seconds: float
    """From its start until it was ready; the clock is looked at every 20 ms."""


Ready = Callable[[int], bool]
"""Whether the server on this port is ready."""


@contextlib.contextmanager
def running(
    command: Callable[[int, Path], Sequence[str]],
    ready: Ready,
    environ: Mapping[str, str] | None = None,
    patience: float = START_SECONDS,
) -> Iterator[Server]:
    """A server, from when it is ready until the block is left.

    ``command`` is told the port and the folder, and may put there what the server is to find.
    Raises RuntimeError with the end of the server's log if it does not get ready within
    ``patience`` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        folder, port = Path(name), _free_port()
        arguments = command(port, folder)
        with (folder / "log").open("wb") as log:
            started = time.monotonic()
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )
        try:
            _wait(process, lambda: ready(port), started + patience, folder / "log")
            yield Server(port, process.pid, folder, time.monotonic() - started)
        finally:
            _end(process)


def listens(port: int) -> bool:
    """Whether somebody accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def answers(path: str) -> Ready:
    """Ready is who answers 200 on this path."""

    def ready(port: int) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return request(port, "GET", path)[0] == 200
        return False

    return ready


def request(
    port: int, method: str, path: str, body: bytes | None = None, timeout: float = 120
) -> tuple[int, bytes]:
    """One HTTP request on a connection of its own; status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / TICKS
    return own + sum(cpu_seconds(child) for child in _children(pid))


def resident(pid: int) -> int:
    """Bytes in memory of a process and its living children, in whole pages."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * PAGE + sum(resident(child) for child in _children(pid))


def wait_until_idle(pid: int) -> None:
    """Until the process has nothing left to do: a load that ended has closed its connections."""
    before, after = -1.0, cpu_seconds(pid)
    while after > before:
        time.sleep(3 / TICKS)
        before, after = after, cpu_seconds(pid)


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in _words(task)
    ]


def _words(file: Path) -> list[str]:
    """Of a thread; none if it has just ended."""
    try:
        return file.read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], deadline: float, log: Path
) -> None:
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{process.args!r} did not start:\n{end}")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to end, then insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return
