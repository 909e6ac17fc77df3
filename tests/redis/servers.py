"""Real redis-servers: in folders of their own, on free ports, and never longer than the test."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from tests.redis.clock import ServerClock
from tests.support import eventually, free_port, require

__all__ = ["RedisServer", "running_redis"]

AWAKE = (b"+PONG", b"-NOAUTH")
"""How a server that is ready answers a stranger; one that loads its data says ``-LOADING``."""


@dataclass
class RedisServer:
    """A redis-server, or a Sentinel, that can be killed and started again where it was."""

    folder: Path
    options: Sequence[str] = ()
    """More than the usual, as on the command line."""
    mode: str = "redis-server"
    """By which program it is run, which says what it is."""
    clock: ServerClock | None = None
    """What it goes by instead of the real time."""
    password: str = ""
    """Of the user ``default``; a replica shows it to its master, too."""
    tls: bool = False
    """Its port speaks TLS; the socket never does."""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def url(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{self._credentials}127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"redis+unix://{self._credentials}{self.socket}"

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers; again after `kill`, with what is on its disk."""
        assert not self.runs
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            eventually(self._answers)
            if self.clock is not None:
                self._check_clock(self.clock)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for left in Path("/dev/shm").glob(f"*faketime_*_{self.pid}"):
            left.unlink()  # libfaketime tidies up only after those who leave by themselves
        self._process = None

    def stop(self) -> None:
        """Hold it: it keeps its connections and says nothing, until `go_on`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `stop`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator[Any]:
        """A redis-py client through the socket, which tries everything once."""
        who = {"password": self.password or None, "retry": None, **options}
        client = redis.Redis(unix_socket_path=str(self.socket), **who)
        try:
            yield client
        finally:
            client.close()

    def ask(self, *words: bytes | str | int) -> Any:
        """The answer to one command."""
        with self.client(decode_responses=True) as client:
            return client.execute_command(*words)

    def wipe(self) -> None:
        """Forget all data and everybody who is connected; the clock goes back to its beginning."""
        if self.clock is not None:
            self.clock.reset()
        with self.client() as client:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind)
            client.flushall()

    @property
    def _credentials(self) -> str:
        return f":{quote(self.password, safe='')}@" if self.password else ""

    def _command(self) -> list[str]:
        # It must not outlive us, even if we are killed. A server with a clock gets the chance to
        # remove what libfaketime has left in shared memory.
        number = "KILL" if self.clock is None else "TERM"
        command = [require("setpriv"), "--pdeathsig", number]
        if self.clock is not None:
            command += ["env", *self.clock.environment]
        command += [require(self.mode), *self._files()]
        command += ["--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--tls-port" if self.tls else "--port", str(self.port)]
        command += ["--unixsocket", str(self.socket)]
        if self.password:
            command += ["--requirepass", self.password]
        return [*command, *self.options]

    def _files(self) -> Sequence[str]:
        if self.mode == "redis-sentinel":
            return (str(self.folder / "sentinel.conf"),)
        secret = ("--masterauth", self.password) if self.password else ()
        no_port = ("--port", "0") if self.tls else ()
        return (
            "--save",
            "",
            "--appendonly",
            "no",
            "--repl-diskless-sync-delay",
            "0",
            *secret,
            *no_port,
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(str(self.socket))
            sock.sendall(b"PING\r\n")
            return sock.recv(64).startswith(AWAKE)
        return False  # not listening yet

    def _check_clock(self, clock: ServerClock) -> None:
        seconds, microseconds = self.ask("TIME")
        assert int(seconds) * 1_000_000 + int(microseconds) == clock.now, "libfaketime has no say"


@contextlib.contextmanager
def running_redis(folder: Path, *options: str, **how: Any) -> Iterator[RedisServer]:
    """A server with its files in ``folder``; ``how`` are fields of `RedisServer`."""
    server = RedisServer(folder, options, **how)
    try:
        server.start()
        yield server
    finally:
        server.kill()
