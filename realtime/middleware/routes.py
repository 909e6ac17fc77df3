"""Which entry of a table of route templates a request belongs to.

Templates are written as Starlette and FastAPI write them: ``/items/{id}``, ``/items/{id:int}``,
``/files/{rest:path}``, ``/users/@{name}``; a method may stand before one, and ``*`` is every
path that no other template knows. They are compiled once into a tree of segments, so a look-up
costs one dictionary access per segment, however many templates there are.

Of several that fit, the most specific wins, segment by segment: a literal before a pattern,
a pattern that says more (``{id:int}``, ``@{name}``) before one that takes any segment, that
before one that takes the whole rest. An entry for the method wins over one for all methods.
A path that Starlette would not route to a template does not belong to it either: letter
case and a slash at the end matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from starlette.convertors import CONVERTOR_TYPES

__all__ = ["Routes"]

T = TypeVar("T")

ANY = "*"
"""Every method; as a path, every path."""

SLIPPED = "\n"
"""Starlette's patterns end in ``$``, which lets a path through that ends in one of these: what
looks like another path is routed to the same place, and must not escape its limit."""

_PARAMETER = re.compile(r"{[a-zA-Z_]\w*(?::([a-zA-Z_]\w*))?}")

SEGMENT = "{:str}"
"""The pattern of any segment, once its name is taken out."""

Fits = Callable[[str], object]
"""Whether a text fits: None or False if not."""


class _Pattern(NamedTuple, Generic[T]):
    """A segment with parameters, or the rest of a path from here on, and what follows it."""

    text: str
    fits: Fits
    node: _Node[T]


class _Node(Generic[T]):
    """A place in the tree: what stands there, by method, and the segments that lead on."""

    __slots__ = ("entries", "forks", "literals", "patterns", "rests", "sole")

    def __init__(self) -> None:
        self.entries: dict[str, T] = {}
        self.literals: dict[str, _Node[T]] = {}
        self.patterns: list[_Pattern[T]] = []
        self.rests: list[_Pattern[T]] = []
        self.forks = False
        """A literal that fits is not the only way on."""
        self.sole: _Node[T] | None = None
        """Behind the pattern of any segment, if there is no other pattern here."""

    def settle(self) -> None:
        """Called once the tree is complete."""
        self.forks = bool(self.patterns or self.rests)
        if not self.rests and [pattern.text for pattern in self.patterns] == [SEGMENT]:
            self.sole = self.patterns[0].node
        for node in {*self.literals.values(), *(pattern.node for pattern in self.patterns)}:
            node.settle()


class Routes(Generic[T]):
    """A table of templates, compiled. Raises ValueError for one that makes no sense."""

    __slots__ = ("_depth", "_fallback", "_literal", "_root")

    def __init__(self, table: Mapping[str, T]) -> None:
        self._root: _Node[T] = _Node()
        self._literal: dict[str, dict[str, T]] = {}
        self._fallback: dict[str, T] = {}
        self._depth = 0
        for written, entry in table.items():
            method, template = _split(written)
            for name in _implied(method, template, table):
                _put(self._entries(template), name, entry, written)
        self._root.settle()

    def find(self, method: str, path: str) -> T | None:
        """The entry for a request; None if there is none. O(segments).

        Every request comes by here: one loop down the tree, and a search only where it forks.
        """
        entries = self._literal.get(path)
        if entries is not None and (found := _pick(entries, method)) is not None:
            return found
        node = self._root
        segments = path[1:].split("/", self._depth)
        for segment in segments:
            after = node.literals.get(segment)
            if after is None:
                after = node.sole
                if after is None or not segment:
                    break
            elif node.forks:
                break
            node = after
        else:
            found = node.entries.get(method)
            if found is not None or (found := node.entries.get(ANY)) is not None:
                return found
        found = _search(self._root, segments, 0, method)
        return _pick(self._fallback, method) if found is None else found

    def _entries(self, template: str) -> dict[str, T]:
        """Where the entries of a template belong, by method; made if it is new."""
        if template == ANY:
            return self._fallback
        if not _PARAMETER.search(template):
            entries = self._literal.setdefault(template, {})
            self._literal[template + SLIPPED] = entries
            return entries
        node = self._root
        segments = template[1:].split("/")
        # What is longer than the longest must not look as if it ended there.
        self._depth = max(self._depth, len(segments))
        for at, segment in enumerate(segments):
            if _spans(segment):
                return _behind(node.rests, "/".join(segments[at:])).entries
            if _PARAMETER.search(segment):
                node = _behind(node.patterns, segment)
            else:
                after = node.literals.setdefault(segment, _Node())
                node.literals[segment + SLIPPED] = after
                node = after
        return node.entries


def _pick(entries: dict[str, T], method: str) -> T | None:
    found = entries.get(method)
    return entries.get(ANY) if found is None else found


def _search(node: _Node[T], segments: list[str], at: int, method: str) -> T | None:
    """Every way on from here, the most specific first."""
    if at == len(segments):
        return _pick(node.entries, method)
    segment = segments[at]
    after = node.literals.get(segment)
    found = None if after is None else _search(after, segments, at + 1, method)
    if found is not None:
        return found
    for _, fits, after in node.patterns:
        if fits(segment) and (found := _search(after, segments, at + 1, method)) is not None:
            return found
    return _find_rest(node.rests, segments, at, method) if node.rests else None


def _find_rest(rests: list[_Pattern[T]], segments: list[str], at: int, method: str) -> T | None:
    rest = "/".join(segments[at:])
    for _, fits, after in rests:
        if fits(rest) and (found := _pick(after.entries, method)) is not None:
            return found
    return None


def _split(written: str) -> tuple[str, str]:
    """``POST /login`` into its method and its template."""
    method, _, template = written.rpartition(" ")
    if template != ANY and not template.startswith("/"):
        raise ValueError(f"{written!r} is no route: write /path, POST /path, or *")
    if method and not method.isalpha():
        raise ValueError(f"{method!r} is no method")
    return method.upper() or ANY, template


def _implied(method: str, template: str, table: Mapping[str, object]) -> Iterator[str]:
    """The methods an entry is for: whoever may GET may also send HEAD."""
    yield method
    if method == "GET" and f"HEAD {template}" not in table:
        yield "HEAD"


def _put(entries: dict[str, T], method: str, entry: T, written: str) -> None:
    if method in entries:
        raise ValueError(f"{written!r} is a route that the table already has")
    entries[method] = entry


def _behind(patterns: list[_Pattern[T]], written: str) -> _Node[T]:
    """The node behind a pattern; the names of parameters make no difference."""
    text = _PARAMETER.sub(lambda match: f"{{:{match[1] or 'str'}}}", written)
    for pattern in patterns:
        if pattern.text == text:
            return pattern.node
    new: _Pattern[T] = _Pattern(text, _fits(written, text), _Node())
    patterns.append(new)
    patterns.sort(key=lambda pattern: pattern.text in _GENERAL)
    return new.node


def _fits(written: str, text: str) -> Fits:
    general = _GENERAL.get(text)
    if general is not None:
        return general
    parts = _PARAMETER.split(written)  # literal, convertor, literal, convertor, …
    pattern = "".join(_regex(part) if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return re.compile(pattern + f"{SLIPPED}?").fullmatch


_GENERAL: Mapping[str, Fits] = {SEGMENT: bool, "{:path}": lambda rest: True}
"""Patterns that say nothing but where they stand; a segment is a text that is not empty."""


def _spans(segment: str) -> bool:
    """Whether a parameter of this segment takes slashes too."""
    return any(re.fullmatch(_regex(convertor), "/") for convertor in _PARAMETER.findall(segment))


def _regex(convertor: str | None) -> str:
    """What Starlette lets a parameter be."""
    found = CONVERTOR_TYPES.get(convertor or "str")
    if found is None:
        raise ValueError(f"there is no path convertor {convertor!r}")
    return f"(?:{found.regex})"
