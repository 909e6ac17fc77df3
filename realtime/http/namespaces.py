"""The route that shows what channels may do: every namespace, with every option it has."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from realtime.http.operation import Answer, Example, Feature, Scope, operation
from realtime.services.channels import Channels
from realtime.services.namespaces import Namespace, Rate

__all__ = ["OPERATIONS"]

TAG: Feature = "admin"
READ = Scope(TAG, "read")

Who = Literal["nobody", "token", "users", "anyone"]

RateText = Annotated[
    str | None,
    Meta(description="So many at once, and so many in that time.", examples=["50/1s"]),
]


class NamespaceInfo(Answer):
    """The options of a class of channels, under the names that they have in realtime.toml."""

    name: Annotated[str, Meta(description="Empty: of channels that belong to no namespace.")]
    prefix: str
    history_size: Annotated[int, Meta(ge=0)]
    history_ttl: Annotated[float, Meta(ge=0, description="Seconds.")]
    recovery: Literal["stream", "cache", "off"]
    presence: bool
    join_leave: bool
    subscribe: Who
    publish: Who
    read_history: Who
    read_presence: Who
    delta: bool
    wildcards: bool
    slow: Literal["disconnect", "drop-oldest", "latest"]
    publish_rate: RateText
    user_publish_rate: RateText
    message_bytes: Annotated[int, Meta(ge=1)]


class NamespaceList(Answer):
    """All of them, the channels of no namespace first."""

    strict: Annotated[
        bool, Meta(description="Whether there are no channels but those of a namespace.")
    ]
    namespaces: list[NamespaceInfo]


@operation(
    "GET",
    "/v1/admin/namespaces",
    tag=TAG,
    scope=READ,
    summary="Show what channels may do",
    example=Example(
        answer='{"strict":true,"namespaces":[{"name":"orders","prefix":"orders.",'
        '"history_size":1000,"history_ttl":3600,"recovery":"stream","presence":true,'
        '"join_leave":false,"subscribe":"users","publish":"nobody","read_history":"token",'
        '"read_presence":"token","delta":false,"wildcards":true,"slow":"latest",'
        '"publish_rate":"50/1s","user_publish_rate":null,"message_bytes":65536}]}'
    ),
)
async def list_namespaces(channels: Channels) -> NamespaceList:
    """As the service was started: what a namespace does not say in realtime.toml is filled in."""
    namespaces = channels.namespaces
    return NamespaceList(strict=namespaces.strict, namespaces=[_info(one) for one in namespaces])


def _info(namespace: Namespace) -> NamespaceInfo:
    return NamespaceInfo(
        name=namespace.name,
        prefix=namespace.prefix,
        history_size=namespace.history_size,
        history_ttl=namespace.history_ttl,
        recovery=namespace.recovery.value,
        presence=namespace.presence,
        join_leave=namespace.join_leave,
        subscribe=namespace.subscribe.value,
        publish=namespace.publish.value,
        read_history=namespace.read_history.value,
        read_presence=namespace.read_presence.value,
        delta=namespace.delta,
        wildcards=namespace.wildcards,
        slow=namespace.slow.value,
        publish_rate=_text(namespace.publish_rate),
        user_publish_rate=_text(namespace.user_publish_rate),
        message_bytes=namespace.message_bytes,
    )


def _text(rate: Rate | None) -> str | None:
    return None if rate is None else str(rate)


OPERATIONS = (list_namespaces,)
