"""The routes of leaderboards: scores, pages of entries, members. The rules are in `boards`."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.backends.base import Entry, Page, Submission, Submit
from realtime.errors import InvalidInput, NotFound
from realtime.http.boards import BoardPath
from realtime.http.operation import (
    Answer,
    Body,
    Example,
    Feature,
    PathFields,
    QueryFields,
    Scope,
    operation,
)
from realtime.http.values import JSON, BoardName, MemberName, Score, compact
from realtime.services.leaderboards import Leaderboards, json_score
from realtime.services.names import name_bytes

__all__ = ["OPERATIONS"]

TAG: Feature = "leaderboards"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

MAX_ENTRIES = 10_000
"""Scores in one request; they are one atomic step, during which nobody else is served."""
MAX_PAGE = 1_000
MAX_BOARDS = 100

Rank = Annotated[int, Meta(ge=1)]
WithMetadata = Annotated[bool, Meta(description="Whether to answer metadata, too.")]
Boards = Annotated[
    list[BoardName],
    Meta(min_length=1, max_length=MAX_BOARDS, extra_json_schema={"uniqueItems": True}),
]
Members = Annotated[list[MemberName], Meta(min_length=1, max_length=MAX_PAGE)]


class MemberPath(PathFields):
    board: BoardName
    member: MemberName


class NewScore(Body):
    """One score on its way in."""

    member: MemberName
    score: Score
    metadata: JSON | UnsetType = UNSET


class NewScores(Body):
    """Several scores: all are brought in, or none."""

    entries: Annotated[list[NewScore], Meta(min_length=1, max_length=MAX_ENTRIES)]


class Submitted(Answer):
    """What became of a score. Ranks are null where the member is not on the board."""

    member: MemberName
    score: Annotated[Score, Meta(description="The score that counts now.")]
    rank: Rank | None
    previous_rank: Rank | None
    previous_score: Score | None
    changed: bool


class SubmittedMany(Answer):
    """One answer per score, in the order of the request."""

    entries: list[Submitted]


class NewScoreOnBoards(Body):
    """One score for several boards."""

    member: MemberName
    score: Score
    boards: Boards
    metadata: JSON | UnsetType = UNSET


class SubmittedTo(Answer):
    """What became of a score on one of the boards."""

    board: BoardName
    member: MemberName
    score: Annotated[Score, Meta(description="The score that counts now.")]
    rank: Rank | None
    previous_rank: Rank | None
    previous_score: Score | None
    changed: bool


class SubmittedToBoards(Answer):
    """One answer per board, in the order of the request."""

    boards: list[SubmittedTo]


class Ranked(Answer):
    """An entry of a board."""

    rank: Rank
    member: MemberName
    score: Score
    metadata: (
        Annotated[Raw, Meta(description="If asked for; null if there is none.")] | UnsetType
    ) = UNSET


class Entries(Answer):
    """Some entries of one instant, best first, and how many there were in all."""

    board: BoardName
    total: Annotated[int, Meta(ge=0)]
    entries: list[Ranked]


class Standing(Answer):
    """Where one member stands."""

    member: MemberName
    score: Score
    rank: Rank
    percentile: Annotated[
        float, Meta(gt=0, le=100, description="Per cent of the entries that stand no better.")
    ]
    total: Annotated[int, Meta(ge=1)]
    metadata: JSON | UnsetType = UNSET


class PageQuery(QueryFields):
    offset: Annotated[int, Meta(ge=0, le=2**53, description="How many to pass over.")] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many to answer at most.")] = 10
    min_score: Annotated[Score, Meta(description="Leave lower scores out.")] | UnsetType = UNSET
    max_score: Annotated[Score, Meta(description="Leave higher scores out.")] | UnsetType = UNSET
    members: (
        Annotated[Members, Meta(description="Only these; a comma in a name is written %2C.")]
        | UnsetType
    ) = UNSET
    metadata: WithMetadata = False

    def __post_init__(self) -> None:
        """In JSON there is neither NaN nor infinity; in a query they would be numbers."""
        for bound in (self.min_score, self.max_score):
            if bound is not UNSET and not isfinite(bound):
                raise ValueError("min_score and max_score are finite numbers")


class AroundQuery(QueryFields):
    radius: Annotated[int, Meta(ge=0, le=MAX_PAGE // 2, description="On either side.")] = 5
    metadata: WithMetadata = False


_EXAMPLE_SUBMITTED = (
    '{"member":"ada","score":1200,"rank":1,"previous_rank":2,"previous_score":950,"changed":true}'
)
_EXAMPLE_ENTRIES = (
    '{"board":"arcade","total":3,"entries":[{"rank":1,"member":"ada","score":1200},'
    '{"rank":2,"member":"bob","score":950}]}'
)


@operation(
    "POST",
    "/v1/leaderboards/{board}/scores",
    tag=TAG,
    scope=WRITE,
    summary="Submit scores",
    example=Example(body='{"member":"ada","score":1200}', answer=_EXAMPLE_SUBMITTED),
)
async def submit_scores(
    leaderboards: Leaderboards, path: BoardPath, body: NewScore | NewScores
) -> Submitted | SubmittedMany:
    """One score, or up to 10,000 which are brought in all or not at all. Metadata is stored if
    the score comes to count. A score outside the board's bounds is refused."""
    if isinstance(body, NewScore):
        (done,) = await leaderboards.submit(path.board, [_submit(body)])
        return _submitted(done)
    entries = [_submit(entry) for entry in body.entries]
    answers = await leaderboards.submit(path.board, entries)
    return SubmittedMany(entries=[_submitted(done) for done in answers])


