"""Tests of ntvmedia.formats.mpegts_serialiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from ntvmedia.formats.mpegts_serialiser import MPEGTSSerialiser
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats import ts_bytes
from tests.formats.ts_bytes import AAC, H264, SECOND, audio, interleaved, read, video


def serialise(serialiser: MPEGTSSerialiser, sent: Sequence[Packet]) -> list[bytes]:
    """Return what is written for each packet."""
    pieces = []
    for packet in sent:
        parts: list[bytes] = []
        serialiser.packet(packet, parts)
        pieces.append(b"".join(parts))
    return pieces


def start(*tracks: Track) -> MPEGTSSerialiser:
    """Make a serialiser of these tracks."""
    serialiser = MPEGTSSerialiser()
    assert serialiser.tracks_changed(tracks, {}, 0) == b""
    return serialiser


def has_tables(data: bytes) -> bool:
    """Whether bytes begin with PAT and PMT."""
    return data[:3] == b"\x47\x40\x00" and data[188:191] == b"\x47\x50\x00"


def test_joined_at_keyframes() -> None:
    """C-TS-01: a viewer who begins with any keyframe has the tables first; counters go on."""
    sent = interleaved([video(n) for n in range(100)], [audio(n) for n in range(180)])
    serialiser = start(H264, AAC)
    pieces = serialise(serialiser, sent)
    for packet, piece in zip(sent, pieces, strict=True):
        if packet.track is H264 and packet.is_keyframe:
            assert has_tables(piece)
    seen = read(b"".join(pieces))
    ts_bytes.check_clock(seen)
    assert len(seen.pes) == 280
    for first in (0, *(n for n, packet in enumerate(sent) if packet.payload == ts_bytes.IDR)):
        assert read(b"".join(pieces[first:])).pats[0][0] == 0


def test_tables_are_repeated() -> None:
    """C-TS-01: half a second without tables is the most, however long the group of pictures."""
    sent = interleaved([video(n, key=n == 0) for n in range(250)], [audio(n) for n in range(460)])
    pieces = serialise(start(H264, AAC), sent)
    times = [
        packet.dts / packet.track.clock_rate
        for packet, piece in zip(sent, pieces, strict=True)
        if has_tables(piece)
    ]
    steps = [b - a for a, b in pairwise(times)]
    assert 0.3 < min(steps) <= max(steps) <= 0.5


def test_sound_alone() -> None:
    """C-TS-04: where a rendition begins a group, each second, tables are; and between."""
    sent = [audio(n) for n in range(500)]
    pieces = serialise(start(AAC), sent)
    group = -(1 << 40)
    for packet, piece in zip(sent, pieces, strict=True):
        if packet.dts - group > 1.0 * 48000:
            group = packet.dts
            assert has_tables(piece)
    assert sum(map(has_tables, pieces)) >= 20
    seen = read(b"".join(pieces))
    ts_bytes.check_clock(seen)
    assert len(seen.pmts[0][3]) == 1


def test_pictures_that_are_not_carried() -> None:
    """C-TS-07: groups begin with a keyframe that is not sent: tables come with the next sound."""
    vp9 = Track(Codec.VP9, config=vectors.VPCC_360)
    serialiser = start(vp9, AAC)
    pieces = serialise(
        serialiser,
        [
            audio(0),
            audio(1),
            Packet(vp9, 4000, 4000, True, b"key"),
            Packet(vp9, 7600, 7600, False, b"inter"),
            audio(2),
            audio(3),
        ],
    )
    assert [has_tables(piece) for piece in pieces] == [True, False, False, False, True, False]
    assert pieces[2] == pieces[3] == b""


def test_changed_tracks() -> None:
    """New tables come before the next packet, whatever it is, with a new version."""
    serialiser = start(H264)
    pieces = serialise(serialiser, [video(0), video(1)])
    assert serialiser.tracks_changed([H264, AAC], {}, 80) == b""
    pieces += serialise(serialiser, [audio(4), video(2)])
    # What the publisher says of the stream is not in MPEG-TS.
    assert serialiser.tracks_changed([H264, AAC], {"title": "x"}, 90) == b""
    pieces += serialise(serialiser, [video(3)])
    assert list(map(has_tables, pieces)) == [True, False, True, False, False]
    assert [version for _index, version, _pcr, _streams in read(b"".join(pieces)).pmts] == [1, 2]


def test_changed_configuration() -> None:
    """A new AudioSpecificConfig holds from the next frame on."""
    serialiser = start(AAC)
    pieces = serialise(serialiser, [audio(0)])
    mono = replace(AAC, config=bytes.fromhex("1188"), channels=1)
    serialiser.tracks_changed([mono], {}, 0)
    pieces += serialise(serialiser, [audio(1, track=mono)])
    first, second = read(b"".join(pieces)).pes
    assert first.data[:4] == bytes.fromhex("fff14c80")
    assert second.data[:4] == bytes.fromhex("fff14c40")


def test_nothing_around() -> None:
    """No header, no trailer: tables in the stream serve all; blocks go as they are."""
    serialiser = start(H264, AAC)
    assert serialiser.header(5000) == b""
    assert serialiser.trailer() == b""
    assert serialiser.frame(b"block") == b"block"


@pytest.mark.parametrize("tracks", [[], [Track(Codec.FLAC, clock_rate=48000)]])
def test_nothing_to_carry(tracks: list[Track]) -> None:
    """C-TS-07: a stream that has nothing for MPEG-TS gives nothing."""
    serialiser = start(*tracks)
    sent = [Packet(track, n, n, True, b"x") for track in tracks for n in range(3)]
    assert serialise(serialiser, [*sent, video(0)]) == [b""] * (len(sent) + 1)


def test_new_timeline() -> None:
    """Times that begin anew: tables keep coming."""
    for track, make in ((AAC, audio), (H264, lambda n, start: video(n, key=False, start=start))):
        serialiser = start(track)
        serialise(serialiser, [make(n, start=track.clock_rate * 500) for n in range(50)])
        pieces = serialise(serialiser, [make(n, start=0) for n in range(50)])
        assert has_tables(pieces[0])
        assert sum(map(has_tables, pieces)) >= 3


def test_long_run() -> None:
    """C-TS-08, G-RS-10: tables keep coming after 26 h 30 m and 28 h 28 m."""
    for hours in (26.5, 28 + 28 / 60):
        first = round(hours * 3600) * SECOND
        pieces = serialise(start(H264), [video(n, key=n == 0, start=first) for n in range(100)])
        assert sum(map(has_tables, pieces)) >= 8
        ts_bytes.check_clock(read(b"".join(pieces)))
