"""Operations asked for over a connection that is no HTTP: by method and path, as in a batch.

They pass the router, the scopes and the dispatcher like requests of their own, so they are the
same operations with the same permissions, figures and answers. Only those that do nothing but
ask the store are there: whoever calls may have to be answered without waiting.
"""

from __future__ import annotations

import re

from realtime.access import FEATURES, Principal
from realtime.errors import MethodNotAllowed, NotFound, TooLarge
from realtime.http.auth import check_scope
from realtime.http.dispatch import Dispatcher
from realtime.http.inputs import Call
from realtime.http.leaderboard_shapes import EVERYWHERE
from realtime.http.uri import asks_for_season, parse_query, path_segments

__all__ = ["Operations"]

TAGS = frozenset(FEATURES) - {"admin"}

MOST_NAMES = 50
"""Members, or buckets of a histogram, that may be asked for of a season: for each of them a block
may have to be unpacked, 0.3 ms, and nobody else has a turn meanwhile. Over HTTP they have."""

_MANY = ("members", "bounds")

_TARGET = re.compile(r"/v1/[!-~]*")
"""Path and query, percent-encoded."""


class Operations:
    """All of them, by method and path."""

    __slots__ = ("_dispatcher",)

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def __call__(
        self, caller: Principal, method: str, target: str, body: bytes
    ) -> tuple[int, bytes]:
        """The status and the body: JSON, a problem document from 400 on, nothing at 204.

        Raises MethodNotAllowed if there is no such operation, Forbidden, and InvalidRequest.
        """
        if not _TARGET.fullmatch(target):
            raise MethodNotAllowed("an operation is a method and a path: POST /v1/...", "")
        path, _, query = target.partition("?")
        _check_seasons(query.encode())
        raw = path.encode()
        try:
            endpoint, names = self._dispatcher.router.find(method, path_segments(path, raw))
        except NotFound as error:
            raise MethodNotAllowed(error.detail, "") from None
        if endpoint.operation.tag not in TAGS:
            raise MethodNotAllowed(f"{path} is for HTTP alone", "")
        check_scope(caller, endpoint.scope)
        given = body if endpoint.takes_body else b""
        call = Call(names, query.encode(), {}, given, caller)
        response = await self._dispatcher.perform(endpoint, call)
        return response.status, response.body


def _check_seasons(query: bytes) -> None:
    """Raises TooLarge, and what `parse_query` raises."""
    if not asks_for_season(query):
        return
    asked = parse_query(query, _MANY)
    if asked.get("season") == EVERYWHERE:
        raise TooLarge("all seasons at once are for HTTP alone")
    buckets = str(asked.get("buckets", ""))
    many = max([len(asked.get(name, ())) for name in _MANY])
    if many > MOST_NAMES or (buckets.isdigit() and int(buckets[:9]) > MOST_NAMES):
        raise TooLarge(f"of a season at most {MOST_NAMES} members or buckets; HTTP answers more")
