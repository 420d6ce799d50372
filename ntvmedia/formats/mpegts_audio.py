"""Sound out of PES packets of MPEG-TS: cut into frames, and counted on from sample to sample.

A frame may begin in one PES packet and end in the next. A PES packet's time is that of the first
frame that begins in it (ISO/IEC 13818-1 section 2.4.3.7, "PTS").
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from ntvmedia.codecs import aac, ac3, mpegaudio, opus
from ntvmedia.errors import PeerError
from ntvmedia.formats import flv_tracks
from ntvmedia.formats.mpegts_opus import split_access_units
from ntvmedia.formats.mpegts_packets import CLOCK_RATE
from ntvmedia.formats.mpegts_video import Read
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.media.timebase import rescale

# Places in one PES packet that look like a frame's start and are none: what comes then is no
# sound, and is not worth looking at.
_MAX_WRONG: Final = 64


# Of one access unit of E-AC-3: 8 programs, each with 8 that depend on it (ETSI TS 102 366 E.1.3.1).
_MAX_SUBSTREAMS: Final = 72


class Frame(NamedTuple):
    """A frame that was found.

    Attributes:
        stop: Where it ends.
        samples: How long it is.
        header: As its codec's module reads it.
    """

    stop: int
    samples: int
    header: Any


class SoundReader:
    """What is common to sound with a sync word before each frame.

    Args:
        number: Of the track.
    """

    # What a frame begins with, its first byte, and the most bytes of a header.
    _sync: re.Pattern[bytes]
    _first: int
    _header_size: int

    def __init__(self, number: int) -> None:
        self.track: Track | None = None
        self.number = number
        self._rest = b""
        self._in_step = False
        self._told: int | None = None
        self._next: int | None = None

    def lost(self) -> None:
        self._rest = b""
        self._in_step = False
        # Counting on would be wrong by what was lost.
        self._next = self._told = None

    def read(self, data: bytes, pts: int | None, dts: int | None, events: list[Read]) -> None:
        carried = len(self._rest)
        data = self._rest + data
        self._rest = b""
        place, end, wrong = 0, len(data), 0
        while place < end:
            frame = self._find(data, place)
            if frame is None:
                looks_good = self._sync.match(data, place) is not None
                if looks_good and end - place < self._header_size:
                    break  # its header is cut off
                self._in_step = False
                wrong += looks_good
                following = self._sync.search(data, place + 1)
                if following is None or wrong > _MAX_WRONG:
                    # The sync word itself may be cut in two.
                    place = end - (data[-1] == self._first)
                    break
                place = following.start()
                continue
            if frame.stop > end:
                break
            if pts is not None and place >= carried:
                self._told, pts = pts, None
            self._take(data[place : frame.stop], frame, events)
            self._in_step = True
            place = frame.stop
        self._rest = data[place:]
        if pts is not None and carried <= place < end:
            self._told = pts  # of the frame that begins here and ends in the next PES packet
        self._ended(events)

    def _find(self, data: bytes, place: int) -> Frame | None:
        """Return the frame at `place`; None where there is none.

        Where the last one did not end here, another must follow where it ends.
        """
        try:
            frame = self._frame(data, place)
            if not self._in_step and frame.stop + self._header_size <= len(data):
                self._frame(data, frame.stop)
        except PeerError:
            return None
        return frame

    def _frame(self, data: bytes, place: int) -> Frame:
        """Read the header at `place`.

        Raises:
            PeerError: There is none.
        """
        raise NotImplementedError

    def _take(self, data: bytes, frame: Frame, events: list[Read]) -> None:
        """Announce the track if it is new, and append the frame."""
        raise NotImplementedError

    def _ended(self, events: list[Read]) -> None:
        """Append what does not wait for the next PES packet."""

    def _announce(self, track: Track, events: list[Read]) -> None:
        before = self.track
        if track == before:
            return
        self.track = track
        events.append(track)
        if before is not None and before.clock_rate != track.clock_rate and self._next is not None:
            self._next = rescale(self._next, before.clock_rate, track.clock_rate)

    def _time(self, samples: int) -> int | None:
        """Return the time of the next frame, in ticks of the track; None where nobody knows it."""
        assert self.track is not None
        told, self._told = self._told, None
        if told is not None:
            ticks = rescale(told, CLOCK_RATE, self.track.clock_rate)
            if self._next is None or 2 * abs(ticks - self._next) > samples:
                self._next = ticks
        time = self._next
        if time is not None:
            self._next = time + samples
        return time

    def _append(self, payload: bytes, samples: int, events: list[Read]) -> None:
        time = self._time(samples)
        if time is not None and payload and self.track is not None:
            events.append(Packet(self.track, time, time, True, payload))


class ADTSReader(SoundReader):
    """Reads AAC with ADTS headers (ISO/IEC 14496-3 section 1.A.3.2): one packet for each frame."""

    _sync = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
    _first = 0xFF
    _header_size = aac.ADTS_HEADER_LENGTH

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._header: aac.ADTSHeader | None = None
        self._key: tuple[int, int, int] | None = None

    def _frame(self, data: bytes, place: int) -> Frame:
        header = aac.parse_adts(data, place)
        return Frame(place + header.frame_length, 1024 * header.blocks, header)

    def _take(self, data: bytes, frame: Frame, events: list[Read]) -> None:
        header: aac.ADTSHeader = frame.header
        key = (header.object_type, header.sample_rate, header.channel_configuration)
        try:
            if key != self._key:
                config = aac.build_audio_specific_config(aac.config_from_adts(data))
                self._announce(flv_tracks.aac_track(self.number, config), events)
                self._key = key
            payloads = (
                [data[header.header_length :]] if header.blocks == 1 else aac.split_adts(data)
            )
        except PeerError:
            # No program_config_element yet, or blocks that only a decoder can tell apart.
            if self.track is not None:
                self._time(frame.samples)
            return
        for payload in payloads:
            self._append(payload, 1024, events)


class MPEGAudioReader(SoundReader):
    """Reads MPEG-1 and MPEG-2 audio, any layer, as what FFmpeg calls mp3."""

    _sync = re.compile(rb"\xff[\xe2-\xff]")
    _first = 0xFF
    _header_size = mpegaudio.HEADER_LENGTH

    def _frame(self, data: bytes, place: int) -> Frame:
        header = mpegaudio.parse_header(data, place)
        return Frame(place + header.frame_length, header.samples, header)

    def _take(self, data: bytes, frame: Frame, events: list[Read]) -> None:
        header: mpegaudio.MPEGAudioHeader = frame.header
        track = self.track
        if track is None or (track.clock_rate, track.channels) != (
            header.sample_rate,
            header.channels,
        ):
            self._announce(flv_tracks.mp3_track(self.number, header), events)
        self._append(data, frame.samples, events)


class AC3Reader(SoundReader):
    """Reads AC-3 and E-AC-3: one packet is an independent syncframe and those that depend on it."""

    _sync = re.compile(rb"\x0b\x77")
    _first = 0x0B
    # More than any header has; a whole frame may have less.
    _header_size = 64

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._unit: list[bytes] = []
        self._headers: list[ac3.AC3Frame] = []
        self._unit_told: int | None = None

    def lost(self) -> None:
        super().lost()
        self._unit = []

    def _frame(self, data: bytes, place: int) -> Frame:
        header = ac3.parse_syncframe(data, place)
        return Frame(place + header.frame_size, header.samples, header)

    def _take(self, data: bytes, frame: Frame, events: list[Read]) -> None:
        header: ac3.AC3Frame = frame.header
        starts = header.codec is Codec.AC3 or (
            header.stream_type != ac3.DEPENDENT and header.substream == 0
        )
        if starts:
            told, self._told = self._told, None
            self._emit(events)
            self._unit, self._headers, self._unit_told = [data], [header], told
        elif self._unit and len(self._unit) < _MAX_SUBSTREAMS:
            self._unit.append(data)
            self._headers.append(header)

    def _ended(self, events: list[Read]) -> None:
        if not self._rest:
            self._emit(events)

    def _emit(self, events: list[Read]) -> None:
        unit, self._unit = self._unit, []
        if not unit:
            return
        headers = self._headers
        first, track = headers[0], self.track
        # Not whenever a frame's size changes, which the configuration tells too.
        if track is None or (track.codec, track.clock_rate, track.channels) != (
            first.codec,
            first.sample_rate,
            ac3.total_channels(headers),
        ):
            self._announce(flv_tracks.ac3_track(self.number, headers), events)
        self._told = self._unit_told
        self._append(b"".join(unit), first.samples, events)


class OpusReader(SoundReader):
    """Reads Opus.

    Args:
        number: Of the track.
        config: The OpusHead that the descriptors stand for.
    """

    def __init__(self, number: int, config: bytes) -> None:
        super().__init__(number)
        head = opus.parse_opus_head(config)
        self._known = flv_tracks.opus_track(number, config, head.channels)

    def read(self, data: bytes, pts: int | None, dts: int | None, events: list[Read]) -> None:
        self._told = pts
        try:
            units = split_access_units(data)
        except PeerError:
            return
        for unit in units:
            try:
                samples = opus.packet_duration(unit)
            except PeerError:
                continue
            self._announce(self._known, events)
            self._append(unit, samples, events)
