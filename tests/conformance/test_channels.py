"""Channels: order, history, recovery and presence, on every backend."""

from __future__ import annotations

import asyncio

import pytest

from realtime.backends.base import (
    Backend,
    History,
    Position,
    Publication,
    Published,
    recover,
    recover_latest,
)
from realtime.backends.keys import META, VERSION, board_key, channel_key

from .conftest import Store

SECOND = 1_000_000
CHANNEL = b"news"


async def publish(backend: Backend, number: int, *, size: int = 10, ttl: int = 60 * SECOND) -> None:
    for n in range(1, number + 1):
        await backend.channels.publish(CHANNEL, b"%d" % n, size=size, ttl=ttl)


async def test_publications_are_delivered_in_order(store: Store) -> None:
    """A store in this process has delivered them before ``publish`` returns."""
    channels = store.backend.channels
    heard: list[tuple[bytes, Publication, str]] = []
    others: list[bytes] = []
    end = channels.listen(lambda *publication: heard.append(publication))
    channels.listen(lambda _, publication, __: others.append(publication.data))
    await channels.subscribe(CHANNEL)
    first = await channels.publish(CHANNEL, b"1", size=5, ttl=SECOND)
    second = await channels.publish(CHANNEL, b"2", info=b"{}", size=5, ttl=SECOND)
    await store.until(lambda: len(heard) == 2)
    assert heard == [
        (CHANNEL, Publication(1, b"1"), first.epoch),
        (CHANNEL, Publication(2, b"2", b"{}"), second.epoch),
    ]
    assert first.epoch == second.epoch != ""
    end()
    await channels.publish(CHANNEL, b"3", size=5, ttl=SECOND)
    await store.until(lambda: others == [b"1", b"2", b"3"])
    assert len(heard) == 2


async def test_all_who_listen_hear_a_publication_in_one_step(store: Store) -> None:
    """Whoever subscribes sees it as all parts of this process do, or as none of them does."""
    channels = store.backend.channels
    steps: list[str] = []

    def hear_first(*publication: object) -> None:
        steps.append("first")
        asyncio.get_running_loop().call_soon(steps.append, "others' turn")

    ends = [channels.listen(hear_first), channels.listen(lambda *_: steps.append("second"))]
    await channels.subscribe(CHANNEL)
    await channels.publish(CHANNEL, b"1")
    await store.until(lambda: "second" in steps)
    await asyncio.sleep(0)
    assert steps == ["first", "second", "others' turn"]
    for end in ends:
        end()


async def test_a_channel_without_history_has_no_positions(backend: Backend) -> None:
    assert await backend.channels.publish(CHANNEL, b"1") == Published(0, "")
    assert (await backend.channels.history(CHANNEL, limit=-1)).publications == []


async def test_history_is_bounded_and_exclusive_both_ways(backend: Backend) -> None:
    await publish(backend, 12)
    history = backend.channels.history

    async def offsets(since: int | None, limit: int, *, reverse: bool = False) -> list[int]:
        at = None if since is None else Position(since, "")
        found = await history(CHANNEL, since=at, limit=limit, reverse=reverse)
        assert found.position.offset == 12
        return [publication.offset for publication in found.publications]

    assert await offsets(None, -1) == list(range(3, 13))
    assert await offsets(None, 0) == []
    assert await offsets(9, -1) == [10, 11, 12]
    assert await offsets(5, 2) == [6, 7]
    assert await offsets(None, 2, reverse=True) == [12, 11]
    assert await offsets(5, 9, reverse=True) == [4, 3]
    assert await offsets(99, -1) == []


async def test_the_position_outlives_the_publications(store: Store) -> None:
    channels = store.backend.channels
    await publish(store.backend, 3, ttl=SECOND)
    before = (await channels.history(CHANNEL)).position
    await store.advance(2 * SECOND)
    assert await channels.history(CHANNEL, limit=-1) == History(before, [])
    await publish(store.backend, 1)
    assert (await channels.history(CHANNEL)).position == Position(4, before.epoch)
    await channels.remove_history(CHANNEL)
    after = Position(4, before.epoch)
    assert await channels.history(CHANNEL, limit=-1) == History(after, [])


async def test_a_lost_position_is_a_new_epoch(store: Store) -> None:
    await publish(store.backend, 3, ttl=100 * 86_400 * SECOND)
    before = (await store.backend.channels.history(CHANNEL)).position
    await store.advance(40 * 86_400 * SECOND)
    after = await store.backend.channels.history(CHANNEL, limit=-1)
    assert after.position.offset == 0
    assert after.position.epoch != before.epoch
    assert after.publications == []


async def test_a_channel_read_before_its_first_publication_keeps_its_epoch(
    backend: Backend,
) -> None:
    before = (await backend.channels.history(CHANNEL)).position
    assert before.offset == 0 and before.epoch
    await publish(backend, 1)
    assert (await backend.channels.history(CHANNEL)).position == Position(1, before.epoch)


