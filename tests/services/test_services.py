"""What the services add to a store: policy, validation, and rules that are kept by name."""

from __future__ import annotations

import pytest

from engine.clock import ManualClock
from realtime.backends import keys
from realtime.backends.base import Ranking, Submit
from realtime.embedded import Embedded
from realtime.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RealtimeError,
    TooLarge,
    VersionConflict,
)
from realtime.services.channels import MAX_HISTORY
from realtime.services.limits import Algorithm, RuleSpec, Wish
from realtime.settings import SettingsError, load

DAY = 86_400_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def features(clock: ManualClock) -> Embedded:
    return Embedded(clock)


async def test_the_rules_of_a_board_outlive_the_process_that_set_them(features: Embedded) -> None:
    ranking = Ranking(False, "sum", "dense", 10, -1.5, 1e9, "first", 60_000_000, True)
    await features.leaderboards.configure("b", ranking)
    reborn = type(features.services).on(features.services.backend)
    assert await reborn.leaderboards.rules("b") == ranking
    assert await reborn.leaderboards.rules("other") == Ranking()


async def test_a_dropped_board_leaves_nothing(features: Embedded) -> None:
    await features.leaderboards.configure("b", Ranking(max_entries=5))
    await features.leaderboards.submit("b", [Submit(b"ada", 1, b"{}")])
    assert await features.leaderboards.drop("b")
    assert not await features.leaderboards.drop("b")
    assert await features.leaderboards.rules("b") == Ranking()
    assert list(features.engine.keyspace.values) == [b"lb:{b}:generation"]


async def test_a_score_out_of_bounds_is_the_callers_mistake(features: Embedded) -> None:
    await features.leaderboards.configure("b", Ranking(max_score=5))
    with pytest.raises(InvalidInput, match="the score 6 is above max_score 5"):
        await features.leaderboards.submit("b", [Submit(b"ada", 6)])
    with pytest.raises(InvalidInput, match="above"):
        await features.leaderboards.submit_to(["a", "b"], Submit(b"ada", 6))
    assert await features.leaderboards.size("a") == 0
    with pytest.raises(InvalidInput, match="twice"):
        await features.leaderboards.submit_to(["a", "a"], Submit(b"ada", 1))
    with pytest.raises(InvalidInput, match="min_score"):
        await features.leaderboards.configure("b", Ranking(min_score=2, max_score=1))


async def test_metadata_is_small(features: Embedded) -> None:
    large = Submit(b"ada", 1, b'"' + b"x" * 4095 + b'"')
    for submit in (
        features.leaderboards.submit("a", [Submit(b"bob", 1), large]),
        features.leaderboards.submit_to(["a"], large),
    ):
        with pytest.raises(TooLarge, match="4096"):
            await submit
    assert await features.leaderboards.size("a") == 0


async def test_a_counter_stops_at_its_bounds(features: Embedded) -> None:
    assert await features.counters.add("stock", 5) == 5
    with pytest.raises(Conflict, match="outside"):
        await features.counters.add("stock", -6, minimum=0)
    with pytest.raises(InvalidInput, match="min"):
        await features.counters.add("stock", 1, minimum=2, maximum=1)
    with pytest.raises(InvalidInput, match="ttl"):
        await features.counters.add("stock", 1, ttl=0)
    assert await features.counters.get_many(["stock", "none"]) == [5, None]
    assert await features.counters.set("stock", 2) == 2
    assert await features.counters.delete("stock")


async def test_a_session_id_is_never_stored(features: Embedded) -> None:
    session_id, _ = await features.sessions.create(
        "ada", {"cart": b"[]"}, idle_timeout=60, absolute_timeout=600
    )
    assert len(session_id) == 47
    held = repr(list(features.engine.keyspace.items(0)))
    assert session_id not in held
    assert await features.sessions.read(session_id) is not None
    assert await features.sessions.read(session_id + "x") is None


@pytest.mark.parametrize("wrong", ["", "a", "\ud800", "\ud800aaaa", "x" * 43, "x" * 43 + "A3F9"])
async def test_what_cannot_be_an_id_is_absent(features: Embedded, wrong: str) -> None:
    sessions = features.sessions
    assert await sessions.read(wrong) is None
    assert await sessions.patch(wrong, {"a": b"1"}, []) is None
    assert not await sessions.delete(wrong)
    with pytest.raises(InvalidInput, match="start with _"):
        await sessions.patch(wrong, {"_user": b'"root"'}, [])


async def test_the_sessions_of_a_user_lie_together_and_those_of_nobody_apart(
    features: Embedded,
) -> None:
    """In a cluster one step must reach all of a user's, and nobody's must not fill one shard."""

    async def shards(user: str | None) -> set[str]:
        ids = [
            (await features.sessions.create(user, {}, idle_timeout=60, absolute_timeout=60))[0]
            for _ in range(50)
        ]
        return {session_id[-4:] for session_id in ids}

    assert await shards("ada") == {keys.shard_of(b"ada").decode()}
    assert len(await shards(None)) > 40
    found = {key.split(b":")[1] for key in features.engine.keyspace.values if b"sess" in key}
    assert len(found) > 40


