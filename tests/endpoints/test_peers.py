"""Tests of ntvmedia.endpoints.peers."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from ntvmedia.endpoints.peers import host_of, peer_of


@pytest.mark.parametrize(
    ("address", "host", "peer"),
    [
        (IPv4Address("TCP", "192.0.2.1", 50000), "192.0.2.1", "192.0.2.1:50000"),
        (IPv6Address("TCP", "2001:db8::1", 50000), "2001:db8::1", "[2001:db8::1]:50000"),
        (IPv6Address("TCP", "::ffff:192.0.2.1", 5), "192.0.2.1", "192.0.2.1:5"),
        (IPv6Address("TCP", "fe80::1%eth0", 5), "fe80::1", "[fe80::1]:5"),
        (UNIXAddress(b"/run/x"), "", "local"),
        (None, "", "local"),
    ],
)
def test_text(address: object, host: str, peer: str) -> None:
    """IPv4 peers of a dual-stack port, zones, and peers without an address."""
    assert host_of(address) == host
    assert peer_of(address) == peer
