"""Tests of ntvmedia.formats.flv_video, through the reader that publishers' messages go to."""

from __future__ import annotations

import pytest

from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.formats.flv_states import MAX_TRACKS
from ntvmedia.formats.flv_tracks import MAX_CONFIG_BYTES
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import (
    AVC_HEADER,
    AVCC,
    avc,
    many_codecs,
    many_tracks,
    modifier,
    nal_units,
    packets,
    reader_of,
    tracks,
)

FRAME = nal_units(b"\x65frame")
COLOR_INFO = b"\x02\x00\x09colorInfo\x03\x00\x08bitDepth\x00\x40\x24\0\0\0\0\0\0\x00\x00\x09"
AV1_FRAME = bytes.fromhex("32 03 100102")


def enhanced(packet_type: int, fourcc: bytes, body: bytes, frame_type: int = 1) -> bytes:
    """Encode an enhanced video message (E-RTMP v2 "Enhanced Video")."""
    return bytes((0x80 | frame_type << 4 | packet_type,)) + fourcc + body


def test_golden_avc() -> None:
    """FLV 10.1 E.4.3: a sequence header makes the track, a frame of type 1 is a keyframe."""
    reader = TagReader()
    track = Track(Codec.H264, config=AVCC)
    assert reader.video(0, AVC_HEADER) == [track]
    assert list(reader.video(40, avc(FRAME, 80))) == [Packet(track, 3600, 10800, True, FRAME)]
    assert list(reader.video(80, avc(FRAME, first=0x27))) == [
        Packet(track, 7200, 7200, False, FRAME)
    ]
    assert reader.dropped == 0


@pytest.mark.parametrize("offset", [-1, -40, -8388608, 8388607])
def test_composition_time_is_signed(offset: int) -> None:
    """A-MD-01: SI24, down to -8388608 ms, in every form that has it."""
    reader = reader_of(video=AVC_HEADER)
    [packet] = packets(reader.video(1000, avc(FRAME, offset)))
    assert packet.pts - packet.dts == offset * 90
    # A frame that is not well formed takes the other way through the reader.
    [packet] = packets(reader.video(1000, avc(bytes(4) + FRAME, offset)))
    assert packet.pts - packet.dts == offset * 90
    reader.video(0, enhanced(0, b"hvc1", vectors.HVCC_720))
    frame = offset.to_bytes(3, "big", signed=True) + FRAME
    [packet] = packets(reader.video(1000, enhanced(1, b"hvc1", frame)))
    assert (packet.dts, packet.pts) == (90_000, 90_000 + offset * 90)


