"""May this client do that in this channel?

Two kinds of clients are told by two kinds of rules:

* An API key says by its *scopes* what may be done, in every namespace. So does a user's token
  with scopes, and the open service, where everybody has all of them.
* What other users may do is said by the namespace's *audiences*, and by the name of the channel:
  `#42` is the channel of user 42 alone, and `draw#42,43` is for users 42 and 43 and nobody
  else. A name with a ``#`` cannot be opened wider by an audience than it says.

To subscribe, the first of these decides that has something to say: scopes; the audience
``nobody``, which no user is in; a subscription token; a name that lists users; the audience. A
subscriber may do what is allowed to the audience ``token``.

Pure: values in, a truth out. O(length of the name) at most.
"""

from __future__ import annotations

from realtime.access import Principal
from realtime.services.channels import LIVE_PREFIX
from realtime.services.namespaces import PERSONAL_PREFIX, Audience, Namespace

__all__ = ["may_act", "may_publish", "may_read", "may_subscribe"]

_LISTS = "#"
"""Behind it a channel's name lists users, with commas between them."""


def may_subscribe(
    who: Principal, namespace: Namespace, channel: str, *, has_token: bool = False
) -> bool:
    """``has_token``: they have shown one for this channel, and it is theirs."""
    if _has_scope(who, channel, "read"):
        return True
    if not who.is_user or namespace.subscribe is Audience.NOBODY:
        return False
    if has_token:
        return True
    if _LISTS in channel:
        return _is_listed(who.user, channel)
    return _is_among(who, namespace.subscribe)


def may_publish(who: Principal, namespace: Namespace, channel: str, *, subscribed: bool) -> bool:
    return _has_scope(who, channel, "publish") or may_act(
        who, namespace.publish, channel, subscribed=subscribed
    )


def may_read(who: Principal, audience: Audience, channel: str, *, subscribed: bool) -> bool:
    """History or presence, whichever the ``audience`` is of."""
    return _has_scope(who, channel, "read") or may_act(
        who, audience, channel, subscribed=subscribed
    )


def may_act(who: Principal, audience: Audience, channel: str, *, subscribed: bool) -> bool:
    """What a user may do in a channel beyond subscribing to it, as its audience says."""
    if not who.is_user or audience is Audience.NOBODY:
        return False
    if subscribed:
        return True
    if _LISTS in channel and not _is_listed(who.user, channel):
        return False
    return _is_among(who, audience)


def _has_scope(who: Principal, channel: str, action: str) -> bool:
    feature = "leaderboards" if channel.startswith(LIVE_PREFIX) else "channels"
    return who.may(feature, action)


def _is_among(who: Principal, audience: Audience) -> bool:
    return audience is Audience.ANYONE or (audience is Audience.USERS and who.user != "")


def _is_listed(user: str, channel: str) -> bool:
    """Whether the name says that the channel is this user's.

    The list begins at the first ``#``: names of users may hold more of them. A personal channel
    is compared as a whole, so that nobody is let into that of a user whose name holds a comma.
    """
    if not user:
        return False
    if channel.startswith(PERSONAL_PREFIX):
        return channel == PERSONAL_PREFIX + user
    return user in channel.partition(_LISTS)[2].split(",")
