"""A cluster of six: keys and subscriptions over its masters, and slots that move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest

from realtime.access import Access
from realtime.backends.base import (
    Backend,
    Board,
    ClientInfo,
    Entry,
    Page,
    Ranking,
    SeasonOver,
    Submit,
    Take,
    TokenBucket,
)
from realtime.backends.keys import archive_key, board_key, bucket_key, counter_key
from realtime.backends.redis.calls import CrossSlot
from realtime.http import api
from realtime.services import Services
from realtime.services.leaderboards import Leaderboards
from realtime.services.seasons import SeasonRules, view_name
from realtime.state import ServiceState
from tests.redis.cluster import Cluster, running_cluster
from tests.redis.servers import RedisServer
from tests.redis.test_addresses import opened
from tests.redis.test_outage import Heard
from tests.redis.waiting import until

MINUTE = 60_000_000
MANY = 60


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Nobody here kills a node of it."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def backend(shared_cluster: Cluster) -> AsyncIterator[Backend]:
    for master in shared_cluster.masters():
        master.ask("FLUSHALL")
    async with opened(shared_cluster.url) as store:
        yield store.backend


@pytest.fixture
async def http(backend: Backend) -> AsyncIterator[httpx.AsyncClient]:
    services = Services.on(backend)
    state = ServiceState(ready=True)
    door = api.build(services, Access(None), state=state, options=api.Options())
    transport = httpx.ASGITransport(door)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield http


async def test_keys_spread_over_all_masters(shared_cluster: Cluster, backend: Backend) -> None:
    rule = TokenBucket(5, MINUTE, 5)
    for number in range(MANY):
        await backend.counters.add(counter_key(b"c%d" % number), number)
        await backend.buckets.take(bucket_key(b"login", b"u%d" % number), rule)
    sizes = [master.ask("DBSIZE") for master in shared_cluster.masters()]
    assert sum(sizes) >= 2 * MANY
    assert min(sizes) > MANY / 4
    names = [counter_key(b"c%d" % number) for number in range(MANY)]
    assert await backend.counters.get(names) == list(range(MANY))


async def test_what_shares_a_tag_is_one_step(http: httpx.AsyncClient) -> None:
    boards = ["{arcade}:daily", "{arcade}:all-time"]
    answer = await http.post("/v1/scores", json={"member": "ada", "score": 5, "boards": boards})
    assert answer.status_code == 200, answer.text
    for rule in ("org", "user"):
        await http.put(f"/v1/limits/{rule}", json={"limit": 1, "per": 60})
    takes = [{"rule": "org", "key": "{o7}"}, {"rule": "user", "key": "{o7}:ada"}]
    assert (await http.post("/v1/limits/take", json={"takes": takes})).json()["allowed"] is True
    second = (await http.post("/v1/limits/take", json={"takes": takes})).json()
    assert (second["allowed"], second["violated"]) == (False, ["org", "user"])


async def test_what_does_not_is_refused_with_the_remedy(http: httpx.AsyncClient) -> None:
    body = {"member": "ada", "score": 5, "boards": ["daily", "all-time"]}
    answer = await http.post("/v1/scores", json=body)
    assert answer.status_code == 422
    assert "must share a hash tag" in answer.json()["detail"]
    for board in body["boards"]:  # type: ignore[attr-defined]
        assert (await http.get(f"/v1/leaderboards/{board}")).json()["size"] == 0


async def test_cross_slot_is_found_before_anything_is_sent(backend: Backend) -> None:
    rule = TokenBucket(5, MINUTE, 5)
    takes = [Take(bucket_key(b"r", b"a"), rule), Take(bucket_key(b"r", b"b"), rule)]
    with pytest.raises(CrossSlot):
        await backend.buckets.take_all(takes)


async def test_channels_of_all_masters_are_heard(backend: Backend) -> None:
    heard = Heard(backend)
    names = [b"channel-%d" % number for number in range(MANY)]
    for name in names:
        await backend.channels.subscribe(name)
    for number, name in enumerate(names):
        await backend.channels.publish(name, b"%d" % number, size=10, ttl=MINUTE)
        await backend.channels.publish(name, b"%d" % number)
    await until(lambda: len(heard.publications) == 2 * MANY)
    assert sorted(heard.data) == sorted([*range(MANY), *range(MANY)])
    assert heard.lost == []
    for name in names:
        await backend.channels.unsubscribe(name)
    await backend.channels.publish(names[0], b"0")
    assert len(heard.publications) == 2 * MANY


async def test_presence_is_seen_over_all_masters(backend: Backend) -> None:
    for number in range(MANY):
        await backend.presence.add(b"room-%d" % number, ClientInfo("c1", "ada"))
    assert await backend.presence.channels() == {b"room-%d" % n: 1 for n in range(MANY)}
    assert await backend.presence.members(b"room-7") == [ClientInfo("c1", "ada")]


async def test_members_of_a_board_are_looked_at_wherever_it_lies(backend: Backend) -> None:
    for number in range(MANY):
        rules = Ranking(ties="first") if number % 2 else Ranking()
        board = Board(board_key(b"{b%d}:daily" % number), rules)
        await backend.sorted_sets.submit(board, [Submit(b"ada", 1), Submit(b"bob", 2)])
        version, page = await backend.sorted_sets.look(board, [b"ada", b"nobody"])
        assert [(entry.member, entry.rank) for entry in page.entries] == [(b"ada", 2)]
        assert (await backend.sorted_sets.look(board, []))[0] > version


async def test_seasons_end_wherever_a_board_lies(backend: Backend) -> None:
    sets = backend.sorted_sets
    for number in range(MANY):
        rules = Ranking(seasonal=True, ties="first") if number % 2 else Ranking(seasonal=True)
        names = [b"b%d" % number, b"{b%d}:daily" % number]
        board, view = (Board(board_key(name), rules) for name in names)
        began = (await sets.set_season(board, None)).began
        await sets.set_season(view, began)
        with pytest.raises(SeasonOver):
            await sets.submit_to([board, view], [Submit(b"ada", 1)])
        assert await sets.roll(view, 1, begins=began, ends=None, rules=b"{}") is not None
        await sets.submit_to([board, view], [Submit(b"ada", 1), Submit(b"bob", 2, b"{}")])
        closed = await sets.roll(view, 2, begins=began, ends=None, rules=b"{}", force=True)
        assert closed is not None and closed.size == 2
        archive = Board(archive_key(view.key, 2), replace(rules, seasonal=False))
        page = await sets.page(archive, 0, 9, metadata=True)
        assert [(entry.member, entry.metadata) for entry in page.entries] == [
            (b"bob", b"{}"),
            (b"ada", None),
        ]
        assert (await sets.size(board), await sets.size(view)) == (2, 0)


async def test_views_lie_with_their_board(http: httpx.AsyncClient) -> None:
    for name, view in (("b", "{b}:daily"), ("{b}:hard", "{b}:hard:daily"), ("a:b", "{a:b}:daily")):
        path = f"/v1/leaderboards/{name}"
        rules = {"resets": [], "views": ["daily", "weekly", "monthly", "all-time"]}
        assert (await http.put(path, json=rules)).status_code == 200
        done = await http.post(f"{path}/scores", json={"member": "ada", "score": 5})
        assert done.json()["rank"] == 1
        assert (await http.post(f"{path}/reset")).json()["size"] == 1
        for source in (f"/v1/leaderboards/{view}/entries", f"{path}/entries?season=previous"):
            assert (await http.get(source)).json()["total"] == 1, source
        assert (await http.delete(path)).status_code == 204
        assert (await http.get(f"/v1/leaderboards/{view}")).json()["view_of"] is None


async def test_members_are_erased_from_archives_wherever_a_board_lies(backend: Backend) -> None:
    boards = Leaderboards(backend)
    for number, name in enumerate(("b", "{b}:hard", "c", "d")):
        rules = SeasonRules(resets=(), views=("daily",), archives=3)
        await boards.configure(name, Ranking(ties="first" if number % 2 else "member"), rules)
        for _ in range(2):
            await boards.submit(name, [Submit(b"ada", 1), Submit(b"bob", 2, b"{}")])
            await boards.close_season(name)
        await boards.archives.pack(name, (await boards.closed(name))[0])
        assert await boards.erase_everywhere(name, "ada")
        for season in (1, 2):
            page = await (await boards.at(name, season=season)).page(0, 9, metadata=True)
            assert page == Page(1, [Entry(1, b"bob", 2, b"{}")])
        assert await boards.size(view_name(name, "daily")) == 1
        assert [one.size for one in await boards.closed(name)] == [1, 1]


async def test_a_board_works_while_its_slot_moves(
    shared_cluster: Cluster, backend: Backend
) -> None:
    """ASK while keys are on their way, TRYAGAIN for some of several, MOVED afterwards; and
    nothing is done twice."""
    key = board_key(b"arcade")
    board = Board(key, Ranking(keep="sum"))
    submit = backend.sorted_sets.submit
    await submit(board, [Submit(b"ada", 1)])
    with shared_cluster.moving(key) as new:
        (answer,) = await submit(board, [Submit(b"ada", 1)])
        assert answer.score == 2
        # With metadata a second key is touched. It does not exist, so the new server cannot know
        # that it is not still at the old one: it asks for patience until all have come.
        before = refusals(new, "TRYAGAIN")
        under_way = asyncio.create_task(submit(board, [Submit(b"ada", 1, b"{}")]))
        await until(lambda: refusals(new, "TRYAGAIN") > before)
        assert not under_way.done()
    (answer,) = await under_way
    assert answer.score == 3
    (answer,) = await submit(board, [Submit(b"ada", 1)])
    assert answer.score == 4


def refusals(server: RedisServer, word: str) -> int:
    """How often the server has answered with this error."""
    counts = server.ask("INFO", "errorstats")
    return int(counts.get(f"errorstat_{word}", {"count": 0})["count"])


async def test_subscriptions_follow_their_slot(shared_cluster: Cluster, backend: Backend) -> None:
    heard = Heard(backend)
    await backend.channels.subscribe(b"news")
    await backend.channels.history(b"news")
    sent = 0

    async def publish(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            await backend.channels.publish(b"news", b"%d" % sent, size=100, ttl=MINUTE)
            sent += 1

    await publish(3)
    with shared_cluster.moving("chan:{news}"):
        await publish(3)
    await publish(3)
    # The new master goes on under a new epoch: whoever is subscribed recovers, and misses nothing.
    await until(lambda: heard.lost == [b"news"])
    before = len(heard.data)
    await publish(3)
    await until(lambda: len(heard.data) == before + 3)
    assert heard.data[-3:] == [9, 10, 11]


async def test_the_watch_moves_with_its_slot(shared_cluster: Cluster, backend: Backend) -> None:
    """While it is on its way, what is read may be used; once it has arrived, all look again."""
    key = board_key(b"watched")
    changes: list[bytes | None] = []
    with shared_cluster.moving(key):
        await backend.watches.watch(key)  # which does not exist: that is an answer, not an outage
        assert await backend.values.get(key) is None
        backend.watches.listen(changes.append)
    await backend.values.set(key, b"1")
    await until(lambda: None in changes)
    await backend.watches.watch(key)
    await backend.values.set(key, b"2")
    await until(lambda: key in changes)
