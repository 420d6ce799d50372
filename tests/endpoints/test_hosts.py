"""P-301, F-RE-04: the connections of one address, on all ports together."""

from __future__ import annotations

from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

from ntvmedia.endpoints.draining import Connections
from ntvmedia.endpoints.hosts import ConnectionsOfHosts
from ntvmedia.preferences import Values


class Connection:
    """One of them."""

    def __init__(self, host: str) -> None:
        self.host = host

    def close(self, reason: str) -> None:
        """Never in these tests."""


def server(**values: Any) -> Any:
    """Return as much of a server as is asked."""
    return SimpleNamespace(
        preferences=SimpleNamespace(values=Values(**values)),
        access=SimpleNamespace(trusts=lambda host, _scope: host == "192.0.2.99"),
    )


def test_all_ports() -> None:
    """Connections of two endpoints count together, and each that ends makes room."""
    hosts = ConnectionsOfHosts(server(max_connections_per_address=2))
    rtmp, http = (Connections(100, hosts=hosts) for _endpoint in range(2))
    first, second = Connection("192.0.2.1"), Connection("192.0.2.1")
    rtmp.add(first)
    rtmp.add(first)
    http.add(second)
    assert hosts["192.0.2.1"] == 2
    assert not rtmp.has_room("192.0.2.1")
    assert not http.has_room("192.0.2.1")
    assert http.has_room("192.0.2.2")
    assert (hosts.refused, rtmp.refused, http.refused) == (2, 1, 1)
    rtmp.remove(first)
    rtmp.remove(first)
    assert http.has_room("192.0.2.1")
    http.remove(second)
    assert hosts["192.0.2.1"] == 0


def test_networks_of_ipv6() -> None:
    """One customer has a network of 64 bits at least (RFC 6177): all of it is one."""
    hosts = ConnectionsOfHosts(server(max_connections_per_address=2))
    for host in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"):
        hosts.add(host)
    assert not hosts.has_room("2001:db8:1:2::7")
    assert hosts.has_room("2001:db8:1:3::7")
    assert hosts["2001:db8:1:2::1"] == 2
    for host in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"):
        hosts.remove(host)
    assert hosts["2001:db8:1:2::7"] == 0


def test_exempt() -> None:
    """This machine, trusted networks and proxies may have any number."""
    hosts = ConnectionsOfHosts(
        server(max_connections_per_address=1, trusted_proxies=(ip_network("10.0.0.0/8"),))
    )
    for host in ("127.0.0.1", "::1", "", "10.0.0.1", "192.0.2.99", "192.0.2.1"):
        hosts.add(host)
        assert hosts.has_room(host) is (host != "192.0.2.1"), host


def test_no_limit() -> None:
    """0 is none."""
    hosts = ConnectionsOfHosts(server(max_connections_per_address=0))
    for _connection in range(1000):
        hosts.add("192.0.2.1")
    assert hosts.has_room("192.0.2.1")
