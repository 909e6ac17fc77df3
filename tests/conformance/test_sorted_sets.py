"""Leaderboards, on every backend."""

from __future__ import annotations

import pytest

from realtime.backends.base import Backend, Board, OutOfBounds, Ranking, Submit

BOARD = Board(b"lb:{arcade}", Ranking())


def board(**rules: object) -> Board:
    return Board(b"lb:{arcade}", Ranking(**rules))  # type: ignore[arg-type]


async def fill(backend: Backend, board: Board, **scores: float) -> None:
    await backend.sorted_sets.submit(
        board, [Submit(member.encode(), score) for member, score in scores.items()]
    )


async def rows(backend: Backend, board: Board, *page: int) -> list[tuple[int, bytes, float]]:
    found = await backend.sorted_sets.page(board, *(page or (0, 100)))
    return [(entry.rank, entry.member, entry.score) for entry in found.entries]


async def test_the_answer_says_what_became_of_the_score(backend: Backend) -> None:
    submit = backend.sorted_sets.submit
    assert await submit(BOARD, [Submit(b"ada", 10)]) == [
        (b"ada", 10, 1, None, None, True, (), False)
    ]
    assert await submit(BOARD, [Submit(b"bob", 20)]) == [
        (b"bob", 20, 1, None, None, True, (), False)
    ]
    assert await submit(BOARD, [Submit(b"ada", 30)]) == [(b"ada", 30, 1, 2, 10, True, (), False)]
    assert await submit(BOARD, [Submit(b"ada", 5)]) == [(b"ada", 30, 1, 1, 30, False, (), False)]


async def test_ties_stand_as_redis_orders_them(backend: Backend) -> None:
    await fill(backend, BOARD, a=1, b=1, B=1, c=2)
    assert [member for _, member, _ in await rows(backend, BOARD)] == [b"c", b"b", b"a", b"B"]
    ascending = board(descending=False)
    assert [member for _, member, _ in await rows(backend, ascending)] == [b"B", b"a", b"b", b"c"]


async def test_equal_scores_share_a_rank_in_competition(backend: Backend) -> None:
    shared = board(ranks="competition")
    await fill(backend, shared, a=3, b=2, c=2, d=1)
    assert [rank for rank, _, _ in await rows(backend, shared)] == [1, 2, 2, 4]
    assert await rows(backend, shared, 2, 2) == [(2, b"b", 2), (4, b"d", 1)]
    standing = await backend.sorted_sets.standing(shared, b"b")
    assert standing is not None
    assert (standing.entry.rank, standing.total) == (2, 4)


@pytest.mark.parametrize(
    ("keep", "descending", "expected"),
    [("best", True, 9), ("best", False, 4), ("latest", True, 4), ("sum", True, 20)],
)
async def test_which_score_counts(
    backend: Backend, keep: str, descending: bool, expected: float
) -> None:
    rules = board(keep=keep, descending=descending)
    for score in (7, 9, 4):
        await fill(backend, rules, ada=score)
    assert await rows(backend, rules) == [(1, b"ada", expected)]


async def test_a_batch_happens_whole_or_not_at_all(backend: Backend) -> None:
    bounded = board(keep="sum", max_score=10)
    await fill(backend, bounded, ada=6)
    with pytest.raises(OutOfBounds):
        await fill(backend, bounded, bob=3, ada=5)
    assert await rows(backend, bounded) == [(1, b"ada", 6)]
    with pytest.raises(OutOfBounds):
        await backend.sorted_sets.submit(bounded, [Submit(b"x", 4), Submit(b"x", 7)])
    assert await rows(backend, bounded) == [(1, b"ada", 6)]


async def test_the_ranks_of_a_batch_are_those_of_one_instant(backend: Backend) -> None:
    await fill(backend, BOARD, ada=1)
    answers = await backend.sorted_sets.submit(BOARD, [Submit(b"bob", 2), Submit(b"ada", 3)])
    assert [(a.member, a.rank, a.previous_rank) for a in answers] == [
        (b"bob", 2, None),
        (b"ada", 1, 1),
    ]


async def test_one_score_goes_to_several_boards_or_to_none(backend: Backend) -> None:
    daily, strict = Board(b"lb:{daily}", Ranking()), Board(b"lb:{strict}", Ranking(max_score=5))
    with pytest.raises(OutOfBounds):
        await backend.sorted_sets.submit_to([daily, strict], [Submit(b"ada", 6)])
    assert await backend.sorted_sets.size(daily) == 0
    answers = await backend.sorted_sets.submit_to([daily, strict], [Submit(b"ada", 5)])
    assert [answer.rank for answer in answers] == [1, 1]


