"""The text of paths and query strings, percent-decoded strictly.

Paths are split before they are decoded, so a name may hold any character, a slash (%2F)
included. A percent sign without two hexadecimal digits, or octets that are no UTF-8, are
an error and not a guess: two spellings must never name different things to two readers.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from realtime.errors import InvalidInput, InvalidRequest

__all__ = ["asks_for_season", "parse_query", "path_segments", "percent_decode"]

_HEX = "0123456789abcdefABCDEF"
_OCTETS = {(high + low).encode(): bytes([int(high + low, 16)]) for high in _HEX for low in _HEX}


def percent_decode(raw: bytes) -> str:
    """Raises InvalidRequest for half an escape and for what is no UTF-8."""
    if b"%" in raw:
        head, *rest = raw.split(b"%")
        try:
            raw = head + b"".join([_OCTETS[part[:2]] + part[2:] for part in rest])
        except KeyError:
            raise InvalidRequest("a percent sign in the URL needs two hexadecimal digits") from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the URL is not UTF-8") from None


def path_segments(path: str, raw_path: bytes | None) -> list[str]:
    """What stands between the slashes. ASGI has the path decoded, and raw if the server can."""
    if raw_path is None or (b"%" not in raw_path and path.isascii()):
        return path.split("/")
    return [percent_decode(segment) for segment in raw_path.split(b"/")]


def parse_query(raw: bytes, lists: Collection[str]) -> dict[str, str | list[str]]:
    """The parameters by name; those in ``lists`` are split at commas before they are decoded.

    A plus sign is a space, as forms write it. Raises InvalidInput for a repeated parameter:
    whether the first or the last one counts is what filters and servers disagree about.
    """
    values: dict[str, str | list[str]] = {}
    for pair in raw.replace(b"+", b" ").split(b"&"):
        name, _, text = pair.partition(b"=")
        key = percent_decode(name)
        if key in values:
            raise InvalidInput(f"query parameter {key!r} is given twice")
        if key in lists:
            values[key] = [percent_decode(item) for item in text.split(b",")]
        elif pair:
            values[key] = percent_decode(text)
    return values


def asks_for_season(query: bytes) -> bool:
    """Whether a query may speak of a season, in however odd a spelling.

    What is read of a season that is over may have to be unpacked first, block by block."""
    return b"season" in (unquote_to_bytes(query) if b"%" in query else query)
