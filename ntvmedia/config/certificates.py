"""The server's certificates, by the name that a client asks for, and read again when told to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from ntvmedia.config.sections import TLSSettings
from ntvmedia.errors import ConfigError

# A chain with a large key is some 10 kB. A larger file is not a certificate, and not read.
_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Pair:
    """One certificate ready for use.

    Attributes:
        context: What OpenSSL is given.
        names: The host names that it is good for, lower case; "*.example.org" stands for one
            label more.
    """

    context: SSL.Context
    names: frozenset[str]


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """Make the TLS side of server connections, as `tls.certificate` and `tls.key` say.

    A client that names a host (SNI) gets the first certificate that is good for it, any other
    client the first one: a wrong name is for the client to judge. There is no ALPN: a client that
    insists on a protocol list is served all the same.

    Args:
        settings: Both settings have as many files, at least one.

    Raises:
        ConfigError: A file cannot be read, or certificate and key are not a pair.
    """

    _log = Logger()

    def __init__(self, settings: TLSSettings) -> None:
        self._settings = settings
        self._pairs = _load(settings)

    def reload(self) -> bool:
        """Read the files again, for new connections.

        One line is logged, whether it worked or not. A bad file changes nothing.

        Returns:
            Whether the files were good.
        """
        try:
            self._pairs = _load(self._settings)
        except ConfigError as error:
            self._log.error("the certificates stay as they are: {error}", error=error)
            return False
        self._log.info("read {count} TLS certificates again", count=len(self._pairs))
        return True

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._pairs[0].context, None)


def _load(settings: TLSSettings) -> list[_Pair]:
    pairs = [
        _load_pair(certificate, key)
        for certificate, key in zip(settings.certificate, settings.key, strict=True)
    ]

    def choose(connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        wildcard = "*." + name.partition(".")[2]
        for pair in pairs:
            if name in pair.names or wildcard in pair.names:
                connection.set_context(pair.context)
                return

    if len(pairs) > 1:
        pairs[0].context.set_tlsext_servername_callback(choose)
    return pairs


def _load_pair(certificate_path: str, key_path: str) -> _Pair:
    where = ("tls", "certificate")
    try:
        chain = x509.load_pem_x509_certificates(_read(certificate_path, where))
    except ValueError:
        raise ConfigError(f"{certificate_path} is no PEM certificate", where) from None
    where = ("tls", "key")
    try:
        key = load_pem_private_key(_read(key_path, where), password=None)
    except TypeError:
        raise ConfigError(f"{key_path} is encrypted; expected a plain key", where) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{key_path} is no PEM private key", where) from None
    if key.public_key() != chain[0].public_key():
        raise ConfigError(f"{key_path} does not belong to {certificate_path}", where)
    try:
        return _Pair(_context(chain, key), _names(chain[0]))
    except (TypeError, ValueError, SSL.Error) as error:
        raise ConfigError(f"{certificate_path} cannot be used: {error}", where) from None


def _context(chain: list[x509.Certificate], key: Any) -> SSL.Context:
    """Prepare OpenSSL. Its own choice of ciphers is newer than any that we could write here."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    # RFC 8996 forbids what is older. Cameras of today still come with TLS 1.2 only (A-HS-11).
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_RENEGOTIATION
    )
    # An idle connection gives back its buffers, some 34 kB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.use_certificate(chain[0])
    for issuer in chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(key)
    return context


def _read(path: str, where: tuple[str, str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read {path}: {reason}", where) from None
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_FILE_BYTES} bytes", where)
    return data


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return frozenset()
    return frozenset(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
