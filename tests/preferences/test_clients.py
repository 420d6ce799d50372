"""Who the client is behind proxies (F-AC-05)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.preferences import client_address, is_loopback, is_within

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        # From nobody's proxy: the header is nothing.
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("", "203.0.113.9", ""),
        ("127.0.0.1", "203.0.113.9", "127.0.0.1"),
        # One hop, and two.
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # What a client wrote itself is further left.
        ("10.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "127.0.0.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        # IPv6, brackets, ports, zones, IPv4 in IPv6.
        ("10.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("10.0.0.1", "[2001:db8::9]:4711", "2001:db8::9"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1::5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 2001:db8:1::7", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        # Rubbish: as far as it is good.
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9,", "10.0.0.1"),
        ("10.0.0.1", "[203.0.113.9", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:port", "10.0.0.1"),
        ("10.0.0.1", "fe80::1%eth0", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9\x00", "10.0.0.1"),
    ],
)
def test_client(peer: str, forwarded: str, expected: str) -> None:
    """F-AC-05: the right-most address that is no proxy of ours; else the peer."""
    assert client_address(peer, {"x-forwarded-for": forwarded}, PROXIES) == expected


def test_other_fields() -> None:
    """F-AC-05: `Forwarded` and `X-Real-IP` are what a client wrote, for all that we know."""
    headers = {"forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    assert client_address("10.0.0.1", headers, PROXIES) == "10.0.0.1"


def test_nobody_is_believed() -> None:
    """Without configured proxies the header is nothing, from this machine too."""
    assert client_address("127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, ()) == "127.0.0.1"


def test_long() -> None:
    """A header of any length takes no time, and counts from its right end."""
    text = "203.0.113.1," * 100_000 + "203.0.113.9"
    assert client_address("10.0.0.1", {"x-forwarded-for": text}, PROXIES) == "203.0.113.9"


addresses = st.ip_addresses().map(str) | st.sampled_from(["10.0.0.2", "10.9.9.9", "2001:db8:1::1"])


@settings(max_examples=60)
@given(st.lists(addresses, max_size=6), addresses)
def test_oracle(chain: list[str], peer: str) -> None:
    """The first from the right that `ipaddress` finds in no network of a proxy."""
    hops = [peer, *reversed(chain)]
    found = hops[0]
    for hop in hops:
        found = hop
        if not any(ip_address(hop) in network for network in PROXIES):
            break
    mapped = getattr(ip_address(found), "ipv4_mapped", None)
    if mapped is None:
        expected = found if found == peer else str(ip_address(found))
        assert client_address(peer, {"x-forwarded-for": ",".join(chain)}, PROXIES) == expected


@settings(max_examples=60)
@given(st.text(max_size=60), st.text(max_size=60))
def test_anything(peer: str, text: str) -> None:
    """Whatever comes, the answer is the peer or an address, and nothing is raised."""
    found = client_address(peer, {"x-forwarded-for": text}, PROXIES)
    assert found == peer or str(ip_address(found)) == found


def test_loopback() -> None:
    """This machine, by any spelling, and unix sockets."""
    for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", ""):
        assert is_loopback(host), host
    for host in ("10.0.0.1", "::2", "localhost", "127.0.0.1.example"):
        assert not is_loopback(host), host


def test_within() -> None:
    """Versions do not mix, and names are in no network."""
    assert is_within("10.1.2.3", PROXIES)
    assert is_within("::ffff:10.1.2.3", PROXIES)
    assert not is_within("11.1.2.3", PROXIES)
    assert not is_within("localhost", PROXIES)
