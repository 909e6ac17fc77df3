"""What clients under test play on: real services, wires to them that break, tokens and news.

A client is a program of its own (Node, a browser) or lives in the test (Python). Either way the
test decides nothing in the middle of a scenario: the scenario asks for what is to happen, here.
Programs ask over HTTP, ``POST /stage/<deed>`` with the arguments as JSON; Python calls the methods.

Every client has a wire of its own, so that its connections can be cut without those of others,
and so that a service that starts again is found where it was, whatever port it has now.

The page of a browser comes from here as well, and is the one page that the services allow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.redis.network import Proxy
from tests.redis.servers import RedisServer
from tests.service import Service, running_service

__all__ = ["EMBEDDED", "NODE", "STORED", "Stage", "judge", "staged"]

SECRET = "a secret that is only used on stage, and long enough"
NODE = Path(__file__).parent / "node"
BROWSER = Path(__file__).parent / "browser"
FILES = {
    "/": (BROWSER / "page.html", b"text/html; charset=utf-8"),
    "/centrifuge.js": (NODE / "node_modules/centrifuge/dist/centrifuge.js", b"text/javascript"),
}
SCRIPTS = "/node/"

PATIENCE = 60.0

EVERYWHERE = ("channels", "comingBack", "tokens", "services")
EMBEDDED = (*EVERYWHERE, "sockets", "embedded")
STORED = (*EVERYWHERE, "stored")
"""Groups of scenarios in `tests/node/scenarios`: for any service, and for one that holds its data
itself, or has it in a store."""

SETTINGS = """\
[channels]
subscribe = "users"
publish = "users"
read_history = "users"
read_presence = "users"

[namespaces.secret]
subscribe = "token"
publish = "token"

[namespaces.news]
subscribe = "nobody"

[namespaces.delta]
subscribe = "users"
delta = true

[namespaces.state]
subscribe = "users"
recovery = "cache"

