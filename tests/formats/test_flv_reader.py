"""Tests of ntvmedia.formats.flv_reader: the short ways, and bytes of every kind."""

from __future__ import annotations

from hypothesis import given, strategies as st

from ntvmedia.formats.flv_audio import AudioReader
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.formats.flv_states import Event, Tally
from ntvmedia.formats.flv_video import VideoReader
from ntvmedia.media import MediaKind, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import AAC_HEADER, AVC_HEADER, AVCC, nal_units, reader_of

timestamps = st.integers(-(2**33), 2**33)
frames = st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=4).map(
    lambda units: nal_units(*units)
)

# Beginnings that lead deep into the readers, and whole headers of tracks.
video_heads = st.sampled_from(
    [
        AVC_HEADER,
        b"\x17\x00\x00\x00\x00",
        b"\x17\x01\x00\x00\x00",
        b"\x27\x01\xff\xff\xff",
        b"\x1c\x00\x00\x00\x00" + vectors.HVCC_720,
        b"\x1c\x01\x00\x00\x00",
        b"\x90hvc1" + vectors.HVCC_720,
        b"\x90av01" + vectors.AV1C_720,
        b"\x91av01",
        b"\x91vp08",
        b"\x94avc1\x02\x00\x09colorInfo",
        b"\x97\x02",
        b"\x96\x10avc1",
        b"\x96\x11hvc1",
        b"\x96\x20",
        b"\x14",
        b"",
    ]
)
audio_heads = st.sampled_from(
    [
        AAC_HEADER,
        b"\xaf\x00",
        b"\xaf\x01",
        b"\xaf\x01\xff\xf1\x4c\x80",
        b"\x2f\xff\xfb\x90",
        b"\x90Opus" + vectors.OPUS_STEREO,
        b"\x90Opus",
        b"\x90fLaC",
        b"\x91ac-3\x0b\x77",
        b"\x91ec-3\x0b\x77",
        b"\x91.mp3\xff\xfb",
        b"\x94Opus\x02",
        b"\x97\x02",
        b"\x95\x11mp4a",
        b"\x3f",
        b"",
    ]
)
messages = st.one_of(
    st.tuples(st.just(MediaKind.VIDEO), st.builds(bytes.__add__, video_heads, st.binary())),
    st.tuples(st.just(MediaKind.AUDIO), st.builds(bytes.__add__, audio_heads, st.binary())),
)


def test_empty_messages() -> None:
    """A-MD-20: a message without a body is nothing at all, of either kind."""
    reader = TagReader()
    assert list(reader.video(0, b"")) == list(reader.audio(0, b"")) == []
    assert (reader.dropped, reader.last_problem) == (0, "")


@given(timestamps, st.integers(-(2**23), 2**23 - 1), st.sampled_from([0x17, 0x27]), frames)
def test_short_way_of_video(timestamp: int, offset: int, first: int, payload: bytes) -> None:
    """The short way gives what the long one does, which reads every message."""
    body = bytes((first, 1)) + offset.to_bytes(3, "big", signed=True) + payload
    reader = reader_of(video=AVC_HEADER)
    expected: list[Event] = []
    long_way = VideoReader(Tally())
    long_way.read(0, AVC_HEADER, [])
    long_way.read(timestamp, body, expected)
    assert list(reader.video(timestamp, body)) == expected
    assert isinstance(expected[0], Packet)
    assert type(reader.video(timestamp, body)[0]) is Packet


@given(timestamps, st.integers(0xA0, 0xAF), st.binary(min_size=1, max_size=20))
def test_short_way_of_audio(timestamp: int, first: int, payload: bytes) -> None:
    """The short way gives what the long one does, and leaves ADTS to it."""
    payload = payload if payload[0] != 0xFF else b"\x21" + payload
    body = bytes((first, 1)) + payload
    reader = reader_of(audio=AAC_HEADER)
    expected: list[Event] = []
    long_way = AudioReader(Tally())
    long_way.read(0, AAC_HEADER, [])
    long_way.read(timestamp, body, expected)
    assert list(reader.audio(timestamp, body)) == expected
    assert len(expected) == 1


@given(st.lists(st.tuples(timestamps, messages), max_size=12))
def test_any_bytes(sequence: list[tuple[int, tuple[MediaKind, bytes]]]) -> None:
    """F-RE-09: nothing makes the reader raise; a packet's track was announced before it."""
    reader = TagReader()
    known: dict[int, Track] = {}
    dropped = 0
    for timestamp, (kind, body) in sequence:
        read = reader.video if kind is MediaKind.VIDEO else reader.audio
        events = read(timestamp, body)
        assert sum(len(event.payload) for event in events if isinstance(event, Packet)) <= (
            # Lengths of 1 byte grow to 4.
            4 * len(body)
        )
        for event in events:
            if isinstance(event, Track):
                assert known.get(event.id) != event
                known[event.id] = event
            else:
                assert known[event.track.id] is event.track
                assert event.payload
                assert event.track.kind is kind
        assert reader.dropped >= dropped
        dropped = reader.dropped
    assert bool(dropped) == bool(reader.last_problem)


@given(st.data())
def test_mutated_headers(data: st.DataObject) -> None:
    """F-RE-09: avcC, hvcC, av1C, vpcC, OpusHead and STREAMINFO with changed and missing bytes."""
    head, config, is_video = data.draw(
        st.sampled_from(
            [
                (b"\x17\0\0\0\0", AVCC, True),
                (b"\x90hvc1", vectors.HVCC_720, True),
                (b"\x90vvc1", AVCC, True),
                (b"\x90av01", vectors.AV1C_720, True),
                (b"\x90vp09", vectors.VPCC_360, True),
                (b"\x90Opus", vectors.OPUS_51, False),
                (b"\x90fLaC", vectors.FLAC_STREAMINFO, False),
                (b"\xaf\x00", vectors.AAC_LC_STEREO, False),
            ]
        )
    )
    changed = bytearray(config[: data.draw(st.integers(1, len(config)))])
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    reader = TagReader()
    events = (reader.video if is_video else reader.audio)(0, head + changed)
    assert len(events) + reader.dropped == 1
