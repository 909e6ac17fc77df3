"""What becomes of requests while the limiter cannot be asked: by rule, and what is remembered."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Any

import pytest

from realtime.backends.base import WrongType
from realtime.errors import InvalidInput, Unavailable
from realtime.middleware import EmbeddedLimiter, Penalty, RateLimitMiddleware, Rule, Tier
from realtime.middleware.blocked import Blocked
from realtime.middleware.distant import Distant
from realtime.middleware.events import Outcome
from realtime.middleware.outage import OUTAGES_IN_A_ROW, Outages
from realtime.middleware.rules import OnOutage
from realtime.services.leases import Lease
from realtime.services.limits import Verdict, Wish
from tests.middleware.conftest import Ask, House, shop

log = logging.getLogger("realtime.test")


class Wire(Distant):
    """A limiter over a wire that a test cuts; it counts what it is asked."""

    def __init__(self, house: House, on_outage: OnOutage = "allow", remember: int = 100) -> None:
        super().__init__("a test", 5.0, on_outage, remember, log)
        self.there = EmbeddedLimiter(house.features)
        self.is_cut = False
        self.asked = 0

    async def close(self) -> None:
        await self._end()

    def _abandon(self) -> None:
        """Nothing is held."""

    async def _define(self, rule: Rule) -> None:
        if self.is_cut:
            raise ConnectionError("the wire is cut")
        await self.there.prepare([rule])
        self._defined.add(rule.name)

    async def _take(self, wishes: Sequence[Wish]) -> Sequence[Verdict]:
        await self._define_new([wish.rule for wish in wishes])
        self._use()
        return await self.there.take(wishes)

    async def _settle(self, wish: Wish, by: int) -> None:
        self._use()
        await self.there.settle(wish, by)

    async def _acquire(self, wish: Wish, lease_id: str) -> Lease:
        self._use()
        return await self.there.acquire(wish, lease_id)

    async def _renew(self, rule: str, key: str, lease_id: str) -> bool:
        self._use()
        return await self.there.renew(rule, key, lease_id)

    async def _release(self, rule: str, key: str, lease_id: str) -> None:
        self._use()
        await self.there.release(rule, key, lease_id)

    def _use(self) -> None:
        self.asked += 1
        if self.is_cut:
            raise ConnectionError("the wire is cut")


class Seen:
    """An observer."""

    def __init__(self) -> None:
        self.all: list[tuple[Outcome, list[str]]] = []

    def __call__(self, outcome: Outcome, rules: Sequence[str]) -> None:
        self.all.append((outcome, list(rules)))

    def outcomes(self) -> list[Outcome]:
        return [outcome for outcome, _ in self.all]


def client(wire: Wire, rules: object, **options: object) -> Ask:
    return Ask(RateLimitMiddleware(shop(), rules={"*": rules}, limiter=wire, **options))  # type: ignore[dict-item,arg-type]


class TestPolicies:
    @pytest.mark.parametrize(("policy", "status"), [("allow", 200), ("deny", 503)])
    async def test_a_rule_may_say_otherwise_than_the_limiter(
        self, house: House, policy: OnOutage, status: int
    ) -> None:
        wire = Wire(house, on_outage="deny" if policy == "allow" else "allow")
        ask = client(wire, Rule("a", 3, per=60, on_outage=policy))
        wire.is_cut = True
        answer = await ask()
        assert (answer.status_code, "ratelimit" in answer.headers) == (status, False)

    async def test_one_that_denies_decides_for_all(self, house: House) -> None:
        wire = Wire(house)
        rules = [Rule(name, 3, per=60, on_outage=name) for name in ("allow", "deny", "local")]
        wire.is_cut = True
        assert await client(wire, rules).statuses(1) == [503]
        assert await client(wire, [rules[0], rules[2]]).statuses(1) == [200]

    async def test_this_process_alone_gives_its_share(self, house: House) -> None:
        wire, seen = Wire(house), Seen()
        rule = Rule("a", 10, per=3600, on_outage="local", share=0.25)
        ask = client(wire, rule, observe=seen)
        assert await ask.statuses(3) == [200] * 3
        wire.is_cut = True
        answers = [await ask() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"a";q=2;w=3600'
        assert await ask.statuses(1, address="198.51.100.1") == [200]
        assert seen.outcomes()[3:6] == ["outage", "local", "allowed"]
        wire.is_cut = False

    async def test_several_rules_are_one_step_here_too(self, house: House) -> None:
        wire = Wire(house)
        rules = [
            Rule("open", 1, per=60, on_outage="allow"),
            Rule("one", 1, per=60, on_outage="local"),
            Rule("five", 5, per=60, on_outage="local"),
        ]
        ask = client(wire, rules)
        wire.is_cut = True
        assert await ask.statuses(3) == [200, 429, 429]
        assert (await ask()).json()["violated-policies"] == ["one"]

    async def test_leases_follow_the_same_policies(self, house: House) -> None:
        go_on = asyncio.Event()

        async def app(scope: object, receive: object, send: object) -> None:
            await go_on.wait()

        wire = Wire(house)
        fields = {"per": 60, "algorithm": "concurrency"}
        for policy in ("allow", "deny", "local"):
            rule = Rule(policy, 4, on_outage=policy, share=0.3, **fields)  # type: ignore[arg-type]
            middleware = RateLimitMiddleware(app, rules={"*": rule}, limiter=wire)
            scope = {"type": "http", "method": "GET", "path": "/", "client": ("x", 1)}
            sent: list[int] = []

            async def send(message: object, sent: list[int] = sent) -> None:
                sent.append(message.get("status", 0))  # type: ignore[attr-defined]

            wire.is_cut = True
            going = [
                asyncio.ensure_future(middleware(dict(scope), None, send))  # type: ignore[arg-type]
                for _ in range(3)
            ]
            for _ in range(20):
                await asyncio.sleep(0)
            assert sent == {"allow": [], "deny": [503, 0] * 3, "local": [429, 0] * 2}[policy]
            go_on.set()
            await asyncio.gather(*going)
            go_on.clear()
            await vars(middleware)["_ask"].close()

    async def test_a_cost_that_cannot_be_settled_stays_as_estimated(self, house: House) -> None:
        wire, seen = Wire(house), Seen()

        def cost_after(scope: object) -> int:
            wire.is_cut = True
            return 0

        rule = Rule("a", 10, per=3600)
        ask = client(wire, rule, cost=4, cost_after=cost_after, observe=seen)
        assert (await ask()).status_code == 200
        assert seen.outcomes() == ["allowed", "outage"]
        assert (await house.features.limits.peek("a", "ip:203.0.113.7")).decision.remaining == 6

    def test_a_share_is_of_everything_and_at_least_one(self) -> None:
        rule = Rule("a", 10, per=1, burst=4, tiers={"gold": Tier(100, burst=50)}, share=0.1)
        alone = rule.alone()
        assert (alone.limit, alone.burst, alone.tiers["gold"]) == (1, 1, Tier(10, None, 5))
        assert Rule("b", 100, per=1, share=0.29).alone().limit == 29


class TestBlocked:
    async def test_who_was_refused_is_not_asked_about_until_he_may_have_more(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = [100.0]
        wire, seen = Wire(house), Seen()
        monkeypatch.setattr(wire, "_blocked", Blocked(100, lambda: clock[0]))
        ask = client(wire, Rule("a", 2, per=8), observe=seen)
        await ask.statuses(3)
        asked = wire.asked
        clock[0] += 1.5
        house.advance(1.5)
        answer = await ask()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        assert answer.json()["retry_after"] == 2.5
        assert answer.headers["ratelimit"] == '"a";r=0;t=3'
        assert wire.asked == asked
        assert seen.outcomes() == ["allowed", "allowed", "refused", "blocked"]
        assert await ask.statuses(1, address="198.51.100.1") == [200]
        clock[0] += 2.5
        house.advance(2.5)
        assert await ask.statuses(1) == [200]

    async def test_what_costs_less_may_pass_and_is_asked(self, house: House) -> None:
        wire = Wire(house)
        costs = iter([3, 5, 5, 6, 4, 2])
        ask = client(wire, Rule("a", 5, per=3600), cost=lambda scope: next(costs))
        assert await ask.statuses(2) == [200, 429]
        asked = wire.asked
        assert await ask.statuses(2) == [429, 429]
        assert wire.asked == asked
        assert await ask.statuses(2) == [429, 200]
        assert wire.asked == asked + 2

    @pytest.mark.parametrize(
        "algorithm", ["token_bucket", "sliding_window", "sliding_log", "fixed_window", "calendar"]
    )
    @pytest.mark.parametrize("mode", ["draft10", "x-ratelimit"])
    async def test_what_is_known_is_what_would_have_been_answered(
        self, house: House, monkeypatch: pytest.MonkeyPatch, algorithm: Any, mode: Any
    ) -> None:
        when: Any = {"unit": "minute"} if algorithm == "calendar" else {"per": 60}
        rule = Rule("a", 4, algorithm=algorithm, **when)
        clock, costs = [100.0], [1]
        knowing, asking = Wire(house), Wire(house, remember=0)
        monkeypatch.setattr(knowing, "_blocked", Blocked(100, lambda: clock[0]))
        known, asked = (
            client(wire, rule, headers=mode, cost=lambda scope: costs[0])
            for wire in (knowing, asking)
        )
        assert await known.statuses(5) == [200] * 4 + [429]
        questions = knowing.asked
        for passed, cost in ((0.75, 1), (0.75, 2), (0, 4), (0, 5), (1.5, 1), (0.001, 3)):
            clock[0] += passed
            house.advance(passed)
            costs[0] = cost
            here, there = await known(), await asked()
            assert here.json() == there.json()
            for name in ("ratelimit", "x-ratelimit-reset", "retry-after"):
                assert here.headers.get(name) == there.headers.get(name)
        if not algorithm.startswith("sliding"):
            assert knowing.asked == questions

    async def test_refusals_that_count_are_asked_for_and_the_box_is_not(self, house: House) -> None:
        wire = Wire(house)
        rule = Rule("a", 1, per=3600, penalty=Penalty(after=3, within=60, duration=60))
        ask = client(wire, rule)
        assert await ask.statuses(4) == [200, 429, 429, 429]
        assert wire.asked == 4
        await ask.statuses(5)
        assert wire.asked == 5, "once, to hear that the caller is in the box"

    async def test_any_known_refusal_refuses_the_whole(self, house: House) -> None:
        wire = Wire(house)
        ask = client(wire, [Rule("wide", 9, per=60), Rule("narrow", 1, per=60)])
        await ask.statuses(2)
        asked = wire.asked
        answer = await ask()
        assert answer.json()["violated-policies"] == ["narrow"]
        assert wire.asked == asked
        left = await house.features.limits.peek("wide", "ip:203.0.113.7")
        assert left.decision.remaining == 8

    async def test_a_shadow_and_what_is_switched_off_are_not_kept(self, house: House) -> None:
        shadow = client(wire := Wire(house), Rule("s", 1, per=60, shadow=True))
        await shadow.statuses(5)
        assert wire.asked == 5
        off = client(wire := Wire(house, remember=0), Rule("a", 1, per=60))
        await off.statuses(5)
        assert wire.asked == 5

    async def test_so_many_are_kept_and_none_for_ever(self, house: House) -> None:
        clock = [100.0]
        blocked = Blocked(3, lambda: clock[0])
        limits = house.features.limits
        await limits.define("a", Rule("a", 1, per=3600).spec)
        wishes = [Wish("a", f"user:{n}") for n in range(5)]
        for wish in wishes:
            await limits.take(*wish)
            blocked.learn([wish], [await limits.take(*wish)], set())
        known = [blocked.among([wish]) is not None for wish in wishes]
        assert known == [False, False, True, True, True]
        clock[0] += 10.0
        assert not any(blocked.among([wish]) for wish in wishes), "a reset is noticed by then"

    async def test_never_is_believed_for_a_second(self, house: House) -> None:
        clock = [100.0]
        blocked = Blocked(3, lambda: clock[0])
        limits, wish = house.features.limits, Wish("a", "eve")
        await limits.define("a", Rule("a", 1, per=60, deny=("eve",)).spec)
        blocked.learn([wish], [await limits.take(*wish)], set())
        assert blocked.among([wish])
        clock[0] += 1.0
        assert blocked.among([wish]) is None

    def test_a_negative_number_is_refused(self) -> None:
        with pytest.raises(ValueError, match="0 or more refusals"):
            Blocked(-1)


class TestCircuit:
    async def test_one_question_goes_first_when_it_closes_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = [1_000.0]
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0])
        outages = Outages("a test", 60.0, log)
        asked = 0
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def fail() -> str:
            raise ConnectionError

        async def wait() -> str:
            nonlocal asked
            asked += 1
            return await answer

        for _ in range(OUTAGES_IN_A_ROW):
            with pytest.raises(Unavailable):
                await outages.ask(fail)
        with pytest.raises(Unavailable):
            await outages.ask(wait)
        assert asked == 0
        clock[0] += 1.1
        probe = asyncio.create_task(outages.ask(wait))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(Unavailable, match="for a moment"):
                await outages.ask(wait)
        assert asked == 1
        answer.set_result("yes")
        assert await probe == "yes"
        assert await outages.ask(wait) == "yes"

    @pytest.mark.parametrize("error", [InvalidInput("no such key"), WrongType(b"k", "list", "x")])
    async def test_questions_that_are_not_taken_do_not_open_it(self, error: Exception) -> None:
        """They are as good as an outage to those who ask them, and to nobody else."""
        outages = Outages("a test", 60.0, log)

        async def refuse() -> str:
            raise error

        async def answer() -> str:
            return "answered"

        for _ in range(2 * OUTAGES_IN_A_ROW):
            with pytest.raises(Unavailable):
                await outages.ask(refuse)
        assert await outages.ask(answer) == "answered"

    @pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf])
    def test_a_deadline_is_needed(self, timeout: float) -> None:
        with pytest.raises(ValueError, match="a deadline is above 0"):
            Outages("a test", timeout, log)

    def test_a_word_that_is_no_policy_is_refused(self, house: House) -> None:
        """It would be taken for the most lenient."""
        unknown: Any = "closed"
        for limiter in (
            lambda: Wire(house, on_outage=unknown),
            lambda: EmbeddedLimiter(house.features, on_outage=unknown),
        ):
            with pytest.raises(ValueError, match="on_outage is one of allow, deny, local"):
                limiter()


async def test_an_observer_hears_of_every_decision(house: House) -> None:
    seen = Seen()
    rules = {
        "/items/{id}": Rule("items", 1, per=60),
        "/login": (Rule("login", 2, per=60), Rule("shy", 1, per=60, shadow=True)),
    }
    ask = house.client(rules=rules, observe=seen)
    for path in ("/items/1", "/items/1", "/login", "/login", "/login", "/"):
        await ask(path)
    assert seen.all == [
        ("allowed", ["items"]),
        ("refused", ["items"]),
        ("allowed", ["login", "shy"]),
        ("would-refuse", ["shy"]),
        ("allowed", ["login", "shy"]),
        ("refused", ["login"]),
    ]
