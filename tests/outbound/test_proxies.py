"""Tests of ntvmedia.outbound.proxies: requests through a proxy, for http and for https."""

from __future__ import annotations

import base64
from http.cookiejar import CookieJar
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, strategies as st
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport

from ntvmedia.config import OutboundSettings, TLSSettings
from ntvmedia.config.certificates import Certificates
from ntvmedia.config.reading import parse_section
from ntvmedia.outbound import OutboundError, client
from ntvmedia.outbound.client import Outbound
from ntvmedia.outbound.connections import ALLOWED_BY
from ntvmedia.outbound.failures import Unacceptable
from ntvmedia.outbound.limits import OpenConnections
from ntvmedia.outbound.proxies import MAX_HEAD_BYTES, TunnelEndpoint, parse_proxy
from tests.config.pem import make_pair
from tests.outbound.proxy import Proxy, tunnel
from tests.outbound.rig import OutboundCase, Peer, Server, ok, redirect
from tests.outbound.test_client import fields_of

HOST = "cdn.example"
BASIC = "Basic " + base64.b64encode(b"me:s:secret").decode("ascii")


@pytest.mark.parametrize(
    ("url", "origin", "authorization"),
    [
        ("http://p.example:3128", "http://p.example:3128", ""),
        ("http://p.example:3128/", "http://p.example:3128", ""),
        ("p.example:3128", "http://p.example:3128", ""),
        ("http://[::1]:1", "http://[::1]:1", ""),
        ("http://me:s%3asecret@10.0.0.1:8080", "http://10.0.0.1:8080", BASIC),
        ("me:s%3Asecret@10.0.0.1:8080", "http://10.0.0.1:8080", BASIC),
    ],
)
def test_good(url: str, origin: str, authorization: str) -> None:
    """The address of a proxy may have a user and a password, and do without its scheme."""
    target = parse_proxy(url)
    assert (target.origin, target.authorization) == (origin, authorization)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://secret@p.example:1", "does not begin with http://, and other proxies"),
        ("socks5://secret@p.example:1", "begins with neither"),
        ("http://me:secret@p.example:1/x", "has a path"),
        ("http://me:secret@p.example:1?x", "has a path"),
        ("http://me:secret@", "has no host"),
        ("http://me:secret@p.example:0", "has port 0"),
        ("http://me:secret@p.example:x", "malformed"),
        ("http://me:secret@0x7f.1:1", "unusual spelling"),
        ("http://me:sec\r\nret@p.example", "not allowed"),
    ],
)
def test_bad(url: str, problem: str) -> None:
    """What is none is refused at once, and not shown."""
    with pytest.raises(OutboundError, match=problem) as caught:
        Outbound(None, parse_section(OutboundSettings, "outbound", {}), proxy=url)
    assert caught.value.is_permanent
    assert str(caught.value).startswith("the proxy: the ")
    assert "secret" not in str(caught.value)


class Raw:
    """An endpoint whose connection is a string.

    Attributes:
        protocol: What was made for it.
        transport: The string.
    """

    def __init__(self) -> None:
        self.transport = StringTransport()

    def connect(self, factory: Any) -> Any:
        """Connect at once."""
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        return succeed(self.protocol)


def tunnelled(pieces: list[bytes]) -> tuple[str, bytes]:
    """Give a proxy's answer to a tunnel: why it failed, if it did, and what came out of it."""
    raw: Any = Raw()
    came: list[bytes] = []
    inside = Protocol()
    inside.dataReceived = came.append  # type: ignore[assignment, method-assign]
    ends: list[Any] = []
    endpoint = TunnelEndpoint(
        raw, parse_proxy("http://me:pw@p.example"), "::1", 443, OpenConnections()
    )
    factory = Factory.forProtocol(lambda: inside)
    endpoint.connect(factory).addBoth(ends.append)
    assert raw.transport.value().startswith(b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n")
    for piece in pieces:
        raw.protocol.dataReceived(piece)
    if not ends:
        return "it waits", b""
    if ends[0] is inside:
        return "", b"".join(came)
    ends[0].trap(Unacceptable)
    assert raw.transport.disconnected
    return str(ends[0].value), b""


heads = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200\n", b"HTTP/1.1 403 No\r\n", b"HTTP/1", b"", b"SSH-"]
)
ends = st.sampled_from([b"\r\n", b"\n", b"\r", b"X: y\r\n\r\n", b"\r\n\r\nmore"])


@given(heads, st.binary(max_size=8), ends, st.binary(max_size=8), st.data())
def test_cuts_do_not_matter(
    head: bytes, junk: bytes, end: bytes, rest: bytes, data: st.DataObject
) -> None:
    """However a proxy's answer is cut, it means the same, and any bytes mean something."""
    answer = head + junk + end + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=6)))
    places = [0, *cuts, len(answer)]
    assert tunnelled([answer[a:b] for a, b in pairwise(places) if a < b]) == tunnelled([answer])


