"""The route of event streams, as far as it can be declared: `realtime.ws.events` answers it.

A stream takes its connection over before any of what is here is asked. Only where there is no
connection to be taken over, as in a batch, does the request arrive here after all.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from realtime.errors import Conflict, NotFound, TooManyRequests
from realtime.http.channels import READ, TAG, ChannelPath
from realtime.http.operation import HeaderFields, QueryFields, operation

__all__ = ["OPERATIONS"]

EventId = Annotated[
    str,
    Meta(
        max_length=100,
        pattern="^[0-9]{1,15}\\.[!-~]{1,64}$",
        description="The id of the last event that was seen; what came after it is sent first.",
    ),
]
Token = Annotated[str, Meta(description="A token of a user, where headers cannot be set.")]
SubscriptionToken = Annotated[str, Meta(description="A token of a user for this channel.")]


class EventsQuery(QueryFields):
    last_event_id: EventId | UnsetType = UNSET
    token: Token | UnsetType = UNSET
    subscription_token: SubscriptionToken | UnsetType = UNSET


class EventsHeaders(HeaderFields):
    last_event_id: EventId | UnsetType = field(name="Last-Event-ID", default=UNSET)


@operation(
    "GET",
    "/v1/channels/{channel}/events",
    tag=TAG,
    scope=READ,
    summary="Listen to a channel",
    status=200,
    media="text/event-stream",
    errors=(Conflict, NotFound, TooManyRequests),
)
async def listen(path: ChannelPath, query: EventsQuery, headers: EventsHeaders) -> None:
    """Server-Sent Events, for an `EventSource` or `curl -N`: each is a publication, its id the
    position. Whoever comes back with the last id gets what was missed, or an event `lost` if that
    is no longer certain. The last event is `close`, and says why. In a batch it is 409."""
    raise Conflict("a stream takes its connection over: there is none here to be taken")


OPERATIONS = (listen,)
