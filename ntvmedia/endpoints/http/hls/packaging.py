"""The two kinds of segments, filled packet by packet: MPEG-TS and fragmented MP4 (CMAF)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ntvmedia.endpoints.http.hls.alignment import CLOCK_RATE
from ntvmedia.errors import UsageError
from ntvmedia.formats import fmp4_muxer, mpegts_muxer
from ntvmedia.formats.fmp4_frames import measurer
from ntvmedia.media import Codec, Packet, Track

MPEGTS_CODECS: Final = frozenset(
    {Codec.H264, Codec.HEVC, Codec.AAC, Codec.MP3, Codec.AC3, Codec.EAC3}
)
"""What players take in segments of MPEG-TS."""

FMP4_CODECS: Final = MPEGTS_CODECS | {Codec.AV1, Codec.VP9, Codec.OPUS, Codec.FLAC}
"""What players take in segments of fragmented MP4; no player has all of them."""

FMP4_FIRST: Final = frozenset({Codec.HEVC, Codec.AV1, Codec.VP9, Codec.OPUS, Codec.FLAC})
"""What is better in fragmented MP4: most players do not take it in MPEG-TS, or none."""

# Several audio frames share the overhead of one PES packet.
AUDIO_GATHER_SECONDS: Final = 0.15

# What headers of MPEG-TS and PES add to a packet at most, apart from 4 bytes in 188.
_PACKET_OVERHEAD: Final = 600

# What a sample is in a track run, and its share of the boxes around.
_SAMPLE_OVERHEAD: Final = 40


class Packager(Protocol):
    """Fills one segment after the other.

    Attributes:
        extension: Of the names of segments.
        content_type: Of segments.
        size: At least the bytes of the segment that is being filled.
    """

    extension: str
    content_type: str
    size: int

    def choose(self, tracks: Sequence[Track]) -> None:
        """Take the tracks to carry; between two segments."""

    def begin(self) -> None:
        """Begin a segment."""

    def packet(self, packet: Packet) -> None:
        """Add a packet."""

    def mark(self) -> None:
        """Note that the segment could have ended here; the last such place counts."""

    def cut_at_mark(self) -> bytes:
        """Return the segment up to the mark; what came after it is the beginning of the next."""

    def part(self, following: Packet) -> bytes:
        """Return what came since the last part, of the segment that is being filled."""

    def finish(self, following: Packet | None) -> bytes:
        """Return the segment.

        Args:
            following: The packet that comes next, with which the next segment begins; None where
                nothing follows.
        """

    def split(self) -> bytes:
        """Return the segment, of sound alone, while the same goes on in the next one."""

    def skip(self) -> None:
        """Take note that there was nothing for a while; between two segments."""

    def last_part(self) -> bytes:
        """Return what the finished segment had since its last part."""

    def forget(self) -> None:
        """Throw away what there is; the next segment is of any time."""

    def still(self, packet: Packet | None) -> bytes:
        """Return a segment of one keyframe, or of none. It counts in none of the counters."""

    def init_segment(self) -> bytes:
        """Return what goes before the segments of these tracks; there was one. Else empty."""


class TSPackager:
    """Segments of MPEG-TS."""

    extension = "ts"
    content_type = "video/mp2t"

    def __init__(self) -> None:
        self.size = 0
        self._tracks: list[Track] = []
        self._muxer: mpegts_muxer.Muxer | None = None
        self._pieces: list[bytes] = []
        self._marked_pieces = 0
        self._marked_size = 0

    def choose(self, tracks: Sequence[Track]) -> None:
        self._tracks = list(tracks)
        if self._muxer is None:
            self._muxer = self._new_muxer()
        else:
            self._muxer.tracks_changed(self._tracks)

    def begin(self) -> None:
        assert self._muxer is not None
        self._pieces = [self._muxer.tables()]
        self.size = 0

    def packet(self, packet: Packet) -> None:
        assert self._muxer is not None
        self._muxer.packet(packet, self._pieces)
        payload = len(packet[4])
        self.size += payload + payload // 46 + _PACKET_OVERHEAD

    def mark(self) -> None:
        """Note the place, and put tables there."""
        assert self._muxer is not None
        self._muxer.flush(self._pieces)
        self._marked_pieces, self._marked_size = len(self._pieces), self.size
        self._pieces.append(self._muxer.tables())

    def cut_at_mark(self) -> bytes:
        body = b"".join(self._pieces[: self._marked_pieces])
        del self._pieces[: self._marked_pieces]
        self.size -= self._marked_size
        return body

    def part(self, following: Packet) -> bytes:
        raise UsageError("lists of MPEG-TS have no parts")

    def finish(self, following: Packet | None) -> bytes:
        assert self._muxer is not None
        self._muxer.flush(self._pieces)
        body = b"".join(self._pieces)
        self._pieces = []
        return body

    def split(self) -> bytes:
        return self.finish(None)

    def skip(self) -> None:
        pass  # each packet has its own time

    def last_part(self) -> bytes:
        return b""

    def forget(self) -> None:
        if self._muxer is not None:
            self._muxer = self._new_muxer()
        self._pieces = []
        self.size = 0

    def still(self, packet: Packet | None) -> bytes:
        muxer = mpegts_muxer.Muxer(self._tracks)
        pieces = [muxer.tables()]
        if packet is not None:
            muxer.packet(packet, pieces)
            muxer.flush(pieces)
        return b"".join(pieces)

    def init_segment(self) -> bytes:
        return b""

    def _new_muxer(self) -> mpegts_muxer.Muxer:
        return mpegts_muxer.Muxer(self._tracks, audio_gather_seconds=AUDIO_GATHER_SECONDS)


class FMP4Packager:
    """Segments of fragmented MP4: a fragment each, or one for each part.

    Packets wait here until their fragment is written, so that a segment can end before some of
    them.
    """

    extension = "m4s"

    def __init__(self) -> None:
        self.size = 0
        self.content_type = "video/mp4"
        self._muxer = fmp4_muxer.Muxer(())
        self._waiting: list[Packet] = []
        self._marked = self._marked_size = 0
        self._written: list[bytes] = []
        self._last_part = b""
        self._newest: Packet | None = None

    def choose(self, tracks: Sequence[Track]) -> None:
        self._muxer = fmp4_muxer.Muxer(tracks)
        self.content_type = self._muxer.content_type
        self._newest = None

    def begin(self) -> None:
        self._written = []
        self.size = 0

    def packet(self, packet: Packet) -> None:
        self._waiting.append(packet)
        self._newest = packet
        self.size += len(packet[4]) + _SAMPLE_OVERHEAD

    def mark(self) -> None:
        self._marked, self._marked_size = len(self._waiting), self.size

    def cut_at_mark(self) -> bytes:
        rest = self._waiting[self._marked :]
        del self._waiting[self._marked :]
        size = self.size - self._marked_size
        body = self.finish(rest[0])
        self.begin()
        self._waiting, self.size = rest, size
        return body

    def part(self, following: Packet) -> bytes:
        body = self._write(following)
        self._written.append(body)
        return body

    def finish(self, following: Packet | None) -> bytes:
        return self._join(self._write(following))

    def split(self) -> bytes:
        newest = self._newest
        measure = None if newest is None else measurer(newest.track)
        length = 0 if measure is None or newest is None else measure(newest.payload)
        if newest is None or not length:
            return self.finish(None)
        end = newest.dts + length
        return self.finish(newest._replace(dts=end, pts=end))

    def skip(self) -> None:
        self._muxer.finish()  # there is nothing in it

    def last_part(self) -> bytes:
        return self._last_part

    def forget(self) -> None:
        self._waiting = []
        self._written = []
        self._muxer.finish()
        self.size = 0

    def still(self, packet: Packet | None) -> bytes:
        muxer = fmp4_muxer.Muxer(self._muxer.tracks)
        if packet is not None:
            muxer.packet(packet)
        return muxer.finish()

    def init_segment(self) -> bytes:
        return self._muxer.init_segment()

    def _join(self, last: bytes) -> bytes:
        self._last_part = last
        written, self._written = self._written, []
        return b"".join((*written, last)) if written else last

    def _feed(self) -> None:
        for packet in self._waiting:
            self._muxer.packet(packet)
        self._waiting = []

    def _write(self, following: Packet | None) -> bytes:
        self._feed()
        muxer = self._muxer
        return muxer.finish() if following is None else muxer.fragment(following)


def carried(tracks: Sequence[Track], format_name: str) -> list[Track]:
    """Return the tracks that segments of a format can have: of "ts", "fmp4" or "ll"."""
    if format_name == "ts":
        return [x for x in tracks if x.codec in MPEGTS_CODECS and mpegts_muxer.can_carry(x)]
    return [x for x in tracks if x.codec in FMP4_CODECS and fmp4_muxer.can_carry(x)]


def make_packager(format_name: str) -> Packager:
    """Make what fills segments of a format."""
    return TSPackager() if format_name == "ts" else FMP4Packager()


def shifted(packet: Packet, milliseconds: int) -> Packet:
    """Return a packet at another time."""
    ticks = milliseconds * packet.track.clock_rate // 1000
    return packet._replace(dts=packet.dts + ticks, pts=packet.pts + ticks)


def ticks_of(time: int, clock_rate: int) -> int:
    """Convert a track's ticks to those of `CLOCK_RATE`."""
    return time if clock_rate == CLOCK_RATE else time * CLOCK_RATE // clock_rate
