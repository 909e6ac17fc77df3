"""The Redis that tests share, since starting one for each of them would take too long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis.clock import ServerClock
from tests.redis.servers import RedisServer, running_redis


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Tests ask for ``frozen_redis``."""
    folder = tmp_path_factory.mktemp("redis")
    with running_redis(folder, clock=ServerClock(folder)) as server:
        yield server


@pytest.fixture
def frozen_redis(shared_redis: RedisServer) -> RedisServer:
    """An empty server; its ``clock`` stands where every `ManualClock` begins.

    For tests that leave it alive, and its settings alone."""
    shared_redis.wipe()
    return shared_redis
