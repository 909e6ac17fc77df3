"""The tables of realtime.toml that say what channels may do, and the namespaces they come to.

    [channels]             channels of no namespace, and what namespaces have unless they say so
    [namespaces.orders]    channels that begin with its ``prefix``, or with ``orders:``

What a table does not say of joins, differences and recovery follows the rest of it: where a
subscriber may be dropped publications there are none of the first two, and without a history
there is nothing to recover. Said and contradicted, it is an error of one sentence, as is
everything unknown: see `realtime.options`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from realtime.backends.keys import LIVE_PREFIX
from realtime.errors import InvalidInput
from realtime.options import Kind, SettingsError, one_of, refuse_unknown, switch, text, whole
from realtime.services.channels import MAX_HISTORY
from realtime.services.names import name_bytes
from realtime.services.namespaces import (
    PERSONAL_PREFIX,
    Audience,
    Namespace,
    Namespaces,
    Recovery,
    SlowPolicy,
)
from realtime.settings.groups import MIB, YEARS
from realtime.settings.kinds import duration, rate

__all__ = ["CHANNELS_TABLE", "NAMESPACES_TABLE", "NAMESPACE_OPTIONS", "Table", "build"]

CHANNELS_TABLE, NAMESPACES_TABLE = "channels", "namespaces"

Table = Mapping[str, object]
"""What TOML made of a table."""

MAX_PREFIX = 200
"""Bytes, so that a name has room after it."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def _member(choices: type[StrEnum]) -> Kind:
    """One of an enumeration."""
    words = one_of(*choices)
    return Kind(words.metavar, words.wants, lambda given: choices(str(words.read(given))))


_EVERYWHERE: Final[Mapping[str, Kind]] = {
    "history_size": whole(0, MAX_HISTORY),
    "history_ttl": duration(0, YEARS),
    "recovery": _member(Recovery),
    "presence": switch(),
    "join_leave": switch(),
    "subscribe": _member(Audience),
    "publish": _member(Audience),
    "read_history": _member(Audience),
    "read_presence": _member(Audience),
    "delta": switch(),
    "slow": _member(SlowPolicy),
    "publish_rate": rate(),
    "user_publish_rate": rate(),
    "message_bytes": whole(1, 64 * MIB),
}

NAMESPACE_OPTIONS: Final[Mapping[str, Kind]] = {
    "prefix": text("PREFIX"),
    "wildcards": switch(),
    **_EVERYWHERE,
}


def build(
    channels: object,
    namespaces: object,
    *,
    history_size: int,
    history_ttl: float,
    queue_bytes: int,
    strict: bool,
) -> Namespaces:
    """The namespaces that the two tables declare. Raises SettingsError.

    The history is that of the settings of the same name, for tables that say nothing of it. No
    table may let publications be larger than ``queue_bytes``, for nobody could be sent them.
    """
    basis = Namespace(history_size=history_size, history_ttl=history_ttl)
    where = f"[{CHANNELS_TABLE}]"
    said = _read(_table(channels, where), _EVERYWHERE, where)
    default = _made(basis, {}, said, where)
    others = [
        _namespace(name, table, basis, said)
        for name, table in _table(namespaces, f"[{NAMESPACES_TABLE}.NAME]").items()
    ]
    _check_distinct(others)
    for each in (default, *others):
        _check_size(each, queue_bytes)
    return Namespaces(default, others, strict=strict)


def _namespace(name: str, table: object, basis: Namespace, inherited: Table) -> Namespace:
    where = f"[{NAMESPACES_TABLE}.{name}]"
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{where}: a namespace is named by letters, digits, - and _")
    own = {"prefix": f"{name}:", **_read(_table(table, where), NAMESPACE_OPTIONS, where)}
    _check_prefix(str(own["prefix"]), where)
    return _made(replace(basis, name=name), inherited, own, where)


def _table(given: object, where: str) -> Table:
    if not isinstance(given, Mapping):
        raise SettingsError(f"{where} must be a table, not {given!r}")
    return given


