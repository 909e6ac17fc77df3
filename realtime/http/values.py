"""The words that bodies, paths and answers share: names, scores, seconds, instants, raw JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from realtime.services.durations import MAX_SECONDS

__all__ = [
    "JSON",
    "BoardName",
    "ChannelName",
    "CounterName",
    "Int64",
    "MemberName",
    "Name",
    "RuleName",
    "Score",
    "Seconds",
    "UserName",
    "VersionEpoch",
    "compact",
    "instant",
    "instant_of",
    "seconds",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NO_CONTROLS = {"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"}
"""For the documents: the services check it, together with what no pattern can say."""
_RULE = "1 to 255 bytes of UTF-8, no control characters"


def _name(what: str, example: str) -> Meta:
    return Meta(
        min_length=1,
        max_length=255,
        description=f"{what}: {_RULE}.",
        examples=[example],
        extra_json_schema=_NO_CONTROLS,
    )


Name = Annotated[str, _name("A name", "ada")]
BoardName = Annotated[str, _name("The board", "arcade")]
MemberName = Annotated[str, _name("The member", "ada")]
CounterName = Annotated[str, _name("The counter", "visits")]
UserName = Annotated[str, _name("The user", "ada")]
RuleName = Annotated[str, _name("The rule", "login")]
VersionEpoch = Annotated[
    str,
    Meta(
        max_length=63,
        description="Versions of another epoch are not compared. No control characters.",
        extra_json_schema={"pattern": _NO_CONTROLS["pattern"].replace("+", "*")},
    ),
]
ChannelName = Annotated[str, _name("The channel", "news")]

Score = Annotated[float, Meta(description="A finite double.")]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Seconds = Annotated[float, Meta(gt=0, le=MAX_SECONDS, description="Seconds, above 0.")]
JSON = Annotated[Raw, Meta(description="Any JSON value.")]


def compact(raw: Raw) -> bytes:
    """The JSON text without white space: subscribers are sent one line per frame."""
    return msgspec.json.format(bytes(raw), indent=-1)


def instant(microseconds: int) -> datetime:
    """Microseconds since 1970 as the API shows them: RFC 3339 in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def instant_of(moment: datetime) -> int:
    """The other way round; ``moment`` knows its time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def seconds(microseconds: int) -> float:
    """A duration as the API shows it."""
    return microseconds / 1_000_000