def test_every_cut() -> None:
    """A byte at a time, what follows the head goes to the target's side, whole."""
    answer = b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\nmore"
    assert tunnelled([bytes([byte]) for byte in answer]) == ("", b"more")


class ProxyCase(OutboundCase):
    """A proxy, and a client that asks through it.

    Attributes:
        proxy: Is asked.
        way: Stands in each error.
    """

    def through(self, *answers: Any, user: str = "", **settings: object) -> Proxy:
        """Have a proxy listen, and the client ask through it."""
        self.proxy = Proxy(self.reactor, *answers)
        self.listen(self.proxy)
        section = parse_section(OutboundSettings, "outbound", {**self.settings, **settings})
        url = self.proxy.url.replace("//", f"//{user}@" if user else "//")
        self.outbound = Outbound(self.reactor, section, self.trust, proxy=url)
        self._clients.append(self.outbound)
        self.way = f" through the proxy {self.proxy.url}"
        return self.proxy

    def check(self, url: str, why: str, *, is_permanent: bool, **options: Any) -> None:
        """Ask in vain."""
        waiting = self.get(f"{url}/secret?secret", **options)
        self._finish(waiting)
        error = self.failureResultOf(waiting, OutboundError).value
        self.assertEqual(
            (str(error), error.is_permanent), (f"{url}{self.way}: {why}", is_permanent)
        )
        self.until(lambda: not self.proxy.peers)


class PlainTests(ProxyCase):
    """Requests for http, which the proxy is sent as a whole (RFC 9112 3.2.2)."""

    def test_asked(self) -> None:
        """The proxy is told the whole address, and looks up the name; its connection is kept."""
        proxy = self.through(ok(b"1"), user="me:s%3Asecret")
        for host in (HOST, "other.example:81"):
            self.assertEqual(self.body(f"http://u:p@{host}/a?b", headers={"X-A": "1"}), b"1")
        first, second = proxy.requests
        self.assertEqual(first.split("\r\n")[0], f"GET http://{HOST}/a?b HTTP/1.1")
        self.assertEqual(second.split("\r\n")[0], "GET http://other.example:81/a?b HTTP/1.1")
        fields = fields_of(first)
        self.assertEqual((fields["host"], fields["x-a"]), (HOST, "1"))
        self.assertEqual(fields["proxy-authorization"], BASIC)
        self.assertEqual(fields["authorization"], "Basic dTpw")
        self.assertEqual(self.names.asked, ["127.0.0.1"])
        self.assertEqual(proxy.connections, 1)

    def test_no_password(self) -> None:
        """Without a user nothing is said of one."""
        proxy = self.through(ok(b"1"))
        self.body(f"http://{HOST}/")
        self.assertNotIn("proxy-authorization", fields_of(proxy.requests[0]))

    def test_redirect(self) -> None:
        """A redirect goes through the proxy too, with the fields and cookies that are for it."""
        answer = redirect("http://other.example/b").replace(
            b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"
        )
        proxy = self.through(answer, ok(b"1"), ok(b"1"))
        jar = CookieJar()
        got = self.wait(self.get(f"http://{HOST}/a", headers={"X-A": "1"}, cookies=jar))
        self.assertEqual((got.body, got.url), (b"1", "http://other.example/b"))
        self.body(f"http://{HOST}/a", cookies=jar)
        cookies = [fields_of(head).get("cookie") for head in proxy.requests]
        self.assertEqual(cookies, [None, None, "a=b"])
        self.assertNotIn("x-a", fields_of(proxy.requests[1]))
        self.assertEqual(proxy.connections, 1)

    def test_password_wanted(self) -> None:
        """A proxy that does not know us says so with 407, as no other server does."""
        self.through(b"HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\nsecret", user="me:secret")
        why = "the proxy asks for another user and password"
        self.check(f"http://{HOST}", why, is_permanent=True)

    def test_broken(self) -> None:
        """A proxy that speaks something else, or does not speak, is named."""
        self.through(b"SSH-2.0-OpenSSH_9.6\r\n")
        self.check(f"http://{HOST}", "the answer is no HTTP", is_permanent=False)
        self.through(None)
        why = "no answer within 0.1 seconds"
        self.check(f"http://{HOST}", why, is_permanent=False, timeout_seconds=0.1)

    def test_forbidden_target(self) -> None:
        """F-SS-03: a proxy is no way to an address that is forbidden, nor is a redirect by it."""
        proxy = self.through(ok(b"1"))
        for host in ("169.254.169.254", "127.0.0.2:81", "[::1]", "[::ffff:10.0.0.1]"):
            for scheme in ("http", "https"):
                waiting = self.get(f"{scheme}://{host}/")
                error = self.failureResultOf(waiting, OutboundError).value
                self.assertRegex(str(error), " is an? .* address, which outbound.allow does not")
                self.assertTrue(error.is_permanent)
        self.assertEqual(proxy.connections, 0)
        self.through(redirect("http://169.254.169.254/latest/meta-data"))
        self.assertIn("a link-local address", self.problem(f"http://{HOST}/"))
        self.assertEqual(len(self.proxy.requests), 1)
        self.through(ok(b"1"))
        self.assertEqual(self.body("http://127.0.0.1:81/"), b"1")

    def test_forbidden_proxy(self) -> None:
        """F-SS-03: the proxy itself must be one that may be asked."""
        proxy = self.through(ok(b"1"), allow=[])
        why = f"127.0.0.1 is a loopback address, which {ALLOWED_BY}"
        for scheme in ("http", "https"):
            self.check(f"{scheme}://{HOST}", why, is_permanent=True)
        self.assertEqual(proxy.connections, 0)

    def test_gone(self) -> None:
        """A proxy that is not there is said to be the one."""
        self.through(ok(b"1"))
        self._ports[-1].stopListening()
        self.spin(0.02)
        for scheme in ("http", "https"):
            self.check(f"{scheme}://{HOST}", "the connection was refused", is_permanent=False)