@operation(
    "POST",
    "/v1/scores",
    tag=TAG,
    scope=WRITE,
    summary="Submit one score to several boards",
    example=Example(
        body='{"member":"ada","score":1200,"boards":["daily"]}',
        answer=f'{{"boards":[{{"board":"daily",{_EXAMPLE_SUBMITTED[1:]}]}}',
    ),
)
async def submit_score_to_boards(
    leaderboards: Leaderboards, body: NewScoreOnBoards
) -> SubmittedToBoards:
    """All boards take it, each by its own rules, or none does."""
    entry = _submit(body)
    answers = await leaderboards.submit_to(body.boards, entry)
    return SubmittedToBoards(
        boards=[
            SubmittedTo(board=board, **msgspec.structs.asdict(_submitted(done)))
            for board, done in zip(body.boards, answers, strict=True)
        ]
    )


@operation(
    "GET",
    "/v1/leaderboards/{board}/entries",
    tag=TAG,
    scope=READ,
    summary="Read a page of entries",
    example=Example(query="limit=2", answer=_EXAMPLE_ENTRIES),
)
async def read_entries(leaderboards: Leaderboards, path: BoardPath, query: PageQuery) -> Entries:
    """Best first. With `min_score` or `max_score`, only entries within them, and `total` counts
    those. With `members`, the entries of those members who are on the board, with their ranks
    among all; it cannot be combined with the others."""
    if query.members is UNSET:
        page = await leaderboards.page(
            path.board,
            query.offset,
            query.limit,
            minimum=None if query.min_score is UNSET else query.min_score,
            maximum=None if query.max_score is UNSET else query.max_score,
            metadata=query.metadata,
        )
    elif query.min_score is not UNSET or query.max_score is not UNSET or query.offset:
        raise InvalidInput("members cannot be combined with offset, min_score and max_score")
    else:
        page = await leaderboards.members(path.board, query.members, metadata=query.metadata)
    return _entries(path.board, page, query.metadata)


@operation(
    "GET",
    "/v1/leaderboards/{board}/members/{member}",
    tag=TAG,
    scope=READ,
    summary="Read where a member stands",
    errors=(NotFound,),
    example=Example(
        answer='{"member":"ada","score":1200,"rank":1,"percentile":100.0,"total":3}',
    ),
)
async def read_standing(leaderboards: Leaderboards, path: MemberPath) -> Standing:
    """404 if the member is not on the board."""
    standing = await leaderboards.standing(path.board, path.member)
    if standing is None:
        raise NotFound("this member is not on this board")
    entry, total = standing
    return Standing(
        member=path.member,
        score=json_score(entry.score),
        rank=entry.rank,
        percentile=100 * (total - entry.rank + 1) / total,
        total=total,
        metadata=UNSET if entry.metadata is None else Raw(entry.metadata),
    )


@operation(
    "GET",
    "/v1/leaderboards/{board}/members/{member}/around",
    tag=TAG,
    scope=READ,
    summary="Read the entries around a member",
    errors=(NotFound,),
    example=Example(query="radius=1", answer=_EXAMPLE_ENTRIES),
)
async def read_around(leaderboards: Leaderboards, path: MemberPath, query: AroundQuery) -> Entries:
    """`radius` entries on either side; at the ends of the board the page is as long as anywhere.
    404 if the member is not on the board."""
    page = await leaderboards.around(path.board, path.member, query.radius, metadata=query.metadata)
    if page is None:
        raise NotFound("this member is not on this board")
    return _entries(path.board, page, query.metadata)


@operation(
    "DELETE",
    "/v1/leaderboards/{board}/members/{member}",
    tag=TAG,
    scope=WRITE,
    summary="Remove a member",
)
async def remove_member(leaderboards: Leaderboards, path: MemberPath) -> None:
    """The entry and its metadata. 204 also if the member was not on the board."""
    await leaderboards.remove(path.board, path.member)


OPERATIONS = (
    submit_scores,
    read_entries,
    read_standing,
    read_around,
    remove_member,
    submit_score_to_boards,
)


def _submit(entry: NewScore | NewScoreOnBoards) -> Submit:
    metadata = None if entry.metadata is UNSET else compact(entry.metadata)
    return Submit(name_bytes("member", entry.member), entry.score, metadata)


def _submitted(done: Submission) -> Submitted:
    member, score, rank, previous_rank, previous_score, changed, _, _ = done
    return Submitted(
        member=member.decode(),
        score=json_score(score),
        rank=rank,
        previous_rank=previous_rank,
        previous_score=None if previous_score is None else json_score(previous_score),
        changed=changed,
    )


def _entries(board: str, page: Page, metadata: bool) -> Entries:
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