def _read(table: Table, kinds: Mapping[str, Kind], where: str) -> dict[str, Any]:
    """The values of a table, checked one by one."""
    if "wildcards" in table and "wildcards" not in kinds:
        raise SettingsError(f"wildcards in {where} would need a prefix: put them into a namespace")
    refuse_unknown(f"option of {where}", table, kinds)
    return {name: _value(kinds[name], given, f"{name} in {where}") for name, given in table.items()}


def _value(kind: Kind, given: object, written: str) -> object:
    try:
        return kind.read(given)
    except ValueError:
        raise SettingsError(f"{written} must be {kind.wants}, not {given!r}") from None


def _made(basis: Namespace, inherited: Table, own: Mapping[str, Any], where: str) -> Namespace:
    """The namespace, with what follows from what was said."""
    values: dict[str, Any] = {**inherited, **own}
    made = replace(basis, **values)
    implied: dict[str, Any] = {}
    if made.slow is not SlowPolicy.DISCONNECT:
        implied |= {"join_leave": False, "delta": False}
    if not made.keeps_history:
        implied |= {"recovery": Recovery.OFF, "delta": False}
    made = replace(made, **{name: implied[name] for name in implied if name not in own})
    for contradicts, sentence in _contradictions(made):
        if contradicts:
            raise SettingsError(sentence.format(where=where))
    return made


def _contradictions(made: Namespace) -> Iterable[tuple[bool, str]]:
    drops = made.slow is not SlowPolicy.DISCONNECT
    yield (
        made.join_leave and drops,
        f"join_leave in {{where}} needs slow = disconnect, not {made.slow}: a leave that is "
        "dropped is never heard of",
    )
    yield (
        made.delta and drops,
        f"delta in {{where}} needs slow = disconnect, not {made.slow}: a difference is of no use "
        "without the one before",
    )
    yield (
        made.recovery is not Recovery.OFF and not made.keeps_history,
        f"recovery = {made.recovery} in {{where}} needs a history: give history_size and "
        "history_ttl, or say recovery = off",
    )
    yield (
        made.delta and not made.is_positioned,
        "delta in {where} needs recovery: without positions nobody knows what a difference is to",
    )
    yield (
        made.wildcards and not made.keeps_history,
        "wildcards in {where} need a history: give history_size and history_ttl",
    )


def _check_prefix(prefix: str, where: str) -> None:
    written = f"prefix in {where}"
    try:
        encoded = name_bytes("prefix", prefix)
    except InvalidInput as error:
        raise SettingsError(f"{written} will not do: {error}") from None
    if len(encoded) > MAX_PREFIX:
        raise SettingsError(f"{written} is longer than {MAX_PREFIX} bytes")
    if "*" in prefix:
        raise SettingsError(f"{written} must not hold a *: that is for wildcards = true")
    if prefix.startswith(LIVE_PREFIX) or LIVE_PREFIX.startswith(prefix):
        raise SettingsError(f"{written} meets {LIVE_PREFIX}, whose channels are live leaderboards")
    if prefix.startswith(PERSONAL_PREFIX):
        raise SettingsError(f"{written} begins with {PERSONAL_PREFIX}, as the channels of users do")


def _check_size(namespace: Namespace, most: int) -> None:
    # Where nothing is said that is no contradiction: the default is only a bound.
    size = namespace.message_bytes
    if size > most and size != Namespace.message_bytes:
        where = f"{NAMESPACES_TABLE}.{namespace.name}" if namespace.name else CHANNELS_TABLE
        raise SettingsError(
            f"message_bytes in [{where}] must not exceed ws_queue_bytes: nobody could be sent it"
        )


def _check_distinct(namespaces: Iterable[Namespace]) -> None:
    seen: dict[str, str] = {}
    for namespace in namespaces:
        other = seen.setdefault(namespace.prefix, namespace.name)
        if other != namespace.name:
            raise SettingsError(
                f"prefix in [{NAMESPACES_TABLE}.{namespace.name}] is {namespace.prefix!r}, as in "
                f"[{NAMESPACES_TABLE}.{other}]: a channel belongs to one namespace"
            )
