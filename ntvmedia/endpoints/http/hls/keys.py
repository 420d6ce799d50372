"""The keys of encrypted segments: made here or by a key server, and found again by their names.

A key of our own is derived from one secret of the server, the stream and a number, so nothing is
kept for each, and a restart changes none. The name of every key bears a tag that only this server
can make: whoever asks for a name that was never given out learns nothing, and no key server is
asked for it. The tag also says whose the key is, so that a key is still found after the
application was set to another source.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from typing import Any, Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed

from ntvmedia.access.keys import HLS_KEY_FILE, keep_key
from ntvmedia.endpoints.http.hls.keyservers import KEY_BYTES, KeyServers
from ntvmedia.interfaces import IHost
from ntvmedia.media import StreamKey

# 64 bits: a guess is a request, and there is no other way to try one.
_TAG_BYTES: Final = 8

# Nineteen digits are more than seconds since 1970 will ever need.
_NAME: Final = re.compile(r"(0|[1-9][0-9]{0,18})-([0-9a-f]{16})\.key")


class Key(NamedTuple):
    """One key.

    Attributes:
        name: The name of its file, which ends in ".key".
        value: The key of AES-128: 16 bytes.
    """

    name: str
    value: bytes


class _Origin(StrEnum):
    """Who makes a key. The texts are part of what the tags are derived from: they stay."""

    OURS = "ours"
    SERVER = "server"


class KeySource(Service):
    """All keys of one server: `host.part(KeySource)`.

    Args:
        host: The server. Its data folder holds the secret that keys are derived from.
    """

    def __init__(self, host: IHost) -> None:
        self._host: Any = host
        self._master = b""
        self._servers = KeyServers(host)

    def privilegedStartService(self) -> None:
        """Read the secret, or make it; blocking, at the start.

        Raises:
            ConfigError: It can be neither read nor made.
        """
        super().privilegedStartService()
        self._load()

    def stopService(self) -> None:
        super().stopService()
        self._servers.close()

    def make(self, stream: StreamKey, number: int, template: str) -> Deferred[Key]:
        """Return the key of a number.

        Args:
            stream: What it encrypts.
            number: Which of its keys, 0 or above; the same number is the same key.
            template: The address of a key server, as of the application's `hls_key_url`; empty for
                a key of our own.

        Returns:
            Fires with the key: at once with one of our own, else when the key server gave it,
            which is asked until it does. Cancel it when the key is no longer needed.
        """
        if not template:
            return maybeDeferred(self._own, stream, number)
        return maybeDeferred(self._name, _Origin.SERVER, stream, number).addCallback(
            lambda name: self._servers.obtain(
                stream, name.removesuffix(".key"), template
            ).addCallback(lambda value: Key(name, value))
        )

    def find(self, stream: StreamKey, name: str, template: str) -> Deferred[Key | None]:
        """Return the key that was given out under a name.

        Args:
            stream: What it encrypts.
            name: The name of its file, as asked for: any text.
            template: As for `make`, and as it is now.

        Returns:
            Fires with the key, or with None where the name is none that was given out for this
            stream, or its key server is no longer known. Fails with `OutboundError` where the key
            server does not give it now. May be cancelled.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            return succeed(None)
        number = int(match[1])
        if hmac.compare_digest(name, self._name(_Origin.OURS, stream, number)):
            return maybeDeferred(self._own, stream, number)
        if not hmac.compare_digest(name, self._name(_Origin.SERVER, stream, number)):
            return succeed(None)
        return self._servers.find(stream, name.removesuffix(".key"), template).addCallback(
            lambda value: None if value is None else Key(name, value)
        )

    def _own(self, stream: StreamKey, number: int) -> Key:
        value = self._derived("key", stream, number)[:KEY_BYTES]
        return Key(self._name(_Origin.OURS, stream, number), value)

    def _name(self, origin: _Origin, stream: StreamKey, number: int) -> str:
        tag = self._derived(f"name {origin}", stream, number)[:_TAG_BYTES]
        return f"{number}-{tag.hex()}.key"

    def _derived(self, purpose: str, stream: StreamKey, number: int) -> bytes:
        """Derive 32 bytes. Each part stands behind its length: no two lists make the same text."""
        self._load()
        parts = [part.encode("utf-8") for part in (purpose, *stream, str(number))]
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._master, text, hashlib.sha256)

    def _load(self) -> None:
        # At the first use only where nobody started this service, as in a test of something else.
        if not self._master:
            self._master = keep_key(self._host.settings.data, HLS_KEY_FILE, self._host.random)
