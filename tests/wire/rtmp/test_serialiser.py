"""Tests of the bytes that all players of a stream share."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.formats import amf0
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtmp.chunks import ChunkReader, Message, MessageType
from ntvmedia.wire.rtmp.media_reader import MediaReader
from ntvmedia.wire.rtmp.serialiser import RTMPSerialiser
from ntvmedia.wire.rtmp.writer import MAX_PAYLOAD, message_bytes, set_chunk_size
from tests.codecs.vectors import AVCC_576I, AVCC_1080, HVCC_720

AVC: Final = Track(Codec.H264, config=AVCC_1080)
HEVC: Final = Track(Codec.HEVC, config=HVCC_720)
AAC: Final = Track(Codec.AAC, clock_rate=48000, config=b"\x11\x90", channels=2)
MP3: Final = Track(Codec.MP3, clock_rate=44100, channels=2)
TEXT: Final = Track(Codec.AMF0, clock_rate=1000)


def unit(size: int) -> bytes:
    """Return an IDR slice of H.264 with its length before it."""
    return (size - 4).to_bytes(4, "big") + b"\x65" + bytes(size - 5)


def serialiser(*tracks: Track, **options: bool | int) -> RTMPSerialiser:
    """Make one that carries these tracks."""
    made = RTMPSerialiser(**options)  # type: ignore[arg-type]
    made.tracks_changed(tracks, {}, 0)
    return made


def messages(data: bytes, chunk_size: int = 60000) -> list[Message]:
    """Read messages with a chunk reader of its own."""
    reader = ChunkReader(max_message_size=1 << 24)
    reader.receive_data(set_chunk_size(chunk_size) + data)
    found = []
    while (message := reader.next_message()) is not None:
        found.append(message)
    assert reader.buffered == 0
    return found


def one(made: RTMPSerialiser, packet: Packet) -> bytes:
    """Return one packet's bytes."""
    parts: list[bytes] = []
    made.packet(packet, parts)
    return b"".join(parts)


def read(data: bytes) -> list[object]:
    """Return the tracks and packets that a player makes of bytes."""
    reader = MediaReader()
    return [
        event
        for message in messages(data)
        for event in reader.media(message.type_id, message.timestamp, message.payload)
    ]


def test_golden_frame() -> None:
    """RTMP 1.0 5.3.1.2.1, FLV 10.1 E.4.3.1: 40 ms, 15 bytes, video, message stream 1."""
    packet = Packet(AVC, 3600, 3600 + 90 * 80, True, bytes.fromhex("00000006658880400102"))
    expected = "06 000028 00000f 09 01000000 17 01 000050 00000006658880400102"
    assert one(serialiser(AVC), packet) == bytes.fromhex(expected)


def test_golden_audio() -> None:
    """RTMP 1.0 5.3.1.2.1: its own chunk stream."""
    packet = Packet(AAC, 1024, 1024, True, b"\x21\x10")
    assert one(serialiser(AAC), packet) == bytes.fromhex("04 000015 000004 08 01000000 af01 2110")


def test_data() -> None:
    """Script data goes as it is, as message type 18."""
    body = amf0.encode("onTextData", {"text": "x"})
    (message,) = messages(one(serialiser(TEXT), Packet(TEXT, 77, 77, True, body)))
    assert message == Message(MessageType.DATA_AMF0, 77, 1, body, 5)


def test_header_order() -> None:
    """A-SE-06: metadata, then the audio header, then the video header, all with one time."""
    found = messages(serialiser(AVC, AAC).header(5000))
    assert [(message.type_id, message.timestamp) for message in found] == [
        (18, 5000),
        (8, 5000),
        (9, 5000),
    ]
    name, fields = amf0.decode(found[0].payload)
    assert name == "onMetaData"
    assert isinstance(fields, dict)
    assert (fields["width"], fields["videocodecid"], fields["audiocodecid"]) == (1920.0, 7.0, 10.0)


