"""The server API of Centrifugo: what its server libraries ask for, under ``/api/``.

    method.py      how such a request is let in and answered: a result or a number, HTTP 200
    shapes.py      the requests and results that several methods share
    publishing.py  publish, broadcast
    reading.py     presence, presence_stats, history, channels, info
    acting.py      subscribe, unsubscribe, disconnect, refresh, history_remove
    batch.py       many of them in one request

Facts from the description of that API; see docs/server-api.md for what is different here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from realtime.http.server_api.acting import METHODS as ACTING
from realtime.http.server_api.batch import api_batch
from realtime.http.server_api.method import Method, ServerEndpoint
from realtime.http.server_api.publishing import METHODS as PUBLISHING
from realtime.http.server_api.reading import METHODS as READING
from realtime.metrics import Meter

__all__ = ["METHODS", "endpoints"]

METHODS = (*PUBLISHING, *READING, *ACTING)
"""Those that a batch may hold."""


def endpoints(
    resources: Mapping[str, object], meter: Callable[[str], Meter]
) -> Iterator[ServerEndpoint]:
    """All of it, over these resources; each endpoint with a meter of its own."""
    methods = [Method(one, resources, meter(one.name)) for one in METHODS]
    yield from methods
    by_name = {one.name: one for one in methods}
    yield ServerEndpoint(api_batch, {**resources, "methods": by_name}, meter(api_batch.name))
