"""Tests of Opus headers and durations."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import opus
from ntvmedia.codecs.opus import OpusHead
from ntvmedia.errors import PeerError
from tests.codecs import vectors


def test_stereo() -> None:
    """The header of libopus, read and written."""
    head = opus.parse_opus_head(vectors.OPUS_STEREO)
    assert head == OpusHead(channels=2, pre_skip=312, sample_rate=48000, gain=0)
    assert opus.build_opus_head(head) == vectors.OPUS_STEREO


def test_surround() -> None:
    """Six channels in four streams, two of them stereo; and MP4's form of it is ffmpeg's."""
    head = opus.parse_opus_head(vectors.OPUS_51)
    assert (head.channels, head.mapping_family, head.streams, head.coupled) == (6, 1, 4, 2)
    assert head.mapping == bytes((0, 4, 1, 2, 3, 5))
    assert opus.build_opus_head(head) == vectors.OPUS_51
    assert opus.build_dops(head) == vectors.DOPS_51
    assert opus.parse_dops(vectors.DOPS_51) == head


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({0: 0x4E}, "not an OpusHead"),
        ({8: 0x10}, "version 16"),
        ({9: 0}, "without channels"),
        ({18: 0}, "one or two channels"),
        ({9: 7}, "cut off"),
        ({19: 0}, "wrong"),
        ({20: 5}, "wrong"),
        ({26: 6}, "wrong"),
    ],
)
def test_broken(change: dict[int, int], why: str) -> None:
    """One byte of a good header is wrong."""
    data = bytearray(vectors.OPUS_51)
    for index, value in change.items():
        data[index] = value
    with pytest.raises(PeerError, match=why):
        opus.parse_opus_head(bytes(data))


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        ("fc", 960),  # CELT, 20 ms, one frame: what libopus makes
        ("e0", 120),  # CELT, 2.5 ms
        ("08", 960),  # SILK, 20 ms
        ("18", 2880),  # SILK, 60 ms
        ("19", 5760),  # two of them
        ("fa", 1920),  # two of 20 ms, of different length
        ("e330", 5760),  # 48 of 2.5 ms
        ("6300", None),
        ("63", None),
        ("e331", None),
        ("1b03", None),
        ("", None),
    ],
)
def test_duration(packet: str, samples: int | None) -> None:
    """RFC 6716 table 2 and section 3.2; no packet lasts more than 120 ms."""
    data = bytes.fromhex(packet)
    if samples is None:
        with pytest.raises(PeerError):
            opus.packet_duration(data)
    else:
        assert opus.packet_duration(data) == samples


@given(
    st.tuples(
        st.integers(1, 2),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
        st.integers(-32768, 32767),
    ).map(lambda x: OpusHead(*x))
)
def test_round_trip(head: OpusHead) -> None:
    """Both forms carry every field."""
    head = head._replace(coupled=head.channels - 1)
    assert opus.parse_opus_head(opus.build_opus_head(head)) == head
    assert opus.parse_dops(opus.build_dops(head)) == head
