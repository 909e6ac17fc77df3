"""The route that runs many operations in one request, in order, each with its own answer.

A batch saves round trips; it is not a transaction. Items run through the same dispatcher
as requests of their own, with the key and the Session-Id of the batch. Between items the
loop is given back now and then, so that a long batch does not make others wait; and the
answers are bounded: a few hundred bytes may ask for megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.access import Principal
from realtime.errors import InvalidInput, RealtimeError, TooLarge
from realtime.http.auth import check_scope
from realtime.http.dispatch import Dispatcher
from realtime.http.inputs import Call
from realtime.http.operation import Answer, Body, Example, operation
from realtime.http.problem import Response, problem
from realtime.http.turns import Turn
from realtime.http.uri import path_segments
from realtime.http.values import JSON

__all__ = ["OPERATIONS"]

MAX_OPERATIONS = 1_000
MAX_ANSWERS = 16 * 1024 * 1024
"""Bytes of answers that one batch may make us hold."""

INHERITED = (b"session-id",)


class BatchItem(Body):
    """An operation of /v1, as it would be requested alone."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[
        str,
        Meta(
            description="Path and query, percent-encoded; begins with /v1/.",
            pattern="^/v1/[!-~]*$",
            max_length=32 * 1024,
            examples=["/v1/counters/visits/add"],
        ),
    ]
    body: JSON | UnsetType = UNSET


class Batch(Body):
    """Operations to run, in order."""

    operations: Annotated[list[BatchItem], Meta(min_length=1, max_length=MAX_OPERATIONS)]


class BatchResult(Answer):
    """What the operation would have answered alone; no body where there is none."""

    status: Annotated[int, Meta(ge=200, le=599)]
    body: JSON | UnsetType = UNSET


class BatchAnswer(Answer):
    """In the order of the request."""

    results: list[BatchResult]


@operation(
    "POST",
    "/v1/batch",
    tag="batch",
    scope=None,
    summary="Run several operations in one request",
    private=True,
    example=Example(
        body='{"operations":[{"method":"POST","path":"/v1/counters/visits/add"},'
        '{"method":"POST","path":"/v1/leaderboards/arcade/scores",'
        '"body":{"member":"ada","score":1200}}]}',
        answer='{"results":[{"status":200,"body":{"name":"visits","value":42}},'
        '{"status":200,"body":{"member":"ada","score":1200,"rank":1,"previous_rank":null,'
        '"previous_score":null,"changed":true}}]}',
    ),
)
async def run_batch(dispatcher: Dispatcher, call: Call, body: Batch) -> BatchAnswer:
    """Up to 1,000, in order, each with its own status. An operation that fails does not stop
    those after it. All run with the key and the Session-Id of this request; batches do not
    nest. What would make the answers exceed 16 MiB is refused with 413 and not run."""
    headers = {name: call.headers[name] for name in INHERITED if name in call.headers}
    results: list[BatchResult] = []
    size = 0
    turn = Turn()
    for item in body.operations:
        await turn.share()
        if size > MAX_ANSWERS:
            response = problem(TooLarge(f"the answers of this batch exceed {MAX_ANSWERS} bytes"))
        else:
            response = await _run(dispatcher, item, headers, call.caller)
        size += len(response.body)
        results.append(_result(response))
    return BatchAnswer(results=results)


async def _run(
    dispatcher: Dispatcher, item: BatchItem, headers: Mapping[bytes, bytes], caller: Principal
) -> Response:
    raw_path, _, query = item.path.encode().partition(b"?")
    path = raw_path.decode()
    try:
        endpoint, names = dispatcher.router.find(item.method, path_segments(path, raw_path))
        if endpoint.operation is run_batch:
            raise InvalidInput("a batch cannot hold a batch")
        check_scope(caller, endpoint.scope)
    except RealtimeError as error:
        return problem(error)
    body = b"" if item.body is UNSET else bytes(item.body)
    return await dispatcher.perform(endpoint, Call(names, query, headers, body, caller))


def _result(response: Response) -> BatchResult:
    body = Raw(response.body) if response.body else UNSET
    return BatchResult(status=response.status, body=body)


OPERATIONS = (run_batch,)
