"""API keys and tokens of users, for tests of who may do what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime import keyfile
from realtime.access import Access
from realtime.tokens import Tokens, sign
from realtime.tokens.keys import secret_key
from realtime.tokens.tokens import Keys as TokenKeys
from tests.ws.house import House, WallClock

if TYPE_CHECKING:
    from tests.ws.conftest import Serve

__all__ = ["Keys", "guarded", "token", "with_tokens"]

SECRET = b"a secret of thirty-two bytes, or more"


class Keys:
    """A keys file in the making."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def issue(self, name: str, *scopes: str) -> str:
        issued = keyfile.issue(name, scopes, datetime.now(UTC))
        keyfile.add(self.path, issued.record)
        return issued.text


async def guarded(serve: Serve, keys: Keys) -> House:
    """A house that only those may enter who have one of the keys."""
    return await serve(access=Access(keys.path))


async def with_tokens(serve: Serve, path: Path | None = None, **options: Any) -> House:
    """A house for users with a token, and for keys of a file if there is one."""
    wall = WallClock()
    tokens = Tokens(TokenKeys(secret=secret_key(SECRET)), now=wall)
    return await serve(access=Access(path, now=wall, tokens=tokens), wall=wall, **options)


def token(user: str = "", **claims: object) -> str:
    """A token of a user; with ``channel`` it is one for a subscription."""
    return sign({"sub": user, **claims}, SECRET)
