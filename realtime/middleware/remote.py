"""The limiter at the other end of HTTP: one service that counts for many processes.

It is asked with a deadline for each decision; what happens where there is none, see
`realtime.middleware.fallback`. Nothing is ever raised but `Unavailable`.

Rules are defined on the service at the start, before their first use otherwise, and again
when the service says that it does not know one. A key without the scope to define rules is
enough if somebody else defines them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from realtime.errors import InvalidInput
from realtime.middleware.distant import REFUSED, Distant
from realtime.middleware.rules import OnOutage, Rule
from realtime.middleware.wire import definition, lease_of, rule_path, take_of, verdict_of
from realtime.services.leases import Lease
from realtime.services.limits import Verdict, Wish

__all__ = ["RemoteLimiter"]

ESTIMATE = 1
"""What is spent after an answer is reserved first, since that spends what is left."""

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Outage(Exception):
    """There is no decision; says why."""


class _Invalid(InvalidInput):
    """The service does not take the question."""


class RemoteLimiter(Distant):
    """Asks the service at ``url``. For asyncio; one instance serves one event loop at a time."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = 0.05,
        on_outage: OnOutage = "allow",
        remember: int = REFUSED,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``timeout`` is for the whole decision, in seconds; ``remember`` is how many refusals are
        kept and not asked for again. ``transport`` is httpx's own."""
        self._url = httpx.URL(url)
        if self._url.scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no URL of a service: http://host:port")
        super().__init__(url, timeout, on_outage, remember, log)
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._transport = transport
        # Now, since to read the certificates of this world takes longer than a decision may.
        self._trusted = httpx.create_ssl_context() if self._url.scheme == "https" else False
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        self._begin()
        await self._end()
        client, self._client = self._client, None
        self._blocked.clear()
        if client is not None:
            await client.aclose()

    async def _take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        try:
            results = await self._results(wishes)
        except _Invalid:
            if all(wish.tier is None for wish in wishes):
                raise
            results = await self._results([wish._replace(tier=None) for wish in wishes])
        return [
            verdict_of(result, self._rules[wish.rule], wish.tier)
            for wish, result in zip(wishes, results, strict=True)
        ]

    async def _as_known(self, wish: Wish, ask: Callable[[Wish], Awaitable[T]]) -> T:
        """The answer; without the tier, if somebody has changed the rule, and it does not have
        that any more."""
        try:
            return await ask(wish)
        except _Invalid:
            if wish.tier is None:
                raise
            return await ask(wish._replace(tier=None))

    async def _results(self, wishes: Sequence[Wish]) -> Sequence[Mapping[str, Any]]:
        if len(wishes) == 1:
            (wish,) = wishes
            return [await self._post([wish.rule], f"{rule_path(wish.rule)}/take", take_of(wish))]
        takes = [{"rule": wish.rule, **take_of(wish)} for wish in wishes]
        names = [wish.rule for wish in wishes]
        answer = await self._post(names, "/v1/limits/take", {"takes": takes})
        results: Sequence[Mapping[str, Any]] = answer["results"]
        return results

    async def _settle(self, wish: Wish, by: int) -> None:
        await self._as_known(wish, lambda wish: self._settle_for(wish, by))

    async def _settle_for(self, wish: Wish, by: int) -> None:
        tier = {} if wish.tier is None else {"tier": wish.tier}
        path, body = rule_path(wish.rule), {"key": wish.key, **tier}
        if by < 0:
            await self._post([wish.rule], f"{path}/refund", {**body, "amount": -by})
        elif by > 0:
            reserved = await self._post(
                [wish.rule], f"{path}/reservations", {**body, "cost": ESTIMATE}
            )
            if (name := reserved["reservation"]) is not None:
                settled = await self._http().put(
                    f"{path}/reservations/{name}", json={**body, "cost": by}
                )
                _check(settled)

    async def _acquire(self, wish: Wish, lease_id: str) -> Lease:
        return await self._as_known(wish, lambda wish: self._acquire_for(wish, lease_id))

    async def _acquire_for(self, wish: Wish, lease_id: str) -> Lease:
        body = {"key": wish.key, "id": lease_id}
        if wish.tier is not None:
            body["tier"] = wish.tier
        return lease_of(await self._post([wish.rule], f"{rule_path(wish.rule)}/leases", body))

    async def _renew(self, rule: str, key: str, lease_id: str) -> bool:
        response = await self._http().put(_lease_path(rule, lease_id), json={"key": key})
        return response.status_code != 404 and _check(response) is not None

    async def _release(self, rule: str, key: str, lease_id: str) -> None:
        response = await self._http().delete(_lease_path(rule, lease_id), params={"key": key})
        if response.status_code != 404:  # the rule is gone, and its leases with it
            _check(response)

    async def _post(
        self, names: Sequence[str], path: str, body: Mapping[str, object]
    ) -> Mapping[str, Any]:
        """The answer of a service that knows the rules."""
        await self._define_new(names)
        response = await self._http().post(path, json=body)
        if response.status_code == 404:  # it has forgotten, or never saved, what we defined
            await self._define_anew(names)
            response = await self._http().post(path, json=body)
        answer: Mapping[str, Any] = _check(response).json()
        return answer

    async def _define(self, rule: Rule) -> None:
        response = await self._http().put(rule_path(rule.name), json=definition(rule))
        if response.status_code == 403:
            self._outages.warn(f"{rule.name} is not ours to define: the key lacks limits:admin")
        else:
            _check(response)
        self._defined.add(rule.name)

    def _abandon(self) -> None:
        self._client = None

    def _http(self) -> httpx.AsyncClient:
        self._begin()
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._url,
                headers=self._headers,
                timeout=None,  # the deadline is around the whole decision
                transport=self._transport,
                verify=self._trusted,
                trust_env=False,  # a proxy meant for the outside world must not see this
            )
        return self._client


def _check(response: httpx.Response) -> httpx.Response:
    """Raises _Outage, or _Invalid, for what is no success."""
    if response.status_code == 422:
        raise _Invalid(f"it does not take the question: {response.text[:200]}")
    if response.status_code not in (200, 204):
        raise _Outage(f"it answers {response.status_code}: {response.text[:200]}")
    return response


def _lease_path(rule: str, lease_id: str) -> str:
    return f"{rule_path(rule)}/leases/{quote(lease_id, safe='')}"
