"""Questions from one node of a service to another, by its name.

Every node has a mailbox: an internal channel without history that only it is subscribed to. A
letter is a question or the answer to one. Whoever asks waits a moment for the answer; a node
that is gone, or whose store has just been away, does not answer, and that is an answer as well. So
nothing is to be done about letters that may have been lost.

On a store of this process there are no other nodes, and nobody is asked.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from itertools import count

import msgspec

from realtime.backends.base import Backend, BackendUnavailable, Publication
from realtime.errors import Unavailable
from realtime.services.feed import INTERNAL

__all__ = ["Mailbox"]

log = logging.getLogger("realtime")

PATIENCE = 2.0
"""Seconds to wait for an answer. Stock clients give up a command after 5."""

AGAIN = 0.5
"""Seconds until a store that was away is tried again."""

MOST = 1_024
"""Questions that may wait at once: whoever makes names up has us wait for nothing."""

_NAME = re.compile(r"[0-9a-f]{32}")
"""The names of nodes. What is none is not looked for."""


class _Letter(msgspec.Struct):
    sender: str
    number: int
    text: str
    is_answer: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Letter).decode


class Mailbox:
    """The mailbox of one node, for questions of one kind."""

    def __init__(
        self, backend: Backend, kind: str, node: str, answer: Callable[[str], str]
    ) -> None:
        """``answer`` is called with the questions of other nodes; it must not raise or wait."""
        self._channels = backend.channels
        self._alone = backend.immediate
        self._prefix = INTERNAL + kind.encode() + b":"
        self._node = node
        self._answer = answer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Receive letters, until cancelled."""
        if self._alone:
            return
        unlisten = self._channels.listen(self._received)
        try:
            await self._open()
            await asyncio.Event().wait()
        finally:
            unlisten()
            for task in self._answering:
                task.cancel()

    async def ask(self, node: str, question: str) -> str | None:
        """What a node answers; None if it does not. Raises Unavailable and BackendUnavailable."""
        if self._alone or node == self._node or not _NAME.fullmatch(node):
            return None
        if len(self._waiting) >= MOST:
            raise Unavailable("too many wait for other nodes")
        number = next(self._numbers)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send(node, _Letter(self._node, number, question))
            # Not wait_for: up to Python 3.11 it may swallow that we are cancelled.
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._waiting[number]

    async def _open(self) -> None:
        """Have this node's letters delivered. From then on the store keeps to it by itself."""
        while True:
            try:
                await self._channels.subscribe(self._prefix + self._node.encode())
                return
            except BackendUnavailable as fault:
                log.warning("letters of other nodes wait for the store: %s", fault)
                await asyncio.sleep(AGAIN)

    def _received(self, channel: bytes, item: Publication, epoch: str) -> None:
        if channel != self._prefix + self._node.encode():
            return
        try:
            letter = _decode(item.data)
        except msgspec.DecodeError as error:
            log.warning("a letter that makes no sense: %s", error)  # of another release, say
            return
        if letter.is_answer:
            waiting = self._waiting.get(letter.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(letter.text)
            return
        answer = _Letter(self._node, letter.number, self._answer(letter.text), is_answer=True)
        task = asyncio.get_running_loop().create_task(self._send_back(letter.sender, answer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _send(self, node: str, letter: _Letter) -> None:
        await self._channels.publish(self._prefix + node.encode(), _encode(letter))

    async def _send_back(self, node: str, answer: _Letter) -> None:
        """Whoever has asked will not wait for longer than the store is away."""
        try:
            await self._send(node, answer)
        except BackendUnavailable as fault:
            log.warning("node %s gets no answer: %s", node, fault)
