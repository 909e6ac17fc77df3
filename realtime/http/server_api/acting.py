"""subscribe, unsubscribe, disconnect, refresh and history_remove: what the server API does.

What concerns clients is done wherever they are connected; none of it says whether there were any.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Raw

from realtime.errors import InvalidInput
from realtime.governing import Close, GovernsClients
from realtime.http.channels import WRITE as WRITE_CHANNELS
from realtime.http.clients import MAX_SPARED, WRITE, present
from realtime.http.operation import Body
from realtime.http.server_api.method import method
from realtime.http.server_api.reading import ChannelRequest, keeping_history
from realtime.http.server_api.shapes import NOTHING, Empty, Flag, Instant, Since, Target, json_of
from realtime.services.channels import Channels
from realtime.tokens import ChannelOptions

__all__ = ["METHODS"]


LONG_AGO = 0.0
"""When what is said to have expired did."""


class Override(Body):
    """What is otherwise for this subscription than for others of the channel."""

    presence: Flag | None = None
    join_leave: Flag | None = None
    force_push_join_leave: Flag | None = None
    force_recovery: Flag | None = None
    force_positioning: Flag | None = None


class SubscribeRequest(Target, kw_only=True):
    channel: str
    info: Raw = NOTHING
    b64info: str | None = None
    data: Raw = NOTHING
    b64data: str | None = None
    recover_since: Since | None = None
    expire_at: Instant | None = None
    override: Override | None = None


class UnsubscribeRequest(Target, kw_only=True):
    channel: str


class Disconnect(Body):
    """Left out, or zero and empty, it is 3503: they are not to come back."""

    code: int | None = None
    reason: str | None = None


class DisconnectRequest(Target, kw_only=True):
    whitelist: Annotated[tuple[str, ...], Meta(max_length=MAX_SPARED)] | None = None
    disconnect: Disconnect | None = None


class RefreshRequest(Target, kw_only=True):
    expired: bool | None = None
    expire_at: Instant | None = None


@method(WRITE)
async def api_subscribe(clients: GovernsClients | None, body: SubscribeRequest) -> Empty:
    await present(clients).subscribe(
        body.whom,
        body.channel,
        _options(body, body.override or Override()),
        since=None if body.recover_since is None else body.recover_since.position,
        expires=body.expire_at or None,
    )
    return Empty()


@method(WRITE)
async def api_unsubscribe(clients: GovernsClients | None, body: UnsubscribeRequest) -> Empty:
    await present(clients).unsubscribe(body.whom, body.channel)
    return Empty()


@method(WRITE)
async def api_disconnect(clients: GovernsClients | None, body: DisconnectRequest) -> Empty:
    whom = replace(body.whom, spared=body.whitelist or ())
    await present(clients).disconnect(whom, _close(body.disconnect or Disconnect()))
    return Empty()


@method(WRITE)
async def api_refresh(clients: GovernsClients | None, body: RefreshRequest) -> Empty:
    """Without an instant connections do not expire any more, whatever their tokens said."""
    if body.expired and body.expire_at:
        raise InvalidInput("say expired or expire_at, not both", path="$.expired")
    at = LONG_AGO if body.expired else body.expire_at or None
    await present(clients).refresh(body.whom, at)
    return Empty()


@method(WRITE_CHANNELS)
async def api_history_remove(channels: Channels, body: ChannelRequest) -> Empty:
    keeping_history(channels, body.channel)
    await channels.remove_history(body.channel)
    return Empty()


METHODS = (api_subscribe, api_unsubscribe, api_disconnect, api_refresh, api_history_remove)


def _options(body: SubscribeRequest, override: Override) -> ChannelOptions:
    return ChannelOptions(
        info=json_of("info", body.info, body.b64info),
        data=json_of("data", body.data, body.b64data),
        presence=_value(override.presence),
        join_leave=_value(override.join_leave),
        force_push_join_leave=_value(override.force_push_join_leave),
        recover=_value(override.force_recovery),
        positioned=_value(override.force_positioning),
    )


def _value(flag: Flag | None) -> bool | None:
    return None if flag is None else bool(flag.value)


def _close(given: Disconnect) -> Close | None:
    if not given.code and not given.reason:
        return None
    return Close(given.code or 0, given.reason or "")
