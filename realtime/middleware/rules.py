"""What a route may be limited to: a name and so much per so many seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from realtime.errors import InvalidInput
from realtime.services.limits import Algorithm, RuleSpec

__all__ = ["Rule", "distinct"]


@dataclass(frozen=True, slots=True)
class Rule:
    """``limit`` requests per ``per`` seconds for each caller, counted under ``name``.

    Routes that name the same rule share what a caller may spend. A shadow rule decides and
    counts, logs what it would have refused, and refuses nothing.
    """

    name: str
    limit: int
    per: float
    burst: int | None = None
    """Token bucket: how many may come at once; as many as the limit if not said."""
    algorithm: Algorithm = "token_bucket"
    shadow: bool = False
    spec: RuleSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name or not self.name.isascii() or not self.name.isprintable():
            raise ValueError(
                f"{self.name!r} cannot name a rule: it stands in a header, so visible ASCII only"
            )
        spec = RuleSpec(self.algorithm, self.limit, self.per, self.burst, self.shadow)
        try:
            spec.build()
        except InvalidInput as error:
            raise ValueError(f"the rule {self.name!r}: {error}") from None
        object.__setattr__(self, "spec", spec)


def distinct(rules: list[Rule]) -> tuple[Rule, ...]:
    """Each rule once. Raises ValueError if two that differ have one name."""
    by_name: dict[str, Rule] = {}
    for rule in rules:
        if by_name.setdefault(rule.name, rule) != rule:
            raise ValueError(f"two different rules are named {rule.name!r}")
    return tuple(by_name.values())