async def test_names_that_were_only_asked_for_are_soon_forgotten(store: Store) -> None:
    """Whoever may read may ask for any name; what that costs must not stay for weeks."""
    channels = store.backend.channels
    await channels.history(b"never")
    await publish(store.backend, 1)
    await store.advance(2 * 3600 * SECOND)
    assert await store.backend.values.delete(b"chan:{never}:meta") == 0
    assert await store.backend.values.delete(b"chan:{news}:meta") == 1


Told = tuple[bool, int]
"""Recovered, and how many publications."""

# size, ttl (s), published, sleep (s), limit, since -> all that was missed; the newest only
VECTORS = [
    ((10, 60, 0, 0, 300, 0), (True, 0), (False, 0)),
    ((10, 60, 10, 0, 300, 8), (True, 2), (True, 1)),
    ((10, 60, 10, 0, 2, 5), (False, 0), (True, 1)),
    ((10, 60, 20, 0, 300, 8), (False, 0), (True, 1)),
    ((10, 60, 20, 0, 300, 108), (False, 0), (True, 1)),
    ((10, 60, 7, 0, 300, 7), (True, 0), (True, 0)),
    ((10, 60, 4, 0, 300, 0), (True, 4), (True, 1)),
    ((10, 1, 10, 3, 300, 8), (False, 0), (False, 0)),
    ((10, 1, 1, 3, 300, 1), (True, 0), (True, 0)),
]


@pytest.mark.parametrize(("row", "stream", "cache"), VECTORS, ids=str)
async def test_recovery_is_complete_or_refused(
    store: Store, row: tuple[int, int, int, int, int, int], stream: Told, cache: Told
) -> None:
    size, ttl, published, sleep, limit, since = row
    await publish(store.backend, published, size=size, ttl=ttl * SECOND)
    await store.advance(sleep * SECOND)
    channels = store.backend.channels
    epoch = (await channels.history(CHANNEL)).position.epoch
    at, foreign = Position(since, epoch), Position(since, "other")
    found = await channels.history(CHANNEL, since=at, limit=limit + 1)
    answer = recover(at, found, limit)
    assert (answer.recovered, len(answer.publications)) == stream
    assert recover(foreign, found, limit) == (False, [])
    newest = await channels.history(CHANNEL, limit=1, reverse=True)
    answer = recover_latest(at, newest)
    assert (answer.recovered, len(answer.publications)) == cache
    assert answer.publications in ([], [Publication(published, b"%d" % published)])
    # Whoever comes from elsewhere gets the newest, if it is there.
    there = bool(newest.publications)
    assert recover_latest(foreign, newest) == (there, newest.publications)


LIVE = b"leaderboard:arcade"
COUNTER = board_key(b"arcade") + VERSION


async def test_whoever_knows_the_version_publishes_the_next_one(backend: Backend) -> None:
    """Of several service nodes that render the same board, one publishes it."""
    heard: asyncio.Queue[tuple[bytes, Publication, str]] = asyncio.Queue()
    end = backend.channels.listen(lambda *publication: heard.put_nowait(publication))
    await backend.channels.subscribe(LIVE)
    publish_next = backend.channels.publish_next
    for after, done in ((1, False), (0, True), (0, False), (2, False), (1, True), (1, False)):
        assert await publish_next(LIVE, b"%d" % after, version=COUNTER, after=after) is done
    assert await backend.counters.get([COUNTER]) == [2]
    for data in (b"0", b"1"):
        found = await asyncio.wait_for(heard.get(), 5)
        assert found == (LIVE, Publication(0, data), "")
    assert heard.empty()
    end()


async def test_what_is_published_next_is_not_kept(backend: Backend) -> None:
    assert await backend.channels.publish_next(LIVE, b"{}", version=COUNTER, after=0)
    assert await backend.values.delete(channel_key(LIVE), channel_key(LIVE) + META) == 0


async def test_a_version_may_be_counted_on_in_between(backend: Backend) -> None:
    assert await backend.counters.add(COUNTER, 1) == 1
    assert not await backend.channels.publish_next(LIVE, b"{}", version=COUNTER, after=0)
    assert await backend.channels.publish_next(LIVE, b"{}", version=COUNTER, after=1)
    await backend.values.delete(COUNTER)
    assert not await backend.channels.publish_next(LIVE, b"{}", version=COUNTER, after=2)


async def test_many_at_once_publish_each_version_once(backend: Backend) -> None:
    async def publisher() -> int:
        return sum(
            [
                await backend.channels.publish_next(LIVE, b"{}", version=COUNTER, after=after)
                for after in range(10)
            ]
        )

    assert sum(await asyncio.gather(*(publisher() for _ in range(8)))) == 10
    assert await backend.counters.get([COUNTER]) == [10]


async def test_a_store_that_answers_says_so(backend: Backend) -> None:
    await backend.ping()
