"""A real store, data directories beside it, and the command line to move things between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.persistence.rdb import Item
from tests.cli.conftest import Ran, Run, run
from tests.redis.servers import RedisServer, running_redis
from tests.transfer.samples import put_snapshot

__all__ = ["Ran", "Run", "run"]

Into = Callable[[Iterable[Item]], None]
"""Puts items into the store by way of `realtime migrate`."""


@pytest.fixture
def now() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "server") as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    with server.client() as client:
        yield client


@pytest.fixture
def into(tmp_path: Path, server: RedisServer, run: Run) -> Into:
    def into(items: Iterable[Item]) -> None:
        source = put_snapshot(tmp_path / "into", items)
        ran = run("migrate", "--from", str(source), "--to", server.url)
        assert (ran.code, ran.err) == (0, ""), ran

    return into
