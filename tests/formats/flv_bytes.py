"""FLV and Enhanced RTMP, encoded by hand for tests: written apart from the code under test."""

from __future__ import annotations

from collections.abc import Sequence

from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import Packet, Track
from tests.codecs import vectors

AVCC = vectors.AVCC_1080
AVC_HEADER = bytes.fromhex("17 00 000000") + AVCC
AAC_HEADER = bytes.fromhex("af 00") + vectors.AAC_LC_STEREO


def nal_units(*units: bytes) -> bytes:
    """Put each unit after its length in 4 bytes."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def avc(payload: bytes, offset: int = 0, first: int = 0x17) -> bytes:
    """Encode an AVC frame (FLV 10.1 E.4.3); `offset` is its composition time in milliseconds."""
    return bytes((first, 1)) + offset.to_bytes(3, "big", signed=True) + payload


def modifier(data: bytes, following: int, kind: int = 0) -> bytes:
    """Encode a ModEx: size, data, kind and the packet type after it (E-RTMP v2)."""
    size = len(data) - 1
    head = bytes((size,)) if size < 255 else b"\xff" + size.to_bytes(2, "big")
    return head + data + bytes((kind << 4 | following,))


def many_tracks(
    tracks: Sequence[tuple[int, bytes]], fourcc: bytes, packet_type: int, first: int
) -> bytes:
    """Encode a multitrack message of one codec; `first` is its first byte (E-RTMP v2)."""
    parts = [bytes((first, 1 << 4 | packet_type)), fourcc]
    for number, body in tracks:
        parts += [bytes((number,)), len(body).to_bytes(3, "big"), body]
    return b"".join(parts)


def many_codecs(tracks: Sequence[tuple[bytes, int, bytes]], packet_type: int, first: int) -> bytes:
    """Encode a multitrack message of many codecs; `first` is its first byte (E-RTMP v2)."""
    parts = [bytes((first, 2 << 4 | packet_type))]
    for fourcc, number, body in tracks:
        parts += [fourcc, bytes((number,)), len(body).to_bytes(3, "big"), body]
    return b"".join(parts)


def packets(events: Sequence[Track | Packet]) -> list[Packet]:
    """Keep the packets."""
    return [event for event in events if isinstance(event, Packet)]


def tracks(events: Sequence[Track | Packet]) -> list[Track]:
    """Keep the tracks."""
    return [event for event in events if isinstance(event, Track)]


def reader_of(*, video: bytes = b"", audio: bytes = b"") -> TagReader:
    """Make a reader that has read one sequence header of each."""
    reader = TagReader()
    reader.video(0, video)
    reader.audio(0, audio)
    return reader
