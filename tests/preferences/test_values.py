"""What may be set for the whole server, and what may not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ntvmedia.preferences import FIELDS, Values, WrongPreference, describe, read_values


def test_defaults() -> None:
    """P-301: 200 connections of an address, no other limit; nobody's proxy is believed."""
    values = Values()
    assert values.max_connections_per_address == 200
    assert (values.max_players, values.max_publishers, values.max_bandwidth_kbps) == (0, 0, 0)
    assert values.trusted_proxies == ()
    assert values.server_address == ""


def test_described_and_read_again() -> None:
    """What is described can be read, and is the same."""
    values = Values(
        server_address="media.example.org",
        max_players=7,
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
        viewer_log_days=0,
    )
    shown = describe(values)
    assert tuple(shown) == FIELDS
    assert shown["trusted_proxies"] == ["10.0.0.0/8", "2001:db8::/32"]
    assert Values(**read_values(shown)) == values


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("media.example.org", "media.example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("my_box", "my_box"),
    ],
)
def test_server_address(given: str, expected: str) -> None:
    """P-104: a host, without a port; an IPv6 address has one spelling."""
    assert read_values({"server_address": given}) == {"server_address": expected}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_address", "a b"),
        ("server_address", "host:8080"),
        ("server_address", "http://host"),
        ("server_address", "host/"),
        ("server_address", "a..b"),
        ("server_address", "-a"),
        ("server_address", "fe80::1%eth0"),
        ("server_address", "a" * 254),
        ("server_address", "a\r\nb"),
        ("server_address", 5),
        ("max_players", -1),
        ("max_players", 1_000_001),
        ("max_players", 1.5),
        ("max_players", True),
        ("max_players", "1"),
        ("max_players", None),
        ("trusted_proxies", ["10.0.0.1/8"]),
        ("trusted_proxies", ["nonsense"]),
        ("outbound_networks", ["10.0.0.1/8"]),
        ("outbound_networks", [f"192.0.{x}.0/24" for x in range(101)]),
        ("trusted_proxies", [f"192.0.{x}.0/24" for x in range(101)]),
        ("statistics_days", 0),
        ("no_such", 1),
        ("\x00" * 500, 1),
    ],
)
def test_wrong(name: str, value: object) -> None:
    """One clause that names the field."""
    with pytest.raises(WrongPreference) as caught:
        read_values({name: value})
    assert caught.value.field == (name if name.isprintable() else ascii(name[:60]))
    assert caught.value.clause
    assert str(caught.value).isprintable()
