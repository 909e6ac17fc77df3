"""A real redis-server on a free port, in a folder of its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.support import eventually, free_port, require

__all__ = ["redis_server"]


@contextlib.contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[Any]:
    """A client of a server that has loaded ``folder/dump.rdb``, if there is one."""
    port = free_port()
    command = [require("redis-server"), "--port", str(port), "--save", "", "--dir", str(folder)]
    command += options
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    client: Any = redis.Redis(port=port)

    def answers() -> bool:
        assert process.poll() is None, process.stdout and process.stdout.read().decode()
        try:
            return bool(client.ping())
        except redis.ConnectionError:  # not listening yet, or loading
            return False

    try:
        eventually(answers)
        yield client
    finally:
        client.close()
        process.kill()
        process.communicate()
