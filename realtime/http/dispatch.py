"""From a matched request to its answer: at most once if it says so, and counted.

Both ways into an operation end here: a request of its own, and an item of a batch.
"""

from __future__ import annotations

from time import perf_counter

from realtime.http.endpoint import Endpoint
from realtime.http.idempotency import HEADER, Once
from realtime.http.inputs import Call
from realtime.http.problem import Response
from realtime.http.router import Router

__all__ = ["Dispatcher"]


class Dispatcher:
    """All endpoints, and the store of first answers."""

    __slots__ = ("_once", "router")

    def __init__(self, router: Router[Endpoint], once: Once) -> None:
        self.router = router
        self._once = once

    async def perform(self, endpoint: Endpoint, call: Call) -> Response:
        """The answer to a call whose caller was let in. It never raises."""
        started = perf_counter()
        if endpoint.writes and HEADER in call.headers:
            response = await self._perform_once(endpoint, call)
        else:
            response = await endpoint.respond(call)
        endpoint.meter.record(response.status, perf_counter() - started)
        return response

    async def _perform_once(self, endpoint: Endpoint, call: Call) -> Response:
        try:
            return await self._once.respond(endpoint.operation.name, call, endpoint.respond)
        except Exception as error:
            return endpoint.refusal(error)
