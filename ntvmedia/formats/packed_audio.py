"""Packed audio: frames of one codec behind one another, with ID3 tags that tell the time.

RFC 8216 section 3.4: AAC with ADTS headers, MP3, AC-3 or Enhanced AC-3. ID3 is cited as "ID3 n",
which is section n of "ID3 tag version 2.4.0 - Main Structure".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.codecs import aac, ac3, mpegaudio
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.id3 import parse_tag_size, parse_timestamp
from ntvmedia.formats.mpegts_audio import AC3Reader, ADTSReader, MPEGAudioReader, SoundReader
from ntvmedia.formats.mpegts_packets import CLOCK_RATE, TIME_BITS
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.media.timebase import rescale, unwrap

MAX_JUNK: Final = 64 * 1024
"""Bytes without a frame after which it is no packed audio, as `mpegts_demuxer` has it."""

MAX_TAG_READ: Final = 64 * 1024
"""Bytes of a tag in which the time is looked for; the rest, which is a picture, is passed over."""

# Bytes that tell of every codec what a frame's header is; AC-3's are the longest.
_HEADER_SIZE: Final = 64

# Of one access unit of E-AC-3, as `AC3Reader` has it.
_MAX_UNIT_FRAMES: Final = 72

_PACKED: Final = "RFC 8216 section 3.4"

# Where a frame or a tag may begin.
_START: Final = re.compile(rb"ID3|\xff[\xe0-\xff]|\x0b\x77")

Event: TypeAlias = Track | Packet


class _Kind(Enum):
    """How frames are cut, and what reads them."""

    ADTS = ADTSReader
    MPEG = MPEGAudioReader
    AC3 = AC3Reader


class _Frame(NamedTuple):
    """A header that was read.

    Attributes:
        kind: Of what.
        stop: Where the frame ends.
        starts: Whether an access unit begins with it.
    """

    kind: _Kind
    stop: int
    starts: bool


class Demuxer:
    """Turn the bytes of packed audio into `Track` and `Packet` events.

    Call `receive_data` with bytes as they come, then take all of `events`; `end_segment` where a
    segment ends, and at the end of the input, `flush`. What comes out depends only on the bytes
    and on where segments end, never on how they were cut.

    There is one track, of number 0. Its times are those that the tags tell, without the wrap at
    33 bits, counted on from sample to sample; from 0, until one tells. Damage is passed over.

    Attributes:
        damaged: Places where frames were cut off, or something else stood.
        has_times: A tag has told a time.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.has_times = False
        self._data = b""
        self._more: list[bytes] = []
        # Bytes before `_data`, and where the last good frame or tag ended.
        self._consumed = 0
        self._good = 0
        # Bytes of a tag that are passed over.
        self._skip = 0
        # Bytes of a frame that the segment before was cut off in.
        self._carried = self._dropped = 0
        self._in_step = True
        self._found_any = False
        self._kind: _Kind | None = None
        self._may_change = True
        self._reader: SoundReader | None = None
        self._unit: list[bytes] = []
        self._told: int | None = None
        # The time of the last packet, in ticks of 90 kHz.
        self._time: int | None = None
        self._error: PeerError | None = None
        self._ended = False

    @property
    def buffered(self) -> int:
        """How many bytes wait for more."""
        return len(self._data) + sum(map(len, self._more)) + sum(map(len, self._unit))

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes from the peer. Nothing is parsed yet."""
        self._more.append(data)

    def events(self) -> Iterator[Event]:
        """Parse what is there, and yield each complete event in stream order.

        Raises:
            PeerError: There was no frame for 64 kB.
            UsageError: This raised before, or the input has ended: the demuxer is spent.
        """
        return self._events(final=False)

    def end_segment(self) -> Iterator[Event]:
        """Yield what is left of a segment: nothing that it has waits for the next one.

        But for a frame that it is cut off in: what follows is its rest, unless that begins with a
        tag or a frame.

        Raises:
            PeerError: As `events`.
            UsageError: As `events`.
        """
        yield from self._events(final=True)
        if self._data:
            self._carried = len(self._data)

    def flush(self) -> Iterator[Event]:
        """Yield what is left at the end of the input.

        Raises:
            PeerError: As `events`; or there was something, but no frame.
            UsageError: As `events`.
        """
        yield from self._events(final=True)
        self._ended = True
        self.damaged += bool(self._data)
        if not self._found_any and self._consumed + len(self._data):
            raise PeerError("no packed audio", reference=_PACKED, offset=0)

    def _events(self, *, final: bool) -> Iterator[Event]:
        if self._ended:
            raise UsageError("the demuxer failed or was flushed before; make a new one")
        data = b"".join((self._data, *self._more))
        self._more = []
        events: list[Event] = []
        try:
            place = self._parse(data, events, final=final)
            self._data = data[place:]
            self._consumed += place
        except PeerError as error:
            self._error = error
        yield from events
        if self._error is not None:
            self._ended = True
            raise self._error

    def _parse(self, data: bytes, events: list[Event], *, final: bool) -> int:
        """Read what is there, and return where what waits for more begins."""
        if self._carried and not self._carry(data, final=final):
            return 0
        place, end = self._dropped, len(data)
        self._dropped = 0
        while place < end:
            if self._skip:
                skipped = min(self._skip, end - place)
                self._skip -= skipped
                place += skipped
                self._good = self._consumed + place
                continue
            if end - place < _HEADER_SIZE and not final:
                break
            size = parse_tag_size(data, place)
            if size:
                read = min(size, MAX_TAG_READ)
                if end - place < read and not final:
                    break
                self._tag_received(data[place : place + read], events)
                self._skip = size
                continue
            frame = self._frame(data, place)
            if frame is None:
                if final and self._in_step and self._may_begin(data, place):
                    break
                place = self._resynchronise(data, place, final=final)
                continue
            verdict = self._judge(data, place, frame, final=final)
            if verdict is None:
                break
            if verdict > place:
                place = self._out_of_step(verdict)
                continue
            self._frame_received(data[place : frame.stop], frame, events)
            place = frame.stop
            self._good = self._consumed + place
        if final:
            self._unit_ends(events)
            self._skip = 0
        return place

    def _carry(self, data: bytes, *, final: bool) -> bool:
        """Decide whether a segment begins with the rest of the last one's frame.

        Returns:
            False where more bytes are needed to tell.
        """
        carried = self._carried
        if len(data) - carried < _HEADER_SIZE and not final:
            return False
        self._carried = 0
        if parse_tag_size(data, carried) or self._frame(data, carried) is not None:
            self.damaged += 1
            self._dropped = carried
        return True

    def _tag_received(self, tag: bytes, events: list[Event]) -> None:
        self._unit_ends(events)
        self._in_step = self._may_change = self._found_any = True
        told = parse_timestamp(tag)
        if told is not None:
            self.has_times = True
            self._told = told if self._time is None else unwrap(told, self._time, TIME_BITS)

    def _resynchronise(self, data: bytes, place: int, *, final: bool) -> int:
        """Return where the next frame or tag may begin."""
        following = _START.search(data, place + 1)
        # What begins a sync word or a tag may be cut in two.
        return self._out_of_step(
            following.start() if following else len(data) if final else len(data) - 2
        )

    def _out_of_step(self, place: int) -> int:
        """Go on at a place: what is before it is no frame, or cut off."""
        self.damaged += self._in_step
        self._in_step = False
        if self._consumed + place - self._good > MAX_JUNK:
            raise PeerError("no packed audio", reference=_PACKED, offset=self._good)
        return place

    @staticmethod
    def _may_begin(data: bytes, place: int) -> bool:
        """Whether all that is left may be the beginning of a frame's header."""
        return len(data) - place < _HEADER_SIZE and data[place] in (0x0B, 0xFF)

    def _frame(self, data: bytes, place: int) -> _Frame | None:
        """Read the header at a place; None where there is none of the codec."""
        try:
            if data[place : place + 1] == b"\x0b":
                header = ac3.parse_syncframe(data, place)
                dependent = header.codec is not Codec.AC3 and (
                    header.stream_type == ac3.DEPENDENT or header.substream != 0
                )
                found = _Frame(_Kind.AC3, place + header.frame_size, not dependent)
            elif data[place + 1 : place + 2] and not data[place + 1] & 0x06:
                adts = aac.parse_adts(data, place)
                found = _Frame(_Kind.ADTS, place + adts.frame_length, True)
            else:
                mpeg = mpegaudio.parse_header(data, place)
                found = _Frame(_Kind.MPEG, place + mpeg.frame_length, True)
        except PeerError:
            return None
        return found if self._may_change or found.kind is self._kind else None

    def _judge(self, data: bytes, place: int, frame: _Frame, *, final: bool) -> int | None:
        """Tell whether a frame is one, by what follows it.

        Returns:
            `place` if it is; where to go on if it is not; None where more bytes are needed.
        """
        stop, end = frame.stop, len(data)
        if end - stop < _HEADER_SIZE and not final:
            return None
        # The first of all needs another behind it.
        is_trusted = self._in_step and self._kind is not None
        if stop > end:
            return None if is_trusted else place + 1
        if stop == end or parse_tag_size(data, stop):
            return place
        following = self._frame(data, stop)
        if following is not None and following.kind is frame.kind:
            return place
        if not is_trusted:
            return place + 1
        # Cut off by a new segment? Else what follows is none, but this one is where it should be.
        tag = data.find(b"ID3", place + 1, stop)
        return tag if tag > 0 and parse_tag_size(data, tag) else place

    def _frame_received(self, data: bytes, frame: _Frame, events: list[Event]) -> None:
        self._in_step, self._may_change = True, False
        self._found_any = True
        if self._kind is not frame.kind:
            self._kind = frame.kind
            self._reader = frame.kind.value(0)
        if frame.kind is not _Kind.AC3:
            self._read(data, events)
            return
        if frame.starts:
            self._unit_ends(events)
        if len(self._unit) < _MAX_UNIT_FRAMES:
            self._unit.append(data)

    def _unit_ends(self, events: list[Event]) -> None:
        if self._unit:
            unit = b"".join(self._unit)
            self._unit = []
            self._read(unit, events)

    def _read(self, unit: bytes, events: list[Event]) -> None:
        """Make a packet of an access unit."""
        reader = self._reader
        assert reader is not None
        told, self._told = self._told, None
        if told is None and self._time is None:
            told = 0
        reader.read(unit, told, None, events)
        if not events:
            return
        last = events[-1]
        if isinstance(last, Packet):
            self._time = rescale(last.dts, last.track.clock_rate, CLOCK_RATE)
