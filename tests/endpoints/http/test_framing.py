"""Tests of ntvmedia.endpoints.http.framing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from ntvmedia.endpoints.http.framing import Framed, Framing
from ntvmedia.media import Codec, Packet, Track

TRACK = Track(Codec.MP3)
PACKET = Packet(TRACK, 0, 0, True, b"sound")


class Plain:
    """A serialiser that says what it was asked."""

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        """Tell the arguments."""
        return f"{len(tracks)} {metadata['a']} {timestamp}".encode()

    def header(self, timestamp: int) -> bytes:
        """Tell the time."""
        return f"header {timestamp}".encode()

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append the payload."""
        parts.append(packet.payload)

    def trailer(self) -> bytes:
        """End it all."""
        return b"end"

    def frame(self, block: bytes) -> bytes:
        """Never: what stands around a block is not its business."""
        raise AssertionError(block)


def test_delegation() -> None:
    """All but the framing is the serialiser's; nothing stands between it and a packet."""
    plain = Plain()
    framed = Framed(plain, Framing.CHUNKED)
    assert framed.tracks_changed([TRACK], {"a": 1}, 2) == b"1 1 2"
    assert framed.header(40) == b"header 40"
    parts: list[bytes] = []
    framed.packet(PACKET, parts)
    Framed.packet(framed, PACKET, parts)
    assert parts == [b"sound", b"sound"]
    assert framed.packet == plain.packet


def test_none() -> None:
    """Without framing a block stays the same object."""
    block = bytes(300)
    assert Framed(Plain()).frame(block) is block
    assert Framed(Plain()).trailer() == b"end"


def test_chunked() -> None:
    """RFC 9112 section 7.1: each block a chunk; an empty block none, as it would end the body."""
    framed = Framed(Plain(), "chunked")
    assert framed.frame(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert framed.frame(b"") == b""
    assert framed.trailer() == b"3\r\nend\r\n"


def test_websocket() -> None:
    """RFC 6455 section 5.2: each block a binary message without a mask; an empty block none."""
    framed = Framed(Plain(), "websocket")
    assert framed.frame(b"x" * 26) == b"\x82\x1a" + b"x" * 26
    assert framed.frame(b"x" * 300) == b"\x82\x7e\x01\x2c" + b"x" * 300
    assert framed.frame(b"x" * 65536)[:10].hex() == "827f0000000000010000"
    assert framed.frame(b"") == b""
    assert framed.trailer() == b"\x82\x03end"


def test_unknown() -> None:
    """A name that is none is our own mistake."""
    with pytest.raises(ValueError, match="gzip"):
        Framed(Plain(), "gzip")
