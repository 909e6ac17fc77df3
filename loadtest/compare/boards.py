"""The board that everybody serves: the same members with the same scores."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from loadtest.compare.processes import Missing, Server, request

__all__ = ["NAME", "entries", "fill_redis", "fill_service", "redis_client"]

NAME = "bench"
BATCH = 10_000
Entries = Sequence[tuple[str, int]]


def entries(members: int) -> Iterator[Entries]:
    """Batches of (member, score below a million); the same ones at every call."""
    draw = random.Random(7)
    for first in range(0, members, BATCH):
        numbers = range(first, min(first + BATCH, members))
        yield [(f"player:{number}", draw.randrange(1_000_000)) for number in numbers]


def fill_service(server: Server, members: int) -> None:
    """Submit the entries over HTTP."""
    for batch in entries(members):
        rows = [{"member": member, "score": score} for member, score in batch]
        body = json.dumps({"entries": rows}).encode()
        status, answer = request(server.port, "POST", f"/v1/leaderboards/{NAME}/scores", body)
        assert status == 200, answer


def redis_client(server: Server) -> Any:
    """redis-py on a connection of its own. Raises Missing."""
    try:
        import redis
    except ImportError:
        raise Missing("redis is not installed (PyPI; `make bench` installs it)") from None
    return redis.Redis(port=server.port)


def fill_redis(client: Any, members: int, name: str = NAME) -> None:
    for batch in entries(members):
        client.zadd(name, dict(batch))
