"""batch: many commands in one request, each with a reply of its own.

A command is ``{"publish": {...}}``, and so is its reply; or that is ``{"error": {...}}``. Commands
are carried out in order, or, where the store is waited for and ``parallel`` is said, some at a
time. Batches do not nest, and what they answer is bounded: commands beyond it are not run.

The answer is ``{"replies": [...]}``, which leaves no room for an error of the batch itself: what
is none is refused by a status and a problem document.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from msgspec import Meta, Raw

from realtime.errors import Forbidden, InvalidInput, InvalidRequest, TooLarge
from realtime.http.auth import check_scope
from realtime.http.batch import MAX_ANSWERS, MAX_OPERATIONS
from realtime.http.inputs import Call
from realtime.http.operation import Answer, Body
from realtime.http.server_api.method import (
    METHOD_NOT_FOUND,
    Fault,
    Method,
    Refused,
    fault_of,
    method,
    text_of,
)
from realtime.http.turns import in_turn

__all__ = ["api_batch"]

Commands = Annotated[list[dict[str, Raw]], Meta(max_length=MAX_OPERATIONS)]


class BatchRequest(Body):
    commands: Commands
    parallel: bool | None = None


class BatchAnswer(Answer):
    """In the order of the commands."""

    replies: list[dict[str, Raw]]


class _Batch:
    """One batch that is being carried out."""

    def __init__(self, methods: Mapping[str, Method], call: Call) -> None:
        self._methods = methods
        self._call = call
        self._size = 0
        """Bytes of what is answered so far."""

    async def reply(self, command: Mapping[str, Raw]) -> dict[str, Raw]:
        try:
            name, outcome = await self._run(command)
        except (Refused, Forbidden, InvalidInput, InvalidRequest, TooLarge) as error:
            name, outcome = "error", fault_of(error, "api_batch")
        text = text_of(outcome)
        self._size += len(text)
        return {"error" if isinstance(outcome, Fault) else name: Raw(text)}

    async def _run(self, command: Mapping[str, Raw]) -> tuple[str, bytes | Fault]:
        if len(command) != 1:
            raise InvalidInput("a command has one method")
        if self._size > MAX_ANSWERS:
            raise TooLarge(f"the answers of this batch exceed {MAX_ANSWERS} bytes")
        ((name, body),) = command.items()
        found = self._methods.get(name)
        if found is None:
            raise Refused(METHOD_NOT_FOUND, f"a batch cannot hold {name[:64]!r}")
        check_scope(self._call.caller, found.scope)
        return name, await found.outcome(Call((), b"", {}, bytes(body), self._call.caller))


@method(None)
async def api_batch(
    methods: Mapping[str, Method], at_once: int, body: BatchRequest, call: Call
) -> BatchAnswer:
    """A command that fails does not stop those after it."""
    batch = _Batch(methods, call)
    jobs = [partial(batch.reply, command) for command in body.commands]
    return BatchAnswer(await in_turn(jobs, at_once if body.parallel else 1))
