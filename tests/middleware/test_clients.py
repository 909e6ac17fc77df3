"""Who is asking: addresses as keys, and headers that anybody can write."""

from __future__ import annotations

import pytest
from starlette.types import Scope

from realtime.middleware import client_address


def scope(address: str | None, *forwarded: str) -> Scope:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {
        "type": "http",
        "client": None if address is None else (address, 1234),
        "headers": [(b"host", b"shop"), *headers],
    }


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "ip:203.0.113.7"),
        ("::ffff:203.0.113.7", "ip:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "ip:2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "ip:2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "ip:2001:db8:1:3::/64"),
        ("fe80::1%eth0", "ip:fe80::/64"),
        ("::1", "ip:::/64"),
        ("testclient", "ip:testclient"),
        (None, "ip:unix"),
    ],
)
def test_an_address_is_a_key(address: str | None, key: str) -> None:
    assert client_address()(scope(address)) == key


@pytest.mark.parametrize(
    ("prefix", "key"),
    [(48, "ip:2001:db8:1::/48"), (56, "ip:2001:db8:1::/56"), (128, "ip:2001:db8:1:2::1/128")],
)
def test_how_much_of_an_ipv6_address_counts_can_be_said(prefix: int, key: str) -> None:
    assert client_address(ipv6_prefix=prefix)(scope("2001:db8:1:2::1")) == key


def test_nobody_is_believed_unless_they_are_a_proxy_of_ours() -> None:
    spoofed = scope("203.0.113.7", "198.51.100.1")
    assert client_address()(spoofed) == "ip:203.0.113.7"
    assert client_address(["10.0.0.0/8"])(spoofed) == "ip:203.0.113.7"


@pytest.mark.parametrize(
    ("forwarded", "key"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        # The client wrote the left part; the proxy appended the right one.
        (["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        (["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        (["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["1.1.1.1", "198.51.100.1,10.0.0.2", "10.0.0.3"], "198.51.100.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["[2001:db8:1:2::1]:4711"], "2001:db8:1:2::/64"),
        (["2001:db8:1:2::1"], "2001:db8:1:2::/64"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        # A proxy that did not write an address answers for the request itself.
        (["198.51.100.1, unknown"], "10.0.0.1"),
        (["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (["198.51.100.1,"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["\xff"], "10.0.0.1"),
        # Only proxies: a request of their own.
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ([], "10.0.0.1"),
    ],
)
def test_behind_proxies_the_trail_is_read_from_right_to_left(
    forwarded: list[str], key: str
) -> None:
    assert client_address(["10.0.0.0/8"])(scope("10.0.0.1", *forwarded)) == f"ip:{key}"


def test_a_trail_ends_however_long_the_client_made_it() -> None:
    endless = ",".join(["10.0.0.2"] * 10_000)
    assert client_address(["10.0.0.0/8"])(scope("10.0.0.1", endless)) == "ip:10.0.0.2"


def test_a_proxy_may_be_written_as_ipv6_or_sit_behind_a_unix_socket() -> None:
    ours = client_address(["10.0.0.0/8", "2001:db8::/32", "unix"])
    for peer in ("::ffff:10.0.0.1", "2001:db8::9", None):
        assert ours(scope(peer, "198.51.100.1")) == "ip:198.51.100.1"
    assert client_address(["10.0.0.0/8"])(scope(None, "198.51.100.1")) == "ip:unix"


def test_a_single_proxy_need_not_be_a_list() -> None:
    assert client_address("10.0.0.0/8")(scope("10.0.0.1", "198.51.100.1")) == "ip:198.51.100.1"


@pytest.mark.parametrize("network", ["10.0.0.0/33", "10.0.0.1/8", "everybody", "*", ""])
def test_a_network_that_is_none_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits"):
        client_address([network])


@pytest.mark.parametrize("prefix", [0, 129, -1])
def test_a_prefix_that_is_none_is_refused(prefix: int) -> None:
    with pytest.raises(ValueError, match="1 to 128"):
        client_address(ipv6_prefix=prefix)
