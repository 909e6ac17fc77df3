"""JSON schemas in a few words, for the reference page: ``integer, 1 to 1000, default 10``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["describe", "rows_of"]

Json = Mapping[str, Any]

BEYOND = 2**53
"""Bounds further out are those of the type, and say nothing to a reader."""


def describe(schema: Json) -> str:
    """The kind of value; names of schemas stand in brackets."""
    if "$ref" in schema:
        return f"[{schema['$ref'].rpartition('/')[2]}]"
    if "anyOf" in schema:
        text = " or ".join(describe(one) for one in schema["anyOf"])
    elif "enum" in schema:
        text = " or ".join(msgspec.json.encode(one).decode() for one in schema["enum"])
    elif schema.get("type") == "array":
        text = f"list of {describe(schema['items'])}" + _bounds(schema, "minItems", "maxItems")
    elif schema.get("type") == "object":
        text = "object"
    else:
        kind = "instant" if schema.get("format") == "date-time" else schema.get("type", "any JSON")
        text = kind + _bounds(schema, "minimum", "maximum", "exclusiveMinimum")
    return text + _default(schema)


def rows_of(schema: Json) -> list[tuple[str, str, str, bool]]:
    """(name, kind, description, required) of the fields of an object."""
    required = schema.get("required", ())
    return [
        (name, describe(field), _about(field), name in required)
        for name, field in schema.get("properties", {}).items()
    ]


def _about(field: Json) -> str:
    """The description, of the field or of what it may be besides null."""
    texts = [field.get("description")]
    texts += [one.get("description") for one in field.get("anyOf", ())]
    return next(filter(None, texts), "")


def _bounds(schema: Json, low: str, high: str, above: str = "") -> str:
    least, most = schema.get(low), schema.get(high)
    least = None if least is None or abs(least) >= BEYOND else least
    most = None if most is None or abs(most) >= BEYOND else most
    if above in schema:
        return f", above {schema[above]:g}"
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    if least is not None:
        return f", {least:,} or more"
    return "" if most is None else f", at most {most:,}"


def _default(schema: Json) -> str:
    default = schema.get("default")
    if default in (None, {}, []):
        return ""
    return f", default {msgspec.json.encode(default).decode()}"