[namespaces.orders]
prefix = "orders."
subscribe = "users"
wildcards = true
"""

Reply = tuple[int, bytes, bytes]
"""Status, content type, body."""


class Stage:
    """Made by `staged`; lives in one event loop."""

    def __init__(
        self, folder: Path, redis: RedisServer | None, stack: contextlib.AsyncExitStack
    ) -> None:
        """``redis`` is where every service keeps its data, if not itself in ``folder``."""
        self.port = 0
        self.results: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        """What programs have reported."""
        self._folder = folder
        self._redis = redis
        self._stack = stack
        self._services: dict[str, Service] = {}
        self._wires: dict[int, tuple[str, Proxy]] = {}
        self._http = httpx.AsyncClient(timeout=PATIENCE)
        (folder / "realtime.toml").write_text(SETTINGS)
        (folder / "secret").write_text(SECRET)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(
        self,
        name: str = "main",
        *,
        options: Sequence[str] = (),
        keeps: bool = False,
        page: str = "",
    ) -> None:
        """Start a service, or start it again. With ``keeps`` it loses nothing that it has
        answered; where it holds its data itself it has a journal then, else only memory.
        ``page`` is the origin that may connect: ours, unless another is named."""
        command = [*self._options(), "--allowed-origins", page or self.url, *options]
        data = None
        if keeps and self._redis is None:
            data = self._folder / name
            command += ["--durability", "always"]
        service = self._services[name] = await asyncio.to_thread(self._enter, data, command)
        for of, wire in self._wires.values():
            if of == name:
                wire.target = service.port

    async def wire(self, name: str = "main") -> int:
        """The port of a new wire to a service."""
        proxy = Proxy(self._services[name].port)
        await proxy.accept()
        self._wires[proxy.port] = (name, proxy)
        self._stack.push_async_callback(_dismantle, proxy)
        return proxy.port

    async def cut(self, port: int) -> None:
        """Break the connections of a wire; new ones come through."""
        self._wires[port][1].cut()

    async def hold(self, port: int) -> None:
        """Carry nothing more that the service says, but keep the connections."""
        self._wires[port][1].hold(requests=False)

    async def carry(self, port: int) -> None:
        """After `hold`."""
        self._wires[port][1].carry()

    async def end(self, name: str, number: str = "KILL") -> int:
        """Send a signal that ends a service; answers its exit code."""
        return await asyncio.to_thread(self._services[name].stop, signal.Signals[f"SIG{number}"])

    async def interrupt(self, *, forgetting: bool = False) -> None:
        """Break the connection on which the services hear from their store, which may have
        forgotten everything when they are back."""
        assert self._redis is not None
        ask = self._redis.ask
        if forgetting:
            await asyncio.to_thread(ask, "FLUSHALL")
        assert await asyncio.to_thread(ask, "CLIENT", "KILL", "TYPE", "pubsub") > 0

    async def call(
        self, path: str, body: object = None, *, name: str = "main", method: str = "POST"
    ) -> Any:
        """The answer of the HTTP API to somebody who may do everything."""
        token = await self.token({"scopes": ["*", "admin:*"]})
        url = self._services[name].url + path
        headers = {"authorization": f"Bearer {token}"}
        answer = await self._http.request(method, url, json=body, headers=headers)
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def publish(self, channel: str, data: Sequence[object], *, name: str = "main") -> Any:
        """Publish one after the other; answers the last position."""
        path = f"/v1/channels/{channel.replace('#', '%23')}/messages"
        answer = None
        for item in data:
            answer = await self.call(path, {"data": item}, name=name)
        return answer

    async def token(self, claims: dict[str, Any], *, ttl: float | None = None) -> str:
        """Signed as the services want it; it expires in ``ttl`` seconds, rounded up."""
        now = time.time()
        claims = {"iat": int(now), **claims}
        if ttl is not None:
            claims["exp"] = math.ceil(now + ttl)
        return jwt.encode(claims, SECRET, algorithm="HS256")

    async def report(self, **result: Any) -> None:
        """A program says what has come of a scenario."""
        self.results.put_nowait(result)

    def _enter(self, data: Path | None, options: Sequence[str]) -> Service:
        service = contextlib.ExitStack()
        running = service.enter_context(running_service(data, *options))
        self._stack.callback(service.close)
        return running

    def _options(self) -> list[str]:
        own = {
            "--config": self._folder / "realtime.toml",
            "--token-hmac-secret-file": self._folder / "secret",
            "--token-admin": "true",
            "--personal-channels": "true",
        }
        store = () if self._redis is None else ("--store", self._redis.url)
        return [*store, *(str(word) for pair in own.items() for word in pair)]

    async def answer(self, method: str, path: str, body: bytes) -> Reply:
        """What a program is answered over HTTP."""
        if method == "GET":
            return await asyncio.to_thread(_file, path)
        deeds: dict[str, Callable[..., Awaitable[Any]]] = {
            f"/stage/{deed.__name__}": deed
            for deed in (
                self.serve,
                self.wire,
                self.cut,
                self.hold,
                self.carry,
                self.end,
                self.interrupt,
                self.call,
                self.publish,
                self.token,
                self.report,
            )
        }
        try:
            result = await deeds[path](**json.loads(body))
        except Exception as error:  # whatever it is, the scenario that asked shall say so
            return 500, b"text/plain; charset=utf-8", repr(error).encode()
        return 200, b"application/json", json.dumps(result).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        status, kind, content = await self.answer(scope["method"], scope["path"], body)
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@contextlib.asynccontextmanager
async def staged(folder: Path, redis: RedisServer | None = None) -> AsyncIterator[Stage]:
    """A stage with a service "main" on it."""
    async with contextlib.AsyncExitStack() as stack:
        stage = Stage(folder, redis, stack)
        stack.push_async_callback(stage._http.aclose)
        await _open(stage, stack)
        await stage.serve()
        yield stage


async def _open(stage: Stage, stack: contextlib.AsyncExitStack) -> None:
    config = uvicorn.Config(stage, lifespan="off", log_config=None, timeout_keep_alive=600)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    protocol: Any = config.http_protocol_class
    server = await loop.create_server(lambda: protocol(config, state, {}, loop), "127.0.0.1", 0)
    stack.callback(_shut, server, state)
    stage.port = server.sockets[0].getsockname()[1]


def _shut(server: asyncio.Server, state: ServerState) -> None:
    server.close()
    for connection in list(state.connections):
        connection.transport.abort()


async def _dismantle(proxy: Proxy) -> None:
    await proxy.refuse()
    proxy.cut()
    await asyncio.gather(*proxy._wires, return_exceptions=True)


def _file(path: str) -> Reply:
    """Of the page and its scripts; programs that are tested are trusted."""
    found, kind = FILES.get(path, (NODE / path.removeprefix(SCRIPTS), b"text/javascript"))
    if not found.is_file():
        return 404, b"text/plain", b"not found"
    return 200, kind, found.read_bytes()


def judge(results: Sequence[dict[str, Any]], subtests: pytest.Subtests) -> None:
    """What programs have reported must be good, and something."""
    assert results
    for result in results:
        with subtests.test(scenario=result["scenario"], transport=result["transport"]):
            assert result["error"] is None, result["error"]
