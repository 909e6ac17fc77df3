"""A URL taken apart, what is wrong with it, and that nobody learns a password from either."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.backends.redis.address import SCHEMES, Address, AddressError, Host, parse

LOCAL = (Host("localhost", 6379),)

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address("single", LOCAL)),
        ("redis://localhost/", Address("single", LOCAL)),
        ("redis://localhost/7", Address("single", LOCAL, db=7)),
        ("redis://localhost?db=7", Address("single", LOCAL, db=7)),
        ("redis://:7000", Address("single", (Host("localhost", 7000),))),
        ("redis://10.0.0.1:1/15", Address("single", (Host("10.0.0.1", 1),), db=15)),
        ("redis://[::1]", Address("single", (Host("::1", 6379),))),
        ("redis://[fe80::1%25eth0]:65535", Address("single", (Host("fe80::1%eth0", 65535),))),
        ("REDIS://localhost", Address("single", LOCAL)),
        (" redis://localhost\n", Address("single", LOCAL)),
        ("rediss://r.example:6380", Address("single", (Host("r.example", 6380),), tls=True)),
        ("redis+unix:///run/redis.sock", Address("unix", path="/run/redis.sock")),
        ("redis+unix:///run/a%20b/@s?db=3", Address("unix", path="/run/a b/@s", db=3)),
        ("redis+unix:///run/7", Address("unix", path="/run/7")),
        (
            "redis+unix://u:p@/run/s",
            Address("unix", path="/run/s", user="u", password="p"),
        ),
        (
            "redis+sentinel://a,b:1,[::3]:5/mymaster",
            Address(
                "sentinel",
                (Host("a", 26379), Host("b", 1), Host("::3", 5)),
                master="mymaster",
            ),
        ),
        (
            "rediss+sentinel://u:p@a, b,/the%2Fname/2?sentinel_user=s&sentinel_password=t",
            Address(
                "sentinel",
                (Host("a", 26379), Host("b", 26379)),
                master="the/name",
                db=2,
                tls=True,
                user="u",
                password="p",
                sentinel_user="s",
                sentinel_password="t",
            ),
        ),
        (
            "redis+sentinel://a/12",
            Address("sentinel", (Host("a", 26379),), master="12"),
        ),
        ("redis+cluster://a:1,b", Address("cluster", (Host("a", 1), Host("b", 6379)))),
        ("redis+cluster://a/0", Address("cluster", (Host("a", 6379),))),
        (
            "rediss+cluster://[::1],b",
            Address("cluster", (Host("::1", 6379), Host("b", 6379)), tls=True),
        ),
    ],
)
def test_urls(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("userinfo", "user", "password"),
    [
        ("", None, None),
        ("u:p@", "u", "p"),
        (":p@", None, "p"),
        ("u@", "u", None),
        ("u:@", "u", ""),
        ("u:a:b@", "u", "a:b"),
        ("%40u:%2F%3F%23%40%25%3A%2C@", "@u", "/?#@%:,"),
        ("u:a+b@", "u", "a+b"),
        ("u:p@ss@", "u", "p@ss"),
        ("u:100%@", "u", "100%"),
        ("%C3%BC:%E2%82%AC@", "ü", "€"),
    ],
)
@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "redis+unix"])
def test_credentials(scheme: str, userinfo: str, user: str | None, password: str | None) -> None:
    tail = "/mymaster" if "sentinel" in scheme else ""
    address = parse(f"{scheme}://{userinfo}host:1{tail}")
    assert (address.user, address.password) == (user, password)
    assert address.hosts == (Host("host", 1),)


def test_a_plus_in_a_parameter_is_a_plus() -> None:
    """It is no form: a password in Base64 may have one."""
    url = "redis+sentinel://a/m?sentinel_password=a+b%2Bc%20d=="
    assert parse(url).sentinel_password == "a+b+c d=="


@given(st.text(min_size=1), st.text())
def test_whatever_is_encoded_comes_back(user: str, password: str) -> None:
    try:
        userinfo = f"{quote(user, safe='')}:{quote(password, safe='')}"
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    address = parse(f"redis://{userinfo}@host")
    assert (address.user, address.password, address.hosts[0].name) == (user, password, "host")


BEGINS = (
    "a store is memory:// or begins with redis://, rediss://, redis+unix://, redis+sentinel://, "
    "rediss+sentinel://, redis+cluster://, rediss+cluster://"
)
ENCODE = "a /, ?, # or @ in a user or password is percent-encoded, as %2F, %3F, %23 or %40"
NO_HOST = "the URL of the store names no host"
SOCKET = "a Unix socket is written redis+unix:///path/to/socket"
MASTER = "after the Sentinels comes the name of the master: …/mymaster"
SEVERAL = "several hosts are redis+sentinel:// (with a name) or redis+cluster://, not redis://"
BRACKETS = "an IPv6 address stands in brackets"
PORT = "after a host and a colon comes its port, 1 to 65535"
DATABASES = "the URL of the store names more than one database"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", BEGINS),
        ("localhost", BEGINS),
        ("localhost:6379", BEGINS),
        ("redis:localhost", BEGINS),
        ("http://localhost", BEGINS),
        ("rediss+unix:///run/s", BEGINS),
        ("redis://", NO_HOST),
        ("redis:///3", NO_HOST),
        ("redis://u:p@", NO_HOST),
        ("redis+cluster://,", NO_HOST),
        ("redis+sentinel:///mymaster", NO_HOST),
        ("redis+unix://", SOCKET),
        ("redis+unix:///", SOCKET),
        ("redis+unix://run/redis.sock", SOCKET),
        ("redis+unix://u:p@run/redis.sock", SOCKET),
        ("redis+sentinel://a,b", MASTER),
        ("redis+sentinel://a,b/", MASTER),
        ("redis://a,b", SEVERAL),
        ("rediss://a,b/0", SEVERAL),
        ("redis+cluster://a,b/1", "a cluster has no databases but 0"),
        ("redis+cluster://a,b?db=1", "a cluster has no databases but 0"),
        ("redis://::1", BRACKETS),
        ("redis://fe80::1:6379", BRACKETS),
        ("redis://[::1", BRACKETS),
        ("redis://[]:1", BRACKETS),
        ("redis://host:x", PORT),
        ("redis://host:0", PORT),
        ("redis://host:65536", PORT),
        ("redis://host:-1", PORT),
        ("redis://host:٣", PORT),
        ("redis://host:" + "9" * 5_000, PORT),
        ("redis://[::1]6379", PORT),
        ("redis://[::1]:x", PORT),
        ("redis://host/x", "'x' is no number of a database"),
        ("redis://host/-1", "'-1' is no number of a database"),
        ("redis://host/123456", "'123456' is no number of a database"),
        ("redis://host?db=", "'' is no number of a database"),
        ("redis+sentinel://a/m/x", "'x' is no number of a database"),
        ("redis://host/1/2", DATABASES),
        ("redis://host/1?db=1", DATABASES),
        ("redis+sentinel://a/m/1/2", DATABASES),
        ("redis://host?db=1&db=2", "the URL of the store says db twice"),
        ("redis://host?db", "after the ? of a store come name=value pairs"),
        ("redis://host?db=1&", "after the ? of a store come name=value pairs"),
        ("redis://host?timeout=1", "such a store has no timeout, but db"),
        ("redis://host?sentinel_user=u", "such a store has no sentinel_user, but db"),
        (
            "redis+sentinel://host/m?timeout=1",
            "such a store has no timeout, but db and sentinel_user and sentinel_password",
        ),
        ("redis://u:%FF@host", "what is percent-encoded in the URL of the store is UTF-8"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(AddressError) as raised:
        parse(url)
    assert str(raised.value) == sentence


@pytest.mark.parametrize("separator", list("/?#@:[],%&= "))
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", ["u:12{0}{1}@host:1/m", "u:{1}{0}12@host/m", ":{1}{0}@host/m"])
def test_a_password_that_was_not_encoded_is_not_repeated(
    scheme: str, separator: str, shape: str
) -> None:
    """Whatever it makes the URL look like: the pieces of it are not in what is said or shown."""
    url = f"{scheme}://" + shape.format(separator, SECRET)
    try:
        address = parse(url)
    except AddressError as error:
        assert SECRET not in "".join(traceback.format_exception(error))
    else:
        assert SECRET not in str(address) + repr(address)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{SECRET}@host",
        f"redis://:{SECRET}@host/3",
        f"redis+unix://:{SECRET}@/run/s",
        f"redis+cluster://u:{SECRET}@a,b",
        f"redis+sentinel://u:{SECRET}@a,b/m?sentinel_password={SECRET}",
    ],
)
def test_an_address_shows_no_secret(url: str) -> None:
    address = parse(url)
    assert SECRET not in str(address)
    assert SECRET not in repr(address)
    assert SECRET in (address.password or "")


@pytest.mark.parametrize(
    "url",
    [
        f"redis://host:x{SECRET}",
        f"redis://user:{SECRET}",
        f"redis+unix://:{SECRET}/x@/run/s",
        f"redis+sentinel://u:12/{SECRET}@a/m",
        f"redis://u:%FF{SECRET}@host",
        f"redis://u:{SECRET}@",
        f"redis://u:{SECRET}@a,b",
        f"redis+sentinel://u:{SECRET}@a/m?sentinel_password={SECRET}&timeout=1",
        f"redis+sentinel://u:{SECRET}@a/m?sentinel_password={SECRET}&db={{}}",
    ],
)
def test_an_error_shows_no_secret(url: str) -> None:
    with pytest.raises(AddressError) as raised:
        parse(url)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host:6379"),
        ("redis://host/3", "redis://host:6379/3"),
        ("rediss://u:p@[::1]:1", "rediss://u:…@[::1]:1"),
        ("redis://:p@host", "redis://:…@host:6379"),
        ("redis+unix:///run/s?db=2", "redis+unix:///run/s?db=2"),
        ("redis+sentinel://a,b:1/m/2", "redis+sentinel://a:26379,b:1/m/2"),
        ("rediss+cluster://a,b", "rediss+cluster://a:6379,b:6379"),
    ],
)
def test_an_address_is_shown_as_it_is_written(url: str, shown: str) -> None:
    assert str(parse(url)) == shown


@given(st.text(), st.sampled_from(sorted(SCHEMES)))
def test_nothing_but_a_sentence_comes_of_nonsense(text: str, scheme: str) -> None:
    try:
        str(parse(f"{scheme}://{text}"))
    except AddressError as error:
        assert str(error)
