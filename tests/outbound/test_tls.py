"""Tests of ntvmedia.outbound over TLS: whom it believes to be whom it asks."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.internet import ssl

from ntvmedia.config import TLSSettings
from ntvmedia.config.certificates import Certificates
from ntvmedia.outbound import OutboundError
from tests.config.pem import make_pair
from tests.outbound.rig import OutboundCase, Server, ok, redirect

HOST = "keys.example"


class TLSTests(OutboundCase):
    """Servers with certificates."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.pair = make_pair(self.folder, HOST)
        certificate: Any = ssl.Certificate.loadPEM(Path(self.pair[0]).read_bytes())
        self.trust = ssl.trustRootFromCertificates([certificate])
        super().setUp()
        self.names.known = {HOST: [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}

    def secure(self, *answers: Any, pair: tuple[str, str] | None = None) -> Server:
        """Have a server listen with a certificate."""
        certificate, key = pair or self.pair
        tls = Certificates(TLSSettings(certificate=(certificate,), key=(key,)))
        return self.listen(Server(*answers), tls=tls, host=HOST)

    def test_good(self) -> None:
        """A server that is who it says is asked, and its connection is kept."""
        server = self.secure(ok(b"0123456789abcdef"))
        for _time in range(2):
            self.assertEqual(self.body(server.url), b"0123456789abcdef")
        self.assertEqual(server.connections, 1)
        self.assertIn(f"Host: {HOST}:{server.port}", server.requests[0])

    def test_wrong_name(self) -> None:
        """A certificate for another name is none; an address is such a name too."""
        server = self.secure(ok(b"1"))
        for host in ("other.example", "127.0.0.1"):
            url = f"https://{host}:{server.port}"
            problem = self.problem(f"{url}/secret?key=secret")
            self.assertEqual(problem, f"{url}: its certificate is not for this name")
        self.assertEqual(server.requests, [])

    def test_not_trusted(self) -> None:
        """A certificate that nobody vouches for is none."""
        (self.folder / "other").mkdir()
        server = self.secure(ok(b"1"), pair=make_pair(self.folder / "other", HOST))
        problem = self.problem(server.url)
        self.assertEqual(problem, f"{server.url}: TLS failed: certificate verify failed")
        self.assertEqual(server.requests, [])

    def test_system(self) -> None:
        """Without another word those of the system are trusted, which SSL_CERT_FILE may name."""
        self.trust = None
        server = self.secure(ok(b"1"))
        self.outbound = self.make_client()
        self.assertIn("certificate verify failed", self.problem(server.url))
        with mock.patch.dict(os.environ, {"SSL_CERT_FILE": self.pair[0]}):
            self.outbound = self.make_client()
            self.assertEqual(self.body(server.url), b"1")

    def test_no_tls(self) -> None:
        """A server without TLS on that port is said to have none."""
        server = self.serve(lambda peer: peer.send(b"HTTP/1.1 400 Bad\r\n\r\n", close=True))
        url = f"https://{HOST}:{server.port}"
        self.assertRegex(
            self.problem(url, timeout_seconds=0.5), f"^{url}: (TLS failed: |no answer)"
        )

    def test_silent(self) -> None:
        """A server that does not shake hands takes no longer than any other."""
        server = self.serve(None)
        url = f"https://{HOST}:{server.port}"
        problem = self.problem(url, timeout_seconds=0.2)
        self.assertEqual(problem, f"{url}: no answer within 0.2 seconds")
        self.until(lambda: not server.peers)

    def test_cut(self) -> None:
        """A body without a length is whole where TLS is ended, not where the connection is.

        Whoever is in between can end the connection, and not TLS (RFC 9112 9.8).
        """

        def cut(peer: Any) -> None:
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nabcd")
            self.reactor.callLater(0.05, peer.transport.transport.loseConnection)

        whole = self.secure(lambda peer: peer.send(b"HTTP/1.1 200 OK\r\n\r\nabcd", close=True))
        self.assertEqual(self.body(whole.url), b"abcd")
        server = self.secure(cut)
        problem = self.problem(server.url)
        why = "the connection was closed before the answer was complete"
        self.assertEqual(problem, f"{server.url}: {why}")

    def test_permanent(self) -> None:
        """A certificate that is wrong will be so again."""
        server = self.secure(ok(b"1"))
        waiting = self.get(f"https://other.example:{server.port}/")
        self._finish(waiting)
        self.assertTrue(self.failureResultOf(waiting, OutboundError).value.is_permanent)

    def test_closed(self) -> None:
        """Connections end when they are told to, without the consent of the peer."""
        server = self.secure(ok(b"1"))
        self.body(server.url)
        self.wait(self.outbound.close())
        self.until(lambda: not server.peers)

    def test_down(self) -> None:
        """A redirect from https to http is not followed; the other way is."""
        plain = self.serve(ok(b"no"))
        server = self.secure(redirect(plain.url), ok(b"1"))
        problem = self.problem(server.url)
        self.assertEqual(problem, f"{server.url}: a redirect from https to http")
        self.assertEqual(plain.connections, 0)
        self.assertEqual(self.body(self.serve(redirect(server.url)).url), b"1")
