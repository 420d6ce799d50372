"""The header of RTP packets (RFC 3550 section 5.1)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtp.packets import HEADER_SIZE, RTPPacket, build_packet, parse_packet

# The first packet of `ffmpeg -re -f lavfi -i sine -c:a pcm_mulaw -f rtp ...` 5.1, cut short.
RECORDED = bytes.fromhex("80001a2b5f3d0c7e9abcdef0") + b"\xff\x7f\x70\x68"


def test_recorded() -> None:
    """The fixed header, field by field."""
    packet = parse_packet(RECORDED)
    assert packet == RTPPacket(0, 0x1A2B, 0x5F3D0C7E, 0x9ABCDEF0, False, b"\xff\x7f\x70\x68")
    assert build_packet(*packet[:5], packet.payload) == RECORDED


def test_csrc_extension_padding() -> None:
    """What stands between header and payload, and what fills up behind it, is passed over."""
    head = bytes.fromhex("b2e0 0001 00000002 00000003")  # padding, extension, 2 CSRC, marker
    sources = bytes.fromhex("0000000a 0000000b")
    extension = bytes.fromhex("bede 0001 10aa0000")
    data = head + sources + extension + b"media" + b"\0\0\3"
    assert parse_packet(data) == RTPPacket(0x60, 1, 2, 3, True, b"media")


def test_empty_payloads() -> None:
    """A packet may hold nothing; padding that counts 0 is none."""
    assert parse_packet(build_packet(0, 1, 2, 3, False, b"")).payload == b""
    assert parse_packet(b"\xa0" + bytes(11) + b"a\0").payload == b"a\0"
    assert parse_packet(b"\xa0" + bytes(11) + b"\2\2").payload == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        bytes(12),  # version 0
        b"\xc0" + bytes(11),  # version 3
        b"\x8f" + bytes(11),  # 15 sources, and none there
        b"\x90" + bytes(11),  # an extension, and none there
        b"\x90" + bytes(11) + b"\0\0\xff\xff" + bytes(100),
        b"\xa0" + bytes(11) + b"\x03\x03",  # more padding than there is payload
    ],
)
def test_malformed(data: bytes) -> None:
    """What is longer than itself is refused."""
    with pytest.raises(PeerError) as caught:
        parse_packet(data)
    assert caught.value.reference.startswith("RFC 3550")


@given(
    st.integers(0, 127),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 40),
    st.integers(0, (1 << 32) - 1),
    st.booleans(),
    st.binary(max_size=50),
)
def test_round_trip(
    kind: int, number: int, time: int, ssrc: int, marker: bool, payload: bytes
) -> None:
    """What is written is read; counters are cut to their fields."""
    data = build_packet(kind, number, time, ssrc, marker, payload)
    assert len(data) == HEADER_SIZE + len(payload)
    expected = (kind, number & 0xFFFF, time & 0xFFFFFFFF, ssrc, marker, payload)
    assert parse_packet(data) == expected


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Only the documented error; the payload is part of the data."""
    with suppress(PeerError):
        assert parse_packet(data).payload in data
