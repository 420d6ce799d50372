"""The handshake before the chunk stream, as server and as client (Adobe RTMP 1.0, section 5.2).

Each side sends a version byte, a block, and an answer to the other's block. Besides the published
form, whose answer is an echo, there is Adobe's unpublished one, without which Flash plays no
H.264: 32 bytes of the block are a digest of the others, at a place that four other bytes give, and
the answer is signed with a key made of the digest. Its two layouts, called schemes::

    scheme 0: time 4 | version 4 | key 764                | offset 4 | digest block 760
    scheme 1: time 4 | version 4 | offset 4 | digest block 760 | key 764

The keys that are exchanged serve RTMPE only, which is not spoken here.

None of the random bytes is a secret. So a server may draw them once and give the same to every
connection: drawing them (13 us) costs more than a simple handshake (7 us; with digests 60 us).
"""

from __future__ import annotations

import hmac
from typing import Final

from ntvmedia.errors import PeerError, UsageError

BLOCK_SIZE: Final = 1536
"""Bytes of each block and of each answer."""

RANDOM_SIZE: Final = 3072
"""Random bytes that a handshake is given."""

_VERSION: Final = b"\x03"
_REFERENCE: Final = "RTMP 1.0 5.2"

_DIGEST_SIZE: Final = 32
_SIGNED_SIZE: Final = BLOCK_SIZE - _DIGEST_SIZE

# Where each scheme has the four bytes whose sum, modulo 728 (764 - 4 - 32), places the digest.
_PLACES: Final = (772, 8)
_PLACE_MODULUS: Final = 728

# Any version but 0 says that there may be a digest.
_SERVER_VERSION: Final = bytes((5, 0, 17, 3))
_CLIENT_VERSION: Final = bytes((10, 0, 32, 18))

# Blocks are signed with the name, answers with a key made from the name and the tail.
_CLIENT_NAME: Final = b"Genuine Adobe Flash Player 001"
_SERVER_NAME: Final = b"Genuine Adobe Flash Media Server 001"
_TAIL: Final = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")

# What else comes to this port, by the first byte alone: more may not have arrived.
_GUESSES: Final = {
    0x06: "RTMPE, which is not spoken here",
    0x08: "RTMPE, which is not spoken here",
    0x09: "RTMPE, which is not spoken here",
    0x0D: "a PROXY protocol header",
    0x16: "TLS",
    0x80: "TLS",
    ord("P"): "HTTP, RTMPT or a PROXY protocol header",
} | dict.fromkeys(b"CDGHORST", "HTTP or RTSP")


class _Handshake:
    """What both sides do: a version byte, a block and an answer come in.

    Attributes:
        done: The chunk stream begins.
        verified: The peer's answer fits the block it was sent. Many clients' does not.
        with_digest: Both sides sign.
    """

    def __init__(self, random: bytes) -> None:
        if len(random) < RANDOM_SIZE:
            raise UsageError(f"a handshake takes {RANDOM_SIZE} random bytes, not {len(random)}")
        self.done = False
        self.verified = False
        self.with_digest = False
        self._random = random
        self._buffer = bytearray()
        self._out = b""
        self._block = b""  # ours, as sent
        self._version_seen = False
        self._block_seen = False
        self._failed = False

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer, and answer them.

        Raises:
            PeerError: They are no RTMP; the message names what they look like.
            UsageError: This raised before.
        """
        if self._failed:
            raise UsageError("the handshake failed before; make a new one")
        buffer = self._buffer
        buffer += data
        if self.done:
            return
        try:
            if not self._version_seen and buffer:
                _check_version(buffer[0])
                del buffer[:1]
                self._version_seen = True
            if not self._block_seen and len(buffer) >= BLOCK_SIZE:
                self._out += self._answer(self._taken())
                self._block_seen = True
            if self._block_seen and len(buffer) >= BLOCK_SIZE:
                self._answered(self._taken())
                self.done = True
        except PeerError:
            self._failed = True
            raise

    def data_to_send(self) -> bytes:
        """Return what the peer has to be sent, once."""
        out = self._out
        self._out = b""
        return out

    def remainder(self) -> bytes:
        """Return the bytes that came behind the handshake, once: the chunk stream begins there."""
        if not self.done:
            return b""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _taken(self) -> bytes:
        block = bytes(self._buffer[:BLOCK_SIZE])
        del self._buffer[:BLOCK_SIZE]
        return block

    def _answer(self, block: bytes) -> bytes:
        """Return what to send when the peer's block has come."""
        raise NotImplementedError

    def _answered(self, answer: bytes) -> None:
        """Judge the peer's answer."""
        raise NotImplementedError