async def test_a_session_has_bounds_and_versions(features: Embedded) -> None:
    create = features.sessions.create
    with pytest.raises(TooLarge):
        await create(None, {"a": b"x" * 65536}, idle_timeout=1, absolute_timeout=1)
    with pytest.raises(InvalidInput, match="start with _"):
        await create(None, {"_user": b'"root"'}, idle_timeout=1, absolute_timeout=1)
    with pytest.raises(InvalidInput, match="idle_timeout"):
        await create(None, {}, idle_timeout=-1, absolute_timeout=1)
    session_id, session = await create(None, {}, idle_timeout=1, absolute_timeout=1)
    with pytest.raises(TooLarge):
        await features.sessions.patch(session_id, {"a": b"x" * 65536}, [])
    with pytest.raises(VersionConflict, match="version 1, not 2"):
        await features.sessions.patch(session_id, {"a": b"1"}, [], expected_version=2)
    patched = await features.sessions.patch(session_id, {"a": b"1"}, [], expected_version=1)
    assert patched is not None and patched.version == session.version + 1
    assert await features.sessions.patch("unknown", {}, []) is None
    assert await features.sessions.delete(session_id)


async def test_log_out_everywhere(features: Embedded) -> None:
    ids = [
        (await features.sessions.create("ada", {}, idle_timeout=60, absolute_timeout=600))[0]
        for _ in range(3)
    ]
    assert len(await features.sessions.of_user("ada")) == 3
    assert await features.sessions.end_all("ada") == 3
    assert [await features.sessions.read(session_id) for session_id in ids] == [None] * 3


async def test_a_rule_is_used_by_name(features: Embedded) -> None:
    with pytest.raises(NotFound, match="no rule 'login'"):
        await features.limits.take("login", "ada")
    assert await features.limits.spec("login") is None
    spec = RuleSpec(limit=2, per=60)
    await features.limits.define("login", spec)
    assert [(await features.limits.take("login", "ada")).allowed for _ in range(3)] == [
        True, True, False,
    ]  # fmt: skip
    assert (await features.limits.peek("login", "bob")).decision.remaining == 2
    assert await features.limits.reset("login", "ada")
    assert (await features.limits.take("login", "ada")).allowed
    reborn = type(features.services).on(features.services.backend)
    assert await reborn.limits.spec("login") == spec


@pytest.mark.parametrize("algorithm", ["token_bucket", "sliding_window", "fixed_window"])
async def test_a_shadow_rule_counts_and_never_blocks(
    features: Embedded, algorithm: Algorithm
) -> None:
    await features.limits.define("shadow", RuleSpec(algorithm, 1, 60, shadow=True))
    await features.limits.define("real", RuleSpec(algorithm, 2, 60))
    wishes = [Wish("shadow", "ada"), Wish("real", "ada")]
    answers = [await features.limits.take_all(wishes) for _ in range(3)]
    assert [[verdict.allowed for verdict in answer] for answer in answers] == [
        [True, True], [True, True], [True, False],
    ]  # fmt: skip
    assert [answer[0].decision.allowed for answer in answers[:2]] == [True, False]


@pytest.mark.parametrize(
    "spec",
    [RuleSpec(limit=0), RuleSpec(limit=2**31), RuleSpec(per=0), RuleSpec(per=float("nan")),
     RuleSpec(per=400 * 86_400.0), RuleSpec("fixed_window", burst=5), RuleSpec(burst=-1)],
)  # fmt: skip
async def test_a_rule_out_of_bounds_is_refused(features: Embedded, spec: RuleSpec) -> None:
    with pytest.raises(InvalidInput):
        await features.limits.define("r", spec)
    assert await features.limits.spec("r") is None


async def test_a_channel_keeps_what_it_was_told_to(features: Embedded) -> None:
    channels = features.channels
    assert (await channels.publish("a", b"1")).offset == 1
    for nothing in ((0, 0), (0, 60), (5, 0)):
        assert (await channels.publish("a", b"2", history=nothing)).offset == 0
    assert [p.offset for p in await channels.broadcast(["a", "b"], b"3")] == [2, 1]
    with pytest.raises(InvalidInput, match="history"):
        await channels.publish("a", b"1", history=(10**6, 60))
    found = await channels.recover("a", (await channels.history("a")).position, 10)
    assert (found.recovered, found.publications) == (True, [])
    await channels.remove_history("a")
    assert (await channels.history("a", limit=-1)).publications == []


def test_the_settings_allow_no_longer_history_than_channels_keep() -> None:
    load({"channel_history_size": MAX_HISTORY}, {})
    with pytest.raises(SettingsError):
        load({"channel_history_size": MAX_HISTORY + 1}, {})


async def test_nobody_else_publishes_on_a_live_board(features: Embedded) -> None:
    with pytest.raises(Forbidden):
        await features.channels.publish("leaderboard:a", b"{}")
    with pytest.raises(Forbidden):
        await features.channels.broadcast(["a", "leaderboard:a"], b"{}")
    assert (await features.channels.history("a")).position.offset == 0


def test_every_error_has_its_own_place_in_the_table() -> None:
    kinds: list[type[RealtimeError]] = [RealtimeError, *RealtimeError.__subclasses__()]
    assert all(400 <= kind.status < 600 and 100 <= kind.ws_error < 200 for kind in kinds)
    codes = [kind.code for kind in kinds if kind.__name__ != "InternalError"]
    assert len(set(codes)) == len(codes)


async def test_sweeping_gives_memory_back(features: Embedded, clock: ManualClock) -> None:
    await features.limits.define("r", RuleSpec(limit=5, per=1))
    for number in range(500):
        await features.limits.take("r", str(number))
    clock.advance(DAY)
    assert features.sweep() == 500
    assert len(features.engine.keyspace) == 2  # the rule, and its name on the list of rules
