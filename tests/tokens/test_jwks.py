"""Sets of keys that somebody else keeps: over HTTP and in files, as they change and go away."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from realtime.options import SettingsError
from realtime.settings.tokens import TokenSettings
from realtime.tokens import TokenInvalid, TokenKeysUnavailable, Tokens
from realtime.tokens.keys import MAX_KEYS, MAX_SET, KeyFault, KeySet
from realtime.tokens.tokens import Keys
from realtime.tokens.url_set import UrlSet
from tests.redis.waiting import until
from tests.tokens.signers import Signer, configured, signer

ONE, TWO = signer("ES256", "one"), signer("EdDSA", "two")
CLAIMS = {"sub": "42"}

HOUR = 3600.0


def document(*signers: Signer) -> bytes:
    return json.dumps({"keys": [of.jwk for of in signers]}).encode()


class Source:
    """A web server whose answer the test changes."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/jwks.json"
        self.status = 200
        self.body = b""
        self.location = ""
        self.asked = 0
        self.held: threading.Event | None = None
        """While it is not set, nobody gets an answer."""


@pytest.fixture
def source() -> Iterator[Source]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            if found.held is not None:
                found.held.wait(20)
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Source(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def kept(
    source: Source, *, interval: float = HOUR, now: list[float]
) -> AsyncIterator[Tokens]:
    """Tokens whose keys are at the source; 10 seconds of ``now`` make a set stale."""
    web = UrlSet(source.url, interval, least=0.0, now=lambda: now[0])
    tokens = Tokens(Keys(web=web))
    running = asyncio.create_task(tokens.run())
    try:
        yield tokens
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def takes(tokens: Tokens, of: Signer) -> bool:
    try:
        return tokens.connection(of.sign(CLAIMS)).user == "42"
    except (TokenKeysUnavailable, TokenInvalid):
        return False


async def test_while_the_first_set_is_on_its_way_nobody_can_say(source: Source) -> None:
    source.body, source.held = document(ONE), threading.Event()
    async with kept(source, now=[0.0]) as tokens:
        await until(lambda: source.asked == 1)
        for of in (ONE, TWO):
            with pytest.raises(TokenKeysUnavailable, match="not here yet"):
                tokens.connection(of.sign(CLAIMS))
        with pytest.raises(TokenInvalid):
            tokens.connection(signer("HS256").sign(CLAIMS))
        source.held.set()
        await until(lambda: takes(tokens, ONE))


async def test_what_is_not_in_a_fresh_set_is_unknown(source: Source) -> None:
    source.body = document(ONE)
    async with kept(source, now=[0.0]) as tokens:
        await until(lambda: takes(tokens, ONE))
        with pytest.raises(TokenInvalid, match="not signed by a key"):
            tokens.connection(TWO.sign(CLAIMS))
        forged = Signer("ES256", signer("ES256", nth=1).private, "one")
        with pytest.raises(TokenInvalid, match="not signed by a key"):
            tokens.connection(forged.sign(CLAIMS))
    assert source.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(source: Source) -> None:
    source.body = document(ONE)
    now = [0.0]
    async with kept(source, now=now) as tokens:
        await until(lambda: takes(tokens, ONE))
        source.body = document(ONE, TWO)
        now[0] = 1.0
        with pytest.raises(TokenKeysUnavailable, match="still looked for"):
            tokens.connection(TWO.sign(CLAIMS))
        await until(lambda: takes(tokens, TWO))
        assert takes(tokens, ONE)
        assert source.asked in (2, 3)  # who asks while it is on its way has it fetched once more
        with pytest.raises(TokenInvalid):
            tokens.connection(signer("ES384", "three").sign(CLAIMS))


def test_a_set_is_bounded() -> None:
    assert ONE.kid in KeySet.parse(json.dumps({"keys": [ONE.jwk] * MAX_KEYS}).encode())
    with pytest.raises(KeyFault, match=f"at most {MAX_KEYS} keys, not {MAX_KEYS + 1}"):
        KeySet.parse(json.dumps({"keys": [ONE.jwk] * (MAX_KEYS + 1)}).encode())
    with pytest.raises(KeyFault, match=f"at most {MAX_SET} bytes"):
        KeySet.parse(document(ONE) + b" " * MAX_SET)


async def test_a_key_that_is_there_is_not_looked_for_again(source: Source) -> None:
    source.body = document(ONE)
    now = [0.0]
    async with kept(source, now=now) as tokens:
        await until(lambda: takes(tokens, ONE))
        now[0] = 1.0
        with pytest.raises(TokenInvalid, match="not signed by a key"):
            tokens.connection(Signer("EdDSA", TWO.private, "one").sign(CLAIMS))


async def test_strangers_cannot_make_us_ask_again_and_again(source: Source) -> None:
    source.body = document(ONE)
    now = [0.0]
    web = UrlSet(source.url, HOUR, now=lambda: now[0])  # ten seconds are between two fetches
    tokens = Tokens(Keys(web=web))
    running = asyncio.create_task(tokens.run())
    await until(lambda: takes(tokens, ONE))
    now[0] = HOUR
    for number in range(100):
        with pytest.raises(TokenKeysUnavailable):
            tokens.connection(Signer("EdDSA", TWO.private, f"unknown {number}").sign(CLAIMS))
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert source.asked == 1


async def test_a_key_that_was_withdrawn_is_taken_no_more(source: Source) -> None:
    source.body = document(ONE)
    async with kept(source, interval=0.01, now=[0.0]) as tokens:
        await until(lambda: takes(tokens, ONE))
        source.body = document(TWO)
        await until(lambda: takes(tokens, TWO))
        assert not takes(tokens, ONE)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, document(TWO)),
        (404, b""),
        (200, b"<html>"),
        (200, b'{"keys":[]}'),
        (200, b" " * 300_000),
        (302, b""),
    ],
)
async def test_while_the_source_is_away_the_last_good_set_holds(
    source: Source, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    source.body = document(ONE)
    now = [0.0]
    async with kept(source, interval=0.01, now=now) as tokens:
        await until(lambda: takes(tokens, ONE))
        source.status, source.body, good = status, body, source.body
        source.location = "/elsewhere" if status == 302 else ""
        await until(lambda: "no keys of tokens from http://127.0.0.1" in caplog.text)
        now[0] = 1.0
        assert takes(tokens, ONE)
        with pytest.raises(TokenKeysUnavailable):
            tokens.connection(TWO.sign(CLAIMS))
        source.status, source.body = 200, good.replace(b"one", b"uno")
        await until(lambda: takes(tokens, Signer("ES256", ONE.private, "uno")))


async def test_nobody_listens_there_at_first(source: Source, unused: str) -> None:
    source.body = document(ONE)
    web = UrlSet(unused, 0.01, least=0.0)
    tokens = Tokens(Keys(web=web))
    await tokens.load()
    with pytest.raises(TokenKeysUnavailable):
        tokens.connection(ONE.sign(CLAIMS))
    web._url = source.url
    await tokens.load()
    assert takes(tokens, ONE)


@pytest.fixture
def unused() -> str:
    """A URL at which nobody listens: its port was free, and is no longer ours."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}/jwks.json"


async def test_the_log_names_the_source_without_its_secrets(
    unused: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = unused.replace("127.0.0.1", "user:hunter2@127.0.0.1") + "?key=hunter2"
    with caplog.at_level(logging.INFO, "realtime"):
        await UrlSet(secret, HOUR).load()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("realtime")]
    assert len(said) == 1
    assert unused in said[0]
    assert "hunter2" not in said[0]


async def test_no_more_is_read_than_a_set_may_hold(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.body = b" " * 300_000
    await UrlSet(source.url, HOUR).load()
    assert "it answered more than 262144 bytes" in caplog.text


def replaced(path: Path, content: bytes) -> None:
    """As whoever deploys does it: the old file or the new one, never a part."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    os.replace(beside, path)


def test_a_set_in_a_file_is_seen_to_change(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(ONE))
    tokens = configured(tmp_path, token_jwks=str(path))
    assert takes(tokens, ONE)
    assert not takes(tokens, TWO)
    replaced(path, document(ONE, TWO))
    assert takes(tokens, TWO), "a key that is not known is looked for at once"
    replaced(path, document(TWO))
    tokens.refresh()
    assert not takes(tokens, ONE)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_a_key_in_a_file_is_replaced(algorithm: str, tmp_path: Path) -> None:
    if algorithm == "HS256":
        name = "token_hmac_secret_file"
        old, new = signer("HS256"), Signer("HS256", signer("HS256").private + b" changed")
        texts = [old.private + b"\n", new.private + b"\n"]
    else:
        name = "token_public_key_file"
        old, new = signer("RS256"), signer("RS256", nth=1)
        texts = [old.pem, new.pem]
    tokens = configured(tmp_path, **{name: texts[0]})
    assert (takes(tokens, old), takes(tokens, new)) == (True, False)
    replaced(tmp_path / name, texts[1])
    tokens.refresh()
    assert (takes(tokens, old), takes(tokens, new)) == (False, True)


@pytest.mark.parametrize("content", [b"", b"half a fi", None])
def test_a_file_that_makes_no_sense_leaves_the_key_as_it_was(
    content: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = configured(tmp_path, token_public_key_file=ONE.pem)
    path = tmp_path / "token_public_key_file"
    if content is None:
        path.unlink()
    else:
        replaced(path, content)
    for _ in range(3):
        tokens.refresh()
    assert takes(tokens, ONE)
    assert caplog.text.count("stay as they were") == 1
    replaced(path, TWO.pem)
    tokens.refresh()
    assert takes(tokens, TWO)


async def test_settings_name_either(source: Source, tmp_path: Path) -> None:
    source.body = document(ONE)
    tokens = configured(tmp_path, token_jwks=source.url, token_jwks_refresh=5.0)
    assert tokens.configured
    await tokens.load()
    assert takes(tokens, ONE)
    assert not Tokens.of(TokenSettings()).configured
    with pytest.raises(SettingsError, match="is no JWK Set"):
        (tmp_path / "bad.json").write_bytes(b"[")
        configured(tmp_path, token_jwks=str(tmp_path / "bad.json"))
