"""Which signatures are believed, and that a token cannot choose how it is checked."""

from __future__ import annotations

import hashlib
import hmac
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from realtime.options import SettingsError
from realtime.tokens import TokenInvalid, Tokens, sign
from realtime.tokens.keys import KeyFault, KeySet, secret_key
from realtime.tokens.signed import MAX_TOKEN
from tests.tokens.signers import (
    ALGORITHMS,
    SECRET,
    Signer,
    by_hand,
    configured,
    packed,
    signer,
    taking,
    token,
)

CLAIMS = {"sub": "42"}


def taking_key(folder: Path, of: Signer) -> Tokens:
    if isinstance(of.private, bytes):
        return configured(folder, token_hmac_secret_file=of.private)
    return configured(folder, token_public_key_file=of.pem)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_is_verified_by_the_key_alone(algorithm: str, tmp_path: Path) -> None:
    of = signer(algorithm)
    tokens = taking_key(tmp_path, of)
    text = of.sign(CLAIMS)
    assert tokens.connection(text).user == "42"
    head, payload, signature = text.split(".")
    flipped = ("A" if signature[5] != "A" else "B").join((signature[:5], signature[6:]))
    other = packed(json.dumps({"sub": "43"}).encode())
    for forged in (f"{head}.{payload}.{flipped}", f"{head}.{other}.{signature}"):
        with pytest.raises(TokenInvalid, match="not signed by a key"):
            tokens.connection(forged)


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name[0] != "H"])
def test_every_public_key_may_come_in_a_set(algorithm: str, tmp_path: Path) -> None:
    of = signer(algorithm, "k1")
    document = json.dumps({"keys": [of.jwk]}).encode()
    (tmp_path / "jwks.json").write_bytes(document)
    tokens = configured(tmp_path, token_jwks=str(tmp_path / "jwks.json"))
    assert tokens.connection(of.sign(CLAIMS)).user == "42"


def test_ed25519_may_be_named_as_rfc_9864_names_it(tmp_path: Path) -> None:
    of = signer("EdDSA")
    signed = packed(b'{"alg":"Ed25519"}') + "." + packed(b'{"sub":"42"}')
    text = signed + "." + packed(of.private.sign(signed.encode()))
    assert taking_key(tmp_path, of).connection(text).user == "42"


@pytest.mark.parametrize("pair", [*permutations(("HS256", "RS256", "ES256", "EdDSA"), 2)])
def test_a_key_takes_no_token_of_another_family(pair: tuple[str, str], tmp_path: Path) -> None:
    ours, theirs = pair
    with pytest.raises(TokenInvalid, match="not signed by a key"):
        taking_key(tmp_path, signer(ours)).connection(signer(theirs).sign(CLAIMS))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("form", ["pem", "pem without newline", "der", "jwk"])
def test_a_public_key_is_no_secret(algorithm: str, form: str, tmp_path: Path) -> None:
    of = signer(algorithm, "k1")
    public = of.private.public_key()
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [of.jwk]}))
    tokens = configured(
        tmp_path, token_public_key_file=of.pem, token_jwks=str(tmp_path / "jwks.json")
    )
    text = {
        "pem": of.pem,
        "pem without newline": of.pem.strip(),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(of.jwk).encode(),
    }[form]
    for hashed in ("sha256", "sha384", "sha512"):
        header = {"alg": "HS" + hashed[3:], "kid": "k1"}
        signed = packed(json.dumps(header).encode()) + "." + packed(b'{"sub":"admin"}')
        forged = signed + "." + packed(hmac.digest(text, signed.encode(), hashed))
        with pytest.raises(TokenInvalid):
            tokens.connection(forged)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "HS1", "HS256 ", "ES256K"])
def test_what_is_no_algorithm_of_a_key_verifies_nothing(name: str) -> None:
    signed = packed(json.dumps({"alg": name}).encode()) + "." + packed(b"{}")
    right = hmac.digest(SECRET, signed.encode(), hashlib.sha256)
    for signature in ("", packed(b"x"), packed(right)):
        with pytest.raises(TokenInvalid):
            taking().connection(f"{signed}.{signature}")


def test_an_algorithm_of_the_family_is_not_one_of_a_narrowed_key() -> None:
    of = signer("RS256", "k1")
    keys = KeySet.parse(json.dumps({"keys": [{**of.jwk, "alg": "RS512"}]}).encode())
    assert keys.find("k1", "RS256") is None
    assert keys.find("k1", "RS512") is not None


def test_a_curve_has_one_algorithm(tmp_path: Path) -> None:
    keys = KeySet.parse(json.dumps({"keys": [signer("ES384", "k").jwk]}).encode())
    assert [keys.find("k", f"ES{bits}") is not None for bits in (256, 384, 512)] == [
        False,
        True,
        False,
    ]


def unusable() -> dict[str, dict[str, Any]]:
    """Members of a set that are not for us."""
    good = signer("RS256", "k1").jwk
    small = rsa.generate_private_key(65_537, 1024)
    return {
        "a secret": {"kty": "oct", "k": packed(SECRET), "kid": "k1"},
        "a secret that calls itself EC": {"kty": "oct", "crv": "P-256", "k": packed(SECRET)},
        "for encryption": {**good, "use": "enc"},
        "for signing only": {**good, "key_ops": ["sign"]},
        "too short": Signer("RS256", small, "k1").jwk,
        "another curve": {
            **signer("ES256").jwk,
            "crv": "secp256k1",
        },
        "off the curve": {**signer("ES256").jwk, "y": packed(bytes(32))},
        "no modulus": {"kty": "RSA", "e": "AQAB"},
        "no base64": {**good, "n": "é"},
        "another type": {"kty": "AKP"},
        "a long name": {**good, "kid": "k" * 300},
        "numbers": {"kty": 1},
    }


