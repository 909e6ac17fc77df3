"""What a route may be limited to: a name and so much per so many seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from starlette.types import Scope

from realtime.errors import InvalidInput
from realtime.services.calendars import Unit
from realtime.services.limits import Algorithm, Penalty, RuleSpec, Tier

__all__ = ["CONCURRENCY", "KeyFunction", "OnOutage", "Rule", "check_policy", "distinct"]

CONCURRENCY = "concurrency"

KeyFunction = Callable[[Scope], str | None]
"""Who a request is counted under; None if that cannot be said."""

OnOutage = Literal["allow", "deny", "local"]
"""What happens to a request while the limiter cannot be asked: it passes, it is answered 503, or
it is limited by this process alone."""

OnChange = Literal["as-is", "proportional", "reset"]


@dataclass(frozen=True, slots=True)
class Rule:
    """``limit`` requests per ``per`` seconds for each caller, counted under ``name``.

    Routes that name the same rule share what a caller may spend. A shadow rule decides and
    counts, logs what it would have refused, and refuses nothing. What the fields up to
    ``on_change`` do is written down in docs/limits.md; they are stored with the limiter. Those
    after it belong to this app.
    """

    name: str
    limit: int
    per: float | None = None
    """Seconds. A calendar has none; of a concurrency rule, how long a lease lasts that is not
    renewed any more."""
    burst: int | None = None
    """Token bucket: how many may come at once; as many as the limit if not said."""
    algorithm: Algorithm = "token_bucket"
    shadow: bool = False
    unit: Unit | None = None
    timezone: str = "UTC"
    tiers: Mapping[str, Tier] = field(default_factory=dict, hash=False)
    penalty: Penalty | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    on_change: OnChange = "as-is"
    key: KeyFunction | str | None = None
    """Who is counted, if not who the app's own key says; a text is one count for everybody."""
    status: Literal[429, 503] = 429
    """503 if it is our own capacity that is limited, and nothing that the caller did."""
    on_outage: OnOutage | None = None
    """As the limiter says, if None."""
    share: float = 1.0
    """Of the limit, what this process alone may give while ``on_outage`` is "local"."""
    spec: RuleSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name or not self.name.isascii() or not self.name.isprintable():
            raise ValueError(
                f"{self.name!r} cannot name a rule: it stands in a header, so visible ASCII only"
            )
        if (self.per is None) != (self.algorithm == "calendar"):
            raise ValueError(f"the rule {self.name!r}: a calendar has a unit, all others have per")
        if not 0 < self.share <= 1:
            raise ValueError(f"the rule {self.name!r}: a share is above 0 and at most 1")
        if self.key == "":
            raise ValueError(
                f"the rule {self.name!r}: its key has no letters: None is the app's own"
            )
        check_policy(self.on_outage or "allow")
        _check_word("algorithm", self.algorithm, get_args(Algorithm))
        _check_word("on_change", self.on_change, get_args(OnChange))
        _check_word("unit", self.unit, (None, *get_args(Unit)))
        if self.status not in (429, 503):
            raise ValueError(f"the rule {self.name!r}: a refusal is 429 or 503")
        spec = self._spec()
        try:
            spec.check()
        except InvalidInput as error:
            raise ValueError(f"the rule {self.name!r}: {error}") from None
        object.__setattr__(self, "spec", spec)

    def alone(self) -> Rule:
        """The rule of this process alone: its share of the limit, at least 1 of everything."""
        tiers = {
            name: tier._replace(limit=self._part(tier.limit), burst=self._burst(tier.burst))
            for name, tier in self.tiers.items()
        }
        limit, burst = self._part(self.limit), self._burst(self.burst)
        return replace(self, limit=limit, burst=burst, tiers=tiers, share=1.0)

    def _part(self, amount: int) -> int:
        # 0.29 of 100 is 29, and not the 28 that binary fractions make of it.
        return max(1, int(round(amount * self.share, 6)))

    def _burst(self, burst: int | None) -> int | None:
        return None if burst is None else self._part(burst)

    def _spec(self) -> RuleSpec:
        return RuleSpec(
            algorithm=self.algorithm,
            limit=self.limit,
            per=60.0 if self.per is None else self.per,
            burst=self.burst,
            shadow=self.shadow,
            unit=self.unit,
            timezone=self.timezone,
            tiers=dict(self.tiers),
            penalty=self.penalty,
            allow=tuple(self.allow),
            deny=tuple(self.deny),
            on_change=self.on_change,
        )


def check_policy(on_outage: str) -> None:
    """Raises ValueError for a word that is no policy: it would let everybody pass."""
    _check_word("on_outage", on_outage, get_args(OnOutage))


def _check_word(what: str, word: object, known: Sequence[object]) -> None:
    if word not in known:
        raise ValueError(f"{what} is one of {', '.join(map(str, known))}, and not {word!r}")


def distinct(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Each rule once. Raises ValueError if two that differ have one name."""
    by_name: dict[str, Rule] = {}
    for rule in rules:
        if by_name.setdefault(rule.name, rule) != rule:
            raise ValueError(f"two different rules are named {rule.name!r}")
    return tuple(by_name.values())
