"""How much one connection, and one user over all connections, may ask for.

Commands are counted, and so are the bytes of their text. What comes too often is refused with
111, and nothing is done; who goes on regardless is closed with 3013. So a client costs others
no more than its rates say, whatever it sends: also frames that are no commands are counted.

Those of a connection are counted right here, by the arithmetic of `engine.limits.TokenBucket`:
one integer per limit, which says when the bucket will be full again, in ticks of the rule. It
costs half a microsecond and one comparison where no limit is set. Those of a user are buckets
in the store, as they hold over all nodes together; the commands and bytes of a user lie in one
slot and are taken in one step. How often may be published is `realtime.services.rates`' business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realtime.backends.base import Buckets, Take, TokenBucket
from realtime.backends.keys import bucket_key
from realtime.errors import TooManyRequests
from realtime.rate import Rate
from realtime.services.names import name_bytes
from realtime.services.rates import bucket_of, wait_of
from realtime.ws import codes
from realtime.ws.codes import Close, Disconnect

__all__ = ["LIMITS", "LocalBucket", "Quota", "Quotas", "Rates"]

COMMANDS, BYTES, SUBSCRIBES = "connection_commands", "connection_bytes", "connection_subscribes"
USER_COMMANDS, USER_BYTES = "user_commands", "user_bytes"

LIMITS = (COMMANDS, BYTES, SUBSCRIBES, USER_COMMANDS, USER_BYTES)
"""What the limits are called among the figures of the service."""


@dataclass(frozen=True, slots=True)
class Rates:
    """None: no limit. A rate of bytes must let the largest message pass."""

    commands: Rate | None = None
    """Of a connection; so are the next two."""
    bytes: Rate | None = None
    subscribes: Rate | None = None
    user_commands: Rate | None = None
    """Of a user, over all nodes."""
    user_bytes: Rate | None = None
    patience: int = 100
    """Refusals in a row after which a connection is closed."""


class Quotas:
    """What the quotas of all connections share. One per process."""

    def __init__(self, rates: Rates, buckets: Buckets, clock: Callable[[], float]) -> None:
        """``clock`` answers seconds and never steps back."""
        self.rates = rates
        self.clock = clock
        self.commands = _rule(rates.commands)
        self.bytes = _rule(rates.bytes)
        self.subscribes = _rule(rates.subscribes)
        self.shared = rates.user_commands is not None or rates.user_bytes is not None
        """Whether users have a quota at all, so that somebody may have to wait for the store."""
        self.refusals = dict.fromkeys(LIMITS, 0)
        """Limit -> how often it has refused, since the start of the process."""
        self._buckets = buckets

    def of_connection(self) -> Quota:
        return Quota(self)

    def refuse(self, limit: str, rate: Rate | None, of_what: str, wait: int = 1) -> TooManyRequests:
        """Count a refusal, and answer what the client is told."""
        self.refusals[limit] += 1
        return TooManyRequests(f"too many requests: at most {rate} {of_what}", retry_after=wait)

    async def admit(self, user: str, size: int) -> None:
        """Count a command of so many bytes, of a user; all or nothing.

        Raises TooManyRequests and BackendUnavailable.
        """
        takes, limits = [], []
        name = name_bytes("user", user)
        if (commands := self.rates.user_commands) is not None:
            takes.append(Take(bucket_key(b"\0commands", name), bucket_of(commands)))
            limits.append((USER_COMMANDS, commands, "commands of a user"))
        if (rate := self.rates.user_bytes) is not None and size:
            takes.append(Take(bucket_key(b"\0bytes", name), bucket_of(rate), size))
            limits.append((USER_BYTES, rate, "bytes of a user"))
        decisions = await self._buckets.take_all(takes)
        for decision, (limit, of, what) in zip(decisions, limits, strict=True):
            if not decision.allowed:
                raise self.refuse(limit, of, what, wait_of(decision))


class Quota:
    """What one connection has left."""

    __slots__ = ("_bytes", "_clean", "_commands", "_in_a_row", "_quotas", "_subscribes")

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._commands = self._bytes = self._subscribes = 0
        """When each bucket will be full again, in ticks of its rule."""
        self._in_a_row = 0
        self._clean = True
        """Nothing was refused since the last command began."""

    def admit(self, size: int) -> None:
        """Count a command of so many bytes; all or nothing. Raises TooManyRequests."""
        if self._clean:
            self._in_a_row = 0
        self._clean = True
        quotas = self._quotas
        commands, of_bytes = quotas.commands, quotas.bytes
        if commands is None and of_bytes is None:
            return
        now = int(quotas.clock() * 1_000_000)
        counted, weighed = self._commands, self._bytes
        if commands is not None:
            counted = _spend(commands, counted, now, 1)
            if counted < 0:
                raise quotas.refuse(COMMANDS, quotas.rates.commands, "commands of a connection")
        if of_bytes is not None:
            weighed = _spend(of_bytes, weighed, now, size)
            if weighed < 0:
                raise quotas.refuse(BYTES, quotas.rates.bytes, "bytes of a connection")
        self._commands, self._bytes = counted, weighed

    def admit_subscribe(self) -> None:
        """Count a subscription, besides the command. Raises TooManyRequests."""
        quotas = self._quotas
        if quotas.subscribes is not None:
            now = int(quotas.clock() * 1_000_000)
            counted = _spend(quotas.subscribes, self._subscribes, now, 1)
            if counted < 0:
                of = quotas.rates.subscribes
                raise quotas.refuse(SUBSCRIBES, of, "subscribes of a connection")
            self._subscribes = counted

    async def admit_user(self, user: str, size: int) -> None:
        """Count a command of the user's, whatever connection it comes by.

        To be asked if ``Quotas.shared``. Raises TooManyRequests and BackendUnavailable.
        """
        await self._quotas.admit(user, size)

    def refused(self) -> None:
        """This connection was refused something. Raises Disconnect if that does not stop it."""
        self._clean = False
        self._in_a_row += 1
        if self._in_a_row >= self._quotas.rates.patience:
            raise Disconnect(codes.CLOSE_TOO_MANY_REQUESTS)

    def note(self) -> Close | None:
        """Count a frame that is no command, and that nobody answers; the close if that is it."""
        try:
            self.admit(0)
        except TooManyRequests:
            try:
                self.refused()
            except Disconnect as ending:
                return ending.close
        return None


class LocalBucket:
    """One bucket of this process alone."""

    __slots__ = ("_clock", "_full_at", "_rule")

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        """``clock`` answers seconds and never steps back."""
        self._rule = bucket_of(rate)
        self._clock = clock
        self._full_at = 0

    def take(self) -> bool:
        """Spend one if it is there. O(1)."""
        after = _spend(self._rule, self._full_at, int(self._clock() * 1_000_000), 1)
        if after >= 0:
            self._full_at = after
        return after >= 0


def _rule(rate: Rate | None) -> TokenBucket | None:
    return None if rate is None else bucket_of(rate)


def _spend(rule: TokenBucket, full_at: int, now: int, cost: int) -> int:
    """When the bucket will be full after this, in ticks; -1 if it does not hold so much. O(1)."""
    ticks = now * rule.scale
    after = max(full_at, ticks) + cost * rule.interval
    return after if after <= ticks + rule.capacity else -1
