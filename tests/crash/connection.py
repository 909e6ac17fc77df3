"""A plain HTTP/1.1 connection, as fast as Python can be: the writers share a core with the
service, and what the client spends is missing from the load."""

from __future__ import annotations

import json
import socket
from typing import Any, Self

__all__ = ["Closed", "Connection"]

TIMEOUT = 30.0


class Closed(Exception):
    """The service is gone, or has broken off: nobody knows what became of the request."""


class Connection:
    """Keep-alive; one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = b""

    def __enter__(self) -> Self:
        try:
            self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT)
        except OSError as fault:
            raise Closed(str(fault)) from fault
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(
        self, method: str, path: str, body: Any = None, headers: tuple[str, ...] = ()
    ) -> tuple[int, Any]:
        """Status, and the JSON of the answer (text, if it is none). Raises Closed."""
        self.send(method, path, body, headers)
        return self.receive()

    def send(self, method: str, path: str, body: Any = None, headers: tuple[str, ...] = ()) -> None:
        """Ask, and do not wait. Raises Closed."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
        lines += [": ".join(pair) for pair in zip(headers[::2], headers[1::2], strict=True)]
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(content)}"]
        try:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        except TimeoutError:
            raise
        except OSError as fault:
            raise Closed(str(fault)) from fault

    def receive(self, timeout: float = TIMEOUT) -> tuple[int, Any]:
        """The next answer. Raises Closed, and TimeoutError if there is none in time."""
        self._socket.settimeout(timeout)
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._read()
        head = self._buffer[:end].decode("latin-1").lower().split("\r\n")
        status = int(head[0].split()[1])
        sizes = [int(line.split(":")[1]) for line in head if line.startswith("content-length:")]
        size = sizes[0] if sizes else 0
        while len(self._buffer) < end + 4 + size:
            self._read()
        content = self._buffer[end + 4 : end + 4 + size]
        self._buffer = self._buffer[end + 4 + size :]
        return status, _decoded(content)

    def _read(self) -> None:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise
        except OSError as fault:
            raise Closed(str(fault)) from fault
        if not data:
            raise Closed("the end")
        self._buffer += data


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode()
