"""Packed audio for tests: ID3 tags and frames, written apart from the code under test."""

from __future__ import annotations

from collections.abc import Iterable

from ntvmedia.errors import PeerError
from ntvmedia.formats.packed_audio import Demuxer, Event
from tests.codecs import vectors
from tests.formats import ts_bytes

OWNER = b"com.apple.streaming.transportStreamTimestamp\0"

MP3 = ts_bytes.MP3_FRAME
AC3 = ts_bytes.AC3_FRAME
EAC3 = ts_bytes.EAC3_FRAME

# An E-AC-3 substream that depends on the one before it: strmtyp 1 in the first two bits behind the
# sync word, then substreamid and frmsiz (ETSI TS 102 366 E.1.2.2).
EAC3_DEPENDENT = b"\x0b\x77" + bytes((vectors.EAC3_51[2] | 0x40,)) + EAC3[3:]


def syncsafe(number: int) -> bytes:
    """Write a number of 28 bits in four bytes (ID3 6.2)."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(name: bytes, body: bytes, version: int = 4) -> bytes:
    """Write a frame of a tag."""
    size = syncsafe(len(body)) if version == 4 else len(body).to_bytes(4, "big")
    return name + size + bytes(2) + body


def tag(body: bytes, *, flags: int = 0, version: int = 4) -> bytes:
    """Write a tag."""
    return b"ID3" + bytes((version, 0, flags)) + syncsafe(len(body)) + body


def timestamp(time: int, before: bytes = b"", *, version: int = 4) -> bytes:
    """Write the tag that tells a time in ticks of 90 kHz."""
    private = frame(b"PRIV", OWNER + time.to_bytes(8, "big"), version)
    return tag(before + private, version=version)


def adts(payload: bytes = b"raw frame", *, rate_index: int = 3, channels: int = 2) -> bytes:
    """Write an AAC LC frame with ADTS header, without checksum; rate 3 is 48 kHz."""
    size = len(payload) + 7
    head = 0xFFF1 << 40 | 1 << 38 | rate_index << 34 | channels << 30 | size << 13 | 0x7FF << 2
    return head.to_bytes(7, "big") + payload


def demux(segments: Iterable[Iterable[bytes]]) -> tuple[list[Event], int, str]:
    """Read segments, each in pieces: the events, how often there was damage, and the error."""
    demuxer, events = Demuxer(), list[Event]()
    try:
        for pieces in segments:
            for piece in pieces:
                demuxer.receive_data(piece)
                events += demuxer.events()
            events += demuxer.end_segment()
        events += demuxer.flush()
    except PeerError as error:
        return events, demuxer.damaged, str(error)
    return events, demuxer.damaged, ""
