"""MP4 for tests of what reads it: boxes put together by hand, and files that FFmpeg wrote."""

from __future__ import annotations

import functools
import io
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import imageio_ffmpeg  # type: ignore[import-untyped]

from ntvmedia.errors import PeerError
from ntvmedia.formats.fmp4_demuxer import Demuxer, Event
from ntvmedia.formats.fmp4_movie import Movie, parse_movie
from ntvmedia.formats.fmp4_reader import parse_header
from ntvmedia.media import Packet, Track
from tests.codecs import vectors


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


def demux(parts: Iterable[bytes], **limits: int) -> tuple[list[Event], tuple[object, ...]]:
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


def find_moov(data: bytes) -> Movie:
    """Find the moov box of a file, as who has random access does, and parse it."""
    place = 0
    while (header := parse_header(data, place)) is not None:
        if header.kind == b"moov":
            return parse_movie(data[place : place + header.size])
        place += header.size
    raise AssertionError("no moov box")


def by_random_access(data: bytes) -> dict[int, list[Packet]]:
    """Read every sample of an ordinary MP4 file by its tables: packets by id of their track."""
    found: dict[int, list[Packet]] = {}
    for track in find_moov(data).tracks:
        read: list[Packet] = []
        for sample in track.samples:
            packet = track.packet(sample, data[sample.offset : sample.offset + sample.size])
            assert packet is not None
            read.append(packet)
        found[track.track.id] = read
    return found


class Seen(NamedTuple):
    """A packet as FFmpeg's demuxer tells it; times in seconds."""

    dts: Fraction
    pts: Fraction
    is_keyframe: bool
    payload: bytes


def ffmpeg_sees(data: bytes, name: str = "mp4") -> list[tuple[str, list[Seen]]]:
    """Read a file with FFmpeg's demuxer, by PyAV: kind and packets of each track."""
    found: list[tuple[str, list[Seen]]] = []
    with av.open(io.BytesIO(data), "r", format=name) as container:
        found = [(stream.type, []) for stream in container.streams]
        for packet in container.demux():
            if packet.size:
                assert packet.dts is not None and packet.pts is not None
                base = packet.time_base
                seen = Seen(packet.dts * base, packet.pts * base, packet.is_keyframe, bytes(packet))
                found[packet.stream.index][1].append(seen)
    return found


def installed_ffmpeg() -> str:
    """Return the ffmpeg of the machine, which is old; where there is none the newer one."""
    return shutil.which("ffmpeg") or newer_ffmpeg()


def newer_ffmpeg() -> str:
    """Return the ffmpeg that comes with the tests' requirements."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@functools.cache
def written(program: str, name: str, *options: str) -> bytes:
    """Let FFmpeg write a file; once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        command = [program, "-v", "error", "-nostdin", *options, str(path)]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        return path.read_bytes()


def remuxed(data: bytes, name: str, *options: str) -> bytes:
    """Let FFmpeg write a file's packets into another one."""
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "in.mp4"), Path(folder, name)
        source.write_bytes(data)
        copy = ["-i", str(source), "-map", "0", "-c", "copy", *options, str(path)]
        command = [installed_ffmpeg(), "-v", "error", "-nostdin", *copy]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        return path.read_bytes()


def of_track(events: Iterable[Event], track: Track) -> list[Packet]:
    """Keep the packets of one track."""
    return [packet for packet in packets(events) if packet.track.id == track.id]
