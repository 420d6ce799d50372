"""Tests of ntvmedia.outbound.policy: which addresses may be asked (F-SS-03)."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

import pytest
from hypothesis import given, strategies as st

from ntvmedia.outbound.policy import Policy

PUBLIC = Policy()

# Where something special is, with what is next to it: chance alone seldom comes there.
EDGES = [
    *("0.0.0.0", "0.255.255.255", "1.0.0.0", "9.255.255.255", "10.0.0.0", "10.255.255.255"),
    *("11.0.0.0", "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
    *("126.255.255.255", "127.0.0.1", "127.255.255.255", "128.0.0.0", "169.253.255.255"),
    *("169.254.0.0", "169.254.169.254", "169.255.0.0", "172.15.255.255", "172.16.0.0"),
    *("172.31.255.255", "172.32.0.0", "192.0.0.0", "192.0.1.0", "192.0.2.1", "192.0.3.0"),
    *("192.88.99.1", "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
    *("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0", "198.51.100.7"),
    *("203.0.113.7", "223.255.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.0"),
    "255.255.255.255",
    *("::", "::1", "::2", "::7f00:1", "64:ff9b:1::1", "100::1", "1fff::1", "2000::1", "2001::1"),
    *("2001:1ff:ffff::1", "2001:200::1", "2001:db8::1", "3ffe::1", "3fff::1", "3fff:fff::1"),
    *("3fff:1000::1", "4000::1", "5f00::1", "fbff::1", "fc00::1", "fdff::1", "fe00::1"),
    *("fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1"),
]

ipv4 = st.one_of(
    st.sampled_from([IPv4Address(text) for text in EDGES if ":" not in text]),
    st.ip_addresses(v=4),
)
ipv6 = st.one_of(
    st.sampled_from([IPv6Address(text) for text in EDGES if ":" in text]),
    st.ip_addresses(v=6),
    st.integers(0, (1 << 125) - 1).map(lambda number: IPv6Address((1 << 125) + number)),
)


def is_special(address: IPv4Address | IPv6Address) -> bool:
    """Say what Python's own table says."""
    return (
        not address.is_global
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


@given(ipv4)
def test_ipv4_as_python_has_it(address: IPv4Address) -> None:
    """What `ipaddress` knows as special is refused, and nothing else but two networks."""
    refused = bool(PUBLIC.problem_of(address))
    # IETF protocol assignments, of which Python knows that single ones are global; and the old
    # anycast of 6to4, which it does not know.
    if address in ip_network("192.0.0.0/24") or address in ip_network("192.88.99.0/24"):
        assert refused
    else:
        assert refused == is_special(address)


@given(ipv6)
def test_ipv6_as_python_has_it(address: IPv6Address) -> None:
    """What `ipaddress` knows as special is refused, and so is all that was never given out."""
    if address in IPv6Network("2002::/16") or address in IPv6Network("64:ff9b::/96"):
        return  # these are the IPv4 address in them: see below
    if address.ipv4_mapped is not None:
        return
    refused = bool(PUBLIC.problem_of(address))
    if any(address in IPv6Network(x) for x in ("2001::/23", "3fff::/20")):
        assert refused  # releases of Python differ
    else:
        assert refused == (address not in IPv6Network("2000::/3") or is_special(address))


@given(ipv4)
def test_ipv4_inside(address: IPv4Address) -> None:
    """An IPv4 address is the same in each dress: mapped, NAT64 and 6to4."""
    number = int(address)
    dressed = (
        IPv6Address((0xFFFF << 32) + number),
        IPv6Address((0x64FF9B << 96) + number),
        IPv6Address((0x2002 << 112) + (number << 80) + 1),
    )
    plain = PUBLIC.problem_of(address)
    assert dressed[0].ipv4_mapped == dressed[2].sixtofour == address
    assert [PUBLIC.problem_of(x) for x in dressed] == [plain] * 3
    assert [PUBLIC.problem_of(str(x)) for x in dressed] == [plain] * 3


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("0.0.0.0", "the machine itself"),
        ("10.1.2.3", "a private address"),
        ("100.100.100.200", "an address shared by a provider's customers"),
        ("127.0.0.1", "a loopback address"),
        ("169.254.169.254", "a link-local address"),
        ("192.168.1.1", "a private address"),
        ("224.0.0.251", "a multicast address"),
        ("255.255.255.255", "a reserved address"),
        ("::", "the machine itself"),
        ("::1", "a loopback address"),
        ("::127.0.0.1", "a reserved address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("::ffff:169.254.169.254", "a link-local address"),
        ("64:ff9b::7f00:1", "a loopback address"),
        ("64:ff9b:1::a00:1", "a reserved address"),
        ("2001::1", "a reserved address"),
        ("2002:a00:1::1", "a private address"),
        ("fd00:ec2::254", "a private address"),
        ("fe80::1%eth0", "a link-local address"),
        ("ff02::1", "a multicast address"),
        ("1.1.1.1", ""),
        ("93.184.216.34", ""),
        ("2606:4700:4700::1111", ""),
        ("2606:4700:4700::1111%eth0", ""),
        ("::ffff:1.1.1.1", ""),
        ("64:ff9b::101:101", ""),
        ("2002:101:101::1", ""),
    ],
)
def test_named(address: str, problem: str) -> None:
    """What a log says of an address."""
    assert PUBLIC.problem_of(address) == problem


