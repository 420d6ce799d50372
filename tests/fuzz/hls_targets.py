"""What is downloaded of HLS as fuzz targets: segments, runs of them, and the file made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from ntvmedia.codecs.description import describe
from ntvmedia.errors import PeerError
from ntvmedia.formats.hls_joining import Piece, Source, join
from ntvmedia.formats.hls_media import SegmentDemuxer, is_media
from ntvmedia.formats.mp4_muxer import Muxer
from ntvmedia.formats.packed_audio import Demuxer as PackedAudioDemuxer
from ntvmedia.media import MediaKind, Packet, Track
from tests.formats import packed_bytes
from tests.formats.hls_segments import INIT, SECOND, mp4, ts
from tests.fuzz import seeds
from tests.fuzz.targets import Target, bodies, both_ways, cuts

# Of the first byte of a piece, as `_pieces` reads it.
_DISCONTINUITY: Final = 1
_MISSING: Final = 2
_INIT: Final = 4
_SECOND_SOURCE: Final = 8

_WRAP: Final = 1 << 33

_PACKED: Final = packed_bytes.timestamp(900_000) + packed_bytes.adts() * 3
_SURROUND: Final = (packed_bytes.EAC3 + packed_bytes.EAC3_DEPENDENT) * 2


def _packed_audio(data: bytes) -> None:
    def read(pieces: Iterable[bytes]) -> object:
        demuxer, events = PackedAudioDemuxer(), list[object]()
        try:
            for piece in pieces:
                demuxer.receive_data(piece)
                events += demuxer.events()
                assert demuxer.buffered <= len(data)
            events += demuxer.end_segment()
            events += demuxer.flush()
        except PeerError as error:
            events.append(str(error))
        return events, demuxer.damaged

    both_ways(data, read)


def _pieces(data: bytes) -> list[tuple[int, bytes]]:
    """Read pieces of a playlist: flags, a size of two bytes, and the segment."""
    found, place = [], 0
    while place + 3 <= len(data):
        size = int.from_bytes(data[place + 1 : place + 3], "big")
        found.append((data[place], data[place + 3 : place + 3 + size]))
        place += 3 + size
    return found


def _segments(data: bytes) -> None:
    """Read segments of a playlist, each in one piece and in several."""

    def read(cut: Callable[[bytes], Iterable[bytes]]) -> object:
        demuxer, events = SegmentDemuxer(), list[object]()
        try:
            for flags, segment in _pieces(data):
                if flags & _INIT:
                    demuxer.init_section(segment)
                    continue
                if flags & _DISCONTINUITY:
                    events += demuxer.flush()
                demuxer.begin(discontinuity=flags & _DISCONTINUITY != 0)
                for piece in cut(segment):
                    demuxer.receive_data(piece)
                    events += demuxer.events()
                    assert demuxer.buffered <= 2 * len(data)
                events += demuxer.end()
            events += demuxer.flush()
        except PeerError as error:
            events.append(str(error))
        for event in events:
            if isinstance(event, Track):
                describe(event)
        return events, demuxer.damaged

    assert read(lambda segment: [segment]) == read(cuts)
    with suppress(PeerError):
        is_media(data, True)


def _joining(data: bytes) -> None:
    """Join the segments of two playlists, and write MP4."""

    def read(cut: Callable[[bytes], Iterable[bytes]]) -> object:
        sources: tuple[list[Piece], list[Piece]] = ([], [])
        init = INIT
        for flags, segment in _pieces(data):
            if flags & _INIT:
                init = segment
            sources[flags & _SECOND_SOURCE != 0].append(
                Piece(
                    cut(segment),
                    init,
                    1.0,
                    flags & _DISCONTINUITY != 0,
                    flags & _MISSING != 0,
                )
            )
        joiner, packets = join([Source(pieces) for pieces in sources]), list[Packet]()
        error = ""
        try:
            packets.extend(joiner)
        except PeerError as problem:
            error = str(problem)
        _check(packets)
        # In which order tracks come depends on cuts where times are damaged: not what comes.
        seen = sorted((p.track.kind, p.track.codec, *p[1:]) for p in packets)
        return seen, error, joiner.discontinuities, joiner.dropped, joiner.damaged

    assert read(lambda segment: [segment]) == read(cuts)


def _check(packets: list[Packet]) -> None:
    """Check what holds for all that is joined, and that a file can be made of it."""
    muxer = Muxer()
    clocks: dict[tuple[int, Any], int] = {}
    for packet in packets:
        track = packet.track
        assert track.kind in (MediaKind.VIDEO, MediaKind.AUDIO)
        assert clocks.setdefault((track.id, track.codec), track.clock_rate) == track.clock_rate
        muxer.packet(packet)
    muxer.finish()
    if muxer.left_out < len(packets):
        assert muxer.header().startswith(b"\0\0\0")


_RUNS: Final = (
    bodies((0, ts(0, 4)), (0, ts(4, 3)), (1, ts(0, 3, start=_WRAP - SECOND)), (0, ts(3, 3))),
    bodies((4, INIT), (0, mp4(0)), (0, mp4(1)), (2, b""), (1, mp4(900)), (0, mp4(901))),
    bodies((0, _PACKED), (0, packed_bytes.adts() * 3), (1, _SURROUND), (3, b""), (0, _SURROUND)),
    bodies(
        *((0, ts(0, 4, sound=False)), (8, _PACKED), (0, ts(4, 4, sound=False)), (8, _PACKED)),
        *((1, ts(0, 4, start=900 * SECOND)), (9, packed_bytes.adts() * 4), (4, INIT), (0, mp4(0))),
    ),
)

HLS_TARGETS: Final[dict[str, Target]] = {
    "packed-audio": Target(
        _packed_audio,
        (_PACKED, _SURROUND, packed_bytes.MP3 * 3, packed_bytes.timestamp(0) + packed_bytes.AC3),
    ),
    "hls-segments": Target(
        _segments, (*_RUNS, *(bodies((0, seed)) for seed in (*seeds.MPEGTS, *seeds.FMP4)))
    ),
    "hls-joining": Target(_joining, _RUNS),
}