def test_b_frames_keep_their_order() -> None:
    """A-MD-01: negative and positive composition times give back the order of the pictures."""
    reader = reader_of(video=AVC_HEADER)
    offsets = [0, 80, 0, -40, -40]
    seen = [reader.video(n * 40, avc(FRAME, offset))[0] for n, offset in enumerate(offsets)]
    assert [packet.pts // 3600 for packet in packets(seen)] == [0, 3, 2, 2, 3]


def test_no_units() -> None:
    """A-MD-02: a frame without a NAL unit, or with only empty ones, is left out; no error."""
    reader = reader_of(video=AVC_HEADER)
    assert list(reader.video(0, avc(b""))) == []
    assert list(reader.video(0, avc(bytes(4)))) == []
    assert list(reader.video(0, avc(bytes(12)))) == []
    assert reader.dropped == 0


def test_empty_unit_among_others() -> None:
    """A-MD-02: an empty unit is taken out, and the picture beside it is kept."""
    reader = reader_of(video=AVC_HEADER)
    [packet] = packets(reader.video(0, avc(bytes(4) + FRAME + bytes(4))))
    assert packet.payload == FRAME


@pytest.mark.parametrize("payload", [FRAME[:-1], b"\xff\xff\xff\xffabcd", FRAME + b"\0\0\0", b"\0"])
def test_unit_beyond_the_end(payload: bytes) -> None:
    """A-MD-02: a length beyond the payload drops the frame and is counted; the next is read."""
    reader = reader_of(video=AVC_HEADER)
    assert list(reader.video(0, avc(payload))) == []
    assert reader.dropped == 1
    assert "14496-15" in reader.last_problem
    assert len(reader.video(40, avc(FRAME))) == 1


def test_changed_header() -> None:
    """A-MD-04: another sequence header gives a new track, which the next packets refer to."""
    reader = reader_of(video=AVC_HEADER)
    [first] = packets(reader.video(0, avc(FRAME)))
    [track] = tracks(reader.video(40, b"\x17\0\0\0\0" + vectors.AVCC_BASELINE))
    [second] = packets(reader.video(40, avc(FRAME)))
    assert first.track.config == AVCC
    assert second.track is track
    assert track.config == vectors.AVCC_BASELINE
    assert track.id == first.track.id


def test_repeated_header() -> None:
    """A-MD-05: the identical header, with each keyframe, changes nothing."""
    reader = TagReader()
    assert len(reader.video(0, AVC_HEADER)) == 1
    [before] = packets(reader.video(0, avc(FRAME)))
    assert list(reader.video(1000, AVC_HEADER)) == []
    [after] = packets(reader.video(1000, avc(FRAME)))
    assert after.track is before.track


def test_two_parameter_sets() -> None:
    """A-MD-06: an avcC with two SPS is kept whole."""
    sps = AVCC[8 : 8 + AVCC[7]]
    config = AVCC[:5] + b"\xe2" + 2 * (len(sps).to_bytes(2, "big") + sps) + AVCC[8 + AVCC[7] :]
    [track] = tracks(TagReader().video(0, b"\x17\0\0\0\0" + config))
    assert track.config == config


def test_unordered_hvcc() -> None:
    """A-MD-06: the arrays of hvcC may come in any order."""
    [track] = tracks(TagReader().video(0, enhanced(0, b"hvc1", vectors.HVCC_720)))
    head, body = vectors.HVCC_720[:23], vectors.HVCC_720[23:]
    arrays = []
    while body:
        size = 5 + int.from_bytes(body[3:5], "big")
        arrays.append(body[:size])
        body = body[size:]
    config = head + b"".join(reversed(arrays))
    assert len(arrays) == 3
    [track] = tracks(TagReader().video(0, enhanced(0, b"hvc1", config)))
    assert track.config == config


def test_header_without_parameter_sets() -> None:
    """A-MD-06: with numOfSPS = 0 the track waits for a header that has one."""
    reader = TagReader()
    assert list(reader.video(0, bytes.fromhex("17 00 000000 0164001fffe000"))) == []
    assert list(reader.video(0, avc(FRAME))) == []
    assert reader.dropped == 2
    assert len(reader.video(0, AVC_HEADER)) == 1
    assert len(reader.video(0, avc(FRAME))) == 1


@pytest.mark.parametrize("config", [b"\x01", AVCC[:-6], b"\x02" + AVCC[1:]])
def test_broken_header(config: bytes) -> None:
    """A broken avcC is counted and does not replace the good one."""
    reader = reader_of(video=AVC_HEADER)
    assert list(reader.video(0, b"\x17\0\0\0\0" + config)) == []
    assert reader.dropped == 1
    [packet] = packets(reader.video(0, avc(FRAME)))
    assert packet.track.config == AVCC


@pytest.mark.parametrize("head", [b"\x17\0\0\0\0", b"\x90hvc1", b"\x90av01", b"\x90vp09"])
def test_empty_header(head: bytes) -> None:
    """A-MD-06: an empty header, which FFmpeg 9 sends before that of AV1, is waited over."""
    reader = reader_of(video=AVC_HEADER)
    assert list(reader.video(0, head)) == []
    assert reader.dropped == 0
    assert len(reader.video(0, avc(FRAME))) == 1


def test_other_length_size() -> None:
    """Lengths of 2 bytes, by avcC, become 4 in packets, and in the track's configuration."""
    config = AVCC[:4] + b"\xfd" + AVCC[5:]
    reader = TagReader()
    [track] = tracks(reader.video(0, b"\x17\0\0\0\0" + config))
    assert track.config == AVCC
    [packet] = packets(reader.video(0, avc(b"\x00\x03abc\x00\x02de")))
    assert packet.payload == nal_units(b"abc", b"de")
    assert list(reader.video(0, b"\x17\0\0\0\0" + config)) == []
    # And back to 4 with what is, to the outside, the same configuration.
    assert list(reader.video(0, AVC_HEADER)) == []
    [packet] = packets(reader.video(0, avc(nal_units(b"abc"))))
    assert packet.payload == nal_units(b"abc")


def test_huge_header() -> None:
    """Configurations are kept as long as a stream lives: they are bounded."""
    reader = TagReader()
    config = vectors.AV1C_720 + bytes(MAX_CONFIG_BYTES)
    assert list(reader.video(0, enhanced(0, b"av01", config))) == []
    assert reader.dropped == 1


@pytest.mark.parametrize("fourcc", [b"avc1", b"hvc1", b"vvc1"])
def test_enhanced_nal_codecs(fourcc: bytes) -> None:
    """A-ER-01: SequenceStart, CodedFrames with SI24, CodedFramesX without."""
    config = {b"avc1": AVCC, b"hvc1": vectors.HVCC_720, b"vvc1": b"\xff\x00vvcC"}[fourcc]
    reader = TagReader()
    [track] = tracks(reader.video(0, enhanced(0, fourcc, config)))
    assert (track.config, track.number) == (config, 0)
    [packet] = packets(reader.video(40, enhanced(1, fourcc, b"\x00\x00\x28" + FRAME)))
    assert packet == Packet(track, 3600, 7200, True, FRAME)
    [packet] = packets(reader.video(80, enhanced(3, fourcc, FRAME, frame_type=2)))
    assert packet == Packet(track, 7200, 7200, False, FRAME)
    assert list(reader.video(80, enhanced(1, fourcc, b"\x00\x00"))) == []
    assert reader.dropped == 1


@pytest.mark.parametrize(
    ("fourcc", "config", "frame"),
    [
        (b"av01", vectors.AV1C_720, AV1_FRAME),
        (b"vp09", vectors.VPCC_360, vectors.VP9_360),
        (b"vp08", vectors.VPCC_360, vectors.VP8_144),
    ],
)
def test_enhanced_other_codecs(fourcc: bytes, config: bytes, frame: bytes) -> None:
    """A-ER-02: AV1 and VP have no composition time, with CodedFrames and CodedFramesX."""
    reader = TagReader()
    [track] = tracks(reader.video(0, enhanced(0, fourcc, config)))
    assert track.config == config
    assert list(reader.video(0, enhanced(5, fourcc, b"descriptor"))) == []
    for packet_type in (1, 3):
        [packet] = packets(reader.video(40, enhanced(packet_type, fourcc, frame)))
        assert packet == Packet(track, 3600, 3600, True, frame)
    assert list(reader.video(80, enhanced(2, fourcc, b""))) == []
    assert reader.dropped == 0


def test_temporal_delimiter() -> None:
    """AV1's temporal delimiter is not kept (AV1 in ISOBMFF section 2.4)."""
    reader = reader_of(video=enhanced(0, b"av01", vectors.AV1C_720))
    [packet] = packets(reader.video(0, enhanced(1, b"av01", b"\x12\x00" + AV1_FRAME)))
    assert packet.payload == AV1_FRAME


def test_vp8_without_header() -> None:
    """VP8's keyframes tell all: its track begins with the first of them."""
    reader = TagReader()
    assert list(reader.video(0, enhanced(1, b"vp08", vectors.VP8_144, frame_type=2))) == []
    assert reader.dropped == 1
    [track, packet] = reader.video(40, enhanced(1, b"vp08", vectors.VP8_144))
    assert track == Track(Codec.VP8)
    assert packet == Packet(track, 3600, 3600, True, vectors.VP8_144)


@pytest.mark.parametrize("fourcc", [b"hvc1", b"av01", b"vp09"])
def test_frames_before_the_header(fourcc: bytes) -> None:
    """What cannot be decoded yet is not sent on, and counted."""
    reader = TagReader()
    assert list(reader.video(0, enhanced(3, fourcc, FRAME))) == []
    assert reader.dropped == 1


def test_command_frames() -> None:
    """A-ER-03: frame type 5, in both forms, is no media and no error."""
    reader = reader_of(video=AVC_HEADER)
    assert list(reader.video(0, b"\xd1\x00")) == []
    assert list(reader.video(0, b"\x57\x00")) == []
    assert reader.dropped == 0


def test_color_info() -> None:
    """A-ER-04: colorInfo is kept with the track, once, is no packet, and survives a new header."""
    reader = reader_of(video=enhanced(0, b"hvc1", vectors.HVCC_720))
    [track] = tracks(reader.video(0, enhanced(4, b"hvc1", COLOR_INFO)))
    assert (track.color_info, track.config) == (COLOR_INFO, vectors.HVCC_720)
    assert list(reader.video(0, enhanced(4, b"hvc1", COLOR_INFO, frame_type=5))) == []
    [packet] = packets(reader.video(0, enhanced(3, b"hvc1", FRAME)))
    assert packet.track is track
    [track] = tracks(reader.video(0, enhanced(0, b"hvc1", vectors.HVCC_1078)))
    assert (track.color_info, track.config) == (COLOR_INFO, vectors.HVCC_1078)


def test_color_info_before_the_header() -> None:
    """A-ER-04: it may come first; the track has it from the start."""
    reader = TagReader()
    assert list(reader.video(0, enhanced(4, b"hvc1", COLOR_INFO))) == []
    [track] = tracks(reader.video(0, enhanced(0, b"hvc1", vectors.HVCC_720)))
    assert track.color_info == COLOR_INFO


def test_other_metadata() -> None:
    """A-ER-04: metadata of another name is tolerated; an endless colorInfo is not."""
    reader = reader_of(video=enhanced(0, b"hvc1", vectors.HVCC_720))
    assert list(reader.video(0, enhanced(4, b"hvc1", b"\x02\x00\x01x\x05"))) == []
    assert reader.dropped == 0
    assert list(reader.video(0, enhanced(4, b"hvc1", COLOR_INFO + bytes(MAX_CONFIG_BYTES)))) == []
    assert reader.dropped == 1


def test_multitrack() -> None:
    """A-ER-05: tracks are told apart by their number, in whatever order they come."""
    reader = TagReader()
    headers = [(2, AVCC), (0, vectors.AVCC_BASELINE)]
    found = tracks(reader.video(0, many_tracks(headers, b"avc1", 0, 0x96)))
    assert [(track.number, track.config) for track in found] == headers
    frames = many_tracks([(0, FRAME), (2, nal_units(b"two"))], b"avc1", 3, 0xA6)
    seen = packets(reader.video(40, frames))
    assert [(packet.track.number, packet.payload) for packet in seen] == [
        (0, FRAME),
        (2, nal_units(b"two")),
    ]
    assert not seen[0].is_keyframe
    # Track 0 is also the one of messages without multitrack.
    [packet] = packets(reader.video(80, avc(FRAME)))
    assert packet.track is seen[0].track


def test_multitrack_of_many_codecs() -> None:
    """A-ER-05: each track may have its own codec; CodedFrames have SI24 only where they should."""
    reader = TagReader()
    headers = [(b"av01", 1, vectors.AV1C_720), (b"hvc1", 0, vectors.HVCC_720)]
    assert len(reader.video(0, many_codecs(headers, 0, 0x96))) == 2
    frames = [(b"av01", 1, AV1_FRAME), (b"hvc1", 0, b"\xff\xff\xff" + FRAME)]
    one, zero = packets(reader.video(40, many_codecs(frames, 1, 0x96)))
    assert (one.pts - one.dts, one.payload) == (0, AV1_FRAME)
    assert (zero.pts - zero.dts, zero.payload) == (-90, FRAME)


def test_broken_track_among_good_ones() -> None:
    """A-ER-05: zero, broken and overlong tracks are dropped alone, and counted."""
    reader = TagReader()
    headers = many_tracks([(0, AVCC), (1, b"bad"), (2, AVCC), (3, b"cut off")], b"avc1", 0, 0x96)
    found = tracks(reader.video(0, headers[:-1]))
    assert [track.number for track in found] == [0, 2]
    assert reader.dropped == 2
    frames = many_tracks([(0, b""), (2, FRAME), (7, FRAME)], b"avc1", 3, 0x96)
    assert [packet.track.number for packet in packets(reader.video(0, frames))] == [2]
    assert reader.dropped == 3


def test_tracks_are_bounded() -> None:
    """A publisher cannot make us keep more tracks than the limit."""
    reader = TagReader()
    headers = many_tracks([(number, AVCC) for number in range(256)], b"avc1", 0, 0x96)
    assert len(reader.video(0, headers)) == MAX_TRACKS
    assert reader.dropped == 256 - MAX_TRACKS


def test_nano_offset() -> None:
    """A-ER-06: the offset refines both times by ticks of the clock."""
    reader = reader_of(video=enhanced(0, b"hvc1", vectors.HVCC_720))
    body = b"\x97" + modifier((500_000).to_bytes(3, "big"), 1) + b"hvc1\x00\x00\x01" + FRAME
    [packet] = packets(reader.video(1, body))
    assert (packet.dts, packet.pts) == (90 + 45, 180 + 45)


def test_legacy_hevc() -> None:
    """A-ER-11: codec id 12 is HEVC, laid out as AVC."""
    reader = TagReader()
    [track] = tracks(reader.video(0, b"\x1c\x00\x00\x00\x00" + vectors.HVCC_720))
    assert track == Track(Codec.HEVC, config=vectors.HVCC_720)
    [packet] = packets(reader.video(40, avc(FRAME, -1, first=0x2C)))
    assert packet == Packet(track, 3600, 3510, False, FRAME)
    assert list(reader.video(40, b"\x1c\x02\x00\x00\x00")) == []
    assert reader.dropped == 0


def test_legacy_and_enhanced_are_one_track() -> None:
    """A publisher that changes the codec changes its track; the old codec's frames are refused."""
    reader = reader_of(video=AVC_HEADER)
    [track] = tracks(reader.video(0, enhanced(0, b"hvc1", vectors.HVCC_720)))
    assert track.id == Track(Codec.H264).id
    assert list(reader.video(0, avc(FRAME))) == []
    assert reader.dropped == 1
    assert tracks(reader.video(0, AVC_HEADER)) == [Track(Codec.H264, config=AVCC)]
    assert len(reader.video(0, avc(FRAME))) == 1


def test_unknown_codecs() -> None:
    """A-ER-13: unknown FourCCs and packet types are dropped with their hexadecimal name."""
    reader = reader_of(video=AVC_HEADER)
    assert list(reader.video(0, enhanced(1, b"xvid", FRAME))) == []
    assert "0x78766964" in reader.last_problem
    assert list(reader.video(0, enhanced(9, b"avc1", FRAME))) == []
    assert "9" in reader.last_problem
    assert list(reader.video(0, b"\x13screen")) == []
    assert list(reader.video(0, b"\x17\x07\x00\x00\x00x")) == []
    assert list(reader.video(0, b"\x17\x01\x00")) == []
    assert reader.dropped == 5
    assert len(reader.video(0, avc(FRAME))) == 1


def test_flash_codecs() -> None:
    """Sorenson H.263 has no header at all, VP6 one byte of cropping before each frame."""
    reader = TagReader()
    assert list(reader.video(0, b"\x12frame")) == [
        Track(Codec.FLV1),
        Packet(Track(Codec.FLV1), 0, 0, True, b"frame"),
    ]
    assert list(reader.video(40, b"\x32frame")) == [
        Packet(Track(Codec.FLV1), 3600, 3600, False, b"frame")
    ]
    vp6 = Track(Codec.VP6F, config=b"\x88")
    assert list(reader.video(0, b"\x14\x88frame")) == [vp6, Packet(vp6, 0, 0, True, b"frame")]
    assert list(reader.video(0, b"\x12")) == []
    assert list(reader.video(0, b"\x14\x88")) == []
    assert reader.dropped == 0
