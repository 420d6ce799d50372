"""Tests of ntvmedia.formats.flv_serialiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from ntvmedia.formats import amf0
from ntvmedia.formats.flv import Demuxer, Header, Tag, TagType
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.formats.flv_serialiser import FLVSerialiser
from ntvmedia.media import Codec, Packet, Track, from_milliseconds
from tests.codecs import vectors
from tests.formats.flv_bytes import AAC_HEADER, AVC_HEADER, AVCC, avc, nal_units, packets, tracks

H264 = Track(Codec.H264, config=AVCC)
AAC = Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO, channels=2)
HEVC = Track(Codec.HEVC, config=vectors.HVCC_720)
PCM_48 = Track(Codec.PCM_S16LE, clock_rate=48000, channels=2)
DATA = Track(Codec.AMF0, clock_rate=1000)
FRAME = nal_units(b"\x65frame")


def demux(data: bytes) -> tuple[Header, list[Tag]]:
    """Take FLV apart, to its last byte."""
    demuxer = Demuxer()
    demuxer.receive_data(data)
    header, *rest = demuxer.events()
    assert isinstance(header, Header)
    # What is left is the last back pointer.
    assert demuxer.buffered == 4
    return header, [tag for tag in rest if isinstance(tag, Tag)]


def serialise(
    sent: Sequence[Packet], *chosen: Track, timestamp: int = 0, legacy_hevc: bool = False
) -> bytes:
    """Write a whole file."""
    serialiser = FLVSerialiser(legacy_hevc=legacy_hevc)
    serialiser.tracks_changed(chosen, {}, timestamp)
    parts = [serialiser.header(timestamp)]
    for packet in sent:
        serialiser.packet(packet, parts)
    return b"".join(parts) + serialiser.trailer()


def metadata_of(serialiser: FLVSerialiser) -> dict[str, object]:
    """Read the fields of onMetaData."""
    name, fields = amf0.decode(serialiser.metadata())
    assert name == "onMetaData"
    assert isinstance(fields, amf0.ECMAArray)
    return dict(fields)


def test_late_viewer() -> None:
    """B-FL-06: file header, metadata, both sequence headers, stamped as the first block is."""
    header, tags = demux(serialise([], H264, AAC, timestamp=5000))
    assert header == Header(True, True)
    assert [(tag.kind, tag.timestamp) for tag in tags] == [
        (TagType.SCRIPT, 5000),
        (TagType.AUDIO, 5000),
        (TagType.VIDEO, 5000),
    ]
    assert tags[1].body == AAC_HEADER
    assert tags[2].body == AVC_HEADER


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([H264, AAC], Header(True, True)),
        ([AAC], Header(True, False)),
        ([H264], Header(False, True)),
        ([H264, PCM_48], Header(False, True)),
        ([Track(Codec.H264), AAC], Header(True, False)),
        ([H264, DATA], Header(False, True)),
    ],
)
def test_flags_are_true(chosen: list[Track], expected: Header) -> None:
    """B-FL-02: the flags are the tracks that exist and are sent, whatever the metadata say."""
    serialiser = FLVSerialiser()
    lies = {"hasAudio": True, "hasVideo": True, "audiocodecid": 10.0, "videocodecid": 7.0}
    serialiser.tracks_changed(chosen, lies, 0)
    header, _tags = demux(serialiser.header(0))
    assert header == expected
    fields = metadata_of(serialiser)
    assert ("audiocodecid" in fields) == expected.has_audio
    assert ("videocodecid" in fields) == expected.has_video


def test_metadata() -> None:
    """The fields are taken from the tracks; of the publisher's only "encoder" is repeated."""
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([H264, AAC], {"encoder": "OBS", "width": 1.0, "x": {}}, 0)
    fields = metadata_of(serialiser)
    assert fields.pop("framerate") == pytest.approx(30000 / 1001)
    assert fields == {
        "width": 1920.0,
        "height": 1080.0,
        "videocodecid": 7.0,
        "audiocodecid": 10.0,
        "audiosamplerate": 48000.0,
        "stereo": True,
        "encoder": "OBS",
    }