def test_metadata_is_made_of_the_tracks() -> None:
    """A-AM-16: what a publisher says of its codecs reaches nobody."""
    made = RTMPSerialiser()
    made.tracks_changed((AVC,), {"videocodecid": 2.0, "audiocodecid": 10.0, "width": 5.0}, 0)
    fields = amf0.decode(messages(made.metadata(0))[0].payload)[1]
    assert isinstance(fields, dict)
    assert fields["videocodecid"] == 7.0
    assert fields["width"] == 1920.0
    assert "audiocodecid" not in fields


@pytest.mark.parametrize("tracks", [(AVC, AAC), (HEVC, MP3), (AAC,), (HEVC,)])
def test_round_trip(tracks: tuple[Track, ...]) -> None:
    """A joiner gets the same tracks and packets, whatever the codec's form on the wire."""
    made = serialiser(*tracks)
    packets = [
        Packet(track, time, time, time == 0 or track.clock_rate != 90000, payload)
        for time in (0, 90 * 48000 * 441)
        for track, payload in (
            (track, bytes.fromhex("fffb9064") + bytes(413) if track is MP3 else unit(40))
            for track in tracks
        )
    ]
    events = read(made.header(0) + b"".join(one(made, packet) for packet in packets))
    assert {event for event in events if isinstance(event, Track)} == set(tracks)
    found = [event for event in events if isinstance(event, Packet)]
    assert [(packet.track, packet.payload) for packet in found] == [
        (packet.track, packet.payload) for packet in packets
    ]


