"""From a method and a path to what answers it: a tree of segments.

Each node has children by literal text, and at most one child for "any name". Looking up
costs one dictionary access per segment, however many routes there are. A literal wins over
a name, but only where it leads somewhere: ``PUT /v1/limits/take`` defines the rule called
"take", although ``POST /v1/limits/take`` is another operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from realtime.errors import MethodNotAllowed, NotFound

__all__ = ["Router"]

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("any_name", "literals", "targets")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.any_name: _Node[T] | None = None
        self.targets: dict[str, T] = {}


class Router(Generic[T]):
    """Templates such as ``/v1/counters/{name}``, each with a target per method."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, template: str, target: T) -> None:
        """A GET answers HEAD too."""
        node = self._root
        for segment in template.split("/"):
            if segment.startswith("{"):
                node.any_name = node = node.any_name or _Node()
            else:
                node = node.literals.setdefault(segment, _Node())
        assert method not in node.targets, f"{method} {template} is declared twice"
        node.targets[method] = target
        if method == "GET":
            node.targets["HEAD"] = target

    def find(self, method: str, segments: list[str]) -> tuple[T, list[str]]:
        """The target, and the segments that stand where the template has names. O(segments).

        Raises NotFound and MethodNotAllowed.
        """
        node = self._root
        names: list[str] = []
        for segment in segments:
            child = node.literals.get(segment)
            if child is None:
                child = node.any_name
                if child is None or not segment:
                    break
                names.append(segment)
            node = child
        else:
            target = node.targets.get(method)
            if target is not None:
                return target, names
        return self._search(method, segments)

    def _search(self, method: str, segments: list[str]) -> tuple[T, list[str]]:
        """As ``find``, for what the greedy walk did not find: literals may be names, too."""
        allowed: set[str] = set()
        for node, names in _matches(self._root, segments, 0):
            if method in node.targets:
                return node.targets[method], names
            allowed.update(node.targets)
        if allowed:
            raise MethodNotAllowed(
                f"{method} is not allowed here", ", ".join(sorted({*allowed, "OPTIONS"}))
            )
        raise NotFound("there is no such route")


def _matches(node: _Node[T], segments: list[str], at: int) -> Iterator[tuple[_Node[T], list[str]]]:
    """Every node that the segments lead to, literals first. O(2^literals that are met)."""
    if at == len(segments):
        yield node, []
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _matches(literal, segments, at + 1)
    if node.any_name is not None and segment:
        for found, names in _matches(node.any_name, segments, at + 1):
            yield found, [segment, *names]