async def test_the_worst_leave_a_full_board_and_take_their_metadata(backend: Backend) -> None:
    full = board(max_entries=2)
    await backend.sorted_sets.submit(full, [Submit(b"a", 1, b'"first"'), Submit(b"b", 2)])
    (answer,) = await backend.sorted_sets.submit(full, [Submit(b"c", 3)])
    assert (answer.rank, answer.changed) == (1, True)
    (answer,) = await backend.sorted_sets.submit(full, [Submit(b"d", 0)])
    assert answer.rank is None
    await backend.sorted_sets.submit(full, [Submit(b"a", 9)])
    page = await backend.sorted_sets.page(full, 0, 9, metadata=True)
    assert [(entry.member, entry.metadata) for entry in page.entries] == [
        (b"a", None),
        (b"c", None),
    ]


async def test_metadata_comes_with_the_score_that_counts(backend: Backend) -> None:
    await backend.sorted_sets.submit(BOARD, [Submit(b"ada", 10, b'{"car":"red"}')])
    await backend.sorted_sets.submit(BOARD, [Submit(b"ada", 5, b'{"car":"blue"}')])
    standing = await backend.sorted_sets.standing(BOARD, b"ada")
    assert standing is not None and standing.entry.metadata == b'{"car":"red"}'
    assert await backend.sorted_sets.remove(BOARD, b"ada")
    await backend.sorted_sets.submit(BOARD, [Submit(b"ada", 1)])
    standing = await backend.sorted_sets.standing(BOARD, b"ada")
    assert standing is not None and standing.entry.metadata is None


async def test_around_is_a_full_page_at_the_ends_too(backend: Backend) -> None:
    await fill(backend, BOARD, **{f"m{i}": 100 - i for i in range(10)})

    async def around(member: str, radius: int) -> list[int]:
        page = await backend.sorted_sets.around(BOARD, member.encode(), radius)
        assert page is not None
        return [entry.rank for entry in page.entries]

    assert await around("m5", 2) == [4, 5, 6, 7, 8]
    assert await around("m0", 2) == [1, 2, 3, 4, 5]
    assert await around("m9", 2) == [6, 7, 8, 9, 10]
    assert await around("m5", 0) == [6]
    assert len(await around("m5", 50)) == 10
    assert await backend.sorted_sets.around(BOARD, b"nobody", 2) is None


async def test_a_page_by_score_counts_what_is_within(backend: Backend) -> None:
    await fill(backend, BOARD, a=1, b=2, c=3, d=4, e=5)
    page = await backend.sorted_sets.page_by_score(BOARD, 2, 4, 1, 10)
    assert page.total == 3
    assert [(entry.rank, entry.member) for entry in page.entries] == [(3, b"c"), (4, b"b")]
    empty = await backend.sorted_sets.page_by_score(BOARD, 6, 4, 0, 10)
    assert (empty.total, empty.entries) == (0, [])


async def test_some_members_have_their_global_ranks(backend: Backend) -> None:
    await fill(backend, BOARD, a=1, b=2, c=3)
    page = await backend.sorted_sets.members(BOARD, [b"a", b"nobody", b"c", b"a"])
    assert [(entry.rank, entry.member) for entry in page.entries] == [(1, b"c"), (3, b"a")]
    assert page.total == 3


async def test_an_empty_board_is_absent(backend: Backend) -> None:
    await fill(backend, BOARD, ada=1)
    assert await backend.sorted_sets.remove(BOARD, b"ada")
    assert not await backend.sorted_sets.remove(BOARD, b"ada")
    assert await backend.values.delete(BOARD.key) == 0
    assert await backend.sorted_sets.standing(BOARD, b"ada") is None


@pytest.mark.parametrize("score", [float("inf"), float("-inf")])
async def test_an_infinite_score_is_out_of_bounds(backend: Backend, score: float) -> None:
    with pytest.raises(OutOfBounds):
        await backend.sorted_sets.submit(BOARD, [Submit(b"ada", score)])
    with pytest.raises(OutOfBounds):
        await backend.sorted_sets.submit(board(keep="sum"), [Submit(b"a", 1e308)] * 2)


async def test_negative_zero_is_zero(backend: Backend) -> None:
    await fill(backend, BOARD, ada=-0.0)
    assert str((await rows(backend, BOARD))[0][2]) == "0.0"