@pytest.mark.parametrize("text", ["0177.0.0.1", "2130706433", "127.1", "0x7f.0.0.1", "localhost"])
def test_only_addresses(text: str) -> None:
    """F-SS-03: another spelling is no address here, whatever a resolver makes of it."""
    with pytest.raises(ValueError, match="does not appear"):
        PUBLIC.problem_of(text)


@given(st.one_of(ipv4, ipv6), st.data())
def test_allowed(address: IPv4Address | IPv6Address, data: st.DataObject) -> None:
    """A network that is allowed opens what is in it, and nothing else."""
    bits = data.draw(st.integers(0, address.max_prefixlen))
    network = ip_network((address, bits), strict=False)
    policy = Policy([network])
    assert policy.problem_of(address) == ""
    other = data.draw(st.one_of(ipv4, ipv6))
    if other not in network:
        inside = IPv4Address(int(other) & 0xFFFFFFFF) if isinstance(other, IPv6Address) else other
        if inside not in network and getattr(other, "sixtofour", None) is None:
            assert policy.problem_of(other) == PUBLIC.problem_of(other)


def test_allowed_in_each_dress() -> None:
    """What is allowed as IPv4 is allowed however it is written as IPv6."""
    policy = Policy([ip_network("10.0.0.0/8")])
    for address in ("10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"):
        assert policy.problem_of(address) == ""
    for address in ("11.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"):
        assert policy.problem_of(address) == PUBLIC.problem_of(address)


def test_allowed_dress() -> None:
    """A NAT64 gateway may be allowed as a whole, with what stands behind it."""
    policy = Policy([ip_network("64:ff9b::/96")])
    assert policy.problem_of("64:ff9b::a00:1") == ""
    assert policy.problem_of("10.0.0.1") == "a private address"


def test_more() -> None:
    """What is named besides holds at once, and no longer than it is named."""
    more: list[IPv4Network] = []
    policy = Policy([ip_network("10.0.0.0/8")], lambda: more)
    assert policy.problem_of("192.168.1.1") == "a private address"
    more.append(IPv4Network("192.168.0.0/16"))
    for address in ("192.168.1.1", "::ffff:192.168.1.1", "10.0.0.1"):
        assert policy.problem_of(address) == ""
    assert policy.problem_of("172.16.0.1") == "a private address"
    more.clear()
    assert policy.problem_of("192.168.1.1") == "a private address"
