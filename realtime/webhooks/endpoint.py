"""Where webhooks go: one request, and what came of it.

An answer of 2xx is the only one that means heard. Redirections are not followed: they would
lead what is signed for one server to another. Neither the length nor the slowness of an answer
costs us anything: of its body little is read, and one deadline is around the whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

import httpx

from realtime import __version__
from realtime.webhooks.signature import signed

__all__ = ["Endpoint", "Undelivered"]

ANSWER_BYTES = 64 * 1024
"""Of an answer's body as much is read, so that the connection can be used again."""

ABOUT_THE_MESSAGE = frozenset(
    (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )
)
"""Refusals of what was sent; all others would be those of the next message, too."""


class Undelivered(Exception):
    """It was not heard, or nobody knows; the text says why, and holds no secret."""

    def __init__(self, reason: str, *, away: bool, retry_after: float = 0.0) -> None:
        """``away``: whatever is sent now would fare the same. ``retry_after``: seconds that the
        receiver asks to be left alone."""
        super().__init__(reason)
        self.away = away
        self.retry_after = retry_after


class Endpoint:
    """One URL. For one event loop."""

    def __init__(
        self,
        url: str,
        secrets: Sequence[bytes],
        *,
        timeout: float,
        connections: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``timeout`` in seconds is for a whole request; ``clock`` answers seconds since 1970."""
        self._url = httpx.URL(url)
        self._secrets = tuple(secrets)
        self._timeout = timeout
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=None,  # the deadline is around the whole request
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            headers={"user-agent": f"realtime/{__version__}", "content-type": "application/json"},
        )
        # It has a line for each request, with the whole URL, which may hold a secret.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    @property
    def name(self) -> str:
        """For people: without the password and the query that the URL may hold."""
        port = "" if self._url.port is None else f":{self._url.port}"
        return f"{self._url.scheme}://{self._url.host}{port}{self._url.path}"

    async def post(self, message: str, body: bytes) -> None:
        """Say it once. Raises Undelivered."""
        fields = signed(self._secrets, message, int(self._clock()), body)
        try:
            async with asyncio.timeout(self._timeout):
                await self._post(body, fields)
        except TimeoutError:
            raise Undelivered(f"no answer within {self._timeout:g} s", away=True) from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as fault:
            reason = f"{type(fault).__name__}: {fault}"
            raise Undelivered(reason, away=True) from None

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, body: bytes, fields: dict[str, str]) -> None:
        sending = self._client.stream("POST", self._url, content=body, headers=fields)
        async with sending as response:
            read = 0
            async for piece in response.aiter_raw():
                read += len(piece)
                if read > ANSWER_BYTES:
                    break  # and the connection is closed
        _check(response)


def _check(response: httpx.Response) -> None:
    """Raises Undelivered unless the answer means that it was heard."""
    status = response.status_code
    if response.is_success:
        return
    raise Undelivered(
        f"it answers {status}",
        away=status not in ABOUT_THE_MESSAGE,
        retry_after=_retry_after(response.headers.get("retry-after", "")),
    )


def _retry_after(text: str) -> float:
    """The seconds of a Retry-After; a date, or nonsense, is as good as none."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
