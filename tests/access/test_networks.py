"""Tests of ntvmedia.access.networks: addresses, and sets of networks (F-AC-06)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, strategies as st

from ntvmedia.access.networks import (
    EVERYBODY,
    LOCAL,
    NO_HOST,
    Host,
    Network,
    Networks,
    host_of,
    parse_host,
    parse_network,
    signed_spelling,
    spelling,
)


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("192.0.2.1:50000", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]:50000", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::1", "::1"),
        ("[fe80::1%eth0]:1", "fe80::1%eth0"),
        ("", ""),
        (":1", ""),
        ("unix", "unix"),
        ("[", ""),
    ],
)
def test_host_of(peer: str, host: str) -> None:
    """Peers are named with a port or without, IPv6 in brackets or without."""
    assert host_of(peer) == host


def test_parse_host() -> None:
    """F-AC-06: an IPv4 address in IPv6 form is the IPv4 address; zones do not count."""
    plain = Host(4, int(IPv4Address("192.0.2.1")))
    for text in ("192.0.2.1", "::ffff:192.0.2.1", "::FFFF:C000:201", "::ffff:192.0.2.1%eth0"):
        assert parse_host(text) == plain
    assert parse_host("fe80::1%eth0") == Host(6, int(IPv6Address("fe80::1")))
    # Not the deprecated form, nor that of NAT64: those are others.
    assert parse_host("::192.0.2.1").version == 6
    for text in ("", "unix", "192.0.2", "0300.1.1.1", "192.0.2.1\0", "1:2", "::g", "é", "1.2.3.4 "):
        assert parse_host(text) == NO_HOST, text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("all", "all"),
    ],
)
def test_parse_network(text: str, spelled: str) -> None:
    """F-AC-06: what operators write has one spelling, which reads as itself."""
    networks = parse_network(text)
    assert spelling(networks) == spelled
    assert parse_network(spelled) == networks


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("10.1.2.3/8", "the network is 10.0.0.0/8"),
        ("2001:db8::1/32", "the network is 2001:db8::/32"),
        ("10.0.0.0/33", "expected an IP address"),
        ("example.org", "expected an IP address"),
        ("", "expected an IP address"),
        ("ALL", "expected an IP address"),
        ("fe80::1%eth0", "expected an IP address"),
        ("10.0.0.0-10.0.0.9", "expected an IP address"),
        ("010.0.0.1", "expected an IP address"),
        ("1" * 10_000, "expected an IP address"),
    ],
)
def test_bad_networks(text: str, clause: str) -> None:
    """F-AC-06: a bad entry is told, and not guessed."""
    with pytest.raises(ValueError, match=clause):
        parse_network(text)


def test_signed_spelling() -> None:
    """A single address is signed without its prefix; all is not signed at all."""
    assert signed_spelling("192.0.2.1/32") == "192.0.2.1"
    assert signed_spelling("2001:DB8::/64") == "2001:db8::/64"
    with pytest.raises(ValueError, match="no mention"):
        signed_spelling("all")


def test_empty_and_all() -> None:
    """F-AC-06: no networks have nobody in them; all have everybody, without an address too."""
    hosts = [parse_host("192.0.2.1"), parse_host("2001:db8::1"), NO_HOST]
    assert not Networks([])
    assert [host in Networks([]) for host in hosts] == [False, False, False]
    assert [host in Networks(EVERYBODY) for host in hosts] == [True, True, True]
    only4 = Networks(parse_network("0.0.0.0/0"))
    assert [host in only4 for host in hosts] == [True, False, False]


def test_local() -> None:
    """Loopback, private and link-local networks, to their ends and no further."""
    for text, local in (
        ("127.0.0.1", True),
        ("127.255.255.255", True),
        ("126.255.255.255", False),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("172.16.0.0", True),
        ("172.31.255.255", True),
        ("172.32.0.0", False),
        ("192.168.0.1", True),
        ("192.169.0.0", False),
        ("100.64.0.1", False),
        ("169.254.1.1", True),
        ("::1", True),
        ("::2", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:8.8.8.8", False),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("2001:db8::1", False),
        ("", False),
    ):
        assert (parse_host(text) in LOCAL) is local, text


def networks(version: int, bits: int) -> st.SearchStrategy[Network]:
    """Return networks of few prefixes, so that some are hit."""
    return st.builds(
        lambda number, length: ip_network((number << (bits - 8), length), strict=False),
        st.integers(0, 7),
        st.integers(0, bits),
    )


NETWORKS = networks(4, 32) | networks(6, 128).filter(
    lambda network: network.version == 4 or int(network.network_address) >> 32 != 0xFFFF
)
# The network at :: has ::ffff:0:0/96 in it, which is IPv4 here: addresses there are not drawn.
ADDRESSES = st.one_of(
    st.builds(
        lambda top, rest: ip_address((top << 24 | rest) & 0xFFFFFFFF),
        st.integers(0, 7),
        st.integers(0, 2**24 - 1),
    ),
    st.builds(
        lambda top, rest: IPv6Address(top << 120 | rest),
        st.integers(0, 7),
        st.integers(1 << 49, 2**120 - 1),
    ),
)


@given(st.lists(NETWORKS, max_size=8), ADDRESSES)
def test_like_the_standard_library(found: list[Network], address: IPv4Address) -> None:
    """F-AC-06: the same answer as `ipaddress`, whatever the networks and their order are."""
    expected = any(address in network for network in found if network.version == address.version)
    host = parse_host(str(address))
    assert (host in Networks(found)) is expected
    assert (host in Networks(reversed(found))) is expected


@given(st.lists(NETWORKS, max_size=8), NETWORKS, ADDRESSES)
def test_monotone(found: list[Network], more: Network, address: IPv4Address) -> None:
    """F-AC-06: one network more never takes an address out."""
    host = parse_host(str(address))
    assert (host in Networks(found)) <= (host in Networks([*found, more]))


@given(st.text(max_size=50))
def test_whatever_is_sent(text: str) -> None:
    """No text raises anything but `ValueError`."""
    assert parse_host(host_of(text)).version in (0, 4, 6)
    try:
        assert parse_network(spelling(parse_network(text))) == parse_network(text)
    except ValueError as error:
        assert str(error)