@pytest.mark.parametrize("what", unusable())
def test_what_is_not_for_us_in_a_set_is_left_out(what: str) -> None:
    bad = unusable()[what]
    with pytest.raises(KeyFault, match="no key of this JWK Set"):
        KeySet.parse(json.dumps({"keys": [bad]}).encode())
    both = KeySet.parse(json.dumps({"keys": [bad, signer("EdDSA", "good").jwk]}).encode())
    assert len(both) == 1
    assert "good" in both


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "is no JWK Set"),
        (b"[]", "is no JWK Set"),
        (b'{"keys":{}}', "is no JWK Set"),
        (b'{"keys":[]}', "no key of this JWK Set"),
        (b'{"keys":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}", "is no JWK Set"),
        (b" " * 300_000, "at most 262144 bytes"),
        (b'{"keys":[' + b",".join([b"1"] * 101) + b"]}", "at most 100 keys, not 101"),
        (b'{"keys":["\xff"]}', "JWK Set"),
    ],
)
def test_what_is_no_set_is_refused_whole(text: bytes, sentence: str) -> None:
    with pytest.raises(KeyFault, match=sentence):
        KeySet.parse(text)


def test_a_token_that_names_no_key_needs_one_that_is_meant(tmp_path: Path) -> None:
    one, two = signer("ES256", "one"), signer("ES256", "two")
    nameless = Signer("ES256", two.private).sign(CLAIMS)
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [two.jwk, signer("EdDSA", "e").jwk]}))
    assert configured(tmp_path, token_jwks=str(path)).connection(nameless).user == "42"
    path.write_text(json.dumps({"keys": [one.jwk, two.jwk]}))
    with pytest.raises(TokenInvalid, match="not signed by a key"):
        configured(tmp_path, token_jwks=str(path)).connection(nameless)


def test_all_kinds_of_keys_may_be_used_at_once(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [signer("EdDSA", "k").jwk]}))
    tokens = configured(
        tmp_path,
        token_hmac_secret=SECRET.decode(),
        token_public_key_file=signer("RS256").pem,
        token_jwks=str(tmp_path / "jwks.json"),
    )
    for of in (signer("HS512"), signer("PS384"), signer("EdDSA", "k")):
        assert tokens.connection(of.sign(CLAIMS)).user == "42"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c",
        "é.é.é",
        token(sub="42") + "=",
        token(sub="42") + "\n",
        " " + token(sub="42"),
        token(sub="42").replace(".", ". "),
        by_hand(b"[]", {}),
        by_hand(b"{}", {}),
        by_hand(b"\xff", {}),
        by_hand({"alg": 1}, {}),
        by_hand({"alg": "HS256", "kid": 1}, {}),
        by_hand({"alg": "HS256", "kid": "k" * 257}, {}),
        by_hand({"alg": "HS256", "x": "y" * 1000}, {}),
        by_hand({"alg": "HS256", "crit": ["b64"], "b64": False}, {}),
        by_hand({"alg": "HS256", "crit": None}, {}),
        by_hand(b'{"alg":"HS256","x":' + b"[" * 700, {}),
    ],
)
def test_what_is_strange_is_refused_before_any_key_is_asked(text: str) -> None:
    with pytest.raises(TokenInvalid):
        taking().connection(text)


def test_crit_is_refused_although_the_signature_holds() -> None:
    with pytest.raises(TokenInvalid, match="crit"):
        taking().connection(signer("HS256").sign(CLAIMS, crit="exp"))


def test_a_token_has_a_longest_length() -> None:
    overhead = len(token(info="")) + 8
    fits = token(info="x" * ((MAX_TOKEN - overhead) * 3 // 4))
    assert len(fits) <= MAX_TOKEN
    assert taking().connection(fits).info is not None
    with pytest.raises(TokenInvalid, match="at most 8192 characters"):
        taking().connection(token(info="x" * MAX_TOKEN))


def test_our_own_tokens_are_those_of_everybody() -> None:
    assert taking().connection(sign(CLAIMS, SECRET)).user == "42"
    assert taking().connection(sign(CLAIMS, SECRET, "HS512")).user == "42"


@pytest.mark.parametrize("secret", [b"", signer("RS256").pem, b"ssh-ed25519 AAAA"])
def test_some_texts_are_no_secrets(secret: bytes) -> None:
    with pytest.raises(KeyFault):
        secret_key(secret)


def test_a_file_without_such_a_key_is_one_sentence_at_the_start(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256K1()).public_key()
    foreign = private.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, content, sentence in (
        ("token_public_key_file", b"hello", "is no public key in PEM"),
        ("token_public_key_file", foreign, "an elliptic curve here is P-256, P-384 or P-521"),
        ("token_hmac_secret_file", signer("RS256").pem, "asymmetric key"),
        ("token_hmac_secret_file", b" \n", "must not be empty"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            configured(tmp_path, **{name: content})
    for name in ("token_public_key_file", "token_hmac_secret_file"):
        with pytest.raises(SettingsError, match="nowhere cannot be read: No such file"):
            configured(tmp_path, **{name: tmp_path / "nowhere"})
    with pytest.raises(SettingsError, match="nowhere cannot be read: No such file"):
        configured(tmp_path, token_jwks=str(tmp_path / "nowhere"))
