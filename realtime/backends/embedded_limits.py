"""The embedded backend's rate limits: the engine's buckets and leases, behind the seam."""

from __future__ import annotations

from collections.abc import Sequence

from engine.engine import Engine
from engine.steps import Step, TakeBound
from realtime.backends.base import Decision, LeaseDecision, LimitRule, Wanted
from realtime.backends.embedded_channels import ALL_ADMITTED, Admission

__all__ = ["Buckets", "Leases"]


class Buckets:
    """See `realtime.backends.base.Buckets`, and `realtime.services.limits.BindingBuckets`."""

    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._buckets = engine.buckets
        self._admit = admission.admit
        all_pass = admission is ALL_ADMITTED
        self._take = engine.buckets.take if all_pass else self._take_admitted
        self._take_all = engine.buckets.take_all if all_pass else self._take_all_admitted
        self.bind = engine.buckets.bind if all_pass else self._bind_admitted
        self.bind_one = engine.buckets.bind_one if all_pass else self._bind_one_admitted

    async def take(self, key: bytes, rule: LimitRule, cost: int = 1) -> Decision:
        return self._take(key, rule, cost)

    async def take_all(self, takes: Sequence[Wanted]) -> list[Decision]:
        return self._take_all(takes)

    async def adjust(
        self, key: bytes, rule: LimitRule, by: int, until: int | None = None
    ) -> Decision:
        self._admit()
        return self._buckets.adjust(key, rule, by, until)

    async def hold(self, key: bytes, regained_after: int, ttl: int) -> int:
        self._admit()
        return self._buckets.hold(key, regained_after, ttl)

    async def unhold(self, key: bytes) -> int | None:
        self._admit()
        return self._buckets.unhold(key)

    async def now(self) -> int:
        return self._buckets.now()

    def _take_admitted(self, key: bytes, rule: LimitRule, cost: int = 1) -> Decision:
        if cost:  # otherwise it only looks
            self._admit()
        return self._buckets.take(key, rule, cost)

    def _take_all_admitted(self, takes: Sequence[Wanted]) -> list[Decision]:
        self._admit()
        return self._buckets.take_all(takes)

    def _bind_admitted(self, rules: Sequence[LimitRule]) -> Step:
        step = self._buckets.bind(rules)

        def admitted(keys: Sequence[bytes], costs: Sequence[int]) -> list[Decision]:
            self._admit()
            return step(keys, costs)

        return admitted

    def _bind_one_admitted(self, rule: LimitRule) -> TakeBound:
        take = self._buckets.bind_one(rule)

        def admitted(key: bytes, cost: int) -> Decision:
            if cost:  # as above
                self._admit()
            return take(key, cost)

        return admitted


class Leases:
    """See `realtime.backends.base.Leases`."""

    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._leases = engine.leases
        self._admit = admission.admit

    async def acquire(self, key: bytes, limit: int, lease: bytes, ttl: int) -> LeaseDecision:
        self._admit()
        return self._leases.acquire(key, limit, lease, ttl)

    async def renew(self, key: bytes, lease: bytes, ttl: int) -> int | None:
        self._admit()
        return self._leases.renew(key, lease, ttl)

    async def release(self, key: bytes, lease: bytes) -> bool:
        self._admit()
        return self._leases.release(key, lease)

    async def active(self, key: bytes, limit: int) -> list[tuple[bytes, int]]:
        return self._leases.active(key, limit)

    async def count(self, key: bytes) -> int:
        return self._leases.count(key)
