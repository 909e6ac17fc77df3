"""Ends of seasons, told one by one as the keeper of seasons asks for it.

When to try again is said here; the keeper writes it down, so that it survives this process.
"""

from __future__ import annotations

from typing import Final

from realtime.services.resets import Answer, Reset
from realtime.webhooks.delivery import Delivery
from realtime.webhooks.endpoint import Undelivered
from realtime.webhooks.event import BoardReset, board_reset
from realtime.webhooks.pace import pause_at_age

__all__ = ["RESETS_AT_ONCE", "ToldResets"]

RESETS_AT_ONCE: Final = 4
"""Requests under way at the same time, besides those of departures: a crowd that leaves must not
keep anybody from hearing who has won."""


class ToldResets:
    """See `realtime.services.resets.Resets`. One per process."""

    def __init__(self, delivery: Delivery, *, max_age: float) -> None:
        """What was tried for more than ``max_age`` seconds is given up."""
        self._delivery = delivery
        self._max_age = max_age
        self._under_way = 0

    async def tell(self, reset: Reset, age: float) -> Answer:
        silence = self._delivery.silence
        if silence:
            return Answer(done=False, tried=False, pause=silence + pause_at_age(age))
        if self._under_way >= RESETS_AT_ONCE or not self._delivery.room:
            return Answer(done=False, tried=False, pause=pause_at_age(0))  # others are soon done
        self._under_way += 1
        self._delivery.under_way += 1
        try:
            return await self._try(board_reset(reset), age)
        finally:
            self._under_way -= 1
            self._delivery.under_way -= 1

    async def _try(self, event: BoardReset, age: float) -> Answer:
        try:
            await self._delivery.post(event)
        except Undelivered as fault:
            if age > self._max_age:
                self._delivery.give_up(event, f"after {age:.0f} s")
                return Answer(done=True)
            pause = self._delivery.silence + pause_at_age(age, fault.retry_after)
            return Answer(done=False, pause=pause)
        return Answer(done=True)
