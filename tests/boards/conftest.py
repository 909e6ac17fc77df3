from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis.pair import Pair, running_pair
from tests.redis.servers import RedisServer


@pytest.fixture
def pair(frozen_redis: RedisServer) -> Iterator[Pair]:
    """Both backends at one clock."""
    with running_pair(frozen_redis) as pair:
        yield pair
