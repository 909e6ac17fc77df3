"""publish and broadcast: the same services as of /v1, in the words of the server API."""

from __future__ import annotations

from functools import partial
from typing import Annotated, TypedDict

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.errors import InvalidInput
from realtime.http.channels import MAX_CHANNELS, PUBLISH
from realtime.http.inputs import Call
from realtime.http.operation import Body
from realtime.http.server_api.method import Fault, fault_of, method
from realtime.http.server_api.shapes import NOTHING, json_of
from realtime.http.turns import in_turn
from realtime.services.channels import Channels
from realtime.services.publishing import HistoryPolicy

__all__ = ["METHODS"]

NO_HISTORY = HistoryPolicy(0, 0.0)


class PublishingFields(Body, kw_only=True):
    """What may be said of a publication."""

    data: Raw = NOTHING
    b64data: str | None = None
    skip_history: bool | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str | None = None
    delta: bool | None = None
    """Changes nothing: who may take differences is said by the namespace."""
    version: Annotated[int, Meta(ge=0)] | None = None
    version_epoch: str | None = None


class PublishRequest(PublishingFields, kw_only=True):
    channel: str


class BroadcastRequest(PublishingFields, kw_only=True):
    channels: Annotated[list[str], Meta(min_length=1, max_length=MAX_CHANNELS)]


class PublishResult(msgspec.Struct, omit_defaults=True):
    """Where it lies; nothing, if the channel keeps no history."""

    offset: int = 0
    epoch: str = ""


class BroadcastResponse(msgspec.Struct):
    """One of the two."""

    result: PublishResult | UnsetType = UNSET
    error: Fault | UnsetType = UNSET


class BroadcastResult(msgspec.Struct):
    """In the order of the channels."""

    responses: list[BroadcastResponse]


class _Wishes(TypedDict):
    history: HistoryPolicy | None
    tags: dict[str, str] | None
    idempotency_key: str | None
    version: int
    version_epoch: str
    user: str


@method(PUBLISH)
async def api_publish(channels: Channels, body: PublishRequest, call: Call) -> PublishResult:
    data, wishes = _data(body), _wishes(body, call)
    offset, epoch = (await channels.publish(body.channel, data, **wishes)).position
    return PublishResult(offset, epoch)


@method(PUBLISH)
async def api_broadcast(
    channels: Channels, at_once: int, body: BroadcastRequest, call: Call
) -> BroadcastResult:
    """Each channel by itself: what is wrong with one does not concern the others."""
    data, wishes = _data(body), _wishes(body, call)

    async def publish(channel: str) -> BroadcastResponse:
        try:
            offset, epoch = (await channels.publish(channel, data, **wishes)).position
        except Exception as error:
            return BroadcastResponse(error=fault_of(error, "api_broadcast"))
        return BroadcastResponse(result=PublishResult(offset, epoch))

    jobs = [partial(publish, channel) for channel in body.channels]
    return BroadcastResult(await in_turn(jobs, at_once))


METHODS = (api_publish, api_broadcast)


def _data(body: PublishingFields) -> bytes:
    data = json_of("data", body.data, body.b64data)
    if data is None and bytes(body.data) != b"null":
        raise InvalidInput("a publication has data", path="$.data")
    return b"null" if data is None else data


def _wishes(body: PublishingFields, call: Call) -> _Wishes:
    return {
        "history": NO_HISTORY if body.skip_history else None,
        "tags": body.tags,
        "idempotency_key": body.idempotency_key or None,
        "version": body.version or 0,
        "version_epoch": body.version_epoch or "",
        "user": call.caller.user,
    }
