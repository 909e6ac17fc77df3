"""The rules of a board as the fields of a hash; what is left out has its default."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from realtime.backends.base import Keep, Ranking, Ranks
from realtime.services.seasons import NO_SEASONS, VIEWS, SeasonRules

__all__ = ["fields_of", "frozen", "ranking_of", "seasons_of", "thawed"]

_KEEPS: dict[bytes, Keep] = {b"best": "best", b"latest": "latest", b"sum": "sum"}
_RANKS: dict[bytes, Ranks] = {
    b"ordinal": "ordinal",
    b"competition": "competition",
    b"dense": "dense",
}


def fields_of(ranking: Ranking, seasons: SeasonRules = NO_SEASONS) -> dict[bytes, bytes]:
    """As they are stored: see docs/keys.md."""
    fields = {
        b"order": b"desc" if ranking.descending else b"asc",
        b"keep": ranking.keep.encode(),
        b"ranks": ranking.ranks.encode(),
    }
    if ranking.ties != "member":
        fields[b"ties"] = ranking.ties.encode()
    if ranking.max_entries is not None:
        fields[b"max_entries"] = b"%d" % ranking.max_entries
    if ranking.min_score is not None:
        fields[b"min_score"] = repr(ranking.min_score).encode()
    if ranking.max_score is not None:
        fields[b"max_score"] = repr(ranking.max_score).encode()
    if ranking.entry_ttl is not None:
        fields[b"entry_ttl"] = b"%d" % ranking.entry_ttl
    if ranking.authoritative:
        fields[b"authoritative"] = b"1"
    return fields | _fields_of_seasons(seasons)


def _fields_of_seasons(seasons: SeasonRules) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    if seasons.reset is not None:
        fields[b"reset"] = seasons.reset.encode()
    if seasons.resets is not None:
        fields[b"resets"] = b" ".join([b"%d" % instant for instant in seasons.resets])
    if seasons.timezone != NO_SEASONS.timezone:
        fields[b"timezone"] = seasons.timezone.encode()
    if seasons.archives != NO_SEASONS.archives:
        fields[b"archives"] = b"%d" % seasons.archives
    if seasons.archive_ttl is not None:
        fields[b"archive_ttl"] = b"%d" % seasons.archive_ttl
    if seasons.views:
        fields[b"views"] = " ".join(seasons.views).encode()
    if seasons.view_of is not None:
        fields[b"view_of"] = seasons.view_of.encode()
    return fields


def ranking_of(fields: Mapping[bytes, bytes]) -> Ranking:
    """The other way round."""
    return Ranking(
        descending=fields.get(b"order") != b"asc",
        keep=_KEEPS[fields.get(b"keep", b"best")],
        ranks=_RANKS[fields.get(b"ranks", b"ordinal")],
        max_entries=_whole(fields.get(b"max_entries")),
        min_score=_number(fields.get(b"min_score")),
        max_score=_number(fields.get(b"max_score")),
        ties="first" if fields.get(b"ties") == b"first" else "member",
        entry_ttl=_whole(fields.get(b"entry_ttl")),
        authoritative=fields.get(b"authoritative") == b"1",
        seasonal=b"reset" in fields or b"resets" in fields,
    )


def seasons_of(fields: Mapping[bytes, bytes]) -> SeasonRules:
    """What they say of seasons."""
    resets = fields.get(b"resets")
    archives = _whole(fields.get(b"archives"))
    views = _text(fields.get(b"views")) or ""
    return SeasonRules(
        reset=_text(fields.get(b"reset")),
        resets=None if resets is None else tuple([int(instant) for instant in resets.split()]),
        timezone=_text(fields.get(b"timezone")) or NO_SEASONS.timezone,
        archives=NO_SEASONS.archives if archives is None else archives,
        archive_ttl=_whole(fields.get(b"archive_ttl")),
        views=tuple([view for view in VIEWS if view in views.split()]),
        view_of=_text(fields.get(b"view_of")),
    )


def frozen(ranking: Ranking) -> bytes:
    """The rules that a closed season was played by, as JSON: an object of the fields."""
    fields = fields_of(ranking)
    return msgspec.json.encode({name.decode(): value.decode() for name, value in fields.items()})


def thawed(text: bytes) -> Ranking:
    """The other way round; an archive has no seasons of its own."""
    fields = msgspec.json.decode(text, type=dict[str, str])
    return ranking_of({name.encode(): value.encode() for name, value in fields.items()})


def _whole(text: bytes | None) -> int | None:
    return None if text is None else int(text)


def _number(text: bytes | None) -> float | None:
    return None if text is None else float(text)


def _text(text: bytes | None) -> str | None:
    return None if text is None else text.decode()
