"""Tests of ntvmedia.config.certificates."""

from __future__ import annotations

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ntvmedia.config import TLSSettings
from ntvmedia.config.certificates import Certificates
from ntvmedia.errors import ConfigError
from tests.config.pem import make_pair


def shake_hands(certificates: Certificates, host: str | None, **options: Any) -> ssl.SSLObject:
    """Connect a client of the standard library to the server side, in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in options.items():
        if name == "alpn":
            context.set_alpn_protocols(value)
        else:
            setattr(context, name, value)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=host)
    protocol: Any = None
    server = certificates.serverConnectionForTLS(protocol)
    server.set_accept_state()
    client_done = server_done = False
    for _flight in range(10):
        if not client_done:
            try:
                client.do_handshake()
                client_done = True
            except ssl.SSLWantReadError:
                pass
        data = to_server.read()
        if data:
            server.bio_write(data)
        if not server_done:
            try:
                server.do_handshake()
                server_done = True
            except SSL.WantReadError:
                pass
        try:
            to_client.write(server.bio_read(1 << 16))
        except SSL.WantReadError:
            if client_done and server_done:
                break
    assert client_done and server_done
    return client


def common_name(client: ssl.SSLObject) -> object:
    """Return whose certificate the client was given."""
    der = client.getpeercert(binary_form=True)
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


class CertificatesTests(SynchronousTestCase):
    """A client gets the right certificate, and an operator a clear line."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def make(self, *names: str) -> Certificates:
        """Make certificates for host names."""
        pairs = [make_pair(self.folder, name) for name in names]
        certificates, keys = zip(*pairs, strict=True)
        return Certificates(TLSSettings(certificates, keys))

    def logged(self) -> list[str]:
        """Collect the lines that are logged from now on."""
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_namespace", "").startswith("ntvmedia"):
                level: LogLevel = event["log_level"]
                lines.append(f"{level.name}: {event['log_format'].format(**event)}")

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return lines

    def test_interface(self) -> None:
        """It is what Twisted's TLS factories take."""
        verifyObject(IOpenSSLServerConnectionCreator, self.make("one.example"))

    def test_by_name(self) -> None:
        """A-HS-11: the certificate follows the name asked for, with the first as the default."""
        certificates = self.make("one.example", "two.example", "*.three.example")
        for asked, given in [
            ("one.example", "one.example"),
            ("two.example", "two.example"),
            ("TWO.example", "two.example"),
            ("a.three.example", "*.three.example"),
            ("b.a.three.example", "one.example"),
            ("unknown.example", "one.example"),
            (None, "one.example"),
        ]:
            self.assertEqual(common_name(shake_hands(certificates, asked)), given, asked)

    def test_old_and_odd_clients(self) -> None:
        """A-HS-11: TLS 1.2 only, TLS 1.3 only, and odd protocol lists all connect."""
        certificates = self.make("one.example")
        old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
        client = shake_hands(certificates, None, maximum_version=old)
        self.assertEqual(client.version(), "TLSv1.2")
        client = shake_hands(certificates, None, minimum_version=new)
        self.assertEqual(client.version(), "TLSv1.3")
        client = shake_hands(certificates, None, alpn=["rtmp", "odd"])
        self.assertIsNone(client.selected_alpn_protocol())

    def test_reload(self) -> None:
        """New connections get the new files; what is open keeps its certificate."""
        certificates = self.make("one.example")
        before = shake_hands(certificates, None).getpeercert(binary_form=True)
        make_pair(self.folder, "one.example")
        self.assertEqual(shake_hands(certificates, None).getpeercert(binary_form=True), before)
        lines = self.logged()
        self.assertTrue(certificates.reload())
        after = shake_hands(certificates, None).getpeercert(binary_form=True)
        self.assertNotEqual(after, before)
        self.assertEqual(lines, ["info: read 1 TLS certificates again"])

    def test_bad_reload(self) -> None:
        """A pair that does not fit changes nothing, and is one line."""
        certificates = self.make("one.example")
        before = shake_hands(certificates, None).getpeercert(binary_form=True)
        self.folder.joinpath("one.example.key").write_text("nothing")
        lines = self.logged()
        self.assertFalse(certificates.reload())
        self.assertEqual(shake_hands(certificates, None).getpeercert(binary_form=True), before)
        (line,) = lines
        self.assertIn("the certificates stay as they are: tls.key: ", line)
        self.assertIn("one.example.key is no PEM private key", line)

    def test_refusals(self) -> None:
        """A file that cannot be used is named, with the reason."""
        certificate, key = make_pair(self.folder, "one.example")
        _other, other_key = make_pair(self.folder, "two.example")
        _locked, locked_key = make_pair(self.folder, "three.example", password=b"secret")
        missing = str(self.folder / "missing.pem")
        large = self.folder / "large.pem"
        large.write_bytes(bytes(1 << 20) + b"x")
        where = str(self.folder)
        for chain, private, line in [
            (missing, key, f"tls.certificate: cannot read {missing}: No such file or directory"),
            (where, key, f"tls.certificate: cannot read {where}: Is a directory"),
            (key, key, f"tls.certificate: {key} is no PEM certificate"),
            (str(large), key, f"tls.certificate: {large} is larger than 1048576 bytes"),
            (certificate, missing, f"tls.key: cannot read {missing}: No such file or directory"),
            (certificate, certificate, f"tls.key: {certificate} is no PEM private key"),
            (certificate, other_key, f"tls.key: {other_key} does not belong to {certificate}"),
            (certificate, locked_key, f"tls.key: {locked_key} is encrypted; expected a plain key"),
            ("a\0b", key, "tls.certificate: cannot read a\0b: embedded null byte"),
        ]:
            error = self.assertRaises(ConfigError, Certificates, TLSSettings((chain,), (private,)))
            self.assertEqual(str(error), line)
