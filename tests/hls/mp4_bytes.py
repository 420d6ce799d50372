"""A small writer of fragmented MP4, apart from the server's: what is right, and what is wrong."""

from __future__ import annotations

from typing import NamedTuple

AVCC = bytes.fromhex("0164001fffe100056764001fac01000468ee3c80")
ASC = b"\x15\x88"

VIDEO, AUDIO = 1, 2
VIDEO_SCALE, AUDIO_SCALE = 90000, 8000

_MATRIX = b"".join(x.to_bytes(4, "big") for x in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))


def box(kind: str, *bodies: bytes) -> bytes:
    """Return a box (4.2)."""
    body = b"".join(bodies)
    return (8 + len(body)).to_bytes(4, "big") + kind.encode() + body


def words(*numbers: int, size: int = 4) -> bytes:
    """Return numbers of so many bytes."""
    return b"".join(x.to_bytes(size, "big", signed=x < 0) for x in numbers)


class Sample(NamedTuple):
    """A sample: its length in the ticks of its track, and what trun says of it."""

    payload: bytes
    duration: int
    sync: bool = True
    offset: int = 0


def picture(number: int, duration: int = 7200, *, key: bool, offset: int = 0) -> Sample:
    """Return a picture that says its number."""
    nal = (b"\x65\x88\x84" if key else b"\x41\x9a\x21") + b"<%08d>" % number
    return Sample(words(len(nal)) + nal, duration, key, offset)


def sound(number: int, duration: int = 1024) -> Sample:
    """Return a frame of sound that says its number."""
    return Sample(b"\x21<%08d>" % number, duration)


def init_bytes(*, video: bool = True, audio: bool = True) -> bytes:
    """Return ftyp and moov."""
    tracks = b""
    extends = b""
    if video:
        tracks += _track(VIDEO, VIDEO_SCALE, "vide", _avc1())
        extends += box("trex", words(0, VIDEO, 1, 0, 0, 0))
    if audio:
        tracks += _track(AUDIO, AUDIO_SCALE, "soun", _mp4a())
        extends += box("trex", words(0, AUDIO, 1, 0, 0, 0))
    header = words(0, 0, 0, 1000, 0, 0x10000) + words(0x0100, size=2) + bytes(10)
    header += _MATRIX + bytes(24) + words(3)
    return box("ftyp", b"iso6", words(0), b"iso6cmfc") + box(
        "moov", box("mvhd", header), tracks, box("mvex", extends)
    )


def _avc1() -> bytes:
    body = bytes(6) + words(1, size=2) + bytes(16) + words(1280, 720, size=2)
    body += words(0x480000, 0x480000, 0) + words(1, size=2) + bytes(32) + words(24, 0xFFFF, size=2)
    return box("avc1", body, box("avcC", AVCC))


def _mp4a() -> bytes:
    decoder = bytes([0x40, 0x15, 0, 0, 0]) + bytes(8) + bytes([5, len(ASC)]) + ASC
    stream = words(0, size=2) + b"\0" + bytes([4, len(decoder)]) + decoder + bytes([6, 1, 2])
    body = bytes(6) + words(1, size=2) + bytes(8) + words(1, 16, 0, 0, size=2)
    body += words(AUDIO_SCALE << 16)
    return box("mp4a", body, box("esds", words(0), bytes([3, len(stream)]), stream))


def _track(number: int, scale: int, handler: str, entry: bytes) -> bytes:
    header = words(7, 0, 0, number, 0, 0) + bytes(16) + _MATRIX + bytes(8)
    times = words(0, 0, 0, scale, 0) + words(0x55C4, 0, size=2)
    what = box("vmhd", words(1), bytes(8)) if handler == "vide" else box("smhd", bytes(8))
    data = box("dinf", box("dref", words(0, 1), box("url ", words(1))))
    empty = box("stts", words(0, 0)) + box("stsc", words(0, 0)) + box("stsz", words(0, 0, 0))
    table = box("stbl", box("stsd", words(0, 1), entry), empty, box("stco", words(0, 0)))
    kind = box("hdlr", words(0, 0), handler.encode(), bytes(12), b"x\0")
    media = box("mdia", box("mdhd", times), kind, box("minf", what, data, table))
    return box("trak", box("tkhd", header), media)


def fragment(
    number: int, runs: dict[int, tuple[int, list[Sample]]], *, shift: int = 0, version: int = 1
) -> bytes:
    """Return moof and mdat.

    Args:
        number: Of mfhd.
        runs: By track_ID: the time of the first sample, and the samples.
        shift: Added to each data offset.
        version: Of trun and tfdt.
    """
    made = b""
    for _twice in range(2):  # the offsets depend on the size
        at = len(made) + 8 + shift
        parts = box("mfhd", words(0, number))
        for track, (time, samples) in runs.items():
            head = box("tfhd", words(0x020000, track))
            decode = box("tfdt", words(version << 24), words(time, size=8 if version else 4))
            run = words(version << 24 | 0xF01, len(samples), at)
            for sample in samples:
                flags = 0x02000000 if sample.sync else 0x01010000
                run += words(sample.duration, len(sample.payload), flags, sample.offset)
                at += len(sample.payload)
            parts += box("traf", head, decode, box("trun", run))
        made = box("moof", parts)
    return made + box("mdat", *(x.payload for _time, run in runs.values() for x in run))
