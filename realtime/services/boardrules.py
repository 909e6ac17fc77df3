"""The rules of a board as the fields of a hash; what is left out has its default."""

from __future__ import annotations

from collections.abc import Mapping

from realtime.backends.base import Keep, Ranking, Ranks

__all__ = ["fields_of", "ranking_of"]

_KEEPS: dict[bytes, Keep] = {b"best": "best", b"latest": "latest", b"sum": "sum"}
_RANKS: dict[bytes, Ranks] = {
    b"ordinal": "ordinal",
    b"competition": "competition",
    b"dense": "dense",
}


def fields_of(ranking: Ranking) -> dict[bytes, bytes]:
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
    )


def _whole(text: bytes | None) -> int | None:
    return None if text is None else int(text)


def _number(text: bytes | None) -> float | None:
    return None if text is None else float(text)
