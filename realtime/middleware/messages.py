"""Limits on what a WebSocket receives: so many messages, so many bytes.

    {"/chat/{room}": Messages(Rule("lines", 60, per=60), size=Rule("bytes", 2**20, per=60))}

Both rules are one atomic step per message. What is too much never reaches the app: it is
dropped, and the client is told so in a message, the same problem document that a 429 has. Or,
after so many of them, the connection is closed with 1008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from realtime.middleware.answers import Refusal
from realtime.middleware.ask import Ask
from realtime.middleware.guard import Guard
from realtime.middleware.rules import CONCURRENCY, Rule

__all__ = ["POLICY_VIOLATION", "MessageGuard", "Messages"]

POLICY_VIOLATION = 1008

Complaint = Callable[[Refusal], str | bytes | None]
"""The message for a client whose message was dropped; None for none."""


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

    __slots__ = ("_guard", "_is_closed", "_is_ours", "_receive", "_scope", "_send", "_violations")

    def __init__(self, guard: MessageGuard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._scope = scope
        self._receive = receive
        self._send = send
        self._violations = 0
        self._is_closed = False
        self._is_ours = False
        """We closed it: what the app still sends goes nowhere, as if the client had left."""

    async def receive(self) -> Message:
        """The next message that is not too much."""
        while not self._is_ours:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            refusal = await self._guard.refusal(self._scope, message)
            if refusal is None:
                return message
            await self._refuse(refusal)
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": ""}

    async def send(self, message: Message) -> None:
        if self._is_ours:
            return
        if message["type"] == "websocket.close":
            self._is_closed = True
        await self._send(message)

    async def _refuse(self, refusal: Refusal) -> None:
        self._violations += 1
        if self._is_closed:
            return
        if self._guard.is_enough(self._violations):
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
