"""Tests of tests.hls.ts and ts_bytes: good segments are read, and every damage is seen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.hls.m3u8 import Violation
from tests.hls.media import step
from tests.hls.ts import AAC, H264, PACKET_BYTES, adts_frames, crc32, read_segment
from tests.hls.ts_bytes import AUD, AUDIO_PID, IDR, SETS, VIDEO_PID, TSWriter, picture, sound

FRAME = 3600


def segment(writer: TSWriter, start: int = 0, frames: int = 10) -> bytes:
    """Write pictures and sounds, 25 a second."""
    data = writer.tables()
    for number in range(frames):
        dts = start + number * FRAME
        key = number == 0
        payload = picture(number, key=key)
        data += writer.unit(VIDEO_PID, dts + FRAME, payload, dts=dts, pcr=dts, key=key)
        data += writer.unit(AUDIO_PID, dts, sound(b"sound %d" % number))
    return data


def test_good() -> None:
    """Pictures, sounds, clock and counters are read as they were written, over a wrap too."""
    writer = TSWriter()
    start = (1 << 33) - 4 * FRAME
    first, second = segment(writer, start), segment(writer, start + 10 * FRAME)
    media, other = read_segment(first), read_segment(second)
    assert media.types == {VIDEO_PID: H264, AUDIO_PID: AAC}
    assert [x.payload for x in media.video] == [picture(n, key=n == 0) for n in range(10)]
    assert [adts_frames(x.payload) for x in media.audio] == [[b"sound %d" % n] for n in range(10)]
    assert [step(start, x.dts) for x in media.video] == [n * FRAME for n in range(10)]
    assert step(media.start, other.start) == 10 * FRAME
    assert media.begins_with_key
    assert {x: n + 1 & 15 for x, n in media.last.items()} == other.first
    assert not read_segment(
        TSWriter().tables() + TSWriter().unit(VIDEO_PID, 0, picture(0, key=False), pcr=0)
    ).begins_with_key


def test_crc() -> None:
    """The CRC of "123456789" is the one that catalogues give for CRC-32/MPEG-2."""
    assert crc32(b"123456789") == 0x0376E6E7


def damaged(name: str) -> bytes:
    """Write a segment with one thing wrong."""
    writer = TSWriter()
    good = segment(writer)
    tables, rest = good[: 2 * PACKET_BYTES], good[2 * PACKET_BYTES :]
    unit = TSWriter().unit
    first = unit(VIDEO_PID, 0, picture(0, key=True), pcr=0, key=True)
    later = TSWriter(counters={VIDEO_PID: len(first) // PACKET_BYTES}).unit
    match name:
        case "ts-size":
            return good[:-1]
        case "ts-sync":
            return good[: 3 * PACKET_BYTES] + b"\0" + good[3 * PACKET_BYTES + 1 :]
        case "ts-flags":
            return good[:1] + bytes([good[1] | 0x80]) + good[2:]
        case "ts-pat-first":
            return rest
        case "ts-pmt-second":
            return tables[:PACKET_BYTES] + first + tables[PACKET_BYTES:]
        case "ts-counter":
            return good[: 5 * PACKET_BYTES] + good[6 * PACKET_BYTES :]
        case "ts-crc":
            return good[:12] + b"\xff" + good[13:]
        case "ts-table":
            return good[: PACKET_BYTES + 5] + b"\0" + good[PACKET_BYTES + 6 :]
        case "ts-pid":
            return tables + unit(0x1FF, 0, sound(b"x"))
        case "ts-middle":
            return tables + first[PACKET_BYTES:] if len(first) > PACKET_BYTES else middle()
        case "ts-no-pcr":
            return tables + unit(VIDEO_PID, 0, picture(0, key=True), key=True)
        case "ts-pcr-pid":
            return tables + first + unit(AUDIO_PID, 0, sound(b"x"), pcr=0)
        case "pes-length":
            spoilt = bytearray(tables + first + unit(AUDIO_PID, 0, sound(b"x")))
            spoilt[-PACKET_BYTES:] = spoilt[-PACKET_BYTES:].replace(
                b"\0\0\1\xc0\0", b"\0\0\1\xc0\1"
            )
            return bytes(spoilt)
        case "pts-before-dts":
            return tables + unit(VIDEO_PID, 0, picture(0, key=True), dts=1, pcr=0, key=True)
        case "pcr-after-dts":
            return tables + unit(VIDEO_PID, 0, picture(0, key=True), pcr=1, key=True)
        case "dts-order":
            return tables + first + later(VIDEO_PID, 0, picture(1, key=False))
        case "pcr-interval":
            return tables + first + later(VIDEO_PID, 9001, picture(1, key=False), pcr=9001)
        case "no-delimiter":
            return tables + unit(VIDEO_PID, 0, SETS + IDR, pcr=0, key=True)
        case "no-sets":
            return tables + unit(VIDEO_PID, 0, AUD + IDR, pcr=0, key=True)
        case "no-random-access":
            return tables + unit(VIDEO_PID, 0, picture(0, key=True), pcr=0)
        case "random-access":
            return tables + unit(VIDEO_PID, 0, picture(0, key=False), pcr=0, key=True)
        case "annex-b":
            return tables + unit(VIDEO_PID, 0, b"x" + picture(0, key=True), pcr=0, key=True)
        case "ts-empty":
            return tables
        case _:
            assert name == "adts"
            return tables + first + unit(AUDIO_PID, 0, sound(b"x") + b"\xff")


def middle() -> bytes:
    """Write a segment whose first picture has lost its first packet."""
    writer = TSWriter()
    large = picture(0, key=True) + b"x" * 400
    unit = writer.unit(VIDEO_PID, 0, large, pcr=0, key=True)
    return writer.tables() + unit[PACKET_BYTES:]


@pytest.mark.parametrize(
    "rule",
    [
        *("ts-size", "ts-sync", "ts-flags", "ts-pat-first", "ts-pmt-second", "ts-counter"),
        *("ts-crc", "ts-table", "ts-pid", "ts-middle", "ts-no-pcr", "ts-pcr-pid", "pes-length"),
        *("pts-before-dts", "pcr-after-dts", "dts-order", "pcr-interval", "no-delimiter"),
        *("no-sets", "no-random-access", "random-access", "annex-b", "ts-empty", "adts"),
    ],
)
def test_damage(rule: str) -> None:
    """C-TS-01, C-TS-02, C-TS-03, C-TS-05: each rule catches its violation."""
    with pytest.raises(Violation) as caught:
        read_segment(damaged(rule))
    assert caught.value.rule == rule


def test_writer(tmp_path: Path) -> None:
    """The packets of `ts_bytes` are what ffprobe takes for a transport stream, too."""
    path = tmp_path / "a.ts"
    path.write_bytes(segment(TSWriter(), 90000))
    command = ["ffprobe", "-v", "quiet", "-show_entries", "packet=codec_type,pts,dts", "-of", "csv"]
    done = subprocess.run([*command, str(path)], capture_output=True, check=True)
    lines = [x.split(",")[:4] for x in done.stdout.decode().split()]
    pictures = [x for x in lines if x[1] == "video"]
    assert [int(x[3]) for x in pictures] == [90000 + n * FRAME for n in range(10)]
    assert len([x for x in lines if x[1] == "audio"]) == 10
