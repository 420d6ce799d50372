"""Encrypts the segments of one playlist, and sees to their keys (P-306).

AES-128 in CBC mode with PKCS #7 padding (RFC 8216bis section 4.4.4.4). All parts of a segment have
its initialisation vector, each is encrypted for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from Crypto.Cipher import AES
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.endpoints.http.hls.keys import Key, KeySource
from ntvmedia.formats import m3u8
from ntvmedia.media import StreamKey

IV_BYTES: Final = 16

_log = Logger()


class Encryption:
    """The keys of one playlist, one after the other.

    The next key is fetched while the one before it is used, so that a key server may be away for
    a while.

    Args:
        source: Where keys come from.
        stream: Whose they are.
        number: Of the first key; each after it has the next.
        random: Returns that many unpredictable bytes.
        arrived: Called when there is a key that was waited for.
    """

    def __init__(
        self,
        source: KeySource,
        stream: StreamKey,
        number: int,
        random: Callable[[int], bytes],
        arrived: Callable[[], None],
    ) -> None:
        self._source = source
        self._stream = stream
        self._number = number
        self._random = random
        self._arrived = arrived
        self._template = ""
        self._key: Key | None = None
        self._next: Key | None = None
        self._fetching: Deferred[Any] | None = None
        self._is_waited_for = False
        self._left = 0

    def next_segment(self, template: str, segments: int) -> Key | None:
        """Return the key of the segment that begins now.

        Args:
            template: Of the addresses of an external key server; empty for keys of our own.
            segments: How many share a key.

        Returns:
            None where the key server has not given one yet: `arrived` will be called.
        """
        if template != self._template:
            self.stop()
            self._template = template
        if self._left <= 0:
            if self._next is None:
                self._fetch()
            if self._next is None:
                self._is_waited_for = True
                return None
            self._key, self._next = self._next, None
            self._left = segments
        self._left = min(self._left, segments) - 1
        if self._next is None:
            self._fetch()
        return self._key

    def new_iv(self) -> bytes:
        """Return an initialisation vector."""
        return self._random(IV_BYTES)

    def stop(self) -> None:
        """Fetch nothing more; the next segment has another key."""
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
        self._key = self._next = None
        self._is_waited_for = False
        self._left = 0

    def _fetch(self) -> None:
        if self._fetching is not None:
            return
        number = self._number
        self._number += 1
        fetching = self._fetching = self._source.make(self._stream, number, self._template)
        fetching.addCallbacks(self._fetched, self._failed)

    def _fetched(self, key: Key) -> None:
        self._fetching = None
        self._next = key
        if self._is_waited_for:
            self._is_waited_for = False
            self._arrived()

    def _failed(self, failure: Failure) -> None:
        self._fetching = None
        if not failure.check(CancelledError):
            _log.failure("no key for HLS of {key}", failure, key=self._stream)


def encrypt(body: bytes, key: m3u8.Key, value: bytes) -> bytes:
    """Encrypt a segment or a part.

    Args:
        body: Of any length.
        key: Its initialisation vector.
        value: The 16 bytes of the key.
    """
    padding = AES.block_size - len(body) % AES.block_size
    cipher = AES.new(value, AES.MODE_CBC, key.iv)
    return cipher.encrypt(body + bytes((padding,)) * padding)
