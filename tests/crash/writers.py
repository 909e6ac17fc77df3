"""Writers that know what they were answered, and hence what must be there.

Each writer has keys of its own and one connection, and asks for one thing at a time. Everything
it writes is a number that only grows, so what it has left behind can be read off exactly:

    marks    what the store holds of this writer, as far as it was acknowledged
    pending  the operation that was never answered: the store has all of it, or nothing

After a crash the store must show the marks, or those after the pending operation too. What shows
half of an operation is read as such, and equals neither.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.crash.connection import Closed, Connection
from tests.crash.content import Content, Entry

__all__ = ["MEMBERS", "Acknowledged", "Writer", "define_rule", "seen_by"]

MEMBERS = ("a", "b", "c")
"""Every submit brings in all of them, with the same score."""

KEPT = 50
"""Publications in a history."""

LASTING, FLEETING = 3600.0, 0.2
"""Seconds that counters live which shall outlive a test, or end during it."""

Marks = dict[str, Any]


class Operation(NamedTuple):
    """A request, and what it makes of the marks."""

    name: str
    method: str
    path: str
    body: Any
    marks: Marks
    headers: tuple[str, ...] = ()


class Acknowledged(NamedTuple):
    """An answer: when it was asked for, when it came, and the marks as of then."""

    asked: float
    answered: float
    marks: Marks


@dataclass
class Writer:
    """One of several. ``number`` is in all of its names."""

    number: int
    draw: random.Random
    marks: Marks = field(default_factory=lambda: {"sessions": {}})
    pending: Operation | None = None
    log: list[Acknowledged] = field(default_factory=list)
    """Of the current run."""
    acknowledged: int = 0
    refused: int = 0
    begun_with: Marks = field(default_factory=dict)
    """The marks at the beginning of the current run."""
    halts: bool = False
    """Stop at the first 503, and do not claim to know what became of that request."""
    is_halted: bool = False
    _session: tuple[str, str] | None = None
    """Name and id of the one that lives, where we know the id."""
    _lives: int = 0
    _again: Operation | None = None
    """What must be asked again, to see that it happens once."""
    _fault: BaseException | None = None

    def start(self, port: int, stop: threading.Event) -> threading.Thread:
        """Write in a thread, until told to stop or until the service is gone."""
        self.log, self.begun_with, self.is_halted = [], self.marks, False
        thread = threading.Thread(target=self._run, args=(port, stop), daemon=True)
        thread.start()
        return thread

    def check(self) -> None:
        """Raise what went wrong in the thread."""
        if self._fault is not None:
            raise self._fault

    def adopt(self, content: Content) -> bool:
        """Hold the store to what was acknowledged; whether it also has what was pending."""
        seen = seen_by(self.number, content)
        pending, self.pending = self.pending, None
        if pending is not None and seen == pending.marks != self.marks:
            self._landed(pending)
            return True
        assert seen == self.marks, f"writer {self.number}: {seen}, not {self.marks}; {pending}"
        if pending is not None and pending.name == "once":
            self._again = pending
        return False

    def hold(self, content: Content) -> None:
        """Hold the store to what was acknowledged, and leave open what is pending."""
        seen = seen_by(self.number, content)
        possible = [self.marks] if self.pending is None else [self.marks, self.pending.marks]
        assert seen in possible, f"writer {self.number}: {seen}, not {self.marks}; {self.pending}"

    def rewind(self, content: Content) -> None:
        """Go on from what is there, whatever was acknowledged."""
        self.marks = seen_by(self.number, content)
        self.pending = self._session = self._again = None

    def _landed(self, pending: Operation) -> None:
        self.marks = pending.marks
        if pending.name == "once":
            self._again = pending
        elif pending.name == "end":
            self._session = None

    def _run(self, port: int, stop: threading.Event) -> None:
        try:
            with Connection(port) as connection:
                while not stop.is_set():
                    self._ask(connection)
        except Closed:
            return  # the service was killed; what was under way stays `pending`
        except BaseException as fault:
            self._fault = fault

    def _ask(self, connection: Connection) -> None:
        operation = self.pending = self._again or self._next()
        asked = time.monotonic()
        status, answer = connection.ask(
            operation.method, operation.path, operation.body, operation.headers
        )
        if status == 503:
            self.refused += 1
            if self.halts:
                self.is_halted = True
                raise Closed("refused")
            return  # before anything was done: the disk did not keep up
        self.pending = None
        assert status in (200, 201, 204), (operation, status, answer)
        self._again = None
        self.marks = operation.marks
        self.acknowledged += 1
        self.log.append(Acknowledged(asked, time.monotonic(), operation.marks))
        self._answered(operation, answer)

    def _answered(self, operation: Operation, answer: Any) -> None:
        if operation.name == "begin":
            self._session = (answer["user"], answer["id"])
        elif operation.name == "end":
            self._session = None

    def _next(self) -> Operation:
        makers: list[Callable[[], Operation]] = [
            self._count,
            self._count_once,
            self._submit,
            self._take,
            self._publish,
            self._leave,
            self._flash,
            self._session_step,
        ]
        return self.draw.choice(makers)()

    def _plus(self, name: str, **others: Any) -> tuple[int, Marks]:
        number = self.marks.get(name, 0) + 1
        return number, {**self.marks, name: number, **others}

    def _count(self) -> Operation:
        _, marks = self._plus("counted")
        return Operation("count", "POST", f"/v1/counters/w{self.number}/add", {}, marks)

    def _count_once(self) -> Operation:
        """A retry after the crash must not count again."""
        number, marks = self._plus("once")
        path, key = f"/v1/counters/w{self.number}-once/add", f"w{self.number}-{number}"
        return Operation("once", "POST", path, {}, marks, ("idempotency-key", key))

    def _submit(self) -> Operation:
        number, marks = self._plus("score")
        entries = [
            {"member": member, "score": number, "metadata": {"n": number}} for member in MEMBERS
        ]
        path = f"/v1/leaderboards/w{self.number}/scores"
        return Operation("submit", "POST", path, {"entries": entries}, marks)

    def _take(self) -> Operation:
        _, marks = self._plus("spent")
        return Operation("take", "POST", "/v1/limits/all/take", {"key": f"w{self.number}"}, marks)

    def _publish(self) -> Operation:
        number, marks = self._plus("published")
        body = {"data": number, "history": {"size": KEPT, "ttl": LASTING}}
        return Operation("publish", "POST", f"/v1/channels/w{self.number}/messages", body, marks)

    def _leave(self) -> Operation:
        """A counter of its own that lasts a while."""
        number, marks = self._plus("left")
        path = f"/v1/counters/w{self.number}-left-{number}/add"
        return Operation("leave", "POST", path, {"by": number, "ttl": LASTING}, marks)

    def _flash(self) -> Operation:
        """A counter that is soon gone: nothing of it is in the marks."""
        path = f"/v1/counters/w{self.number}-{self.draw.getrandbits(32)}/add"
        return Operation("flash", "POST", path, {"ttl": FLEETING}, self.marks)

    def _session_step(self) -> Operation:
        sessions = self.marks["sessions"]
        if self._session is None:
            self._lives += 1
            user = f"w{self.number}-{self._lives}-{self.draw.getrandbits(32)}"
            marks = {**self.marks, "sessions": {**sessions, user: 0}}
            return Operation(
                "begin", "POST", "/v1/sessions", {"user": user, "data": {"n": 0}}, marks
            )
        user, identifier = self._session
        headers = ("session-id", identifier)
        if self.draw.random() < 0.3:
            others = {name: value for name, value in sessions.items() if name != user}
            marks = {**self.marks, "sessions": others}
            return Operation("end", "DELETE", "/v1/sessions/current", None, marks, headers)
        number = sessions[user] + 1
        marks = {**self.marks, "sessions": {**sessions, user: number}}
        body = {"set": {"n": number}}
        return Operation("patch", "PATCH", "/v1/sessions/current", body, marks, headers)


def define_rule(port: int) -> None:
    """The rate limit that all writers spend."""
    body = {"limit": 10**9, "per": 31_000_000, "algorithm": "fixed_window"}
    with Connection(port) as connection:
        status, answer = connection.ask("PUT", "/v1/limits/all", body)
    assert status == 200, answer


def seen_by(number: int, content: Content) -> Marks:
    """The marks of a writer, as the store shows them. What is inconsistent is told as it is."""
    name = b"w%d" % number
    seen = {
        "counted": _number(content.get(b"cnt:{%b}" % name)),
        "once": _number(content.get(b"cnt:{%b-once}" % name)),
        "score": _score(content, name),
        "spent": _spent(content.get(b"rl:all:{%b}" % name)),
        "published": _published(content, name),
        "left": _left(content, name),
    }
    marks = {feature: value for feature, value in seen.items() if value}
    return {**marks, "sessions": _sessions(content, name)}


def _number(entry: Entry | None) -> int:
    return 0 if entry is None else int(entry.string)


def _score(content: Content, name: bytes) -> Any:
    """The score that all members have, with the metadata that came with it."""
    board, metadata = content.get(b"lb:{%b}" % name), content.get(b"lb:{%b}:meta" % name)
    if board is None and metadata is None:
        return 0
    if board is not None and metadata is not None:
        number = int(board.scores.get(b"a", 0))
        whole = {member.encode(): float(number) for member in MEMBERS}
        noted = {member.encode(): b'{"n":%d}' % number for member in MEMBERS}
        if (board.value, metadata.value) == (whole, noted):
            return number
    return ("torn", board, metadata)


def _spent(entry: Entry | None) -> int:
    return 0 if entry is None else int(entry.string.split()[1])


def _published(content: Content, name: bytes) -> Any:
    """The newest publication; the history and the position must agree on it."""
    stream, meta = content.get(b"chan:{%b}" % name), content.get(b"chan:{%b}:meta" % name)
    if stream is None and meta is None:
        return 0
    if stream is not None and meta is not None:
        newest = int(meta.fields[b"s"])
        numbers = range(max(1, newest - KEPT + 1), newest + 1)
        if stream.items == [(b"%d-0" % at, (b"d", b"%d" % at)) for at in numbers]:
            return newest
    return ("torn", stream, meta)


def _left(content: Content, name: bytes) -> Any:
    """How many lasting counters there are, without a gap."""
    shape = re.compile(rb"cnt:\{%b-left-(\d+)\}" % name)
    found = {
        int(match[1]): _number(entry)
        for key, entry in content.items()
        if (match := shape.fullmatch(key))
    }
    whole = {number: number for number in range(1, len(found) + 1)}
    return len(found) if found == whole else ("torn", found)


def _sessions(content: Content, name: bytes) -> Any:
    """Number by user. Each session is in the index of its user."""
    found: dict[str, Any] = {}
    indexed = {
        (key.rpartition(b":")[2], session)
        for key, entry in content.items()
        if key.startswith(b"user:") and key.rpartition(b":")[2].startswith(name + b"-")
        for session in entry.scores
    }
    held = set()
    for key, entry in content.items():
        if key.startswith(b"sess:"):
            fields = entry.fields
            if fields[b"_user"].startswith(name + b"-"):
                held.add((fields[b"_user"], key))
                found[fields[b"_user"].decode()] = json.loads(fields[b"n"])
    if indexed != held:
        return ("torn", indexed, held)
    return found