class ServerHandshake(_Handshake):
    """Answers a client: with digests where its block has a valid one, simply otherwise.

    What the client answers is accepted whatever it is: Streamlabs, for one, sends no echo.

    Args:
        random: `RANDOM_SIZE` random bytes; many handshakes may share them.
    """

    def _answer(self, block: bytes) -> bytes:
        random = self._random
        # A client that knows digests says so by its version: others are spared the search.
        place = _digest_place(block, _CLIENT_NAME) if block[4:8] != bytes(4) else None
        if place is None:
            self._block = bytes(8) + random[: BLOCK_SIZE - 8]
            return _VERSION + self._block + block
        self.with_digest = True
        scheme, start = place
        self._block = _signed_block(_SERVER_VERSION, random, scheme, _SERVER_NAME)
        digest = block[start : start + _DIGEST_SIZE]
        return _VERSION + self._block + _signed_answer(random, digest, _SERVER_NAME)

    def _answered(self, answer: bytes) -> None:
        self.verified = _fits(answer, self._block, _SERVER_NAME, _CLIENT_NAME)


class ClientHandshake(_Handshake):
    """Greets a server.

    Args:
        random: `RANDOM_SIZE` random bytes.
        strict: A server whose answer does not fit is refused.
        scheme: 0 or 1 offers digests in that layout; None asks for the simple handshake, which
            every known server takes.
    """

    def __init__(self, random: bytes, strict: bool = False, scheme: int | None = None) -> None:
        super().__init__(random)
        self._strict = strict
        self._scheme = scheme
        if scheme is None:
            self._block = bytes(8) + random[: BLOCK_SIZE - 8]
        else:
            self._block = _signed_block(_CLIENT_VERSION, random, scheme, _CLIENT_NAME)
        self._out = _VERSION + self._block

    def _answer(self, block: bytes) -> bytes:
        place = _digest_place(block, _SERVER_NAME) if self._scheme is not None else None
        if place is None:
            return block
        self.with_digest = True
        digest = block[place[1] : place[1] + _DIGEST_SIZE]
        return _signed_answer(self._random, digest, _CLIENT_NAME)

    def _answered(self, answer: bytes) -> None:
        self.verified = _fits(answer, self._block, _CLIENT_NAME, _SERVER_NAME)
        if self._strict and not self.verified:
            raise PeerError("the server's answer does not fit", reference=_REFERENCE, offset=1537)


def _check_version(version: int) -> None:
    if version == _VERSION[0]:
        return
    guess = _GUESSES.get(version)
    raise PeerError(
        f"no RTMP: the first byte is {version:#04x}" + (f", as in {guess}" if guess else ""),
        reference=f"{_REFERENCE}.2",
        offset=0,
    )


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _place(block: bytes, scheme: int) -> int:
    offset = _PLACES[scheme]
    return sum(block[offset : offset + 4]) % _PLACE_MODULUS + offset + 4


def _digest_place(block: bytes, name: bytes) -> tuple[int, int] | None:
    """Return the scheme by which a block is signed with a name, and where; None if by none."""
    for scheme in range(len(_PLACES)):
        start = _place(block, scheme)
        end = start + _DIGEST_SIZE
        if _hmac(name, block[:start] + block[end:]) == block[start:end]:
            return scheme, start
    return None


def _signed_block(version: bytes, random: bytes, scheme: int, name: bytes) -> bytes:
    block = bytes(4) + version + random[: BLOCK_SIZE - 8]
    start = _place(block, scheme)
    before, behind = block[:start], block[start + _DIGEST_SIZE :]
    return before + _hmac(name, before + behind) + behind


def _signed_answer(random: bytes, digest: bytes, name: bytes) -> bytes:
    answer = random[-_SIGNED_SIZE:]
    return answer + _hmac(_hmac(name + _TAIL, digest), answer)


def _fits(answer: bytes, block: bytes, own_name: bytes, name: bytes) -> bool:
    """Tell whether an answer echoes our block, or is signed by `name` for its digest."""
    # The first 8 bytes are times, of which the second may be the peer's own.
    if answer[8:] == block[8:]:
        return True
    place = _digest_place(block, own_name) if block[4:8] != bytes(4) else None
    if place is None:
        return False
    digest = block[place[1] : place[1] + _DIGEST_SIZE]
    signature = _hmac(_hmac(name + _TAIL, digest), answer[:_SIGNED_SIZE])
    return signature == answer[_SIGNED_SIZE:]
