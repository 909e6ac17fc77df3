"""One connection to one server, shared by everybody, that outlives the server's absences.

What is asked within one turn of the event loop leaves as one pipeline, and a second one does
not wait for the answers of the first. Answers come in the order of the questions, so a queue
of futures is all the bookkeeping there is; the oldest one is the only deadline to watch.

    CONNECTING ──(greeted)──> UP ──(closed, or a deadline passed)──> CONNECTING
        └──(failed)──> AWAY ──(after a pause)──> CONNECTING, as long as it takes

While the link is UP or connecting for the first time since, questions wait for their answer
up to their deadline. While it is AWAY they fail at once: that is the circuit breaker, and
what closes it again is a server that has greeted us, not a caller who had to find out.

A question whose answer did not come is never asked again: it may have been carried out.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from realtime.backends.base import BackendUnavailable
from realtime.backends.redis.calls import CommandFailed
from realtime.backends.redis.ending import end
from realtime.backends.redis.question import EXPECTED, OUTAGES, Question, failure
from realtime.backends.redis.replicas import Replicas

__all__ = ["Figures", "Greeted", "Link", "Push", "Unusable"]

log = logging.getLogger("realtime.store")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.8
"""Seconds between two attempts to connect; a server that is back is noticed within that."""

MAX_WAITING = 100_000
"""Questions that may wait for answers; more would only be told later that it was too late."""

CONFIRMATIONS = frozenset((b"subscribe", b"ssubscribe", b"unsubscribe", b"sunsubscribe"))

Push = Sequence[Any]
"""What the server says unasked: its kind, and what belongs to it."""


class Unusable(Exception):
    """The server answers and still is not what we can work with; the text says why."""


class Greeted(NamedTuple):
    """A connection that is open, let in, and led to a server that can do its work."""

    connection: AbstractConnection
    run_id: bytes
    """Names this life of the server's memory."""


@dataclass(slots=True)
class Figures:
    """What all links of a store count together, for metrics."""

    questions: int = 0
    pipelines: int = 0
    losses: int = 0
    """Connections that were up and broke."""
    lost_channels: int = 0
    """Channels whose subscribers were told to recover."""


