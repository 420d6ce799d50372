"""A small loop and FLV bytes, for the tests beside it."""

from __future__ import annotations

from bench.flv import AUDIO, SCRIPT, VIDEO
from bench.source import LOOP_MS, Frame, Source

KEYFRAME = b"\x17\x01\0\0\0"
INTERFRAME = b"\x27\x01\0\0\0"


def small_source() -> Source:
    """A loop of 24 s: a frame of video each second, a keyframe every second one, and audio."""
    headers = (
        Frame(SCRIPT, 0, b"\x02\0\nonMetaData"),
        Frame(VIDEO, 0, b"\x17\0\0\0\0\x01"),
        Frame(AUDIO, 0, b"\xaf\0\x11\x90"),
    )
    frames = []
    for second in range(LOOP_MS // 1000):
        start = INTERFRAME if second % 2 else KEYFRAME
        frames.append(Frame(VIDEO, second * 1000, start + bytes((second,)) * (300 + second)))
        frames.append(Frame(AUDIO, second * 1000 + 950, b"\xaf\x01" + bytes((second,)) * 20))
    return Source(headers, tuple(frames), LOOP_MS)


def flv_tag(kind: int, timestamp: int, body: bytes) -> bytes:
    """Write a tag as FLV 10.1 E.4.1 has it, with the size behind it."""
    low, high = timestamp & 0xFFFFFF, timestamp >> 24
    head = bytes((kind,)) + len(body).to_bytes(3, "big") + low.to_bytes(3, "big")
    head += bytes((high, 0, 0, 0))
    return head + body + (len(body) + 11).to_bytes(4, "big")


FLV_HEADER = bytes.fromhex("464c5601050000000900000000")


def flv_file(source: Source) -> bytes:
    """Write a loop as a file."""
    tags = (flv_tag(f.kind, f.at, f.body) for f in (*source.headers, *source.frames))
    return FLV_HEADER + b"".join(tags)


# An H.264 configuration (320x240, of x264) and one of AAC (48 kHz, stereo) that muxers understand.
_AVC_CONFIGURATION = bytes.fromhex(
    "0142c00bffe100186742c00bd90141fb011000000300100000030020f142a48001000568cb83cb20"
)
_AAC_CONFIGURATION = bytes.fromhex("1190")


def mux_source() -> Source:
    """A loop of 24 s as `small_source`, but with NAL units and frames that can be muxed."""
    headers = (
        Frame(VIDEO, 0, b"\x17\0\0\0\0" + _AVC_CONFIGURATION),
        Frame(AUDIO, 0, b"\xaf\0" + _AAC_CONFIGURATION),
    )
    frames = []
    for second in range(LOOP_MS // 1000):
        start, unit = (INTERFRAME, b"\x41") if second % 2 else (KEYFRAME, b"\x65")
        unit += bytes((second | 1,)) * (1000 + second)
        frames.append(Frame(VIDEO, second * 1000, start + len(unit).to_bytes(4, "big") + unit))
        frames.append(Frame(AUDIO, second * 1000 + 950, b"\xaf\x01" + bytes((second,)) * 200))
    return Source(headers, tuple(frames), LOOP_MS)
