"""Tests of ntvmedia.avtools.framing."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.avtools.framing import (
    MAX_BODY,
    MAX_MESSAGE,
    MAX_TEXT,
    Frame,
    FrameReader,
    FrameType,
    build_error,
    build_frame,
    build_metadata,
    build_packet,
    build_track,
    read_error,
    read_json,
    read_numbered,
    read_packet,
    read_track,
)
from ntvmedia.errors import LimitExceeded, PeerError, RemoteError, UsageError
from ntvmedia.media.packets import Codec, Packet, Track

VIDEO = Track(Codec.H264, config=b"\x01\x64", language="de", color_info=b"\x02")

frames = st.tuples(st.sampled_from(list(FrameType)), st.binary(max_size=30)).map(
    lambda x: Frame(*x)
)


def read(pieces: list[bytes]) -> tuple[list[Frame], str]:
    """Return the frames in some pieces, and the error that ended them."""
    reader = FrameReader()
    found: list[Frame] = []
    try:
        for piece in pieces:
            reader.receive_data(piece)
            found.extend(reader.frames())
    except PeerError as error:
        return found, str(error)
    return found, ""


def test_golden() -> None:
    """The bytes are those that the module's table says."""
    packet = Packet(Track(Codec.AAC, 1, 48000), 1024, 2048, True, b"\xaa\xbb")
    assert build_packet(packet, 2).hex(" ") == (
        "03 00 00 00 16 02 00 05 01 00 00 00 00 00 00 04 00 00 00 00 00 00 00 08 00 aa bb"
    )
    assert build_frame(FrameType.NOTE, b"hi").hex(" ") == "07 00 00 00 02 68 69"
    assert build_frame(FrameType.ENDED).hex(" ") == "0a 00 00 00 00"


@given(st.lists(frames, max_size=5), st.binary(max_size=20), st.data())
@settings(max_examples=100)
def test_cuts_do_not_matter(good: list[Frame], junk: bytes, data: st.DataObject) -> None:
    """However a stream is cut, good or bad, the same frames and the same error come out."""
    stream = b"".join(build_frame(*x) for x in good) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]
    whole = read([stream])
    assert read([stream[a:b] for a, b in pairwise(places)]) == whole
    assert whole[0][: len(good)] == good


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_only_documented_errors(data: bytes) -> None:
    """Whatever the bytes, and whatever the bodies: frames, or a `PeerError`."""
    read([data])
    for reading in (read_packet, read_track, read_numbered, read_json, read_error):
        try:
            reading(data)
        except PeerError:
            continue


@given(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.booleans(),
    st.binary(max_size=50),
    st.integers(0, 255),
)
@settings(max_examples=50)
def test_packets(dts: int, pts: int, is_keyframe: bool, payload: bytes, output: int) -> None:
    """A packet comes back as it was."""
    ((found,), _error) = read([build_packet(Packet(VIDEO, dts, pts, is_keyframe, payload), output)])
    assert read_packet(found.body) == (output, 0, is_keyframe, dts, pts, payload)


def test_times_beyond_64_bits() -> None:
    """A time that does not fit is cut, and nothing raised: times may be anything."""
    ((found,), _error) = read([build_packet(Packet(VIDEO, -(1 << 70), 1 << 70, True, b""))])
    assert read_packet(found.body)[3:5] == (-(1 << 63), (1 << 63) - 1)


def test_tracks() -> None:
    """A track comes back as it was."""
    for track in (VIDEO, Track(Codec.OPUS, 3, 48000, b"OpusHead", 2)):
        ((found,), _error) = read([build_track(track, 9)])
        assert read_track(found.body) == (9, track)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0{}",
        b"\0[]",
        b"\0nonsense",
        b'\0{"codec": "h264", "number": -1, "clock_rate": 1, "config": "", "channels": 0, '
        b'"language": "", "color_info": ""}',
        b'\0{"codec": "wmv3", "number": 0, "clock_rate": 1, "config": "", "channels": 0, '
        b'"language": "", "color_info": ""}',
        b'\0{"codec": "h264", "number": 0, "clock_rate": 1, "config": "x", "channels": 0, '
        b'"language": "", "color_info": ""}',
        b'\0{"codec": "h264", "number": 0, "clock_rate": 1.5, "config": "", "channels": 0, '
        b'"language": "", "color_info": ""}',
        b"\0" + b"[" * 100_000,
    ],
)
def test_bad_tracks(body: bytes) -> None:
    """A body that is no track is refused."""
    with pytest.raises(PeerError):
        read_track(body)


def test_metadata_and_errors() -> None:
    """Both come back as they were."""
    ((found,), _error) = read([build_metadata({"title": "ä"}, 1)])
    assert read_numbered(found.body) == (1, {"title": "ä"})
    ((found,), _error) = read([build_error(RemoteError("no", 404, is_permanent=True))])
    error = read_error(found.body)
    assert (str(error), error.status, error.is_permanent) == ("no", 404, True)
    for body in (b"{}", b'{"message": 1, "status": 0, "is_permanent": true}'):
        with pytest.raises(PeerError):
            read_error(body)


def test_limits() -> None:
    """A frame that is announced too long is refused before anything of it is kept."""
    for kind, limit in ((FrameType.PACKET, MAX_BODY), (FrameType.NOTE, MAX_TEXT)):
        reader = FrameReader()
        reader.receive_data(bytes((kind,)) + limit.to_bytes(4, "big"))
        assert list(reader.frames()) == []
        reader = FrameReader()
        reader.receive_data(bytes((kind,)) + (limit + 1).to_bytes(4, "big"))
        with pytest.raises(LimitExceeded):
            list(reader.frames())
        with pytest.raises(UsageError):
            list(reader.frames())
    with pytest.raises(UsageError):
        build_frame(FrameType.NOTE, bytes(MAX_TEXT + 1))


def test_long_error() -> None:
    """A process that was broken into fills no state with what it says last."""
    fields = {"message": "x" * 100_000, "status": 0, "is_permanent": False}
    assert len(str(read_error(json.dumps(fields).encode()))) == MAX_MESSAGE
