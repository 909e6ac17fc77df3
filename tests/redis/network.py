"""A network that fails the way a test wants: a server that is silent, and a wire that breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support import free_port

__all__ = ["Proxy", "Silent", "proxied", "silent"]

CHUNK = 65_536


@dataclass
class Silent:
    """Accepts every connection, reads what comes, and never says a word."""

    port: int = 0
    accepted: int = 0
    heard: bytes = b""
    """All that anybody said."""
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def _listen_to(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):  # whoever gives up may do so in any way
            while piece := await reader.read(CHUNK):
                self.heard += piece


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    """A silent server in this event loop."""
    made = Silent()
    server = await asyncio.start_server(made._listen_to, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made._writers:
            writer.transport.abort()


class Proxy:
    """A wire to a server, from a port of its own. It carries everything until it is told not to.

    What is held back is not lost: it arrives, in order, once the wire carries again, unless the
    connection was cut before. That is what a stalled network does.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        """Seconds that every piece waits, each way; those behind it wait for it, too."""
        self.accepted = 0
        """How many connections there ever were."""
        self.held: list[bytes] = []
        """What waits here until the wire carries again."""
        self.target = target
        """The port that new connections lead to."""
        self._server: asyncio.Server | None = None
        self._carries = {"requests": asyncio.Event(), "answers": asyncio.Event()}
        self._wires: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self.carry()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._wires)

    def hold(self, *, requests: bool = True, answers: bool = True) -> None:
        """Keep the connections and carry nothing. With ``requests=False`` the server still hears
        what it is asked, and does it; only nobody learns of it."""
        for name, held in (("requests", requests), ("answers", answers)):
            if held:
                self._carries[name].clear()

    def carry(self) -> None:
        """Carry everything again, first what was held back."""
        for event in self._carries.values():
            event.set()

    def cut(self) -> None:
        """Break every connection, with what is on its way. New ones are welcome."""
        for task, writers in self._wires.items():
            task.cancel()
            for writer in writers:
                writer.transport.abort()

    async def refuse(self) -> None:
        """Do not listen any more; connections that there are go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)  # the loop lets the port go in its next turn

    async def accept(self) -> None:
        """Listen, always on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._wire(reader, writer))
        self._wires[task] = (writer,)
        task.add_done_callback(self._wires.pop)

    async def _wire(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:  # nobody is there: neither is anybody here
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._wires[task] = (writer, requests)
        pumps = [
            asyncio.create_task(self._pump("requests", reader, requests)),
            asyncio.create_task(self._pump("answers", answers, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (writer, requests):
                end.close()

    async def _pump(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError):  # either end may go at any moment
            while piece := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                self.held.append(piece)
                try:
                    await self._carries[name].wait()
                finally:
                    self.held.remove(piece)
                writer.write(piece)
                await writer.drain()


@contextlib.asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """A wire to the server on port ``target`` of this machine."""
    proxy = Proxy(target)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.refuse()
        proxy.cut()
        await asyncio.gather(*proxy._wires, return_exceptions=True)
