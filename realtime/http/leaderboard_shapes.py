"""What the routes of leaderboards take and answer."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.access import Principal
from realtime.backends.base import Entry, Page, Submission, Submit
from realtime.errors import Forbidden
from realtime.http.operation import Answer, Body, Feature, PathFields, QueryFields, Scope
from realtime.http.values import JSON, BoardName, MemberName, Score, compact
from realtime.services.leaderboards import MAX_OVERTAKEN, Leaderboards
from realtime.services.names import name_bytes
from realtime.services.seasons import View
from realtime.services.standings import Standings, json_score

__all__ = [
    "EVERYWHERE",
    "MAX_PAGE",
    "READ",
    "TAG",
    "WRITE",
    "AroundQuery",
    "BoardPath",
    "Entries",
    "MemberPath",
    "NewScore",
    "NewScoreOnBoards",
    "NewScores",
    "Rank",
    "Ranked",
    "RemoveQuery",
    "Submitted",
    "SubmittedMany",
    "SubmittedTo",
    "SubmittedToBoards",
    "WhichQuery",
    "WithMetadata",
    "answer_of",
    "asked",
    "check_author",
    "check_eraser",
    "entries_of",
    "finite",
    "incoming",
]

TAG: Feature = "leaderboards"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

MAX_ENTRIES = 10_000
"""Scores in one request; half a megabyte."""
MAX_PAGE = 1_000
MAX_BOARDS = 100
EVERYWHERE: Literal["all"] = "all"
"""Instead of a season: all of them, and the board itself."""

Rank = Annotated[int, Meta(ge=1)]
WithMetadata = Annotated[bool, Meta(description="Whether to answer metadata, too.")]
Boards = Annotated[
    list[BoardName],
    Meta(min_length=1, max_length=MAX_BOARDS, extra_json_schema={"uniqueItems": True}),
]
SubmitId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        description="A score with this id counts once per board within 24 hours.",
        examples=["game-7731"],
        extra_json_schema={"pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$"},
    ),
]
Overtaken = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_OVERTAKEN,
        description="How many to name of those whom the member has passed.",
    ),
]


class BoardPath(PathFields):
    board: BoardName


class MemberPath(PathFields):
    board: BoardName
    member: MemberName


class NewScore(Body):
    """One score on its way in."""

    member: MemberName
    score: Score
    metadata: JSON | UnsetType = UNSET
    id: SubmitId | UnsetType = UNSET
    overtaken: Overtaken = 0


class OneOfMany(Body):
    """One of several scores."""

    member: MemberName
    score: Score
    metadata: JSON | UnsetType = UNSET
    id: SubmitId | UnsetType = UNSET


class NewScores(Body):
    """Several scores: all are brought in, or none."""

    entries: Annotated[list[OneOfMany], Meta(min_length=1, max_length=MAX_ENTRIES)]
    overtaken: Overtaken = 0


class NewScoreOnBoards(Body):
    """One score for several boards."""

    member: MemberName
    score: Score
    boards: Boards
    metadata: JSON | UnsetType = UNSET
    id: SubmitId | UnsetType = UNSET
    overtaken: Overtaken = 0


class Ranked(Answer):
    """An entry of a board."""

    rank: Rank
    member: MemberName
    score: Score
    position: Annotated[int, Meta(ge=1, description="Among the members asked for.")] | UnsetType = (
        UNSET
    )
    metadata: (
        Annotated[Raw, Meta(description="If asked for; null if there is none.")] | UnsetType
    ) = UNSET


class Submitted(Answer):
    """What became of a score. Ranks are null where the member is not on the board."""

    member: MemberName
    score: Annotated[Score, Meta(description="The score that counts now.")]
    rank: Rank | None
    previous_rank: Rank | None
    previous_score: Score | None
    changed: bool
    repeated: (
        Annotated[bool, Meta(description="True: a score with this id was counted before.")]
        | UnsetType
    ) = UNSET
    overtaken: (
        Annotated[list[Ranked], Meta(description="If asked for, nearest first.")] | UnsetType
    ) = UNSET


class SubmittedMany(Answer):
    """One answer per score, in the order of the request."""

    entries: list[Submitted]


class SubmittedTo(Submitted):
    """What became of a score on one of the boards."""

    board: BoardName = ""


class SubmittedToBoards(Answer):
    """One answer per board, in the order of the request."""

    boards: list[SubmittedTo]


class Entries(Answer):
    """Some entries of one instant, best first, and how many there were in all."""

    board: BoardName
    total: Annotated[int, Meta(ge=0)]
    entries: list[Ranked]
    next: (
        Annotated[str, Meta(description="With a cursor: the next one; null at the end.")]
        | UnsetType
        | None
    ) = UNSET
    missing: (
        Annotated[list[MemberName], Meta(description="Members asked for who are not there.")]
        | UnsetType
    ) = UNSET


class WhichQuery(QueryFields, kw_only=True):
    """Which entries are to be read."""

    view: (
        Annotated[View, Meta(description="Of this view of the board, instead of the board's own.")]
        | UnsetType
    ) = UNSET
    season: (
        Annotated[
            Annotated[int, Meta(ge=1, le=2**53)] | Literal["previous"],
            Meta(
                description="As they are in this season, or were at its end: its number, or "
                "`previous` for the season that ended last."
            ),
        ]
        | UnsetType
    ) = UNSET


class RemoveQuery(QueryFields, kw_only=True):
    """Where a member is to be removed."""

    view: (
        Annotated[View, Meta(description="The season is one of this view of the board.")]
        | UnsetType
    ) = UNSET
    season: (
        Annotated[
            Annotated[int, Meta(ge=1, le=2**53)] | Literal["previous", "all"],
            Meta(
                description="From this season: its number, or `previous` for the one that ended "
                "last. `all`: from the board, its views, and all seasons of theirs that are kept."
            ),
        ]
        | UnsetType
    ) = UNSET


class AroundQuery(WhichQuery):
    radius: Annotated[int, Meta(ge=0, le=MAX_PAGE // 2, description="On either side.")] = 5
    metadata: WithMetadata = False


async def asked(leaderboards: Leaderboards, board: str, query: WhichQuery) -> Standings:
    """What a query asks for. Raises NotFound if there is no such view, or season."""
    return await leaderboards.at(
        board,
        view=None if query.view is UNSET else query.view,
        season=None if query.season is UNSET else query.season,
    )


def finite(*bounds: float | UnsetType) -> None:
    """In JSON there is neither NaN nor infinity; in a query they would be numbers."""
    for bound in bounds:
        if bound is not UNSET and not isfinite(bound):
            raise ValueError("scores are finite numbers")


async def check_author(leaderboards: Leaderboards, caller: Principal, *boards: str) -> None:
    """Users may not change what is on boards that only applications may."""
    if not caller.is_user or caller.may(TAG, "admin"):
        return
    for board in boards:
        if (await leaderboards.rules(board)).authoritative:
            raise Forbidden(f"only applications bring scores to the board {board}")


def check_eraser(caller: Principal) -> None:
    """Users do not change how seasons ended, whoever may bring scores to the board."""
    if caller.is_user and not caller.may(TAG, "admin"):
        raise Forbidden("only applications remove members from seasons")


def incoming(entry: NewScore | OneOfMany | NewScoreOnBoards) -> Submit:
    """A score as services take it."""
    return Submit(
        name_bytes("member", entry.member),
        entry.score,
        None if entry.metadata is UNSET else compact(entry.metadata),
        None if entry.id is UNSET else name_bytes("id", entry.id),
    )


def answer_of(done: Submission, overtaken: int) -> Submitted:
    """What became of a score, as the API shows it."""
    member, score, rank, previous_rank, previous_score, changed, passed, repeated = done
    return Submitted(
        member=member.decode(),
        score=json_score(score),
        rank=rank,
        previous_rank=previous_rank,
        previous_score=None if previous_score is None else json_score(previous_score),
        changed=changed,
        repeated=True if repeated else UNSET,
        overtaken=[_ranked(entry, False) for entry in passed] if overtaken else UNSET,
    )


def entries_of(board: str, page: Page, metadata: bool) -> Entries:
    """A page, as the API shows it."""
    return Entries(
        board=board,
        total=page.total,
        entries=[_ranked(entry, metadata) for entry in page.entries],
    )


def _ranked(entry: Entry, metadata: bool) -> Ranked:
    rank, member, score, note = entry
    return Ranked(
        rank=rank,
        member=member.decode(),
        score=json_score(score),
        metadata=Raw(note or b"null") if metadata else UNSET,
    )
