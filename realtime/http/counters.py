"""The routes of counters."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from realtime.errors import Conflict, NotFound
from realtime.http.operation import (
    Answer,
    Body,
    Example,
    Feature,
    PathFields,
    QueryFields,
    Scope,
    operation,
)
from realtime.http.values import CounterName, Int64, Seconds
from realtime.services.counters import Counters

__all__ = ["OPERATIONS"]

TAG: Feature = "counters"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

MAX_NAMES = 1_000


class CounterPath(PathFields):
    name: CounterName


class Addition(Body):
    """What to add, and the bounds that must hold afterwards."""

    by: Annotated[Int64, Meta(description="May be negative.")] = 1
    min: Int64 | None = None
    max: Int64 | None = None
    ttl: Annotated[Seconds, Meta(description="Only counts if this creates the counter.")] | None = (
        None
    )


class NewValue(Body):
    """A value to store."""

    value: Int64


class Counter(Answer):
    """A counter and its value."""

    name: CounterName
    value: Int64


class MaybeCounter(Answer):
    """A counter; its value is null if there is none."""

    name: CounterName
    value: Int64 | None


class ManyCounters(Answer):
    """In the order of the request."""

    counters: list[MaybeCounter]


class NamesQuery(QueryFields):
    names: Annotated[list[CounterName], Meta(min_length=1, max_length=MAX_NAMES)]


@operation(
    "POST",
    "/v1/counters/{name}/add",
    tag=TAG,
    scope=WRITE,
    summary="Add to a counter",
    errors=(Conflict,),
    example=Example(body='{"by":1,"max":100}', answer='{"name":"visits","value":42}'),
)
async def add_to_counter(counters: Counters, path: CounterPath, body: Addition) -> Counter:
    """A counter begins at 0. If the value would leave `min` or `max`, or 64 bits, the answer is
    409 and nothing has changed."""
    value = await counters.add(path.name, body.by, minimum=body.min, maximum=body.max, ttl=body.ttl)
    return Counter(name=path.name, value=value)


@operation(
    "GET",
    "/v1/counters/{name}",
    tag=TAG,
    scope=READ,
    summary="Read a counter",
    errors=(NotFound,),
    example=Example(answer='{"name":"visits","value":42}'),
)
async def read_counter(counters: Counters, path: CounterPath) -> Counter:
    """404 if there is none."""
    value = await counters.get(path.name)
    if value is None:
        raise NotFound("there is no such counter")
    return Counter(name=path.name, value=value)


@operation(
    "PUT",
    "/v1/counters/{name}",
    tag=TAG,
    scope=WRITE,
    summary="Set a counter",
    example=Example(body='{"value":42}', answer='{"name":"visits","value":42}'),
)
async def set_counter(counters: Counters, path: CounterPath, body: NewValue) -> Counter:
    """Whatever it was before; it does not expire then."""
    return Counter(name=path.name, value=await counters.set(path.name, body.value))


@operation(
    "DELETE",
    "/v1/counters/{name}",
    tag=TAG,
    scope=WRITE,
    summary="Delete a counter",
)
async def delete_counter(counters: Counters, path: CounterPath) -> None:
    """204 also if there was none."""
    await counters.delete(path.name)


@operation(
    "GET",
    "/v1/counters",
    tag=TAG,
    scope=READ,
    summary="Read several counters",
    errors=(Conflict,),
    example=Example(
        query="names=visits,likes",
        answer='{"counters":[{"name":"visits","value":42},{"name":"likes","value":null}]}',
    ),
)
async def read_counters(counters: Counters, query: NamesQuery) -> ManyCounters:
    """All values of one instant. A comma that belongs to a name is written %2C."""
    values = await counters.get_many(query.names)
    return ManyCounters(
        counters=[
            MaybeCounter(name=name, value=value)
            for name, value in zip(query.names, values, strict=True)
        ]
    )


OPERATIONS = (add_to_counter, read_counter, set_counter, delete_counter, read_counters)
