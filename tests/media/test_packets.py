"""Tests of ntvmedia.media.packets."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, strategies as st

from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, MediaKind, Packet, Track


@pytest.mark.parametrize("codec", list(Codec))
def test_every_codec_has_a_kind(codec: Codec) -> None:
    """Written apart from the code: what FFmpeg calls a video codec, and script data."""
    video = {"h264", "hevc", "vvc", "av1", "vp8", "vp9", "flv1", "vp6f"}
    expected = "video" if codec in video else "data" if codec == "amf0" else "audio"
    assert codec.kind == expected
    assert Track(codec).kind == expected


def test_defaults() -> None:
    """A track of which only the codec is known is the default one, at video's clock."""
    track = Track(Codec.H264)
    assert (track.number, track.clock_rate, track.config) == (0, VIDEO_CLOCK_RATE, b"")
    assert VIDEO_CLOCK_RATE == 90000


@given(
    st.lists(
        st.tuples(st.sampled_from(Codec), st.integers(0, 255)), min_size=2, max_size=2, unique=True
    )
)
def test_ids(chosen: list[tuple[Codec, int]]) -> None:
    """Two tracks of a stream have the same id only if number and kind are the same."""
    one, two = (Track(codec, number) for codec, number in chosen)
    assert (one.id == two.id) == ((one.kind, one.number) == (two.kind, two.number))


def test_id_outlives_a_change() -> None:
    """A new configuration, or another codec of the same kind, is the same track to the hub."""
    track = Track(Codec.H264, 3, config=b"one")
    assert replace(track, config=b"two").id == track.id
    assert Track(Codec.HEVC, 3).id == track.id
    assert Track(Codec.AAC, 3).id != track.id


def test_replace_derives_again() -> None:
    """Kind and id follow the codec and the number."""
    track = replace(Track(Codec.H264), codec=Codec.AAC, number=1)
    assert (track.kind, track.id) == (MediaKind.AUDIO, Track(Codec.AAC, 1).id)


def test_tracks_are_immutable() -> None:
    """Packets share them: nobody may change one."""
    with pytest.raises(FrozenInstanceError):
        Track(Codec.H264).number = 1  # type: ignore[misc]


def test_tracks_compare_by_value() -> None:
    """What is the same may be told from what changed."""
    assert Track(Codec.H264, config=b"a") == Track(Codec.H264, config=b"a")
    assert Track(Codec.H264, config=b"a") != Track(Codec.H264, config=b"b")
    assert Track(Codec.HEVC) != Track(Codec.HEVC, color_info=b"hdr")
    assert len({Track(Codec.H264), Track(Codec.H264), Track(Codec.AAC)}) == 2


def test_packet_is_a_tuple() -> None:
    """The hot path takes it apart as one."""
    track = Track(Codec.H264)
    packet = Packet(track, 1, 2, True, b"x")
    assert packet == (track, 1, 2, True, b"x")
    assert packet._replace(dts=7).dts == 7
