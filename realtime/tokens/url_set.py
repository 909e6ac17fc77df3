"""A JWK Set that is fetched over HTTP, in the background.

It is fetched every ``interval`` seconds, and when a token names a key that the set has not:
keys are rotated by adding one and signing with it. That second reason is anybody's to give,
so fetches are ``least`` seconds apart at least. While the source is away the last good set
holds, and it is tried again after pauses that double.

What is not in the set is unknown for good only if the set is fresh; while it is not, nobody
can say, and `TokenKeysUnavailable` asks the client to come again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from realtime.tokens.errors import TokenKeysUnavailable
from realtime.tokens.keys import MAX_SET, Key, KeyFault, KeySet

__all__ = ["UrlSet"]

log = logging.getLogger(__name__)

FETCH_TIMEOUT = 5.0
"""Seconds for connecting, and again for each part of the answer."""
WHOLE_TIMEOUT = 30.0
"""Seconds for all of it."""
FIRST_RETRY = 1.0
LEAST = 10.0
"""Seconds. How soon a new key may be noticed, and how often a stranger can make us ask."""

Clock = Callable[[], float]


class UrlSet:
    """A set behind a URL."""

    def __init__(
        self, url: str, interval: float, least: float = LEAST, now: Clock = time.monotonic
    ) -> None:
        self._url = url
        self._label = _without_secrets(url)
        self._interval = interval
        self._least = least
        self._now = now
        self._keys: KeySet | None = None
        self._read_at = 0.0
        self._wanted = asyncio.Event()

    def find(self, kid: str, algorithm: str) -> Key | None:
        keys = self._keys
        if keys is None:
            raise TokenKeysUnavailable("the keys of tokens are not here yet")
        found = keys.find(kid, algorithm)
        if found is None and kid not in keys and self._now() - self._read_at > self._least:
            self._wanted.set()
            raise TokenKeysUnavailable("this token names a key that is still looked for")
        return found

    def refresh(self) -> None:
        """`run` does it."""

    async def load(self) -> None:
        """Fetch it once. The log says what went wrong."""
        async with _client() as client:
            await self._fetch(client)

    async def run(self) -> None:
        client = await asyncio.to_thread(_client)  # reading the system's certificates takes long
        async with client:
            retry = FIRST_RETRY
            while True:
                if await self._fetch(client):
                    pause, retry = self._interval, FIRST_RETRY
                else:
                    pause, retry = min(retry, self._interval), retry * 2
                await self._rest(max(pause, self._least))

    async def _fetch(self, client: httpx.AsyncClient) -> bool:
        """Whether there is a new set now."""
        asked_at = self._now()
        self._wanted.clear()
        try:
            async with asyncio.timeout(WHOLE_TIMEOUT):
                keys = KeySet.parse(await self._body(client))
        except (httpx.HTTPError, OSError, KeyFault) as fault:
            log.warning("no keys of tokens from %s: %s", self._label, _said(fault))
            return False
        if self._keys is None:
            log.info("%d keys of tokens from %s", len(keys), self._label)
        self._keys, self._read_at = keys, asked_at
        return True

    async def _body(self, client: httpx.AsyncClient) -> bytes:
        async with client.stream("GET", self._url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise KeyFault(f"it answered {answer.status_code}")
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_SET:
                    raise KeyFault(f"it answered more than {MAX_SET} bytes")
            return bytes(body)

    async def _rest(self, pause: float) -> None:
        """Until it is time again, or a token wants another key; ``least`` seconds at least."""
        await asyncio.sleep(self._least)
        try:
            async with asyncio.timeout(pause - self._least):
                await self._wanted.wait()
        except TimeoutError:
            return


def _client() -> httpx.AsyncClient:
    """It follows no redirect: one could lead to where https:// does not reach."""
    return httpx.AsyncClient(timeout=FETCH_TIMEOUT, headers={"accept": "application/json"})


def _without_secrets(url: str) -> str:
    """The URL for the log: no user, no password, no query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _said(fault: Exception) -> str:
    return str(fault) or type(fault).__name__
