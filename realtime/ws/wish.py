"""What a subscription is to be like, whoever wants it: the client, its token or the service.

A wish is what the command, the token and the namespace say, put together. What it is granted
decides `realtime.ws.permissions` before; what becomes of it, `realtime.ws.subscriptions`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from msgspec import DecodeError

from realtime.backends.base import Position
from realtime.services.channels import LIVE_PREFIX
from realtime.services.names import live_of
from realtime.services.namespaces import Namespace, Recovery, SlowPolicy
from realtime.tokens import ChannelOptions
from realtime.ws import codes
from realtime.ws.changes import wants_changes
from realtime.ws.codes import Refused
from realtime.ws.messages import FOSSIL, REJECT_UNRECOVERED, Resume, Subscribe

__all__ = ["NO_OPTIONS", "Wish", "asked", "decreed"]

NO_OPTIONS = ChannelOptions()

START = Position(0, "")


@dataclass(frozen=True, slots=True)
class Wish:
    channel: str
    by_server: bool = False
    """The client did not ask for it, and cannot be denied it either."""
    expires: float = math.inf
    """Seconds since 1970."""
    data: bytes | None = None
    """JSON text for the client, in the reply."""
    info: bytes | None = None
    """JSON text for others, with this client's presence and publications."""
    is_present: bool = True
    """Others see it in the channel's presence."""
    is_announced: bool = True
    """Those who watch are told that it comes and goes."""
    joins: bool = False
    """It is told who joins and leaves."""
    is_recoverable: bool = False
    """It may come back with a position and get what it missed."""
    is_positioned: bool = False
    """It has a position, so that gaps are noticed."""
    latest: bool = False
    """It gets the newest publication at once."""
    recover: bool = False
    """It comes back; ``since`` is where it was."""
    since: Position = START
    must_recover: bool = False
    """It would rather be refused than subscribed with a gap."""
    delta: bool = False
    """It takes differences instead of whole publications."""
    changes: bool = False
    """Of a live board, it takes what changes instead of whole tops."""


def asked(
    request: Subscribe, namespace: Namespace, options: ChannelOptions, expires: float
) -> Wish:
    """The wish of a client; ``options`` and ``expires`` are those of its subscription token.

    Raises Refused."""
    recoverable = _is_recoverable(request.channel, namespace, options)
    announced = _either(options.join_leave, namespace.join_leave)
    return Wish(
        request.channel,
        expires=expires,
        data=options.data,
        info=options.info,
        is_present=_either(options.presence, namespace.presence),
        is_announced=announced,
        joins=announced and (request.join_leave or options.force_push_join_leave is True),
        is_recoverable=recoverable,
        is_positioned=recoverable or _is_positioned(request, namespace, options),
        latest=recoverable and namespace.recovery is Recovery.CACHE,
        recover=request.recover and recoverable,
        since=Position(request.offset, request.epoch),
        must_recover=bool(request.flag & REJECT_UNRECOVERED),
        delta=request.delta == FOSSIL and recoverable and namespace.delta,
        changes=_takes_changes(request, namespace),
    )


def decreed(
    channel: str,
    namespace: Namespace,
    options: ChannelOptions = NO_OPTIONS,
    *,
    resume: Resume | None = None,
    expires: float = math.inf,
) -> Wish:
    """The wish of the service, for a client that may come back to the channel by ``resume``."""
    back = Resume() if resume is None else resume
    request = Subscribe(
        channel,
        recover=back.recover,
        offset=back.offset,
        epoch=back.epoch,
        join_leave=options.join_leave is True,  # nobody who has not asked is told of others
    )
    return replace(asked(request, namespace, options, expires), by_server=True)


def _is_recoverable(channel: str, namespace: Namespace, options: ChannelOptions) -> bool:
    if channel.startswith(LIVE_PREFIX) or not namespace.keeps_history:
        return False
    return _either(options.recover, namespace.recovery is not Recovery.OFF)


def _is_positioned(request: Subscribe, namespace: Namespace, options: ChannelOptions) -> bool:
    """Whether it is to have a position although it cannot recover."""
    if request.channel.startswith(LIVE_PREFIX) or not namespace.keeps_history:
        return False
    return _either(options.positioned, request.positioned)


def _takes_changes(request: Subscribe, namespace: Namespace) -> bool:
    """Raises Refused if it asks for what there is not. What may be dropped has to be whole."""
    name = live_of(request.channel)
    if name is None:
        return False
    try:
        asked = wants_changes(request.data)
    except DecodeError:
        raise Refused(codes.BAD_REQUEST) from None
    if asked and name.member is not None:
        raise Refused(codes.BAD_REQUEST.because("a member is always shown whole: no mode delta"))
    return asked and namespace.slow is SlowPolicy.DISCONNECT


def _either(override: bool | None, default: bool) -> bool:
    return default if override is None else override
