"""One track of an ordinary MP4 file: its packets on a timeline, its configurations, its tables.

ISO/IEC 14496-12, cited as "ISOBMFF n".
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Final

from ntvmedia.codecs import h264, hevc
from ntvmedia.codecs.nal import join_length_prefixed
from ntvmedia.formats.fmp4_boxes import SampleEntry, TrackHeader
from ntvmedia.formats.fmp4_descriptions import MAX_ENTRIES
from ntvmedia.formats.fmp4_frames import measurer
from ntvmedia.formats.fmp4_language import language
from ntvmedia.formats.mp4_tables import SampleTable, Times, edit_list
from ntvmedia.formats.mp4_timeline import LONGEST_STEP, Timeline
from ntvmedia.media.packets import Codec, Track

CHUNK_SECONDS: Final = 0.5
"""Of one track that stand together: players read sound and pictures by turns."""

# From decoding to presentation, in seconds, either way: a decoder holds back 16 pictures at most,
# and they are longer in all only in a slide show.
_LONGEST_OFFSET: Final = 60

# Types of the NAL unit that is the first of its picture (ISO/IEC 14496-10 table 7-1, ISO/IEC
# 23008-2 table 7-1).
_DELIMITERS: Final = {Codec.H264: 9, Codec.HEVC: 35}

# Delay and duration together have 64 bits and a sign: nobody's do, but they may be told so.
_LONGEST: Final = 1 << 62


class FileTrack(Timeline):
    """A track of the file, whose first packet is 0 on its timeline.

    Args:
        track: The first configuration.
        track_id: In the file.
        entry: Its description.
        origin: Decode time of the first packet, in ticks.

    Attributes:
        table: Of the samples that are given out.
        origin: What is 0 on the timeline, in ticks of `clock_rate`.
        is_doubtful: The last packet moved the origin.
        other_rate: Of the packets' clock, if it is not `clock_rate`; else 0.
        sets: Parameter sets that keyframes must have, each after its length; mostly none.
        due: When the next chunk begins.
        gathered: Bytes of the samples that no chunk has yet.
        times: Of the table, after `close`.
        begins: When the first sample is presented, in seconds of the packets' times; likewise.
        ends: When the last one ends; likewise.
    """

    __slots__ = (
        "_chunk_ticks",
        "_entries",
        "_first_dts",
        "_gathered_as",
        "_number",
        "_origin_before",
        "_tracks",
        "begins",
        "due",
        "ends",
        "gathered",
        "is_doubtful",
        "origin",
        "other_rate",
        "sets",
        "table",
        "times",
    )

    def __init__(self, track: Track, track_id: int, entry: SampleEntry, origin: int) -> None:
        super().__init__(track, track_id, entry)
        rate = track.clock_rate
        self.table = SampleTable(is_video=self.is_video, longest_offset=_LONGEST_OFFSET * rate)
        self.origin = self._first_dts = self._origin_before = origin
        self.is_doubtful = False
        self.other_rate = 0
        self.sets = b""
        self._chunk_ticks = self.due = ceil(CHUNK_SECONDS * rate)
        self.gathered = 0
        # All configurations; the numbers, from 1, of the present one and of what is gathered.
        self._tracks = [track]
        self._entries = [entry]
        self._number = self._gathered_as = 1
        self.times = Times(0, 0, 0, 0)
        self.begins = self.ends = Fraction()

    def describe(self, payload: bytes) -> None:
        super().describe(payload)
        self._entries[self._number - 1] = self.entry

    @property
    def is_full(self) -> bool:
        """Whether it has as many configurations as readers take, ours among them."""
        # `header` may add one.
        return len(self._entries) >= MAX_ENTRIES - 1

    def recall(self, track: Track) -> bool:
        """Go on with a configuration that was there before; False if there was none like it."""
        for number, known in enumerate(self._tracks, 1):
            if (known.clock_rate, known.config) == (track.clock_rate, track.config):
                self._switch(track, number)
                return True
        return False

    def reconfigure(self, track: Track, entry: SampleEntry) -> None:
        """Go on with another configuration (ISOBMFF 8.5.2); it must not be full."""
        self._tracks.append(track)
        self._entries.append(entry)
        self._switch(track, len(self._entries))

    def _switch(self, track: Track, number: int) -> None:
        self.track = self._other_track = track
        self._number = number
        self.entry = self._entries[number - 1]
        self.wants_frame = not self.entry.is_complete
        # Keyframes have parameter sets from now on, although ISO/IEC 14496-15 5.3.1 wants them in
        # the sample entry alone: Chromium looks at the first entry and at no other, and stops.
        self.trim = None
        self.sets = _parameter_sets(track)
        is_same_clock = track.clock_rate == self.clock_rate
        self.other_rate = 0 if is_same_clock else track.clock_rate
        # Frames of another clock are no whole number of ticks, so counting them would drift.
        self.measure = measurer(track) if is_same_clock else None
        # A chunk has one description (ISOBMFF 8.7.4).
        self.due = 0

    def with_sets(self, payload: bytes) -> bytes:
        """Put the parameter sets into a keyframe: behind its delimiter, if it has one."""
        if len(payload) < 5 or self.sets in payload:
            return payload
        place = 0
        kind = payload[4] & 0x1F if self.track.codec is Codec.H264 else payload[4] >> 1 & 0x3F
        if kind == _DELIMITERS[self.track.codec]:
            place = 4 + int.from_bytes(payload[:4], "big")
        return payload[:place] + self.sets + payload[place:]

    def resume(self, dts: int) -> int:
        """Return where a packet begins that cannot be where it says, and move the origin so.

        Args:
            dts: For which `time` said `NOT_KNOWN`.
        """
        step = LONGEST_STEP if dts - self.origin > self.last else self.usual_length()
        time = self.last + step
        self._origin_before = self.origin
        self.origin = dts - time
        self.is_doubtful = True
        return time

    def settle(self, dts: int) -> None:
        """See from the packet that follows whether it was right to move the origin."""
        if abs(dts - self._origin_before - self.last) < abs(dts - self.origin - self.last):
            self.origin = self._origin_before
        self.is_doubtful = False

    def chunk(self, end: int, place: int) -> bytes:
        """Give out the data of all samples, and note them in the table.

        Args:
            end: Where the last one ends, as `end` has it.
            place: Where the data begin, in bytes from the first one of the file's data.
        """
        self.end(end)
        run = self.run()
        self.table.add_chunk(run, place, self._gathered_as)
        self._gathered_as = self._number
        self.gathered = 0
        self.due = self.last + self._chunk_ticks
        return b"".join(run.payloads)

    def close(self) -> None:
        """Sum up the times; all samples are in the table."""
        self.times = times = self.table.times()
        self.begins = Fraction(self._first_dts + times.start, self.clock_rate)
        self.ends = Fraction(self._first_dts + times.end, self.clock_rate)

    def header(
        self, start: Fraction, timescale: int, *, is_enabled: bool, alternate_group: int
    ) -> TrackHeader:
        """Describe it for `moov`, but for the offsets of the chunks.

        Args:
            start: When the movie begins, in seconds of the packets' times.
            timescale: Ticks a second of the movie.
            is_enabled: As `TrackHeader` has it.
            alternate_group: Likewise.
        """
        times = self.times
        delay = min(round((self.begins - start) * timescale), _LONGEST)
        # Up to the next tick: less would cut off the last sample.
        duration = min(ceil((self.ends - self.begins) * timescale), _LONGEST)
        code, tag = language(self._tracks[0].language)
        first, *others = self._entries
        more_entries = [entry.box for entry in others]
        if len({(entry.width, entry.height) for entry in self._entries}) > 1:
            # FFmpeg, and Chromium with it, takes the shape of pixels from the size of the track
            # and that of the last sample entry, for all of them. So what most pictures have is
            # both, if need be once more, where no sample refers to it.
            main = self._entries[self.table.most_used() - 1]
            first = first._replace(width=main.width, height=main.height)
            if main is not self._entries[-1]:
                more_entries.append(main.box)
        return TrackHeader(
            self.track_id,
            self.track.kind,
            self.clock_rate,
            first,
            code,
            tag,
            is_enabled=is_enabled,
            alternate_group=alternate_group,
            more_entries=more_entries,
            tables=self.table.boxes(times.shift),
            media_duration=times.duration,
            edits=edit_list(delay, duration, times.start + times.shift),
            duration=delay + duration,
        )


def _parameter_sets(track: Track) -> bytes:
    """Return those of a configuration, each after its length; none for codecs without."""
    if track.codec is Codec.H264:
        avc = h264.parse_configuration(track.config)
        return join_length_prefixed([*avc.sps, *avc.pps])
    if track.codec is Codec.HEVC:
        record = hevc.parse_configuration(track.config)
        return join_length_prefixed([*record.vps, *record.sps, *record.pps])
    return b""
