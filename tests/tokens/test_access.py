"""Users who come with a token: what they may do, and for how long."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import httpx
import pytest

from realtime.access import ACTIONS, FEATURES, Access, Principal
from realtime.embedded import Embedded
from realtime.http import api
from realtime.state import ServiceState
from realtime.tokens import TokenExpired, TokenInvalid, TokenKeysUnavailable, Tokens
from realtime.tokens.tokens import Keys
from realtime.tokens.url_set import UrlSet
from tests.access.test_access import make_key
from tests.tokens.signers import NOW, signer, taking, token


def access(
    path: Path | None = None, *, admin: bool = False, now: list[float] | None = None
) -> Access:
    clock = [NOW] if now is None else now
    return Access(path, lambda: clock[0], taking(admin=admin, now=clock))


def admitted(access: Access, text: str) -> Principal:
    found = access.principal(text)
    assert found is not None
    return found


def test_once_tokens_are_taken_whoever_has_none_may_do_nothing() -> None:
    closed = access()
    assert not closed.open
    assert not closed.empty
    assert not any(closed.anonymous.may(*pair) for pair in product(FEATURES, ACTIONS))


def test_a_user_has_a_name_and_may_do_nothing_else() -> None:
    user = admitted(access(), token(sub="42", exp=NOW + 60, jti="j", iat=NOW))
    assert (user.name, user.user, user.is_user, user.key) == ("42", "42", True, "")
    assert (user.expires, user.jti, user.issued_at) == (NOW + 60, "j", NOW)
    assert not any(user.may(*pair) for pair in product(FEATURES, ACTIONS))
    nameless = admitted(access(), token())
    assert (nameless.user, nameless.is_user, nameless.expires) == ("", True, math.inf)


@pytest.mark.parametrize(
    ("scopes", "granted", "refused"),
    [
        (["counters:read"], ["counters:read"], ["counters:write", "limits:read", "admin:read"]),
        (["*"], ["channels:publish", "sessions:admin"], ["admin:read", "admin:write"]),
        (["*:*"], ["channels:publish"], ["admin:read"]),
        (["*:read"], ["limits:read"], ["limits:write", "admin:read"]),
        (["admin:*", "limits:read"], ["limits:read"], ["admin:read", "admin:write"]),
        ([], [], ["counters:read"]),
    ],
)
def test_the_claim_scopes_grants_all_but_the_admin(
    scopes: list[str], granted: list[str], refused: list[str]
) -> None:
    user = admitted(access(), token(sub="42", scopes=scopes))
    assert all(user.may(*one.split(":")) for one in granted)
    assert not any(user.may(*one.split(":")) for one in refused)


def test_and_the_admin_only_if_the_settings_say_so() -> None:
    for scope in ("*", "admin:read"):
        assert admitted(access(admin=True), token(scopes=[scope])).may("admin", "read")
    assert not admitted(access(admin=True), token(scopes=["*:read"])).may("admin", "read")


def test_a_scope_that_is_none_spoils_the_token() -> None:
    for scopes in (["counters:fly"], ["counters:read", "x"], [""]):
        with pytest.raises(TokenInvalid, match="is no scope"):
            access().principal(token(scopes=scopes))


def test_keys_go_on_being_keys(tmp_path: Path) -> None:
    text = make_key(tmp_path / "keys.json", "app").text
    both = access(tmp_path / "keys.json")
    app = admitted(both, text)
    assert (app.name, app.is_user, app.user) == ("app", False, "")
    assert both.stands(app)
    assert both.principal("rt_what") is None
    assert Access(tmp_path / "keys.json").principal(token(sub="42")) is None, "no tokens are taken"


def test_a_user_stands_until_the_token_expires_or_is_revoked() -> None:
    now, revoked = [NOW], [False]
    tokens = taking(now=now, revoked=lambda user, jti, issued_at: revoked[0])
    door = Access(None, lambda: now[0], tokens)
    user = admitted(door, token(sub="42", exp=NOW + 10))
    forever = admitted(door, token(sub="43"))
    assert door.stands(user)
    now[0] += 10
    assert (door.stands(user), door.stands(forever)) == (False, True)
    with pytest.raises(TokenExpired):
        door.principal(token(sub="42", exp=NOW + 10))
    revoked[0] = True
    assert not door.stands(forever)


def test_files_of_keys_are_looked_at_with_those_of_api_keys(tmp_path: Path) -> None:
    asked: list[None] = []
    tokens = taking()
    tokens.refresh = lambda: asked.append(None)  # type: ignore[method-assign]
    for path in (None, tmp_path / "keys.json"):
        Access(path, tokens=tokens).refresh()
    assert len(asked) == 2


def client(door: Access) -> httpx.AsyncClient:
    http = api.build(
        Embedded().services, door, state=ServiceState(ready=True), options=api.Options()
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(http), base_url="http://localhost")


async def test_the_http_door_says_what_is_wrong_with_a_token() -> None:
    async with client(access()) as http:

        async def tell(text: str) -> tuple[int, str]:
            bearer = {"authorization": f"Bearer {text}"}
            answer = await http.post("/v1/counters/visits/add", headers=bearer)
            return answer.status_code, answer.json().get("detail", "")

        assert (await tell(token(sub="42", scopes=["counters:write"])))[0] == 200
        assert await tell(token(sub="42")) == (403, "this token lacks the scope counters:write")
        assert await tell(token(exp=NOW)) == (401, "this token has expired (exp)")
        status, detail = await tell(token(sub="42", scopes=["*"]) + "A")
        assert (status, detail) == (401, "this token was not signed by a key that is known here")
        assert (await tell("a.b.c"))[0] == 401
        assert await tell("rt_x") == (401, "this key is not known, or no longer")


async def test_while_the_keys_are_on_their_way_it_says_try_again() -> None:
    tokens = Tokens(Keys(web=UrlSet("http://127.0.0.1:1/", 60.0)))
    with pytest.raises(TokenKeysUnavailable):
        Access(None, tokens=tokens).principal(signer("ES256").sign({}))
    async with client(Access(None, tokens=tokens)) as http:
        bearer = {"authorization": f"Bearer {signer('ES256').sign({})}"}
        answer = await http.get("/v1/counters?names=visits", headers=bearer)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_user_gets_no_answer_that_was_kept_for_a_key_of_the_same_name(
    tmp_path: Path,
) -> None:
    key = make_key(tmp_path / "keys.json", "ada", "counters:write").text
    user = token(sub="ada", scopes=["counters:write"])
    async with client(access(tmp_path / "keys.json")) as http:
        values = []
        for bearer in (key, user, key):
            headers = {"authorization": f"Bearer {bearer}", "idempotency-key": "k"}
            answer = await http.post("/v1/counters/visits/add", headers=headers)
            values.append(answer.json()["value"])
    assert values == [1, 2, 1]
