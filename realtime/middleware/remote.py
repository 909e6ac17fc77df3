"""The limiter at the other end of HTTP: one service that counts for many processes.

It is asked with a deadline for each decision; what happens where there is none, see
`realtime.middleware.outage`. Nothing is ever raised into the app but `Unavailable`.

Rules are defined on the service at the start, before their first use otherwise, and again
when the service says that it does not know one. A key without the scope to define rules is
enough if somebody else defines them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from realtime.backends.base import NEVER, Decision
from realtime.middleware.limiter import Take, TakeAll, TakeNow
from realtime.middleware.outage import OnOutage, Outages, reason
from realtime.middleware.rules import Rule

__all__ = ["RemoteLimiter"]

SECOND = 1_000_000

log = logging.getLogger(__name__)


class _Outage(Exception):
    """There is no decision; says why."""


class RemoteLimiter:
    """Asks the service at ``url``. For asyncio; one instance serves one event loop at a time."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = 0.05,
        on_outage: OnOutage = "allow",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``timeout`` is for the whole decision, in seconds. ``transport`` is httpx's own."""
        self._url = httpx.URL(url)
        if self._url.scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no URL of a service: http://host:port")
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._timeout = timeout
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._defined: set[str] = set()
        self._outages = Outages(url, timeout, on_outage, log)

    def taker_now(self, rule: Rule) -> TakeNow | None:
        """There is always a wire to wait for."""
        return None

    def taker(self, rule: Rule) -> Take:
        path = f"/v1/limits/{quote(rule.name, safe='')}/take"

        async def take(key: str, cost: int) -> Decision | None:
            answer = await self._ask((rule,), path, {"key": key, "cost": cost})
            return None if answer is None else answer[0]

        return take

    def taker_of_all(self, rules: Sequence[Rule]) -> TakeAll:
        async def take(key: str, cost: int) -> Sequence[Decision] | None:
            takes = [{"rule": rule.name, "key": key, "cost": cost} for rule in rules]
            return await self._ask(rules, "/v1/limits/take", {"takes": takes})

        return take

    async def prepare(self, rules: Sequence[Rule]) -> None:
        try:
            async with asyncio.timeout(self._timeout * max(1, len(rules))):
                await self._define(rules)
        except Exception as error:
            self._outages.warn(f"the rules are not defined yet: {reason(error)}")

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(
        self, rules: Sequence[Rule], path: str, body: Mapping[str, object]
    ) -> list[Decision] | None:
        """The decisions, in order; None if requests pass during an outage."""
        return await self._outages.ask(lambda: self._decisions(rules, path, body))

    async def _decisions(
        self, rules: Sequence[Rule], path: str, body: Mapping[str, object]
    ) -> list[Decision]:
        await self._define([rule for rule in rules if rule.name not in self._defined])
        response = await self._http().post(path, json=body)
        if response.status_code == 404:  # it has forgotten, or never saved, what we defined
            await self._define(rules)
            response = await self._http().post(path, json=body)
        if response.status_code != 200:
            raise _Outage(f"it answers {response.status_code}: {response.text[:200]}")
        answer = response.json()
        return [_decision(one) for one in answer.get("results", [answer])]

    async def _define(self, rules: Sequence[Rule]) -> None:
        for rule in rules:
            response = await self._http().put(
                f"/v1/limits/{quote(rule.name, safe='')}", json=_definition(rule)
            )
            if response.status_code == 403:
                self._outages.warn(f"{rule.name} is not ours to define: the key lacks limits:admin")
            elif response.status_code != 200:
                raise _Outage(f"it answers {response.status_code}: {response.text[:200]}")
            self._defined.add(rule.name)

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._url,
                headers=self._headers,
                timeout=None,  # the deadline is around the whole decision
                transport=self._transport,
                trust_env=False,  # a proxy meant for the outside world must not see this
            )
        return self._client


def _definition(rule: Rule) -> dict[str, object]:
    definition: dict[str, object] = {
        "algorithm": rule.algorithm,
        "limit": rule.limit,
        "per": rule.per,
        "shadow": rule.shadow,
    }
    if rule.burst is not None:
        definition["burst"] = rule.burst
    return definition


def _decision(answer: Mapping[str, Any]) -> Decision:
    wait = answer["retry_after"]
    return Decision(
        allowed=bool(answer["allowed"]),
        limit=int(answer["limit"]),
        remaining=int(answer["remaining"]),
        retry_after=NEVER if wait is None else round(wait * SECOND),
        reset_after=round(answer["reset_after"] * SECOND),
    )