class TunnelTests(ProxyCase):
    """Requests for https, by CONNECT (RFC 9110 9.3.6)."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.pair = make_pair(self.folder, HOST)
        certificate: Any = ssl.Certificate.loadPEM(Path(self.pair[0]).read_bytes())
        self.trust = ssl.trustRootFromCertificates([certificate])
        super().setUp()

    def secure(self, *answers: Any) -> Server:
        """Have a server with a certificate listen, whose name only the proxy knows."""
        certificate, key = self.pair
        tls = Certificates(TLSSettings(certificate=(certificate,), key=(key,)))
        return self.listen(Server(*answers), tls=tls, host=HOST)

    def test_asked(self) -> None:
        """The target is asked through the proxy, which sees nothing but its name."""
        server = self.secure(ok(b"x" * 100_000))
        proxy = self.through(tunnel, user="me:s%3Asecret")
        proxy.ports[f"{HOST}:{server.port}"] = server.port
        for _time in range(3):
            body = self.body(f"{server.url}/a", limit_bytes=100_000, headers={"X-A": "1"})
            self.assertEqual(body, b"x" * 100_000)
        [head] = proxy.requests
        self.assertEqual(head.split("\r\n")[0], f"CONNECT {HOST}:{server.port} HTTP/1.1")
        fields = {"host": f"{HOST}:{server.port}", "proxy-authorization": BASIC}
        self.assertEqual(fields_of(head), fields)
        asked = fields_of(server.requests[0])
        self.assertEqual(server.requests[0].split("\r\n")[0], "GET /a HTTP/1.1")
        self.assertEqual((asked["x-a"], asked.get("proxy-authorization")), ("1", None))
        self.assertEqual((proxy.connections, server.connections), (1, 1))
        self.assertEqual(self.names.asked, ["127.0.0.1"])

    def test_each_its_own(self) -> None:
        """A tunnel leads to one server, and is not used for another."""
        first, second = self.secure(ok(b"1")), self.secure(ok(b"2"))
        proxy = self.through(tunnel)
        for server in (first, second):
            proxy.ports[f"{HOST}:{server.port}"] = server.port
        self.assertEqual([self.body(x.url) for x in (first, second, first)], [b"1", b"2", b"1"])
        self.assertEqual(proxy.connections, 2)

    def test_certificate(self) -> None:
        """The certificate is checked against the target: a proxy cannot stand in for it."""
        server = self.secure(ok(b"1"))
        proxy = self.through(tunnel)
        proxy.ports["bank.example:443"] = server.port
        why = "its certificate is not for this name"
        self.check("https://bank.example", why, is_permanent=True)
        self.assertEqual(server.requests, [])

    def test_down(self) -> None:
        """A redirect from https to http is not followed by this way either."""
        server = self.secure(redirect("http://plain.example/"))
        proxy = self.through(tunnel)
        proxy.ports[f"{HOST}:{server.port}"] = server.port
        problem = self.problem(f"{server.url}/secret")
        self.assertEqual(problem, f"{server.url}: a redirect from https to http")

    def test_heads(self) -> None:
        """A success is 2xx, with whatever fields, in whatever pieces, with the target's bytes."""
        server = self.secure(ok(b"1"))

        def slowly(peer: Any) -> None:
            peer.send(b"HTTP/1.0 299")
            self.reactor.callLater(
                0.02, tunnel, peer, b" x\r\nVia: me\r\nContent-Length: 5\r\n\r\n"
            )

        for answer in (slowly, lambda peer: tunnel(peer, b"HTTP/1.1 200\n\n")):
            proxy = self.through(answer)
            proxy.ports[f"{HOST}:{server.port}"] = server.port
            self.assertEqual(self.body(server.url), b"1")

    def test_refused(self) -> None:
        """A proxy that refuses is named; whether another try makes sense is in its status."""
        wrong = "the proxy asks for another user and password"
        for status, why, is_permanent in (
            (407, wrong, True),
            (403, "the proxy refused, with status 403", True),
            (405, "the proxy refused, with status 405", True),
            (302, "the proxy refused, with status 302", True),
            (101, "the proxy refused, with status 101", True),
            (429, "the proxy refused, with status 429", False),
            (502, "the proxy refused, with status 502", False),
            (504, "the proxy refused, with status 504", False),
        ):
            self.through(
                b"HTTP/1.1 %d secret\r\nX-A: secret\r\n\r\nsecret" % status, user="a:secret"
            )
            self.check(f"https://{HOST}", why, is_permanent=is_permanent)

    def test_garbage(self) -> None:
        """So is one that speaks something else, or nothing at all."""
        no_http = "the proxy's answer is no HTTP"
        for answer, why in (
            (b"SSH-2.0-OpenSSH_9.6\r\n", no_http),
            (b"\x15\x03\x01", no_http),
            (b"HTTP/2.0 200\r\n\r\n", no_http),
            (b"HTTP/1.1 2000 x\r\n\r\n", no_http),
            (b"HTTP/1.1 abc\r\n\r\n", no_http),
            (b"HTTP/1.1 200 " + b"x" * MAX_HEAD_BYTES, "the proxy's answer is too long"),
            (lambda peer: peer.send(b"", close=True), "the proxy closed the connection"),
            (lambda peer: peer.send(b"HTTP/1.1 2", close=True), "the proxy closed the connection"),
        ):
            self.through(answer)
            self.check(f"https://{HOST}", why, is_permanent=False)

    def test_no_tls(self) -> None:
        """What is behind a tunnel and speaks no TLS is no target."""
        self.through(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n")
        problem = self.problem(f"https://{HOST}/")
        self.assertTrue(problem.startswith(f"https://{HOST}{self.way}: TLS failed: "))

    def test_silent(self) -> None:
        """A proxy that does not answer takes no longer than a server, and may be left before."""
        proxy = self.through(None)
        for options, why in (
            ({"timeout_seconds": 0.1}, "no answer within 0.1 seconds"),
            ({"idle_seconds": 0.1}, "nothing came for 0.1 seconds"),
        ):
            self.check(f"https://{HOST}", why, is_permanent=False, **options)
        waiting = self.get(f"https://{HOST}/")
        self.until(lambda: len(proxy.requests) == 3)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.until(lambda: not proxy.peers)

    def test_closed(self) -> None:
        """When the client is closed, its tunnels are, half made or whole."""
        server = self.secure(ok(b"1"))
        half: list[Peer] = []
        proxy = self.through(tunnel, half.append)
        proxy.ports[f"{HOST}:{server.port}"] = server.port
        self.body(server.url)
        waiting = self.get("https://other.example/")
        self.until(lambda: half)
        self.assertEqual(len(proxy.peers), 2)
        closing = self.outbound.close()
        self.assertIn("the server stops", self.wait_for_error(waiting))
        self.wait(closing)
        self.until(lambda: not proxy.peers and not server.peers)

    def test_jobs(self) -> None:
        """Eight jobs use eight tunnels in all."""
        server = self.secure(lambda peer: self.reactor.callLater(0.001, peer.send, ok(b"1")))
        proxy = self.through(tunnel)
        proxy.ports[f"{HOST}:{server.port}"] = server.port
        for _time in range(4):
            for waiting in [self.get(server.url) for _number in range(8)]:
                self.wait(waiting)
        self.assertEqual((len(server.requests), proxy.connections), (32, 8))

    def test_turns(self) -> None:
        """Of one server no more is asked at a time than without a proxy."""
        server = self.secure(None)
        proxy = self.through(tunnel)
        proxy.ports[f"{HOST}:{server.port}"] = server.port
        with mock.patch.object(client, "MAX_AT_A_TIME", 3):
            waiting = [self.get(server.url) for _number in range(5)]
        self.until(lambda: len(server.requests) == 3)
        self.spin(0.05)
        self.assertEqual(len(server.requests), 3)
        for request in waiting:
            request.cancel()
            self.failureResultOf(request, CancelledError)