@pytest.mark.parametrize("size", [6, 200, 59_995, 59_996, 60_100, 179_995, 500_000])
@pytest.mark.parametrize(
    "milliseconds",
    [0, 0xFFFFFE, 0xFFFFFF, 0x1000000, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 33) + 5],
)
def test_times_and_sizes(milliseconds: int, size: int) -> None:
    """A-CK-05, A-MD-18: extended timestamps, in one chunk and in many, modulo 2**32."""
    packet = Packet(AVC, milliseconds * 90, milliseconds * 90, True, unit(size))
    data = one(serialiser(AVC), packet)
    (message,) = messages(data)
    assert message.timestamp == milliseconds % (1 << 32)
    assert message.payload == b"\x17\x01\0\0\0" + packet.payload
    chunks = -(-(size + 5) // 60000)
    extended = 4 * chunks if milliseconds % (1 << 32) >= 0xFFFFFF else 0
    assert len(data) == 11 + chunks + extended + size + 5


@settings(max_examples=50)
@given(
    st.integers(-(1 << 34), 1 << 34),
    st.integers(6, 400),
    st.integers(1, 300),
    st.sampled_from([1, 2, 255, 256, 70_000, (1 << 32) - 1]),
)
def test_as_the_writer_writes(
    milliseconds: int, size: int, chunk_size: int, stream_id: int
) -> None:
    """The short way makes the same bytes as the general one, with all settings."""
    made = serialiser(AVC, chunk_size=chunk_size, message_stream_id=stream_id)
    packet = Packet(AVC, milliseconds * 90, milliseconds * 90, True, unit(size))
    body = b"\x17\x01\0\0\0" + packet.payload
    expected = message_bytes(6, milliseconds, 9, stream_id, body, chunk_size)
    assert one(made, packet) == expected


def test_a_changed_track() -> None:
    """A-MD-04: its sequence header alone is inserted; nothing for what stayed the same."""
    made = serialiser(AVC, AAC)
    assert made.tracks_changed((AVC, AAC), {}, 10) == b""
    other = Track(Codec.H264, config=AVCC_576I)
    (message,) = messages(made.tracks_changed((other, AAC), {}, 20))
    assert (message.type_id, message.timestamp) == (9, 20)
    assert message.payload == b"\x17\0\0\0\0" + AVCC_576I


def test_color_info() -> None:
    """A-ER-04: cached with the track, and sent to joiners after the sequence header."""
    colors = amf0.encode("colorInfo", {"colorConfig": {"bitDepth": 10.0}})
    track = Track(Codec.HEVC, config=HVCC_720, color_info=colors)
    found = [event for event in read(serialiser(track).header(0)) if isinstance(event, Track)]
    assert found[-1] == track


def test_tracks_that_are_not_carried() -> None:
    """Without a configuration, or a form in FLV, a track is left out, and its packets too."""
    for track in (Track(Codec.H264), Track(Codec.PCM_S16LE, clock_rate=48000, channels=2)):
        made = serialiser(AAC if track.codec is Codec.H264 else AVC, track)
        assert one(made, Packet(track, 0, 0, True, unit(20))) == b""


def test_too_large_a_packet() -> None:
    """What no message can hold is left out."""
    packet = Packet(AVC, 0, 0, True, unit(MAX_PAYLOAD - 4))
    assert one(serialiser(AVC), packet) == b""
    packet = Packet(AVC, 0, 0, True, unit(MAX_PAYLOAD - 5))
    assert len(messages(one(serialiser(AVC), packet))) == 1


def test_legacy_hevc() -> None:
    """A-ER-11: HEVC under codec id 12, on demand."""
    made = serialiser(HEVC, legacy_hevc=True)
    (_metadata, start) = messages(made.header(0))
    assert start.payload == b"\x1c\0\0\0\0" + HVCC_720
    packet = Packet(HEVC, 0, 0, True, unit(20))
    assert messages(one(made, packet))[0].payload[:5] == b"\x1c\x01\0\0\0"


def test_one_track_of_a_kind() -> None:
    """A-ER-09: without multitrack a player gets the first of each kind."""
    second = Track(Codec.AAC, number=1, clock_rate=48000, config=b"\x11\x90", channels=2)
    made = serialiser(AAC, second)
    assert [message.type_id for message in messages(made.header(0))] == [18, 8]
    assert one(made, Packet(second, 0, 0, True, b"abc")) == b""


FURTHER: Final = (
    Track(Codec.H264, number=1, config=AVCC_576I),
    Track(Codec.HEVC, number=2, config=HVCC_720),
    Track(Codec.AAC, number=1, clock_rate=48000, config=b"\x11\x90", channels=2),
)


@pytest.mark.parametrize("further", FURTHER, ids=lambda track: f"{track.codec} {track.number}")
@pytest.mark.parametrize("offset", [0, 80, -40])
def test_multitrack(further: Track, offset: int) -> None:
    """E-RTMP v2: further tracks are sent with their number, and read as they were."""
    made = serialiser(AVC, AAC, further, has_multitrack=True)
    pts = offset * 90 if further.clock_rate == 90000 else 0
    packet = Packet(further, 0, pts, True, unit(30))
    data = made.header(0) + one(made, packet)
    reader = TagReader()
    events: list[object] = []
    for message in messages(data):
        if message.type_id == 9:
            events += reader.video(message.timestamp, message.payload)
        elif message.type_id == 8:
            events += reader.audio(message.timestamp, message.payload)
    assert reader.last_problem == ""
    assert set(events) == {AVC, AAC, further, packet}


def test_golden_multitrack() -> None:
    """E-RTMP v2: key frame and multitrack, one track and coded frames, FourCC, number, SI24."""
    track = FURTHER[0]
    made = serialiser(AVC, track, has_multitrack=True)
    (message,) = messages(one(made, Packet(track, 0, 7200, True, unit(6))))
    assert message.payload == bytes.fromhex("96 01 61766331 01 000050 00000002 6500")


def test_what_has_no_four_cc_is_no_further_track() -> None:
    """G.711 is carried as the first audio track only."""
    second = Track(Codec.PCM_ALAW, number=1, clock_rate=8000, channels=1)
    made = serialiser(AAC, second, has_multitrack=True)
    assert one(made, Packet(second, 0, 0, True, b"abc")) == b""


def test_the_rest_of_the_protocol() -> None:
    """Blocks go out as they are; each player's session says the end."""
    made = serialiser(AVC)
    assert made.frame(b"block") == b"block"
    assert made.trailer() == b""
