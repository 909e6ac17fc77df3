"""Leases in Redis: see `engine.leases`. One script per step."""

from __future__ import annotations

from realtime.backends.base import LeaseDecision
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import load
from realtime.backends.redis.typed import TypedCalls

__all__ = ["Leases"]

ACQUIRE = load("lease_acquire", "_leases", writes=True)
RENEW = load("lease_renew", "_leases", writes=True)
RELEASE = load("lease_release", "_leases", writes=True)
ACTIVE = load("leases_active", writes=False)


class Leases:
    """See `realtime.backends.base.Leases`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = TypedCalls(calls, "zset")

    async def acquire(self, key: bytes, limit: int, lease: bytes, ttl: int) -> LeaseDecision:
        if limit < 1 or ttl < 1:
            raise ValueError(f"limit and ttl must be at least 1, got {limit} and {ttl}")
        words = b"%d" % limit, lease, b"%d" % ttl
        granted, active, instant = await self._calls.run(ACQUIRE, [key], *words)
        if granted:
            return LeaseDecision(True, limit, active, 0, instant)
        return LeaseDecision(False, limit, active, instant, 0)

    async def renew(self, key: bytes, lease: bytes, ttl: int) -> int | None:
        if ttl < 1:
            raise ValueError(f"ttl must be at least 1, got {ttl}")
        ends: int | None = await self._calls.run(RENEW, [key], lease, b"%d" % ttl)
        return ends

    async def release(self, key: bytes, lease: bytes) -> bool:
        released: int = await self._calls.run(RELEASE, [key], lease)
        return released == 1

    async def active(self, key: bytes, limit: int) -> list[tuple[bytes, int]]:
        _, rows = await self._calls.run(ACTIVE, [key], b"%d" % limit)
        return [
            (lease, int(float(ends))) for lease, ends in zip(rows[::2], rows[1::2], strict=True)
        ]

    async def count(self, key: bytes) -> int:
        count, _ = await self._calls.run(ACTIVE, [key], b"0")
        return int(count)
