"""AES-128 of segments undone: CBC with PKCS#7 padding (RFC 8216 section 4.3.2.4)."""

from __future__ import annotations

from typing import Final

from Crypto.Cipher import AES

from ntvmedia.errors import PeerError

KEY_SIZE: Final = 16
"""Bytes of a key, and of a block."""

_REFERENCE: Final = "RFC 8216 section 4.3.2.4"


class Decrypter:
    """Decrypts one segment as it comes.

    Args:
        key: 16 bytes.
        iv: 16 bytes.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._cipher = AES.new(key, AES.MODE_CBC, iv=iv)
        # The last block has the padding: what could be it waits for more.
        self._held = b""

    def update(self, data: bytes) -> bytes:
        """Return what is decrypted of all that came."""
        data = self._held + data
        ready = (len(data) - 1) // KEY_SIZE * KEY_SIZE if data else 0
        self._held = data[ready:]
        return self._cipher.decrypt(data[:ready]) if ready else b""

    def finish(self) -> bytes:
        """Return the rest, without padding.

        Raises:
            PeerError: It does not end as AES-128 does: cut off, or the key is wrong.
        """
        held = self._held
        if len(held) != KEY_SIZE:
            raise PeerError(
                "the encrypted segment is no multiple of 16 bytes long", reference=_REFERENCE
            )
        block = self._cipher.decrypt(held)
        count = block[-1]
        if not 1 <= count <= KEY_SIZE or block[-count:] != bytes((count,)) * count:
            raise PeerError(
                "the key is wrong: what it decrypts does not end as it must (padding)",
                reference=_REFERENCE,
            )
        return block[:-count]
