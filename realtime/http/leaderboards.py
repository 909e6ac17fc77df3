"""The routes of leaderboards: scores, pages of entries, members.

The rules are in `boards`, and what can be asked of all scores together in `standings`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from realtime.backends.base import no_better
from realtime.errors import Gone, InvalidInput, NotFound
from realtime.http.inputs import Call
from realtime.http.leaderboard_shapes import (
    EVERYWHERE,
    MAX_PAGE,
    READ,
    TAG,
    WRITE,
    AroundQuery,
    BoardPath,
    Entries,
    MemberPath,
    NewScore,
    NewScoreOnBoards,
    NewScores,
    Rank,
    RemoveQuery,
    Submitted,
    SubmittedMany,
    SubmittedTo,
    SubmittedToBoards,
    WhichQuery,
    WithMetadata,
    answer_of,
    asked,
    check_author,
    check_eraser,
    entries_of,
    finite,
    incoming,
)
from realtime.http.operation import Answer, Example, operation
from realtime.http.values import JSON, MemberName, Score
from realtime.services.leaderboards import Leaderboards
from realtime.services.standings import Standings, json_score

__all__ = ["OPERATIONS"]

Members = Annotated[list[MemberName], Meta(min_length=1, max_length=MAX_PAGE)]


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


class PageQuery(WhichQuery):
    offset: Annotated[int, Meta(ge=0, le=2**53, description="How many to pass over.")] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many to answer at most.")] = 10
    cursor: (
        Annotated[
            str,
            Meta(
                max_length=512,
                description="`start`, or the `next` of the page before: instead of `offset`, for "
                "pages that stay together while entries move.",
            ),
        ]
        | UnsetType
    ) = UNSET
    min_score: Annotated[Score, Meta(description="Leave lower scores out.")] | UnsetType = UNSET
    max_score: Annotated[Score, Meta(description="Leave higher scores out.")] | UnsetType = UNSET
    members: (
        Annotated[Members, Meta(description="Only these; a comma in a name is written %2C.")]
        | UnsetType
    ) = UNSET
    metadata: WithMetadata = False

    def __post_init__(self) -> None:
        finite(self.min_score, self.max_score)


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
    leaderboards: Leaderboards, path: BoardPath, body: NewScore | NewScores, call: Call
) -> Submitted | SubmittedMany:
    """One score, or up to 10,000 which are brought in all or not at all. Metadata is stored if
    the score comes to count. A score outside the board's bounds is refused. With an `id` a score
    counts once, however often it is sent. `overtaken` names whom the member has passed."""
    await check_author(leaderboards, call.caller, path.board)
    if isinstance(body, NewScore):
        (done,) = await leaderboards.submit(path.board, [incoming(body)], overtaken=body.overtaken)
        return answer_of(done, body.overtaken)
    entries = [incoming(entry) for entry in body.entries]
    answers = await leaderboards.submit(path.board, entries, overtaken=body.overtaken)
    return SubmittedMany(entries=[answer_of(done, body.overtaken) for done in answers])


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
    leaderboards: Leaderboards, body: NewScoreOnBoards, call: Call
) -> SubmittedToBoards:
    """All boards take it, each by its own rules, or none does."""
    await check_author(leaderboards, call.caller, *body.boards)
    entry = incoming(body)
    answers = await leaderboards.submit_to(body.boards, entry, overtaken=body.overtaken)
    return SubmittedToBoards(
        boards=[
            SubmittedTo(board=board, **msgspec.structs.asdict(answer_of(done, body.overtaken)))
            for board, done in zip(body.boards, answers, strict=True)
        ]
    )


@operation(
    "GET",
    "/v1/leaderboards/{board}/entries",
    tag=TAG,
    scope=READ,
    summary="Read a page of entries",
    errors=(Gone, NotFound),
    example=Example(query="limit=2", answer=_EXAMPLE_ENTRIES),
)
async def read_entries(leaderboards: Leaderboards, path: BoardPath, query: PageQuery) -> Entries:
    """Best first. With `min_score` or `max_score`, only entries within them, and `total` counts
    those. With `members`, the entries of those members who are on the board, with their ranks
    among all and their positions among each other, and who is missing. With `cursor`, what stands
    behind the end of the page before, wherever its entries are now: 410 if the board was deleted
    since, 409 if its order was changed. None of these three can be combined."""
    standings = await asked(leaderboards, path.board, query)
    bounded = query.min_score is not UNSET or query.max_score is not UNSET
    if query.cursor is not UNSET:
        if bounded or query.offset or query.members is not UNSET:
            raise InvalidInput("cursor cannot be combined with offset, members or scores")
        return await _read_onward(standings, path.board, query.cursor, query)
    if query.members is not UNSET:
        if bounded or query.offset:
            raise InvalidInput("members cannot be combined with offset, min_score and max_score")
        return await _read_members(standings, path.board, query.members, query.metadata)
    page = await standings.page(
        query.offset,
        query.limit,
        minimum=None if query.min_score is UNSET else query.min_score,
        maximum=None if query.max_score is UNSET else query.max_score,
        metadata=query.metadata,
    )
    return entries_of(path.board, page, query.metadata)


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
async def read_standing(
    leaderboards: Leaderboards, path: MemberPath, query: WhichQuery
) -> Standing:
    """404 if the member is not on the board."""
    standing = await (await asked(leaderboards, path.board, query)).standing(path.member)
    if standing is None:
        raise NotFound("this member is not on this board")
    entry, total, better = standing
    return Standing(
        member=path.member,
        score=json_score(entry.score),
        rank=entry.rank,
        percentile=no_better(total, better),
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
    standings = await asked(leaderboards, path.board, query)
    page = await standings.around(path.member, query.radius, metadata=query.metadata)
    if page is None:
        raise NotFound("this member is not on this board")
    return entries_of(path.board, page, query.metadata)


@operation(
    "DELETE",
    "/v1/leaderboards/{board}/members/{member}",
    tag=TAG,
    scope=WRITE,
    summary="Remove a member",
    errors=(NotFound,),
)
async def remove_member(
    leaderboards: Leaderboards, path: MemberPath, query: RemoveQuery, call: Call
) -> None:
    """The entry and its metadata, from the board and its views. With `season`, from a season, also
    from one that is over, which then ranks as if the member had not been there: for applications
    alone. 204 also if the member was not there; 404 if there is no such view or season."""
    season = None if query.season is UNSET else query.season
    view = None if query.view is UNSET else query.view
    if season is None:
        await check_author(leaderboards, call.caller, path.board)
    else:
        check_eraser(call.caller)
    if season != EVERYWHERE:
        await leaderboards.erase(path.board, path.member, season, view=view)
    elif view is None:
        await leaderboards.erase_everywhere(path.board, path.member)
    else:
        raise InvalidInput("season=all is of the board with its views")


OPERATIONS = (
    submit_scores,
    read_entries,
    read_standing,
    read_around,
    remove_member,
    submit_score_to_boards,
)


async def _read_onward(standings: Standings, board: str, cursor: str, query: PageQuery) -> Entries:
    page, cursor_after = await standings.onward(cursor, query.limit, metadata=query.metadata)
    found = entries_of(board, page, query.metadata)
    found.next = cursor_after
    return found


async def _read_members(
    standings: Standings, board: str, members: list[str], metadata: bool
) -> Entries:
    page = await standings.members(members, metadata=metadata)
    found = entries_of(board, page, metadata)
    for position, entry in enumerate(found.entries, 1):
        entry.position = position
    there = {entry.member for entry in found.entries}
    found.missing = [member for member in dict.fromkeys(members) if member not in there]
    return found
