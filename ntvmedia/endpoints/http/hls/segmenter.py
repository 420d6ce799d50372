"""Cuts the packets of a stream into segments and parts. Knows no clock, playlist or viewer.

A segment begins with a keyframe of the reference track: the video, or where there is none the
audio. The one that ends with a keyframe is as long as the decode times say, so that the sum of
all durations never drifts from the media's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from ntvmedia.codecs.description import describe
from ntvmedia.endpoints.http.hls.alignment import CLOCK_RATE, MOST_TARGET, SAME_TICKS, Alignment
from ntvmedia.endpoints.http.hls.cuts import Cut, PartCut, Receiver, Wishes
from ntvmedia.endpoints.http.hls.packaging import Packager, carried, make_packager, ticks_of
from ntvmedia.endpoints.http.hls.renditions import LOW_LATENCY
from ntvmedia.hub.rendition import select_tracks
from ntvmedia.media import MediaKind, Packet, Track

LONGEST_SEGMENT_SECONDS: Final = MOST_TARGET
"""A stream without keyframes is cut all the same: players give up on longer waits."""

MAX_SEGMENT_BYTES: Final = 50_000_000
"""As MediaMTX has it: 20 seconds of 20 Mb/s."""

# What EXTINF may be above a whole number of seconds and still round to it (RFC 8216bis 4.4.3.1).
ROUNDING: Final = round(0.49 * CLOCK_RATE)

# So that the first playlist comes soon, its segments end with the first keyframe after this time.
QUICK_SEGMENTS: Final = 3
QUICK_TICKS: Final = CLOCK_RATE

# Without a keyframe for so long, what comes is begun with.
LONGEST_WAIT_TICKS: Final = LONGEST_SEGMENT_SECONDS * CLOCK_RATE

# Sound that is so far ahead of the pictures goes on without them.
PICTURELESS_TICKS: Final = 2 * CLOCK_RATE

# Sound that follows pictures is this much longer than promised at most: it can be cut anywhere.
FOLLOWING_TICKS: Final = CLOCK_RATE // 4

# Sound that is missing for so long is a gap of its own.
HOLE_TICKS: Final = CLOCK_RATE // 4

# Publishers tell times in milliseconds: a part may be this much longer than its pictures say.
PART_SLACK_TICKS: Final = CLOCK_RATE * 3 // 1000

# A part may be shorter than promised by this share of it (RFC 8216bis section 4.4.4.9).
LEAST_OF_PART: Final = 0.15

# The duration of a last packet of which nothing is known.
_ONE_FRAME: Final = CLOCK_RATE // 25

# From so many steps between pictures their duration is told.
_LEAST_STEPS: Final = 3


class _Mark(NamedTuple):
    """A keyframe within a segment, where this could have ended.

    Attributes:
        dts: Decode time, in ticks of `CLOCK_RATE`.
        offset: From it to the time when the picture is shown.
    """

    dts: int
    offset: int


class Segmenter:
    """Turns packets into segments.

    Args:
        format_name: "ts", "fmp4" or "ll".
        options: Which tracks, as of `ntvmedia.hub.rendition.select_tracks`.
        alignment: Shared with those that are to be cut at the same times.
        receiver: Given each finished segment.
        wishes: Of the owner.

    Attributes:
        tracks: Those that are carried.
        packager: What is in the segments.
    """

    def __init__(
        self,
        format_name: str,
        options: Mapping[str, str],
        alignment: Alignment,
        receiver: Receiver,
        wishes: Wishes,
    ) -> None:
        self.tracks: list[Track] = []
        self.packager: Packager = make_packager(format_name)
        self._has_parts = format_name == LOW_LATENCY
        self._format_name = format_name
        self._options = options
        self._alignment = alignment
        self._receiver = receiver
        self._wishes = wishes
        self._wanted: frozenset[int] = frozenset()
        self._reference: Track | None = None
        self._leads = False
        self._finished = 0
        self._start: int | None = None
        self._offset = 0
        self._at_keyframe = False
        self._is_empty = False
        self._error: Exception | None = None
        self._follows = False
        self._waits = True
        self._waits_since: int | None = None
        self._group_start = 0
        self._mark: _Mark | None = None
        self._part_start: int | None = None
        self._part_at_keyframe = False
        self._part_was_known = False
        self._still: Packet | None = None
        self._last_sound = 0
        self._sound_alone = 0
        self._last = 0
        self._step = _ONE_FRAME
        self._steps: list[int] = []

    @property
    def target_duration(self) -> int:
        """As of `Alignment`."""
        return self._alignment.target_duration

    @property
    def part_target(self) -> int:
        """As of `Alignment`; 0 where there are no parts."""
        return self._alignment.part_target if self._has_parts else 0

    @property
    def begun_at(self) -> int | None:
        """When the segment that is being filled begins to be shown; None while there is nothing."""
        return None if self._start is None or self._is_empty else self._start + self._offset

    @property
    def _longest(self) -> int:
        target = self._alignment.target_duration
        return target * CLOCK_RATE + ROUNDING if target else LONGEST_SEGMENT_SECONDS * CLOCK_RATE

    def choose(self, tracks: Sequence[Track]) -> bool:
        """Take the tracks of the stream.

        Returns:
            Whether what is carried has changed; what there was is a finished segment then, and
            the next begins with a keyframe.
        """
        chosen = carried(select_tracks(tracks, self._options), self._format_name)
        if chosen == self.tracks:
            return False
        self.finish()
        self.tracks = chosen
        self._wanted = frozenset(track.id for track in chosen)
        self._reference = chosen[0] if chosen else None
        self._lead(any(x.kind is MediaKind.VIDEO for x in chosen))
        self._steps = []
        if chosen:
            rate = describe(chosen[0]).frame_rate
            self._step = round(CLOCK_RATE / rate) if rate else _ONE_FRAME
            self.packager.choose(chosen)
            self._alignment.followers[self] = None
        return True

    def rest(self) -> None:
        """Throw away what there is, and take no part in cutting, until tracks are chosen."""
        self.forget()
        self._lead(False)
        self._alignment.followers.pop(self, None)
        self.tracks = []
        self._wanted = frozenset()
        self._reference = None

    def measure(self, packets: Sequence[Packet]) -> None:
        """Learn how long pictures are from packets that will be given next."""
        reference = self._reference
        if reference is None or not self._has_parts or self.part_target:
            return
        times = [
            ticks_of(x.dts, reference.clock_rate) for x in packets if x.track.id == reference.id
        ]
        self._fix_part_target(y - x for x, y in pairwise(times))

    def packet(self, packet: Packet) -> None:
        """Take one packet; those of tracks that are not carried are left out."""
        track, dts, pts, is_keyframe, payload = packet
        if track.id not in self._wanted:
            return
        if self._error is not None:
            raise self._error
        dts, pts = ticks_of(dts, track.clock_rate), ticks_of(pts, track.clock_rate)
        if self._reference is not None and track.id == self._reference.id:
            self._sound_alone = 0
            if self._is_empty and self._start is not None and dts - self._start > HOLE_TICKS:
                # It is missing since the cut: what comes is told at its time, after a gap.
                self.packager.skip()
                self._start_at(dts, pts - dts, at_keyframe=is_keyframe)
                self._last = dts
            if is_keyframe:
                self._still = packet
                self._keyframe(packet, dts, pts)
            step = dts - self._last
            if 0 < step < CLOCK_RATE:
                self._step = step
            self._overdue(packet, dts, len(payload))
            if self._has_parts:
                self._part_due(packet, dts, step)
            self._last = dts
        elif self._start is not None:
            step = dts - self._last_sound
            self._last_sound = dts
            if 0 < step < CLOCK_RATE:  # more is a hole in the stream, which pictures may share
                self._sound_alone += step
            elif dts - self._start > self._longest:
                self.finish()  # what comes after it is not of this segment
                return
            if self._sound_alone > PICTURELESS_TICKS < dts - self._last:
                self._sound_alone = 0
                self._cut_without_pictures(packet, self._start, dts)
        if self._start is None and not self._begin_without(dts, pts):
            return
        self._is_empty = False
        self.packager.packet(packet)

    def cut(self) -> None:
        """End the segment that there is, though there is no keyframe; what comes begins the next.

        The next begins where this one ends.
        """
        start = self._start
        if start is not None and not self._is_empty:
            end = max(min(self._last + self._step, start + self._longest), start + 1)
            offset = self._offset
            self._close(end, None)
            self.packager.begin()
            self._start_at(end, offset, at_keyframe=not self._leads)
            self._is_empty = True

    def finish(self) -> None:
        """End the segment that there is, if any: nothing more comes, or it does not fit."""
        start = self._start
        if start is not None and self._is_empty:
            self._start = None
        elif start is not None:
            end = min(self._last + self._step, start + self._longest)
            self._close(max(end, start + 1), None)
        self._waits = True
        self._waits_since = None
        self._follows = False

    def forget(self) -> None:
        """Throw away what is not finished; begin with the next keyframe, of any time.

        It may be one that was seen already, when the same group of pictures is begun anew.
        """
        self.packager.forget()
        self._error = None
        self._start = None
        self._mark = None
        self._finished = 0
        self._waits = True
        self._waits_since = None
        self._follows = False

    def still(self, start: int) -> bytes:
        """Return a segment for a gap: the last keyframe once more.

        Players that know EXT-X-GAP do not fetch it. VLC 3 does, and ends where it finds no media.

        Args:
            start: When it is to be shown, in ticks of `CLOCK_RATE`.
        """
        packet = self._still
        if packet is None or packet.track not in self.tracks:
            return self.packager.still(None)
        time = start * packet.track.clock_rate // CLOCK_RATE
        return self.packager.still(packet._replace(dts=time, pts=time))

    def _lead(self, leads: bool) -> None:
        self._alignment.pictures += leads - self._leads
        if self._has_parts:
            self._alignment.parted_pictures += leads - self._leads
        self._leads = leads

    # Segments

    def _keyframe(self, packet: Packet, dts: int, pts: int) -> None:
        start = self._start
        if start is not None and dts > start and dts - start > self._longest:
            self._cut_at_mark(dts)
            start = self._start
        if start is None:
            self._begin(dts, pts, at_keyframe=True)
        elif dts > start and self._is_long_enough(dts, pts):
            if dts - start <= self._longest:
                self._close(dts, packet)
            else:  # time has passed without media
                self.finish()
            self._begin(dts, pts, at_keyframe=True)
        elif packet.track.kind is MediaKind.VIDEO:
            # Should the next one come too late, the segment has to end here.
            self.packager.mark()
            self._mark = _Mark(dts, pts - dts)
        self._group_start = dts

    def _is_long_enough(self, dts: int, pts: int) -> bool:
        start = self._start
        assert start is not None
        length = dts - start
        wanted = round(self._wishes.segment_seconds() * CLOCK_RATE)
        if self._finished < QUICK_SEGMENTS:
            wanted = min(wanted, QUICK_TICKS)
        if self._leads:
            # With another group of this length it would be too long.
            group = dts - self._group_start
            if self._has_parts:  # what is out cannot be parted, should the next group be longer
                group = max(group, round(self._wishes.longest_group() * CLOCK_RATE))
            enough = length >= wanted or length + group > self._longest
            if enough and not self.target_duration:
                self._fix_target(length)  # before sound that follows does
        elif self._alignment.pictures:
            # Pictures that do not come must not hold the sound up.
            most = (self.target_duration or LONGEST_SEGMENT_SECONDS) * CLOCK_RATE
            return length >= most + FOLLOWING_TICKS
        else:
            enough = length >= wanted
        return self._alignment.cuts_at(start + self._offset, pts, wanted=enough)

    def follow(self, time: int) -> None:
        """End a segment of sound where one of pictures ends; see `Alignment`.

        What comes of the sound belongs to the next, also when it is of the time before: where the
        whole stream pauses, it is as long as the pictures.
        """
        try:
            self._follow(time)
        except Exception as error:
            # It is not the business of who is cut: it is raised with this one's next packet.
            self._error = error

    def _follow(self, time: int) -> None:
        start = self._start
        if start is None or self._leads or not self._alignment.pictures:
            return
        if time <= start + self._offset + SAME_TICKS:
            return
        if not self._is_empty:
            end = max(self._last + self._step, start + 1)
            self._finished_with(self.packager.split(), end)
            self.packager.begin()
            self._start_at(end, 0, at_keyframe=True)
            self._is_empty = True

    def _overdue(self, packet: Packet, dts: int, size: int) -> None:
        """End a segment that would grow too long with what comes, though there is no keyframe.

        It ends at the last keyframe that it has, if there is one: the group that began there has
        turned out longer than those before.
        """
        while (start := self._start) is not None and dts > start:
            # A packet takes a fiftieth more than its payload, and some more.
            is_large = self.packager.size + size + size // 46 > MAX_SEGMENT_BYTES
            if dts - start + self._step <= self._longest and not is_large:
                return
            if self._cut_at_mark(dts):
                continue
            if dts - self._last < CLOCK_RATE:
                # Where pictures are missing the last one is shown for as long as there is room.
                end = min(dts, start + self._longest)
                self._close(end, packet)
                self._waits = False
                self._follows = end == dts
            else:  # time has passed without media
                self.finish()

    def _cut_at_mark(self, dts: int) -> bool:
        """End the segment at its last keyframe, and begin the next there.

        Args:
            dts: Of what comes.

        Returns:
            Whether there was one.
        """
        mark, start = self._mark, self._start
        if mark is None or start is None or not start < mark.dts < dts:
            return False
        last = self._last
        self._finished_with(self.packager.cut_at_mark(), mark.dts)
        self._start_at(mark.dts, mark.offset, at_keyframe=True)
        self._last = last
        return True

    def _cut_without_pictures(self, packet: Packet, start: int, dts: int) -> None:
        """End a segment since the pictures have stopped; what comes begins the next."""
        end = min(dts, start + self._longest)
        self._close(end, packet)
        self._follows = end == dts
        self._waits = False

    def _begin_without(self, dts: int, pts: int) -> bool:
        """Begin without a keyframe, after a cut that had none, or after waiting in vain."""
        if self._waits:
            if self._waits_since is None:
                self._waits_since = dts
            if dts - self._waits_since < LONGEST_WAIT_TICKS:
                return False
        self._begin(dts, dts + self._offset, at_keyframe=not self._leads)
        return True

    def _begin(self, dts: int, pts: int, *, at_keyframe: bool) -> None:
        self.packager.begin()
        self._receiver.segment_begun(pts, follows=self._follows)
        self._start_at(dts, pts - dts, at_keyframe=at_keyframe)
        self._waits = False
        self._waits_since = None
        self._last = dts

    def _start_at(self, dts: int, offset: int, *, at_keyframe: bool) -> None:
        self._is_empty = False
        self._start = self._part_start = dts
        self._part_was_known = bool(self.part_target)
        self._offset = offset
        self._at_keyframe = self._part_at_keyframe = at_keyframe
        self._mark = None

    def _close(self, end: int, following: Packet | None) -> None:
        self._finished_with(self.packager.finish(following), end)

    def _finished_with(self, body: bytes, end: int) -> None:
        start = self._start
        assert start is not None
        duration = end - start
        if not self._alignment.target_duration:
            self._fix_target(duration)
        last_part = None
        if self.part_target and self._part_start is not None:
            last_part = self._part(self.packager.last_part(), end)
        cut = Cut(start + self._offset, duration, body, self._follows, self._at_keyframe, last_part)
        self._start = None
        self._mark = None
        self._follows = True
        self._finished += 1
        self._receiver.segment_finished(cut)

    def _fix_target(self, duration: int) -> None:
        """Promise a longest duration: it may never change (RFC 8216bis section 4.4.3.1)."""
        wishes = self._wishes
        longest = max(wishes.segment_seconds(), wishes.longest_group(), duration / CLOCK_RATE)
        self._alignment.target_duration = max(1, min(LONGEST_SEGMENT_SECONDS, int(longest + 0.5)))

    # Parts

    def _part_due(self, packet: Packet, dts: int, step: int) -> None:
        """End a part that would grow too long with what comes."""
        start = self._part_start
        if self._start is None or start is None or dts <= start:
            return
        if not self.part_target and not self._fix_part_target((step,)):
            return
        if dts + self._step - start <= self.part_target:
            return
        if not self._part_was_known and dts - start > self.part_target:
            self._part_start = None  # too late: this segment has no parts
            return
        self._receiver.part_finished(self._part(self.packager.part(packet), dts))
        self._part_start = dts
        self._part_was_known = True
        self._part_at_keyframe = packet.is_keyframe
        self._mark = None  # what is out cannot be parted any more

    def _fix_part_target(self, steps: Iterable[int]) -> bool:
        """Promise a longest duration of parts, which may never change (section 4.4.3.7).

        It is a whole number of pictures, so that all parts are about as long, unless these are so
        short that they are so anyway; and the same in all lists that belong together (section
        6.2.4), where sound waits for what the pictures say.
        """
        if self._alignment.parted_pictures and not self._leads:
            return False
        self._steps += [x for x in steps if 0 < x < CLOCK_RATE]
        if len(self._steps) < _LEAST_STEPS:
            return False
        middle = sorted(self._steps)[len(self._steps) // 2]
        # Times in milliseconds make steps of 33 and 34 of those between 30 pictures a second.
        usual = [x for x in self._steps if abs(x - middle) <= PART_SLACK_TICKS]
        picture = sum(usual) / len(usual)
        wanted = self._wishes.part_seconds() * CLOCK_RATE
        if picture > LEAST_OF_PART * wanted:
            wanted = max(1, round(wanted / picture)) * picture
        # Whole milliseconds, as the list says it.
        self._alignment.part_target = -(-round(wanted) // 90) * 90 + PART_SLACK_TICKS
        return True

    def _part(self, body: bytes, end: int) -> PartCut:
        start, part_start = self._start, self._part_start
        assert start is not None
        assert part_start is not None
        duration = end - part_start
        return PartCut(start + self._offset, duration, body, self._follows, self._part_at_keyframe)
