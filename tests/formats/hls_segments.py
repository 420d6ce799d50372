"""Segments of HLS for tests, put together by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ntvmedia.errors import PeerError
from ntvmedia.formats.hls_media import Event, SegmentDemuxer
from ntvmedia.media import Packet
from tests.formats.mp4_bytes import (
    BASE,
    HERE,
    MOOF,
    MORE,
    OFFSET,
    PAYLOAD,
    TWO,
    box,
    fragment,
    tfdt,
    traf,
    trun,
)
from tests.formats.ts_bytes import PPS, SPS, Wire

VIDEO_PID, SOUND_PID = 0x100, 0x101
SECOND = 90000

# Of a picture at 25 a second, and of a frame of AAC at 48 kHz, in ticks of 90 kHz.
PICTURE, FRAME = 3600, 1920


def picture(number: int, *, is_key: bool = True, has_sets: bool = False) -> bytes:
    """Write a picture as a byte stream; its number is in it. A keyframe has parameter sets."""
    sets = b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS if is_key or has_sets else b""
    return sets + b"\0\0\0\1" + (b"\x65\x88" if is_key else b"\x41\x9a") + b"%08d" % number


def aac(number: int) -> bytes:
    """Write a frame of AAC LC at 48 kHz; its number is in it."""
    return b"\xff\xf1\x4c\x80\x02\x1f\xfc!" + b"%08d" % number


def tables(wire: Wire, *, video: bool = True, sound: bool = True) -> None:
    """Write PAT and PMT; a stream of timed metadata is in it too (ID3, stream type 0x15)."""
    wire.pat((1, 0x20))
    streams = [(0x1B, VIDEO_PID, b"")] * video + [(0x0F, SOUND_PID, b"")] * sound
    wire.pmt(*streams, (0x15, 0x102, b""))


def ts(
    first: int,
    count: int,
    *,
    start: int = 10 * SECOND,
    keys: Sequence[int] | None = None,
    video: bool = True,
    sound: bool = True,
    delay: int = 0,
    wire: Wire | None = None,
) -> bytes:
    """Write a segment: pictures, and the frames of sound that begin beside them.

    The first picture has parameter sets, also where it is no keyframe.

    Args:
        first: The number of the first picture, which is at `start` + that many pictures.
        keys: Numbers of keyframes; None for the first one.
        delay: Ticks by which the sound is later.
    """
    wire = Wire() if wire is None else wire
    tables(wire, video=video, sound=sound)
    wire.pes(0x102, b"ID3\x04\0\0\0\0\0\0", start + first * PICTURE, stream_id=0xBD)
    keys = [first] if keys is None else keys
    for n in range(first, first + count):
        if video:
            data = picture(n, is_key=n in keys, has_sets=n == first)
            wire.pes(VIDEO_PID, data, start + n * PICTURE, stream_id=0xE0, length=0)
        if sound:
            for m in range(-(-n * PICTURE // FRAME), -(-(n + 1) * PICTURE // FRAME)):
                wire.pes(SOUND_PID, aac(m), start + delay + m * FRAME)
    return wire.data


INIT = TWO

# Of the pictures in `INIT`, in ticks of 90 kHz.
STEP = 100


def mp4(number: int, *, base: int | None = None, timed: bool = True) -> bytes:
    """Write a segment of a picture of 100 ticks, and a frame of sound of 1024 samples.

    Args:
        number: Of both; of the sound, its last digit is in it.
        base: Where the moof box is in a file; None where data are counted from itself.
        timed: The fragment tells its times.
    """
    flags, fields = MOOF, b""
    if base is not None:
        flags, fields = BASE, base.to_bytes(8, "big")
    times = (tfdt(number * STEP), tfdt(number * 1024)) if timed else (b"", b"")
    return box(b"styp", b"msdh", bytes(4)) + fragment(
        traf(1, times[0], trun(1, OFFSET, HERE), flags=flags, fields=fields),
        traf(2, times[1], trun(1, OFFSET, MORE), flags=flags, fields=fields),
        data=PAYLOAD + b"aac%d" % (number % 10),
    )


def endless(segment: bytes) -> bytes:
    """Take away the size of the mdat box, which is the last: it goes on to the end."""
    place = segment.index(b"mdat") - 4
    return segment[:place] + bytes(4) + segment[place + 4 :]


def demux(segments: Iterable[Iterable[bytes]], init: bytes = b"") -> tuple[list[Event], int, str]:
    """Read one run, each segment in pieces: the events, places of damage, and the error."""
    demuxer, events = SegmentDemuxer(), list[Event]()
    try:
        demuxer.init_section(init)
        for pieces in segments:
            demuxer.begin()
            for piece in pieces:
                demuxer.receive_data(piece)
                events += demuxer.events()
            events += demuxer.end()
        events += demuxer.flush()
    except PeerError as error:
        return events, demuxer.damaged, str(error)
    return events, demuxer.damaged, ""


def packets(events: Iterable[Event]) -> list[Packet]:
    """Keep packets."""
    return [event for event in events if isinstance(event, Packet)]


def pictures(events: Iterable[Event]) -> list[int]:
    """Return the numbers of pictures, of `ts`."""
    return [int(p.payload[-8:]) for p in packets(events) if p.track.kind == "video"]


def frames(events: Iterable[Event]) -> list[int]:
    """Return the numbers of frames of sound, of `ts`."""
    return [int(p.payload[-8:]) for p in packets(events) if p.track.kind == "audio"]
