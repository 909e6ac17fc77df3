"""Patterns of the method channels: which names they match.

``*`` and ``**`` are any text, ``?`` is any character, ``[abc]``, ``[a-z]`` and ``[!abc]`` are one
of some, ``{news,sport}`` is one of some texts, which may be patterns, and ``\\`` takes the next
character as it is.

A pattern is expanded into such without braces, and `fnmatch` makes of each an expression that
matches in time linear in the name: nobody can make us look for long. Pure.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from realtime.errors import InvalidInput
from realtime.services.names import MAX_NAME

__all__ = ["matcher"]

MAX_ALTERNATIVES = 64
"""Patterns that the braces of one may stand for."""

_LITERAL = {character: f"[{character}]" for character in "*?["}
_TOKEN = re.compile(r"\\.|\[!?\]?[^\]]*\]|.", re.DOTALL)


def matcher(pattern: str) -> Callable[[str], object]:
    """A function whose answer is true for the names that match. Raises InvalidInput."""
    if len(pattern) > MAX_NAME:
        raise InvalidInput(f"a pattern has at most {MAX_NAME} characters", path="$.pattern")
    texts = _expanded(_TOKEN.findall(pattern))
    return re.compile("|".join(fnmatch.translate(text) for text in texts)).match


def _expanded(tokens: list[str]) -> list[str]:
    """The patterns, without braces and backslashes, that the tokens stand for."""
    levels: list[list[list[str]]] = [[[""]]]
    """Of each brace that is open: its alternatives, and of each the texts it stands for."""
    for token in tokens:
        if token == "{":
            levels.append([[""]])
        elif token == "}" and len(levels) > 1:
            inner = [text for alternative in levels.pop() for text in alternative]
            levels[-1][-1] = _crossed(levels[-1][-1], inner)
        elif token == "," and len(levels) > 1:
            levels[-1].append([""])
        else:
            levels[-1][-1] = [text + _plain(token) for text in levels[-1][-1]]
    if len(levels) > 1:
        raise InvalidInput("a brace of the pattern is not closed", path="$.pattern")
    return levels[0][0]


def _crossed(heads: list[str], tails: list[str]) -> list[str]:
    if len(heads) * len(tails) > MAX_ALTERNATIVES:
        raise InvalidInput(
            f"the braces of a pattern may stand for {MAX_ALTERNATIVES} others", path="$.pattern"
        )
    return [head + tail for head in heads for tail in tails]


def _plain(token: str) -> str:
    """A token as `fnmatch` understands it."""
    if token[0] == "\\" and len(token) == 2:
        return _LITERAL.get(token[1], token[1])
    return token