def test_metadata_of_enhanced_codecs() -> None:
    """Codec ids are FourCCs as numbers (E-RTMP v2), or 12 on demand; a wrong encoder is left."""
    mono = replace(AAC, config=bytes.fromhex("1188"), channels=1)
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([HEVC, mono], {"encoder": 7}, 0)
    fields = metadata_of(serialiser)
    assert (fields["videocodecid"], fields["width"]) == (0x68766331, 1280.0)
    assert fields["stereo"] is False
    assert "encoder" not in fields
    serialiser = FLVSerialiser(legacy_hevc=True)
    serialiser.tracks_changed([HEVC], {}, 0)
    assert metadata_of(serialiser)["videocodecid"] == 12.0


def test_broken_configuration_has_no_size() -> None:
    """What is not known is not written; nothing is made up, and nothing raised."""
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([Track(Codec.H264, config=b"junk")], {"width": 640.0}, 0)
    assert metadata_of(serialiser) == {"videocodecid": 7.0}


def test_golden_packet() -> None:
    """FLV 10.1 E.4: tag header, codec header, payload, back pointer."""
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([H264, AAC, DATA], {}, 0)
    parts: list[bytes] = []
    serialiser.packet(Packet(H264, 3600, 7200, True, b"\x00\x00\x00\x01e"), parts)
    assert b"".join(parts) == bytes.fromhex(
        "09 00000a 000028 00 000000 17 01 000028 00000001 65 00000015"
    )
    parts = []
    serialiser.packet(Packet(AAC, 48, 48, True, b"raw"), parts)
    assert b"".join(parts) == bytes.fromhex("08 000005 000001 00 000000 af 01 726177 00000010")
    parts = []
    serialiser.packet(Packet(DATA, 7, 7, True, b"\x05"), parts)
    assert b"".join(parts) == bytes.fromhex("12 000001 000007 00 000000 05 0000000c")


@pytest.mark.parametrize("timestamp", [0, 2**24 - 1, 2**24, 2**31, 2**32 - 1, 2**32, 2**33 + 77])
@pytest.mark.parametrize("track", [H264, AAC, DATA])
def test_timestamps(track: Track, timestamp: int) -> None:
    """B-FL-05: stream time modulo 2**32, right at 2**24, 2**31 and 2**32, at hour 30 and day 50."""
    dts = from_milliseconds(timestamp, track.clock_rate)
    _header, tags = demux(serialise([Packet(track, dts, dts, True, FRAME)], track))
    assert tags[-1].timestamp == timestamp % 2**32
    # In the headers too.
    _header, tags = demux(serialise([], track, timestamp=timestamp))
    assert {tag.timestamp for tag in tags} == {timestamp % 2**32}


def test_changed_sequence_header() -> None:
    """B-FL-09: a new header goes in-band, stamped with its time; what is the same does not."""
    serialiser = FLVSerialiser()
    first = serialiser.tracks_changed([H264, AAC], {}, 0)
    assert first.endswith(AAC_HEADER + (11 + len(AAC_HEADER)).to_bytes(4, "big"))
    other = replace(H264, config=vectors.AVCC_BASELINE)
    inserted = serialiser.tracks_changed([other, AAC], {}, 7777)
    file_header = serialiser.header(0)[:13]
    _header, tags = demux(file_header + inserted)
    assert tags == [Tag(TagType.VIDEO, 7777, b"\x17\0\0\0\0" + vectors.AVCC_BASELINE)]
    assert serialiser.tracks_changed([other, AAC], {"encoder": "new"}, 8000) == b""
    assert serialiser.tracks_changed([replace(other, language="de"), AAC], {}, 8000) == b""
    # Those who join from now on get the new one.
    _header, tags = demux(serialiser.header(9000))
    assert tags[-1].body == b"\x17\0\0\0\0" + vectors.AVCC_BASELINE


def test_late_audio() -> None:
    """B-FL-03, B-FL-04: audio that appears later is announced in-band and sent."""
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([H264], {}, 0)
    head = serialiser.header(0)
    inserted = serialiser.tracks_changed([H264, AAC], {}, 1000)
    parts = [head, inserted]
    serialiser.packet(Packet(AAC, 48000, 48000, True, b"raw"), parts)
    header, tags = demux(b"".join(parts))
    assert header == Header(False, True)
    assert [tag.body for tag in tags[-2:]] == [AAC_HEADER, b"\xaf\x01raw"]
    header, _tags = demux(serialiser.header(1000))
    assert header == Header(True, True)