class Link:
    """``send`` from any task of the loop; ``run`` is the task that keeps it alive."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], Awaitable[Greeted]],
        timeout: float,
        figures: Figures,
        *,
        wait: int = 0,
        on_push: Callable[[Push], None] | None = None,
    ) -> None:
        """``timeout`` in seconds bounds every question. After writes, ``wait`` replicas must
        have them before we are told that they are done."""
        self.name = name
        self.run_id = b""
        self.lives = 0
        """How often it came up."""
        self.on_up: Callable[[], None] = _nothing
        """Called when it is up, also again; what is sent there goes before all that waits."""
        self.on_down: Callable[[], None] = _nothing
        """Called when the connection is lost, and whenever none can be made."""
        self.reason: str | None = "not connected yet"
        """Why it is not up, for a person; None while it is."""
        self._connect = connect
        self._figures = figures
        self._timeout = timeout
        self._replicas = Replicas(name, wait, timeout) if wait else None
        self._on_push = on_push
        self._away = False
        self._waiting: list[Question] = []
        self._asked: deque[Question] = deque()
        self._wake = asyncio.Event()
        self._broken: asyncio.Future[str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answered = False
        self._told: set[str] = set()

    @property
    def is_up(self) -> bool:
        return self.reason is None

    def send(
        self,
        words: tuple[bytes, ...],
        *,
        writes: bool = False,
        signed: bool = False,
        confirms: bytes | None = None,
    ) -> asyncio.Future[Any]:
        """Ask; the future answers, or raises CommandFailed or BackendUnavailable. O(words)."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if self._away or len(self._waiting) + len(self._asked) > MAX_WAITING:
            answer.set_exception(BackendUnavailable(f"{self.name}: {self.reason or 'overrun'}"))
            return answer
        due = loop.time() + self._timeout
        self._waiting.append(Question(words, answer, due, confirms, writes, signed))
        self._wake.set()
        if self._timer is None:
            self._timer = loop.call_at(due, self._check_deadlines)
        return answer

    def tell(self, words: tuple[bytes, ...], *, confirms: bytes | None = None) -> None:
        """As ``send``, where no answer is needed."""
        self.send(words, confirms=confirms).add_done_callback(_forget)

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled."""
        failures = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(self._timeout):
                        greeted = await self._connect()
                except Exception as fault:  # whatever it was: nobody else would try again
                    failures += 1
                    self._note_absence(fault)
                    await asyncio.sleep(_pause(failures))
                    continue
                self._greet(greeted)
                reason = await self._serve(greeted.connection)
                self._let_go(reason)
                failures = 0 if self._answered else failures + 1
                if failures:
                    await asyncio.sleep(_pause(failures))
        finally:
            self.reason = "closed"  # on purpose: nothing to warn of
            self._let_go(self.reason)
            self._refuse(self.reason)

    def cut(self, reason: str) -> None:
        """Give up the connection, if there is one, for a new one."""
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(reason)

    # The life of a connection

    def _greet(self, greeted: Greeted) -> None:
        if self._away:
            log.info("%s is back", self.name)
        self.run_id = greeted.run_id
        self.lives += 1
        self.reason = None
        self._away = self._answered = False
        self._broken = asyncio.get_running_loop().create_future()
        waiting, self._waiting = self._waiting, []
        self.on_up()
        self._waiting += waiting
        self._wake.set()

    async def _serve(self, connection: AbstractConnection) -> str:
        """Until something is wrong; what it is."""
        broken = self._broken
        assert broken is not None
        reading = asyncio.create_task(self._read(connection, broken))
        writing = asyncio.create_task(self._write(connection, broken))
        work: list[asyncio.Future[Any]] = [reading, writing, broken]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            return _why(broken if broken.done() else done.pop())
        finally:
            broken.cancel()
            await end([reading, writing])
            await connection.disconnect(nowait=True)

    def _let_go(self, reason: str) -> None:
        """Nothing is known of what was asked; what was not sent yet may go with the next."""
        if self.reason is None:
            log.warning("%s: lost the connection: %s", self.name, reason)
            self.reason = reason
            self._figures.losses += 1
            self.on_down()
        asked, self._asked = self._asked, deque()
        for question in asked:
            question.fail(f"{self.name}: {reason}")
        # Subscriptions are made anew when the link is up again.
        for question in self._waiting:
            if question.confirms is not None:
                question.fail(f"{self.name}: {reason}")
        self._waiting = [question for question in self._waiting if question.confirms is None]

    def _note_absence(self, fault: BaseException) -> None:
        greeting = f"no greeting within {self._timeout:g} s"
        reason = greeting if isinstance(fault, TimeoutError) else str(fault) or repr(fault)
        if not self._away or reason != self.reason:
            log.warning("%s is away: %s", self.name, reason)
        self._refuse(reason)
        self.on_down()

    def _refuse(self, reason: str) -> None:
        """From now on questions fail at once."""
        self.reason = reason
        self._away = True
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            question.fail(f"{self.name}: {reason}")

    def _check_deadlines(self) -> None:
        """The oldest question has had its time, or a younger one becomes the oldest."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._asked and self._asked[0].due <= now:
            self.cut(f"no answer within {self._timeout:g} s")
            expired, self._asked = self._asked, deque()
            for question in expired:
                question.fail(f"{self.name}: no answer within {self._timeout:g} s")
        late = [question for question in self._waiting if question.due <= now]
        for question in late:
            question.fail(f"{self.name}: {self.reason or 'it reads too slowly'}")
        if late:
            self._waiting = self._waiting[len(late) :]
        oldest = self._asked[0] if self._asked else (self._waiting[0] if self._waiting else None)
        if oldest is not None:
            self._timer = loop.call_at(oldest.due, self._check_deadlines)

    # What runs while it is up

    async def _write(self, connection: AbstractConnection, broken: asyncio.Future[str]) -> None:
        wake = self._wake
        while True:
            await wake.wait()
            if broken.done():
                return  # what waits may go with the next connection
            wake.clear()
            batch, self._waiting = self._waiting, []
            if not batch:
                continue
            confirmation = self._replicas.hold(batch) if self._replicas else None
            self._asked.extend(batch)
            self._figures.questions += len(batch)
            self._figures.pipelines += 1
            pipeline = b"".join([question.packed(self.run_id) for question in batch])
            await connection.send_packed_command(pipeline, check_health=False)
            if confirmation is not None:
                # The server hears nothing while it waits for its replicas. What comes meanwhile
                # shares the next confirmation, instead of queueing for one of its own.
                await asyncio.wait([confirmation])

    async def _read(self, connection: AbstractConnection, broken: asyncio.Future[str]) -> None:
        read, push_type = connection.read_response, hiredis.PushNotification
        while True:
            answer: Any
            try:
                answer = await read(timeout=math.inf, disconnect_on_error=False, push_request=True)
            except ResponseError as error:
                answer = failure(error)
            if broken.done():
                return  # the questions have been given up: their answers are nobody's
            if type(answer) is push_type:
                self._take_push(answer)
            elif self._asked:
                self._answered = True
                self._settle(self._asked.popleft(), answer)

    def _take_push(self, push: Push) -> None:
        asked = self._asked
        if push[0] in CONFIRMATIONS and asked and asked[0].confirms == push[1]:
            self._answered = True
            self._settle(asked.popleft(), None)
        elif self._on_push is not None:
            self._on_push(push)

    def _settle(self, question: Question, answer: Any) -> None:
        future = question.answer
        if future.done():  # whoever asked has gone
            return
        if not isinstance(answer, CommandFailed):
            future.set_result(answer)
        elif answer.code in OUTAGES:
            future.set_exception(BackendUnavailable(f"{self.name}: {answer}"))
            if answer.code == "READONLY":
                self.cut("it is a replica now")
        else:
            if not str(answer).startswith(EXPECTED) and str(answer) not in self._told:
                log.error("%s does not do what it is asked: %s", self.name, answer)
                self._told = {str(answer)}  # not again and again
            future.set_exception(answer)


def _why(ended: asyncio.Future[Any]) -> str:
    fault = ended.exception()
    if fault is None:
        return str(ended.result())
    if not isinstance(fault, (OSError, RedisError)):
        # Whoever was told what arrived has failed. A new connection makes up for it: what was
        # under way is read anew, and all others go on.
        log.error("a fault of our own", exc_info=fault)
    return str(fault) or type(fault).__name__


def _pause(failures: int) -> float:
    """Longer from time to time, and not the same for all who wait."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10))
    return random.uniform(longest / 2, longest)


def _forget(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for it; an error is not news, for the link itself would have said it."""
    if not answer.cancelled():
        answer.exception()


def _nothing() -> None:
    """Nobody wants to know."""
