"""The modes of the header fields, and jitter."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from realtime.embedded import Embedded
from realtime.errors import Unavailable
from realtime.middleware import EmbeddedLimiter, RateLimitMiddleware, Rule, Tier
from realtime.services.limits import Verdict, Wish
from tests.middleware.conftest import Ask, House, shop
from tests.middleware.fields import parse

ALGORITHMS = ("token_bucket", "sliding_window", "sliding_log", "fixed_window")
ITEMS = Rule("items", limit=100, per=60, burst=20)
PAIR = (Rule("second", limit=2, per=1), Rule("day", limit=3, per=86_400, algorithm="fixed_window"))


def numbers(headers: object) -> list[int]:
    names = ("limit", "remaining", "reset")
    return [int(headers[f"x-ratelimit-{name}"]) for name in names]  # type: ignore[index]


@pytest.mark.parametrize("mode", ["draft10", "draft-10"])
async def test_draft_10_is_the_default_and_may_be_asked_for(house: House, mode: str) -> None:
    said = await house.client(rules={"*": ITEMS}, headers=mode)()
    unsaid = await house.client(rules={"*": ITEMS})()
    for answer in (said, unsaid):
        assert answer.headers["ratelimit-policy"] == '"items";q=20;w=12'
        assert "x-ratelimit-limit" not in answer.headers


async def test_x_ratelimit_tells_three_numbers_and_the_reset_in_seconds(house: House) -> None:
    client = house.client(rules={"*": ITEMS}, headers="x-ratelimit")
    answer = await client()
    assert numbers(answer.headers) == [20, 19, 1]
    assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)
    await client.statuses(19)
    refused = await client()
    assert refused.status_code == 429
    assert numbers(refused.headers) == [20, 0, 12]
    assert refused.headers["retry-after"] == "1"


async def test_or_since_1970(house: House) -> None:
    client = house.client(rules={"*": ITEMS}, headers="x-ratelimit", reset="epoch")
    before = time.time()
    answer = await client()
    assert before + 0.6 <= numbers(answer.headers)[2] <= time.time() + 0.6 + 1


async def test_of_several_rules_the_one_with_the_least_left_is_told(house: House) -> None:
    client = house.client(rules={"*": PAIR}, headers="x-ratelimit")
    assert numbers((await client()).headers)[:2] == [2, 1]
    house.advance(1)
    await client()
    house.advance(1)
    assert numbers((await client()).headers)[:2] == [3, 0]


async def test_off_is_off_for_refusals_too(house: House) -> None:
    for rules in (ITEMS, PAIR):
        client = house.client(rules={"*": rules}, headers="off")
        answers = [await client() for _ in range(21)]
        assert not any("limit" in name for answer in answers for name in answer.headers)
        assert answers[-1].headers["retry-after"]


@pytest.mark.parametrize("mode", ["draft10", "x-ratelimit"])
async def test_a_jitter_only_adds_and_retry_after_is_never_before_t(
    house: House, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    client = house.client(rules={"*": Rule("one", limit=1, per=10)}, headers=mode, jitter=30)
    await client()
    draws = iter([0.0, 0.999, 0.5])
    monkeypatch.setattr(random, "random", lambda: next(draws))
    answers = [await client() for _ in range(3)]
    assert [int(answer.headers["retry-after"]) for answer in answers] == [10, 40, 25]
    assert [answer.json()["retry_after"] for answer in answers] == [10.0, 39.97, 25.0]
    for answer in answers:
        if mode == "draft10":
            told = parse(answer.headers["ratelimit"])[0].parameters["t"]
        else:
            told = numbers(answer.headers)[2]
        assert int(told) <= int(answer.headers["retry-after"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_without_jitter_it_is_not_before_t_either(house: House, algorithm: Any) -> None:
    """Where what was spent comes back little by little."""
    rule = Rule("a", 4, per=60, algorithm=algorithm)
    for rules in (rule, (rule, Rule("b", 100, per=10))):
        ask = house.client(rules={"*": rules})
        address = f"198.51.100.{len(str(rules))}"
        for _ in range(5):
            answer = await ask(address=address)
            house.advance(1)
        assert answer.status_code == 429
        (item,) = parse(answer.headers["ratelimit"])
        assert 1 <= item.parameters["t"] <= int(answer.headers["retry-after"])  # type: ignore[operator]


async def test_a_jitter_is_on_answers_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = house.client(rules={"*": Rule("two", limit=2, per=20)}, jitter=5)
    monkeypatch.setattr(random, "random", lambda: 0.8)
    assert (await client()).headers["ratelimit"] == '"two";r=1;t=14'


async def test_requests_that_are_alike_are_told_the_same_and_others_are_not(house: House) -> None:
    client = house.client(rules={"*": Rule("many", limit=5_000, per=5_000)})
    seen = [(await client()).headers["ratelimit"] for _ in range(1_500)]
    assert seen[:2] + seen[-1:] == [
        '"many";r=4999;t=1',
        '"many";r=4998;t=1',
        '"many";r=3500;t=1',
    ]
    house.advance(1_500.5)
    assert (await client()).headers["ratelimit"] == '"many";r=4999;t=1'


@pytest.mark.parametrize("per", [7.0, 0.3, 60.0, 1_000.0])
async def test_t_is_what_the_rule_itself_says_rounded_up(house: House, per: float) -> None:
    """The hot path writes the arithmetic out; the rule's own is the reference."""
    rule = Rule("odd", limit=3, per=per, burst=7)
    client = house.client(rules={"*": rule})
    draw = random.Random(2)
    for _ in range(200):
        answer = await client()
        verdict = await house.features.limits.peek("odd", "ip:203.0.113.7")
        if answer.status_code == 200:
            t = parse(answer.headers["ratelimit"])[0].parameters["t"]
            assert t == -(-verdict.next_after // 1_000_000)
        house.advance(draw.random() * per / 2)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"headers": "draft11"}, "headers are draft10, x-ratelimit or off"),
        ({"reset": "minutes"}, "a reset is told in seconds or as an epoch"),
        ({"jitter": -1}, "a jitter is 0 or more seconds"),
        ({"jitter": math.nan}, "a jitter is 0 or more seconds"),
    ],
)
def test_what_makes_no_sense_is_refused(house: House, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        house.client(rules={}, **options)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"share": 0}, "a share is above 0"),
        ({"share": 1.5}, "a share is above 0"),
        ({"status": 404}, "a refusal is 429 or 503"),
        ({"algorithm": "calendar"}, "a calendar has a unit"),
        ({"per": None}, "all others have per"),
        ({"timezone": "Mars/Olympus"}, "the rule 'a'"),
        ({"algorithm": "concurrency", "burst": 3}, "a concurrency has no burst"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_written(
    given: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Rule(**{"name": "a", "limit": 1, "per": 60, **given})  # type: ignore[arg-type]


async def test_an_app_that_sends_the_same_message_again_does_not_collect_headers(
    house: House,
) -> None:
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    for jitter in (0, 1):
        ask = house.client(app, rules={"*": Rule("a", 20, per=60)}, jitter=jitter)
        for _ in range(3):
            assert len((await ask()).headers.get_list("ratelimit")) == 1
    assert start["headers"] == [(b"x-a", b"b")]


class Away(EmbeddedLimiter):
    def way(self, rule: Rule, ends: object) -> None:
        """There is none."""

    async def take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        raise Unavailable("away")


async def test_middleware_outside_may_add_to_the_headers_of_a_refusal(house: House) -> None:
    inside = RateLimitMiddleware(
        shop(), rules={"*": Rule("a", 1, per=60)}, limiter=Away(house.features)
    )

    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", b"1"))
            await send(message)

        await inside(scope, receive, adding)

    for _ in range(3):
        answer = await Ask(outside)()
        assert answer.status_code == 503
        assert answer.headers.get_list("x-request-id") == ["1"]


async def test_a_refusal_says_what_forbade_this_request(house: House) -> None:
    """And not what forbade the one before, by the same rule."""
    features = Embedded(house.clock, limit_max_keys=1)
    rule = Rule("a", 1, per=60, status=503, tiers={"slow": Tier(1, per=3600)})
    app = RateLimitMiddleware(
        shop(),
        rules={"*": rule},
        limiter=EmbeddedLimiter(features),
        tier=lambda scope: dict(scope["headers"]).get(b"tier", b"").decode() or None,
    )
    ask = Ask(app)
    await ask()
    details = [
        (await ask(address=address, headers=headers)).json()["detail"]
        for address, headers in (
            ("198.51.100.1", {}),
            ("203.0.113.7", {}),
            ("203.0.113.7", {"tier": "slow"}),
        )
    ]
    assert details == [
        "The rule a has no room for another caller.",
        "The rule a allows 1 in 60 s.",
        "The rule a allows 1 in 3600 s.",
    ]
