"""A member is taken out of seasons: of one, or of all that a board and its views have."""

from __future__ import annotations

import pytest

from realtime.backends.base import Ranking, Submit
from realtime.errors import Conflict, NotFound
from realtime.services.columns import Damaged
from realtime.services.seasons import SeasonRules
from tests.services.test_season_boards import BY_HAND, DAY, NIGHTLY, Stage, stage

__all__ = ["stage"]

VIEWED = SeasonRules(reset="0 0 * * *", archives=9, views=("daily", "all-time"))


async def scores(stage: Stage, board: str, season: int) -> dict[str, float]:
    page = await (await stage.boards.at(board, season=season)).page(0, 100)
    return {entry.member.decode(): entry.score for entry in page.entries}


async def play(stage: Stage, days: int) -> None:
    """So many seasons, all of which both were in; and then the one that is going on."""
    for day in range(days + 1):
        await stage.boards.submit("b", [Submit(b"ada", day), Submit(b"bob", 10 * day)])
        if day < days:
            stage.clock.advance(DAY)


async def test_of_one_season(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    await play(stage, 3)
    assert await stage.boards.erase("b", "ada", 2) is True
    assert await stage.boards.erase("b", "ada", 2) is False
    assert await stage.boards.erase("b", "eve", 2) is False
    found = [await scores(stage, "b", season) for season in (1, 2, 3, 4)]
    assert found[1] == {"bob": 10}
    assert found[0] == {"ada": 0, "bob": 0} and len(found[2]) == len(found[3]) == 2
    assert [one.size for one in await stage.boards.closed("b")] == [2, 1, 2]
    assert await stage.boards.erase("b", "bob", "previous") is True
    assert await scores(stage, "b", 3) == {"ada": 2}
    assert await stage.boards.erase("b", "bob", 4) is True  # it is going on
    assert await stage.scores("b") == {"ada": 3}


async def test_of_a_season_that_ends_just_then(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    await stage.boards.submit("b", [Submit(b"ada", 1), Submit(b"bob", 2)])
    remove = stage.boards.remove

    async def remove_late(board: str, member: str) -> bool:
        stage.clock.advance(DAY)
        return await remove(board, member)

    monkeypatch.setattr(stage.boards, "remove", remove_late)
    assert await stage.boards.erase("b", "ada", 1) is True
    assert await scores(stage, "b", 1) == {"bob": 2}


async def test_of_what_is_not_kept(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), BY_HAND)
    await stage.submit("b", "ada", 1)
    for season in (2, 7, "previous"):
        with pytest.raises(NotFound, match="keeps no such season"):
            await stage.boards.erase("b", "ada", season)
    with pytest.raises(NotFound, match="no daily view"):
        await stage.boards.erase("b", "ada", 1, view="daily")
    assert await stage.scores("b") == {"ada": 1}
    assert await stage.boards.erase("other", "ada", None) is False


async def test_of_a_view(stage: Stage) -> None:
    """Its closed seasons are its own; what it is now is as its board."""
    await stage.boards.configure("b", Ranking(), VIEWED)
    await play(stage, 2)
    assert await stage.boards.erase("b", "ada", 1, view="daily") is True
    assert await scores(stage, "{b}:daily", 1) == {"bob": 0}
    assert await stage.boards.erase("{b}:daily", "bob", "previous") is True
    assert await scores(stage, "{b}:daily", 2) == {"ada": 1}
    assert len(await scores(stage, "b", 1)) == len(await scores(stage, "b", 2)) == 2
    for season in (None, 3):
        with pytest.raises(Conflict, match="a view of the board b"):
            await stage.boards.erase("b", "ada", season, view="daily")
    with pytest.raises(Conflict, match="a view of the board b"):
        await stage.boards.erase_everywhere("{b}:daily", "ada")


async def test_of_everything(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(ties="first", ranks="dense"), VIEWED)
    await play(stage, 3)
    (_, packed, _) = await stage.boards.closed("b")
    await stage.boards.archives.pack("b", packed)
    assert await stage.boards.erase_everywhere("b", "ada") is True
    assert await stage.boards.erase_everywhere("b", "ada") is False
    for board in ("b", "{b}:daily"):
        assert [one.size for one in await stage.boards.closed(board)] == [1, 1, 1]
        for season in (1, 2, 3):
            assert await scores(stage, board, season) == {"bob": 10 * (season - 1)}
    for board in ("b", "{b}:daily", "{b}:all-time"):
        assert await stage.scores(board) == {"bob": 30}


async def test_of_everything_but_what_is_damaged(stage: Stage) -> None:
    """The others come first, whichever it is; and it is told."""
    await stage.boards.configure("b", Ranking(), NIGHTLY)
    await play(stage, 3)
    for season in await stage.boards.closed("b"):
        await stage.boards.archives.pack("b", season)
    await stage.backend.values.set(b"lb:{b}:s:2:rows:0", b"something else")
    with pytest.raises(Damaged, match="block 0 cannot be read"):
        await stage.boards.erase_everywhere("b", "ada")
    assert await scores(stage, "b", 1) == {"bob": 0}
    assert await scores(stage, "b", 3) == {"bob": 20}
    assert await stage.scores("b") == {"bob": 30}


async def test_of_everything_if_that_is_in_one_season_only(stage: Stage) -> None:
    await stage.boards.configure("b", Ranking(), BY_HAND)
    await stage.submit("b", "ada", 1)
    await stage.boards.close_season("b")
    assert await stage.boards.erase_everywhere("b", "ada") is True
    assert await scores(stage, "b", 1) == {}
    await stage.boards.configure("b", Ranking())  # and it has no seasons any more
    await stage.submit("b", "bob", 1)
    assert await stage.boards.erase_everywhere("b", "bob") is True
    assert await stage.boards.erase_everywhere("nowhere", "bob") is False
