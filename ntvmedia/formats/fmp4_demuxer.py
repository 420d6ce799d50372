"""Fragmented MP4, CMAF, and MP4 with moov first, taken apart into tracks and packets.

ISO/IEC 14496-12, cited as "14496-12 n". As the bytes come: what stands in the file where it is of
no use any more needs random access, which `fmp4_movie` is for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush, heapreplace
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats.fmp4_fragments import FragmentedTrack, parse_fragment
from ntvmedia.formats.fmp4_movie import Movie, MovieTrack, parse_movie
from ntvmedia.formats.fmp4_reader import Header, parse_header, whole_box
from ntvmedia.formats.fmp4_samples import Sample
from ntvmedia.media.packets import Packet, Track

MAX_MOOV_SIZE: Final = 64 * 1024 * 1024
"""Bytes of a moov box: 20 hours of pictures and sound are 30 MB."""

MAX_MOOF_SIZE: Final = 4 * 1024 * 1024
"""Bytes of a moof box: an hour of pictures and sound in one fragment. Of several whose data has
not come too."""

MAX_SAMPLE_SIZE: Final = 10 * 1024 * 1024
"""Bytes of a sample: what RTMP and FLV accept too, and above a 4K keyframe at any rate in use."""

_FILE: Final = "14496-12 4.2"
_MDAT: Final = "14496-12 8.1.1"
_MOOV: Final = "14496-12 8.2.1"
_MOOF: Final = "14496-12 8.8.4"

# What a file or a segment may begin with: any four letters would be a box, and any text MP4.
FIRST_BOXES: Final = frozenset(
    (
        *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"),
        *(b"sidx", b"ssix", b"emsg", b"prft", b"meta", b"pdin"),
    )
)

# Where a box ends that goes on to the end of the file: past every 64-bit offset.
_NEVER: Final = 1 << 70

Event: TypeAlias = Track | Packet


class _Pending(NamedTuple):
    """The next sample of a run, or of a track. They are ordered by place, and then by number.

    Attributes:
        offset: Of its data in the file.
        number: Never the same.
        sample: Itself.
        track: Its track.
        rest: What follows it.
    """

    offset: int
    number: int
    sample: Sample
    track: MovieTrack
    rest: Iterator[Sample]


class Demuxer:
    """Turn bytes of MP4 into `Track` and `Packet` events.

    Call `receive_data` with bytes as they come, then take all of `events`; at the end of the
    input, `flush`. What comes out depends only on the bytes, never on how they were cut.

    Each track is announced before its first packet, and again when its configuration changes. Of
    each kind they are numbered as in `Movie.tracks`. Packets come in the order of their data in
    the file, as soon as that is there: of each track in decode order; of two tracks, those of a
    fragment one after the other, if they are written so. Edit lists are followed as `Edit` tells:
    times may be negative. A moov box that comes again means nothing, and another one new tracks.

    Args:
        max_moov_size: In bytes.
        max_moof_size: In bytes; also of several ones, of samples that have not come.
        max_sample_size: In bytes.
        of_segments: The bytes are not those of one file, but its parts, or of several ones: what
            fragments tell of places in a file does not count.

    Attributes:
        damaged: Samples that are left out since their data are broken; 1 for all of those that
            were missing at the end.
        movie: The moov box; None until it is there.
    """

    def __init__(
        self,
        *,
        max_moov_size: int = MAX_MOOV_SIZE,
        max_moof_size: int = MAX_MOOF_SIZE,
        max_sample_size: int = MAX_SAMPLE_SIZE,
        of_segments: bool = False,
    ) -> None:
        self.damaged = 0
        self._of_segments = of_segments
        self.movie: Movie | None = None
        self._limits = {b"moov": max_moov_size, b"moof": max_moof_size}
        self._max_sample_size = max_sample_size
        self._buffer = bytearray()
        # Bytes before the buffer, and of it those that are done with.
        self._consumed = 0
        self._place = 0
        # Where the present mdat box ends, and the one that is passed over.
        self._data_end = 0
        self._skip_to = 0
        self._moov = b""
        self._tracks: dict[int, FragmentedTrack] = {}
        self._announced: dict[int, Track] = {}
        self._pending: list[_Pending] = []
        self._numbers = 0
        # Bytes of moof boxes with samples that have not come.
        self._held = 0
        self._events: deque[Event] = deque()
        self._error: PeerError | None = None
        self._ended = False

    @property
    def buffered(self) -> int:
        """How many bytes wait for more."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes from the peer. Nothing is parsed yet."""
        self._buffer += data

    def events(self) -> Iterator[Event]:
        """Parse what is there, and yield each complete event in the order of the file.

        Raises:
            PeerError: What follows the last event is no MP4, or needs random access.
            LimitExceeded: A box or a sample is larger than a limit.
            UsageError: This raised before, or the input has ended: the demuxer is spent.
        """
        if self._ended:
            raise UsageError("the demuxer failed or was flushed before; make a new one")
        if self._error is None:
            try:
                self._parse()
            except PeerError as error:
                self._error = error
            del self._buffer[: self._place]
            self._consumed += self._place
            self._place = 0
        queue = self._events
        while queue:
            yield queue.popleft()
        if self._error is not None:
            self._ended = True
            raise self._error

    def end_segment(self) -> Iterator[Event]:
        """Yield what is left where a segment of HLS ends, or its initialization section.

        Nothing of it goes on in the next one: a box that is cut off ends where the bytes do, and
        one without size ends too. The tracks go on, with their times.

        Raises:
            PeerError: As `events`.
            LimitExceeded: As `events`.
            UsageError: As `events`.
        """
        yield from self.events()
        position = self._consumed + len(self._buffer)
        cut_off = position < self._skip_to < _NEVER or position < self._data_end < _NEVER
        self.damaged += bool(self._pending or self._buffer or cut_off)
        self._pending.clear()
        self._held = 0
        self._buffer.clear()
        self._consumed = position
        self._skip_to = self._data_end = 0

    def flush(self) -> Iterator[Event]:
        """Yield what is left at the end of the input; a file that is cut off ends where it does.

        Raises:
            PeerError: As `events`; or there was no moov box.
            LimitExceeded: As `events`.
            UsageError: As `events`.
        """
        yield from self.events()
        self._ended = True
        if self.movie is None:
            raise PeerError(
                "no moov box", reference=_MOOV, offset=self._consumed + len(self._buffer)
            )
        self.damaged += bool(self._pending or self._buffer)

    def _parse(self) -> None:
        """Read what is there: the rest of a box that is passed over, or of media, and new boxes."""
        while self._skip() and self._read_data() and self._read_box():
            pass

    def _skip(self) -> bool:
        """Pass over what is of no use; False where more bytes are needed."""
        left = self._skip_to - self._consumed - self._place
        if left > 0:
            self._place += min(left, len(self._buffer) - self._place)
        return self._consumed + self._place >= self._skip_to

    def _read_data(self) -> bool:
        """Read samples of the mdat box; False where more bytes are needed."""
        data_end = self._data_end
        if not data_end:
            return True
        pending, consumed = self._pending, self._consumed
        position, there = consumed + self._place, consumed + len(self._buffer)
        with memoryview(self._buffer) as view:
            while pending:
                offset, _number, sample, track, rest = pending[0]
                if offset >= data_end:
                    break
                stop = offset + sample.size
                if offset < position or stop > data_end or sample.size > self._max_sample_size:
                    raise self._wrong(sample, position)
                if stop > there:
                    self._place = max(self._place, min(offset, there) - consumed)
                    return False
                self._received(track, sample, view[offset - consumed : stop - consumed].tobytes())
                position = stop
                self._place = stop - consumed
                following = next(rest, None)
                if following is None:
                    heappop(pending)
                else:
                    self._numbers += 1
                    new = _Pending(following.offset, self._numbers, following, track, rest)
                    heapreplace(pending, new)
        if not pending:
            self._held = 0
        self._skip_to, self._data_end = data_end, 0
        return self._skip()

    def _wrong(self, sample: Sample, position: int) -> PeerError:
        offset, size = sample.offset, sample.size
        if offset < position:
            return PeerError(
                "samples are not in the order of their data: this file needs random access",
                reference=_MDAT,
                offset=offset,
            )
        if size > self._max_sample_size:
            return LimitExceeded(
                f"a sample of {size} bytes",
                reference=_MDAT,
                limit=self._max_sample_size,
                offset=offset,
            )
        return PeerError("a sample goes beyond its mdat box", reference=_MDAT, offset=offset)

    def _received(self, track: MovieTrack, sample: Sample, data: bytes) -> None:
        packet = track.packet(sample, data)
        if packet is None:
            self.damaged += track.descriptions[sample.description].track is not None
            return
        announced = packet.track
        if self._announced.get(announced.id) is not announced:
            self._announce(announced)
        self._events.append(packet)

    def _announce(self, track: Track) -> None:
        if self._announced.get(track.id) != track:
            self._events.append(track)
        self._announced[track.id] = track

    def _read_box(self) -> bool:
        """Read a box's header, and all of one that is kept; False where more bytes are needed."""
        start = self._consumed + self._place
        header = parse_header(self._buffer, self._place, self._consumed)
        if header is None:
            return False
        kind = header.kind
        printable = all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind)
        if not printable or (not start and kind not in FIRST_BOXES):
            raise PeerError("no box of MP4", reference=_FILE, offset=start)
        end = start + header.size if header.size else _NEVER
        if kind in self._limits:
            return self._read_kept(header, start)
        if kind != b"mdat":
            self._skip_to = end
            return True
        if self.movie is None and header.size != header.header_size:
            raise PeerError(
                "media before the moov box: this file needs random access",
                reference=_MDAT,
                offset=start,
            )
        self._place += header.header_size
        self._data_end = end
        return True

    def _read_kept(self, header: Header, start: int) -> bool:
        kind, size = header.kind, header.size
        name = kind.decode("latin-1")
        limit = self._limits[kind]
        if not size:
            raise PeerError(f"a {name} box without size", reference=_FILE, offset=start)
        if size > limit:
            raise LimitExceeded(
                f"a {name} box of {size} bytes", reference=_FILE, limit=limit, offset=start
            )
        if len(self._buffer) - self._place < size:
            return False
        with memoryview(self._buffer) as view:
            box = view[self._place : self._place + size].tobytes()
        self._place += size
        if kind == b"moov":
            self._moov_received(box)
        else:
            self._moof_received(box, start)
        return True

    def _moov_received(self, moov: bytes) -> None:
        if moov == self._moov:
            return
        movie = parse_movie(moov)
        if not movie.tracks:
            names = ", ".join(movie.left_out) or "none of pictures or sound"
            raise PeerError(f"no track that can be read: {names}", reference=_MOOV)
        # Players of HLS get it before every segment. That of an ordinary file may be large.
        self._moov = moov if movie.is_fragmented else b""
        self.movie = movie
        self.damaged += bool(self._pending)
        self._pending.clear()
        self._held = 0
        before, self._tracks = self._tracks, {}
        for track in movie.tracks:
            fragmented = self._tracks.setdefault(track.id, FragmentedTrack(track))
            earlier = before.get(track.id)
            same = earlier is not None and earlier.movie.clock.timescale == track.clock.timescale
            if same and not len(track.samples):
                assert earlier is not None
                fragmented.time = earlier.time
            self._announce(track.track)
            self._expect(track, track.samples.filled())

    def _moof_received(self, box: bytes, start: int) -> None:
        if self.movie is None:
            raise PeerError("a fragment before the moov box", reference=_MOOF, offset=start)
        moof = whole_box(box, b"moof", start)
        runs = parse_fragment(
            moof, start, self._tracks, self.movie.defaults, is_moved=self._of_segments
        )
        for run in runs:
            self._expect(run.track, run.samples)
        if runs:
            self._held += len(box)
        limit = self._limits[b"moof"]
        # One of the largest is no reason, but a second one is.
        if self._held > 2 * limit:
            raise LimitExceeded(
                "too many samples whose data do not come", reference=_MOOF, limit=2 * limit
            )

    def _expect(self, track: MovieTrack, samples: Iterator[Sample]) -> None:
        """Wait for the data of samples that follow one another."""
        first = next(samples, None)
        if first is not None:
            self._numbers += 1
            heappush(self._pending, _Pending(first.offset, self._numbers, first, track, samples))
