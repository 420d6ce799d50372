"""MPEG-TS taken apart into tracks and packets: of one program, live or from a file.

ISO/IEC 13818-1, cited as "H.222.0 n". Damage is passed over: what of it cannot be trusted is left
out, and the next good packet goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.mpegts_elementary import FOLLOWING, Elementary
from ntvmedia.formats.mpegts_packets import NULL_PID, PACKET_SIZE, SYNC_BYTE, TIME_BITS
from ntvmedia.formats.mpegts_pes import parse_header
from ntvmedia.formats.mpegts_readers import is_video, new_reader, unread_name
from ntvmedia.formats.mpegts_sync import find_sync
from ntvmedia.formats.mpegts_tables import (
    PAT_PID,
    PAT_TABLE_ID,
    PMT_TABLE_ID,
    SectionReader,
    Stream,
    is_whole,
    parse_pat,
    parse_pmt,
)
from ntvmedia.formats.mpegts_video import Read
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.timebase import unwrap

MAX_PES_SIZE: Final = 10 * 1024 * 1024
"""Bytes of a picture: what RTMP and FLV accept too, and above a 4K keyframe at any rate in use."""

MAX_SOUND_SIZE: Final = 256 * 1024
"""Bytes of a PES packet of sound: 64 kB, but for writers that do not tell its length."""

MAX_HELD_SIZE: Final = 16 * 1024 * 1024
"""Bytes of all PES packets that are not yet complete."""

MAX_STREAMS: Final = 32
"""Elementary streams that are read; those after them in the table are left out."""

MAX_JUNK: Final = 64 * 1024
"""Bytes without MPEG-TS after which it is none: 300 packets, more than any damage."""

_PACKETS: Final = "H.222.0 2.4.3.2"

# A PES header: 9 bytes, and up to 255 of optional fields.
_MAX_HEADER_SIZE: Final = 9 + 255


class TrackEnded(NamedTuple):
    """A track is not in the program any more, or the input ended.

    Attributes:
        track: As last announced.
    """

    track: Track


Event: TypeAlias = Track | Packet | TrackEnded


class Demuxer:
    """Turn MPEG-TS bytes into `Track`, `Packet` and `TrackEnded` events.

    Call `receive_data` with bytes as they come, then take all of `events`; at the end of the
    input, `flush`. What comes out depends only on the bytes, never on how they were cut.

    Each track is announced before its first packet, and again when its configuration changes. Its
    number is its place among those of its kind. Video has the ticks of 90 kHz of its PES packets,
    without the wrap at 33 bits; sound is counted on from sample to sample. Nothing is subtracted,
    and a jump of the input's clock is one of the packets' times. With two programs or more, one
    is read.

    Args:
        program: The number of the program to read; 0 for the first of the table.
        recovery_points: Pictures of H.264 with a recovery point count as keyframes too.

    Attributes:
        unread: What pictures and sound of the program cannot be read: "MPEG-2 video".
        damaged: Packets that were lost, or could not be read, as far as their counters tell: 1
            for each place.
    """

    def __init__(self, *, program: int = 0, recovery_points: bool = False) -> None:
        self.damaged = 0
        self.unread: set[str] = set()
        self._wanted = program
        self._recovery_points = recovery_points
        self._data = b""
        self._more: list[bytes] = []
        self._place = 0
        # Bytes before `_data`, and where the last good packet ended, from the start of the input.
        self._consumed = 0
        self._good = 0
        self._size = 0
        self._program = 0
        self._pmt_pid = NULL_PID
        self._pmt = b""
        self._pat = b""
        self._tables = {PAT_PID: SectionReader()}
        self._counters: dict[int, int] = {}
        self._streams: dict[int, Elementary] = {}
        self._held = 0
        self._time: int | None = None
        self._failed = False

    @property
    def buffered(self) -> int:
        """How many bytes wait for more."""
        return sum(map(len, self._more)) + max(0, len(self._data) - self._place) + self._held

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes from the peer. Nothing is parsed yet."""
        self._more.append(data)

    def events(self) -> Iterator[Event]:
        """Parse what is there, and yield each complete event in stream order.

        Raises:
            PeerError: What follows the last event is no MPEG-TS for 64 kB.
            UsageError: This raised before, or the input has ended: the demuxer is spent.
        """
        return self._events(final=False)

    def flush(self) -> Iterator[Event]:
        """Yield what is left at the end of the input: last frames, and the end of each track.

        Raises:
            PeerError: As `events`.
            UsageError: As `events`.
        """
        yield from self._events(final=True)
        self._failed = True
        for elementary in list(self._streams.values()):
            yield from self._end(elementary)

    def end_segment(self) -> Iterator[Event]:
        """Yield what is left where a segment of HLS ends; the stream goes on with the next one.

        Frames that go on there are put together. Counters may begin anew, as many segmenters have
        them, and nothing is lost; a packet that is cut off is left out.

        Raises:
            PeerError: As `events`.
            UsageError: As `events`.
        """
        # Final: of less than three packets too.
        yield from self._events(final=True)
        self.damaged += self._place < len(self._data)
        self._consumed = self._good = self._consumed + len(self._data)
        self._place = 0
        self._data = b""
        self._size = 0
        self._counters.clear()
        for stream in self._streams.values():
            stream.counter = -1

    def _events(self, *, final: bool) -> Iterator[Event]:
        if self._failed:
            raise UsageError("the demuxer failed or was flushed before; make a new one")
        self._join()
        try:
            while self._size or self._synchronise(final=final):
                yield from self._packets()
                if self._size:
                    return  # all that is left is less than a packet
        except PeerError:
            self._failed = True
            raise

    def _join(self) -> None:
        """Put what came behind what was left."""
        place = self._place
        data = b"".join((self._data[place:], *self._more))
        self._more = []
        # With the trailers of longer packets, the next place may be beyond the end.
        beyond = min(max(0, place - len(self._data)), len(data))
        self._consumed += min(place, len(self._data)) + beyond
        self._place = max(0, place - len(self._data)) - beyond
        self._data = data[beyond:] if beyond else data

    def _synchronise(self, *, final: bool) -> bool:
        """Find the next packets; False where more bytes are needed."""
        place, size = find_sync(self._data, self._place, final=final)
        seen = self._consumed + len(self._data)
        nothing = final and not size and not self._good and seen > 0
        if nothing or self._consumed + place - self._good > MAX_JUNK:
            raise PeerError("no MPEG-TS", reference=_PACKETS, offset=self._good)
        self._place, self._size = place, size
        return size != 0

    def _packets(self) -> Iterator[Event]:
        """Read packets until one is not where it should be, or there is no whole one."""
        data, size = self._data, self._size
        last = len(data) - PACKET_SIZE
        streams, tables = self._streams, self._tables
        place = self._place
        events: list[Read] = []
        while place <= last:
            if data[place] != SYNC_BYTE:
                self._size = 0
                self.damaged += 1
                break
            second = data[place + 1]
            pid = (second & 0x1F) << 8 | data[place + 2]
            at, place = place, place + size
            elementary = streams.get(pid)
            if elementary is not None:
                if (
                    elementary.header is not None
                    and data[at + 3] == FOLLOWING[elementary.counter]
                    and not second & 0xC0
                ):
                    more = MAX_HELD_SIZE + 1 - self._held
                    place, taken = elementary.follow(data, at, size, more)
                    self._held += taken
                    if len(elementary.data) >= elementary.stop or self._held > MAX_HELD_SIZE:
                        self._stopped(elementary, events)
                else:
                    self._elementary(elementary, data, at, second, events)
                if events:
                    self._place = place
                    yield from events
                    events = []
            elif pid in tables:
                self._place = place
                yield from self._table(pid, data, at, second)
                streams, tables = self._streams, self._tables
        self._place = place
        # Where the last whole packet ended: only what is behind it can be junk.
        self._good = self._consumed + place

    def _elementary(
        self, stream: Elementary, data: bytes, at: int, second: int, events: list[Read]
    ) -> None:
        """Take one packet of an elementary stream."""
        fourth = data[at + 3]
        start = at + 4
        jumps = False
        if fourth & 0x20:
            length = data[start]
            start += 1 + length
            if length and data[at + 5] & 0x80:
                jumps = True
        counter = fourth & 15
        if second & 0x80 or start > at + PACKET_SIZE or fourth & 0xC0:
            # Damaged on the way, in itself, or encrypted.
            self._lose(stream)
            stream.counter = -1
            return
        if not fourth & 0x10:
            return
        payload = data[start : at + PACKET_SIZE]
        expected = (stream.counter + 1) & 15
        if counter != expected and stream.counter >= 0 and not jumps:
            if counter == stream.counter and payload == stream.payload:
                return  # sent twice, as is allowed (H.222.0 2.4.3.3)
            self._lose(stream)
        stream.counter = counter
        stream.payload = payload
        if second & 0x40:
            if stream.is_open:
                self._complete(stream, events)
            stream.is_open = True
            stream.header = None
        elif not stream.is_open:
            return
        held = stream.data
        held += payload
        self._held += len(payload)
        if len(held) > stream.limit or self._held > MAX_HELD_SIZE:
            self._lose(stream)
            return
        header = stream.header
        if header is None:
            try:
                header = stream.header = parse_header(bytes(held[:_MAX_HEADER_SIZE]))
            except PeerError:
                self._lose(stream)
                return
            if header is None:
                return
            stream.stop = min(header.total or stream.limit + 1, stream.limit + 1)
        if len(held) >= stream.stop:
            self._stopped(stream, events)

    def _stopped(self, stream: Elementary, events: list[Read]) -> None:
        """Read a PES packet that is complete, or leave out one that is too long."""
        if len(stream.data) > stream.limit or self._held > MAX_HELD_SIZE:
            self._lose(stream)
        else:
            self._complete(stream, events)

    def _complete(self, stream: Elementary, events: list[Read]) -> None:
        """Read a PES packet of which nothing more comes."""
        header, data = stream.header, stream.data
        self._held -= len(data)
        stream.data = bytearray()
        stream.is_open = False
        stream.header = None
        if header is None:
            return
        dts = pts = None
        if header.pts is not None and header.dts is not None:
            # One reference for all tracks: they pass the wrap together.
            near = header.dts if self._time is None else self._time
            self._time = dts = unwrap(header.dts, near, TIME_BITS)
            pts = unwrap(header.pts, dts, TIME_BITS)
        stop = header.total or len(data)
        stream.reader.read(bytes(data[header.size : stop]), pts, dts, events)

    def _lose(self, stream: Elementary) -> None:
        """Leave out the PES packet that is not yet complete: a part of it was lost."""
        self.damaged += 1
        self._held -= len(stream.data)
        stream.data = bytearray()
        stream.is_open = False
        stream.header = None
        stream.reader.lost()

    def _end(self, stream: Elementary) -> Iterator[Event]:
        """Read what is left of a stream, and end its track."""
        events: list[Read] = []
        header = stream.header
        if stream.is_open and header is not None and not header.total:
            self._complete(stream, events)
        self._held -= len(stream.data)
        stream.data = bytearray()
        stream.is_open = False
        yield from events
        if stream.reader.track is not None:
            yield TrackEnded(stream.reader.track)

    def _table(self, pid: int, data: bytes, at: int, second: int) -> Iterator[Event]:
        """Take one packet of the PAT or of the PMT."""
        fourth = data[at + 3]
        start = at + 4
        if fourth & 0x20:
            start += 1 + data[start]
        if second & 0x80 or not fourth & 0x10 or fourth & 0xC0 or start > at + PACKET_SIZE:
            return
        reader = self._tables[pid]
        counter = fourth & 15
        before = self._counters.get(pid)
        if counter == before and not second & 0x40:
            return
        if before is not None and counter != (before + 1) & 15:
            reader.reset()
        self._counters[pid] = counter
        payload = data[start : at + PACKET_SIZE]
        for section in reader.read(payload, starts=second & 0x40 != 0):
            if pid == PAT_PID:
                yield from self._pat_received(section)
            else:
                yield from self._pmt_received(section)

    def _pat_received(self, section: bytes) -> Iterator[Event]:
        if section == self._pat or not is_whole(section, PAT_TABLE_ID):
            return
        self._pat = section
        try:
            programs = dict(parse_pat(section))
        except PeerError:
            return
        number = self._wanted or self._program
        if not self._wanted and number not in programs:
            number = next(iter(programs), 0)
        pid = programs.get(number, NULL_PID)
        if pid in (PAT_PID, NULL_PID) or (number, pid) == (self._program, self._pmt_pid):
            return
        self._program, self._pmt_pid, self._pmt = number, pid, b""
        self._tables = {PAT_PID: self._tables[PAT_PID], pid: SectionReader()}
        self._counters.pop(pid, None)
        # What was a stream is none where the table is now.
        gone = self._streams.pop(pid, None)
        if gone is not None:
            yield from self._end(gone)

    def _pmt_received(self, section: bytes) -> Iterator[Event]:
        if section == self._pmt or not is_whole(section, PMT_TABLE_ID):
            return
        try:
            program = parse_pmt(section)
        except PeerError:
            return
        if program.number != self._program:
            return
        self._pmt = section
        entries: dict[int, Stream] = {}
        for entry in program.streams:
            if entry.pid not in self._tables and entry.pid != NULL_PID:
                entries.setdefault(entry.pid, entry)
        before = self._streams
        kept = {pid: x for pid, x in before.items() if entries.get(pid) == x.entry}
        self._streams = kept
        for pid, stream in before.items():
            if pid not in kept:
                yield from self._end(stream)
        for pid, entry in entries.items():
            if pid not in kept and len(kept) < MAX_STREAMS:
                new = self._new_stream(entry)
                if new is not None:
                    kept[pid] = new

    def _new_stream(self, entry: Stream) -> Elementary | None:
        """Make what reads a stream; None where nothing does."""
        pictures = is_video(entry)
        used = {
            stream.reader.number
            for stream in self._streams.values()
            if is_video(stream.entry) == pictures
        }
        number = next(number for number in range(MAX_STREAMS) if number not in used)
        reader = new_reader(entry, number, recovery_points=self._recovery_points)
        if reader is None:
            name = unread_name(entry)
            if name:
                self.unread.add(name)
            return None
        return Elementary(entry, reader, MAX_PES_SIZE if pictures else MAX_SOUND_SIZE)