def test_color_info() -> None:
    """A-ER-04: replayed after the sequence header; a change goes in-band."""
    info = b"\x02\x00\x09colorInfo\x06"
    coloured = replace(HEVC, color_info=info)
    _header, tags = demux(serialise([], coloured))
    assert [tag.body[:5] for tag in tags[1:]] == [b"\x90hvc1", b"\xd4hvc1"]
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([HEVC], {}, 0)
    assert b"\xd4hvc1" + info in serialiser.tracks_changed([coloured], {}, 0)


def test_hevc_forms() -> None:
    """B-FL-08: HEVC as enhanced hvc1, or as codec id 12, chosen by an option."""
    packet = Packet(HEVC, 0, 0, True, FRAME)
    _header, tags = demux(serialise([packet], HEVC))
    assert [tag.body[:5] for tag in tags[1:]] == [b"\x90hvc1", b"\x93hvc1"]
    _header, tags = demux(serialise([packet], HEVC, legacy_hevc=True))
    assert [tag.body[:2] for tag in tags[1:]] == [b"\x1c\x00", b"\x1c\x01"]
    for legacy_hevc in (False, True):
        reader = TagReader()
        _header, tags = demux(serialise([packet], HEVC, legacy_hevc=legacy_hevc))
        events = [event for tag in tags[1:] for event in reader.video(tag.timestamp, tag.body)]
        assert events == [HEVC, packet]


def test_tracks_that_are_not_carried() -> None:
    """A-MD-10: a track that FLV has no form for is left out, and so is a second of its kind."""
    second = replace(H264, number=1)
    sent = [
        Packet(PCM_48, 0, 0, True, b"1234"),
        Packet(second, 0, 0, True, FRAME),
        Packet(H264, 0, 0, True, FRAME),
    ]
    _header, tags = demux(serialise(sent, H264, PCM_48, second))
    assert [tag.body for tag in tags[1:]] == [AVC_HEADER, avc(FRAME)]


def test_frame_too_long_for_a_tag() -> None:
    """A frame of 16 MiB has no tag: it is left out rather than written wrong."""
    fits = Packet(H264, 0, 0, True, bytes(2**24 - 6))
    too_long = Packet(H264, 0, 0, True, bytes(2**24 - 5))
    serialiser = FLVSerialiser()
    serialiser.tracks_changed([H264], {}, 0)
    parts: list[bytes] = []
    serialiser.packet(too_long, parts)
    assert parts == []
    serialiser.packet(fits, parts)
    assert parts[0][:4].hex() == "09ffffff"


def test_no_framing() -> None:
    """Blocks stay the same object, and nothing ends the file."""
    serialiser = FLVSerialiser()
    block = b"block"
    assert serialiser.frame(block) is block
    assert serialiser.trailer() == b""


video_packets = st.builds(
    lambda ms, offset, key, units: Packet(
        H264, ms * 90, (ms + offset) * 90, key, nal_units(*units)
    ),
    st.integers(0, 2**32 - 1),
    st.integers(-1000, 1000),
    st.booleans(),
    st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=3),
)
audio_packets = st.builds(
    lambda ms, payload: Packet(AAC, ms * 48, ms * 48, True, b"\x21" + payload),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=9),
)


@given(st.lists(st.one_of(video_packets, audio_packets), max_size=8))
def test_round_trip(sent: list[Packet]) -> None:
    """B-FL-01: any packets, written and read back, are the same."""
    _header, tags = demux(serialise(sent, H264, AAC))
    reader = TagReader()
    events: list[Track | Packet] = []
    for tag in tags[1:]:
        read = reader.video if tag.kind is TagType.VIDEO else reader.audio
        events.extend(read(tag.timestamp, tag.body))
    assert tracks(events) == [AAC, H264]
    assert packets(events) == sent
    assert reader.dropped == 0
