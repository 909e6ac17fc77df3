"""Signatures, held against the specification's own example and against its rules."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from realtime.webhooks.signature import parse_secrets, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_published_vector() -> None:
    """The one that libraries of the specification test themselves with."""
    fields = signed(
        parse_secrets(SECRET),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert fields == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_is_replaced_both_are_good() -> None:
    texts = [b"a" * 24, b"b" * 64]
    words = ["whsec_" + base64.b64encode(text).decode() for text in texts]
    for parted in (" ", ",", ", ", "\n"):
        secrets = parse_secrets(parted.join(words) + "\n")
        assert list(secrets) == texts
    signatures = signed(secrets, "left_1", 7, b"{}")["webhook-signature"].split(" ")
    expected = [hmac.new(text, b"left_1.7.{}", hashlib.sha256).digest() for text in texts]
    assert signatures == ["v1," + base64.b64encode(digest).decode() for digest in expected]


def test_without_a_secret_nothing_is_signed() -> None:
    assert signed((), "left_1", 7, b"{}") == {"webhook-id": "left_1", "webhook-timestamp": "7"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "sesame",
        "whsec_",
        "whsec_sesame!",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_" + base64.b64encode(b"sesame").decode(),
        "whsec_" + base64.b64encode(b"s" * 65).decode(),
        SECRET + " sesame",
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        parse_secrets(text)
    assert "sesame" not in str(refused.value)
    assert "MfKQ" not in str(refused.value)
