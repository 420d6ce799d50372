"""MP4 for tests of what reads it, put together by hand, box by box."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from ntvmedia.errors import PeerError
from ntvmedia.formats.fmp4_demuxer import Demuxer, Event
from ntvmedia.media import Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import nal_units


def box(kind: bytes, *parts: bytes) -> bytes:
    """Write a box."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Write a FullBox."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def words(*numbers: int) -> bytes:
    """Write numbers of 32 bits, signed or not."""
    return b"".join(struct.pack(">I", number & 0xFFFFFFFF) for number in numbers)


def table(kind: bytes, *numbers: int, width: int = 1, version: int = 0) -> bytes:
    """Write a table of entries with so many words each."""
    return full(kind, words(len(numbers) // width, *numbers), version=version)


def video_entry(kind: bytes = b"avc1", *boxes: bytes, reference: int = 1) -> bytes:
    """Write a visual sample entry (14496-12 12.1.3)."""
    boxes = boxes or (box(b"avcC", vectors.AVCC_1080),)
    fields = bytes(6) + struct.pack(">H", reference) + bytes(16) + struct.pack(">HH", 64, 48)
    return box(kind, fields, bytes(50), *boxes)


def sound_entry(
    kind: bytes,
    *boxes: bytes,
    rate: int = 48000,
    channels: int = 2,
    bits: int = 16,
    version: int = 0,
    more: bytes = b"",
) -> bytes:
    """Write an audio sample entry (14496-12 12.2.3; QTFF)."""
    fields = struct.pack(">6xHH6xHH4xI", 1, version, channels, bits, rate << 16 & 0xFFFFFFFF)
    return box(kind, fields, more, *boxes)


def descriptor(tag: int, *parts: bytes) -> bytes:
    """Write a descriptor (ISO/IEC 14496-1 8.3.3), its size in the four bytes that most use."""
    body = b"".join(parts)
    return bytes((tag, 0x80, 0x80, 0x80 | len(body) >> 7, len(body) & 0x7F)) + body


def esds(object_type: int, config: bytes = b"", flags: bytes = b"\0") -> bytes:
    """Write an esds box."""
    specific = descriptor(5, config) if config else b""
    decoder = descriptor(4, bytes((object_type, 0x15)), bytes(11), specific)
    return full(b"esds", descriptor(3, b"\0\1", flags, decoder, descriptor(6, b"\2")))


def aac_entry(config: bytes = vectors.AAC_LC_STEREO) -> bytes:
    """Write the sample entry of AAC."""
    return sound_entry(b"mp4a", esds(0x40, config))


def tables(
    sizes: Sequence[int],
    *,
    chunks: Sequence[int] = (),
    runs: Sequence[int] = (1, 1, 1),
    times: Sequence[int] | None = None,
    shifts: Sequence[int] = (),
    sync: Sequence[int] | None = None,
) -> bytes:
    """Write the tables of stbl: runs, times and shifts as the words of their entries."""
    times = (len(sizes), 100) if times is None else times
    return b"".join(
        (
            table(b"stts", *times, width=2),
            table(b"ctts", *shifts, width=2) if shifts else b"",
            table(b"stss", *sync) if sync is not None else b"",
            table(b"stsc", *runs, width=3),
            full(b"stsz", words(0, len(sizes), *sizes)),
            table(b"stco", *chunks),
        )
    )


EMPTY = tables((), runs=(), times=())


def trak(
    entry: bytes,
    stbl: bytes = EMPTY,
    *,
    track_id: int = 1,
    timescale: int = 90000,
    edits: bytes = b"",
    language: bytes = b"\x55\xc4",
    handler: bytes = b"",
    flags: int = 3,
    more: bytes = b"",
    stsd_version: int = 0,
    dref: bytes = b"",
    entries: int = 1,
) -> bytes:
    """Write a trak box. `language` are the two bytes of mdhd: "und"."""
    sound = entry[4:8] not in (b"avc1", b"avc3", b"hvc1", b"hev1", b"av01", b"vp08", b"vp09")
    handler = handler or (b"soun" if sound else b"vide")
    dref = dref or full(b"url ", flags=1)
    return box(
        b"trak",
        full(b"tkhd", words(0, 0, track_id, 0, 0), bytes(60), flags=flags),
        box(b"edts", edits) if edits else b"",
        box(
            b"mdia",
            full(b"mdhd", words(0, 0, timescale, 0), language, bytes(2)),
            more,
            full(b"hdlr", bytes(4), handler, bytes(13)),
            box(
                b"minf",
                box(b"dinf", full(b"dref", words(1), dref)),
                box(
                    b"stbl",
                    full(b"stsd", words(entries), entry, version=stsd_version),
                    stbl,
                ),
            ),
        ),
    )


def moov(*boxes: bytes, timescale: int = 1000) -> bytes:
    """Write a moov box."""
    return box(b"moov", full(b"mvhd", words(0, 0, timescale, 0), bytes(80)), *boxes)


def mvex(*trexes: Sequence[int]) -> bytes:
    """Write mvex: of each track its id, description, duration, size and flags."""
    return box(b"mvex", *(full(b"trex", words(*one)) for one in trexes))


def traf(track_id: int, *boxes: bytes, flags: int = 0x020000, fields: bytes = b"") -> bytes:
    """Write a traf box: `fields` are those that the flags of tfhd announce."""
    return box(b"traf", full(b"tfhd", words(track_id), fields, flags=flags), *boxes)


def tfdt(time: int, version: int = 1) -> bytes:
    """Write a tfdt box."""
    return full(b"tfdt", struct.pack(">Q" if version else ">I", time), version=version)


def trun(count: int, flags: int, *fields: int, version: int = 0) -> bytes:
    """Write a trun box with the fields that its flags announce."""
    return full(b"trun", words(count, *fields), flags=flags, version=version)


def moof(*trafs: bytes, number: int = 1) -> bytes:
    """Write a moof box."""
    return box(b"moof", full(b"mfhd", words(number)), *trafs)


def demux(parts: Iterable[bytes], **limits: Any) -> tuple[list[Event], tuple[object, ...]]:
    """Demux parts: the events, and the error that ended them with its place."""
    demuxer = Demuxer(**limits)
    events: list[Event] = []
    try:
        for part in parts:
            demuxer.receive_data(part)
            events.extend(demuxer.events())
        events.extend(demuxer.flush())
    except PeerError as error:
        return events, (type(error), str(error), demuxer.damaged)
    return events, (demuxer.damaged,)


def packets(events: Iterable[Event]) -> list[Packet]:
    """Keep the packets."""
    return [event for event in events if isinstance(event, Packet)]


def of_track(events: Iterable[Event], track: Track) -> list[Packet]:
    """Keep the packets of one track."""
    return [packet for packet in packets(events) if packet.track.id == track.id]


INIT = moov(trak(video_entry()), mvex((1, 1, 100, 0, 0)))
PAYLOAD = nal_units(b"\x65\x88picture")
SIZE = len(PAYLOAD)

# Flags of tfhd and of trun.
BASE, DURATION, DEFAULT_SIZE, DEFAULT_FLAGS, MOOF = 0x01, 0x08, 0x10, 0x20, 0x020000
OFFSET, FIRST_FLAGS, DURATIONS, SIZES, FLAGS, SHIFTS = 0x01, 0x04, 0x100, 0x200, 0x400, 0x800
NOT_SYNC = 0x00010000


def fragment(*trafs: bytes, data: bytes, after: bytes = b"") -> bytes:
    """Write moof and mdat. Offsets are told from the first byte of the mdat box's contents."""
    size = len(moof(*trafs)) + len(after) + 8
    placed = [x.replace(b"HERE", words(size)).replace(b"MORE", words(size + SIZE)) for x in trafs]
    return moof(*placed) + after + box(b"mdat", data)


HERE, MORE = (int.from_bytes(name, "big") for name in (b"HERE", b"MORE"))


def times(data: bytes) -> list[tuple[int, int, bool]]:
    """Read a file of one track: dts, pts and sync of each packet."""
    events, end = demux([data])
    assert end == (0,)
    return [(packet.dts, packet.pts, packet.is_keyframe) for packet in packets(events)]


TWO = moov(
    trak(video_entry()),
    trak(aac_entry(), track_id=2, timescale=48000),
    mvex((1, 1, 100, SIZE, 0), (2, 1, 1024, 4, 0)),
)
