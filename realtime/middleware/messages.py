"""Limits on what a WebSocket receives: so many messages, so many bytes.

    {"/chat/{room}": Messages(Rule("lines", 60, per=60), size=Rule("bytes", 2**20, per=60))}

Both rules are one atomic step per message. What is too much never reaches the app: it is
dropped, and the client is told so in a message, the same problem document that a 429 has. Or,
after so many of them, the connection is closed with 1008.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from realtime.middleware.answers import OUTAGE, Refusal
from realtime.middleware.ask import Ask
from realtime.middleware.guard import Guard
from realtime.middleware.rules import CONCURRENCY, Rule

__all__ = ["POLICY_VIOLATION", "Closed", "MessageGuard", "Messages"]

POLICY_VIOLATION = 1008

Complaint = Callable[[Refusal], str | bytes | None]
"""The message for a client whose message was dropped; None for none."""


class Closed(OSError):
    """An app sends to a WebSocket that we have closed. ASGI has servers raise an OSError."""


@dataclass(frozen=True, slots=True)
class Messages:
    """How much may be received on the WebSockets of a route; counted per caller, not per
    connection, unless a rule has a key that says otherwise."""

    count: Rule | None = None
    """Messages."""
    size: Rule | None = None
    """Bytes of their contents, text as UTF-8."""
    close_after: int | None = None
    """So many that are too much, and the connection is closed; 1 closes at the first. None: all
    of them are dropped."""
    complaint: Complaint | None = None
    """Another message than the problem document, as text."""

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("messages are limited by a count, a size, or both")
        if any(rule.algorithm == CONCURRENCY for rule in self.rules):
            raise ValueError("a message is over at once: it cannot hold a lease")
        if self.close_after is not None and self.close_after < 1:
            raise ValueError(f"a connection is closed after 1 or more, not {self.close_after}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in (self.count, self.size) if rule is not None)


class MessageGuard:
    """Stands before the WebSockets of a route."""

    def __init__(self, messages: Messages, ask: Ask) -> None:
        self._messages = messages
        self._guard = Guard(messages.rules, ask)
        self.is_immediate = ask.limiter.immediate
        """Nobody waits for a decision, and so nobody can give up meanwhile."""

    def around(self, scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Both directions of one connection."""
        connection = _Connection(self, scope, receive, send)
        return connection.receive, connection.send

    async def refusal(self, scope: Scope, message: Message) -> Refusal | None:
        """Charge a message; what forbids it."""
        costs = []
        if self._messages.count is not None:
            costs.append(1)
        if self._messages.size is not None:
            costs.append(_size(message))
        return await self._guard.charge(scope, costs)

    def complaint(self, refusal: Refusal) -> str | bytes | None:
        if self._messages.complaint is not None:
            return self._messages.complaint(refusal)
        return refusal.body.decode()

    def is_enough(self, violations: int) -> bool:
        """Whether the connection is closed."""
        after = self._messages.close_after
        return after is not None and violations >= after


class _Connection:
    """One WebSocket, between its server and its app."""

    __slots__ = (
        "_deciding", "_guard", "_is_closed", "_is_ours", "_receive", "_scope", "_send",
        "_undecided", "_violations",
    )  # fmt: skip

    def __init__(self, guard: MessageGuard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._scope = scope
        self._receive = receive
        self._send = send
        self._violations = 0
        self._is_closed = False
        self._is_ours = False
        """We closed it: to the app it is as if the client had left."""
        self._undecided: Message | None = None
        """What was received last. The app may give up waiting while it is being decided about,
        and come again: then it must not be lost."""
        self._deciding: asyncio.Future[Refusal | None] | None = None

    async def receive(self) -> Message:
        """The next message that is not too much."""
        while not self._is_ours:
            if self._undecided is None:
                message = await self._receive()
                if message["type"] != "websocket.receive":
                    return message
                self._undecided = message
            message = self._undecided
            try:
                refusal = await self._decision(message)
            except Exception:
                self._undecided = self._deciding = None
                raise
            self._undecided = self._deciding = None
            if refusal is None:
                return message
            await self._refuse(refusal)
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": ""}

    async def _decision(self, message: Message) -> Refusal | None:
        if self._guard.is_immediate:
            return await self._guard.refusal(self._scope, message)
        if self._deciding is None:
            self._deciding = asyncio.ensure_future(self._guard.refusal(self._scope, message))
        return await asyncio.shield(self._deciding)

    async def send(self, message: Message) -> None:
        """Once we have closed the connection it raises `Closed`, but for another close."""
        is_end = message["type"] == "websocket.close"
        if self._is_ours:
            if is_end:
                return
            raise Closed("the connection is closed: too much was received")
        if is_end:
            self._is_closed = True
        await self._send(message)

    async def _refuse(self, refusal: Refusal) -> None:
        is_violation = refusal is not OUTAGE  # of which the client can do nothing
        self._violations += is_violation
        if self._is_closed:
            return
        if is_violation and self._guard.is_enough(self._violations):
            self._is_ours = True
            await self._send(
                {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.title}
            )
            return
        complaint = self._guard.complaint(refusal)
        if complaint is not None:
            kind = "text" if isinstance(complaint, str) else "bytes"
            await self._send({"type": "websocket.send", kind: complaint})


def _size(message: Message) -> int:
    """Bytes of its contents."""
    text: str | None = message.get("text")
    if text is not None:
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return len(message.get("bytes") or b"")
