"""Cuts the packets of a stream into segments of MPEG-TS. Knows no clock, playlist or viewer.

A segment begins with a keyframe of the reference track: the video, or where there is none the
audio. The one that ends with a keyframe is as long as the decode times say, so that the sum of
all durations never drifts from the media's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from ntvmedia.formats.mpegts_muxer import Muxer, can_carry
from ntvmedia.hub.rendition import select_tracks
from ntvmedia.media import Codec, MediaKind, Packet, Track

CLOCK_RATE: Final = 90000
"""Ticks a second of all times here."""

CODECS: Final = frozenset({Codec.H264, Codec.HEVC, Codec.AAC, Codec.MP3, Codec.AC3, Codec.EAC3})
"""What players take in segments of MPEG-TS."""

LONGEST_SEGMENT_SECONDS: Final = 20
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

# Several audio frames share the overhead of one PES packet.
AUDIO_GATHER_SECONDS: Final = 0.15

# Sound that is so far ahead of the pictures goes on without them.
PICTURELESS_TICKS: Final = 2 * CLOCK_RATE

# What headers of MPEG-TS and PES add to a packet at most, apart from 4 bytes in 188.
_PACKET_OVERHEAD: Final = 600

# The duration of a last packet of which nothing is known.
_ONE_FRAME: Final = CLOCK_RATE // 25


class Cut(NamedTuple):
    """A finished segment.

    Attributes:
        start: When it begins to be shown, in ticks of `CLOCK_RATE`, on the stream's timeline.
        duration: In the same ticks, above 0.
        body: MPEG-TS.
        follows: Nothing of the timeline is missing between the one before and this one.
        at_keyframe: It can be decoded without those before it.
    """

    start: int
    duration: int
    body: bytes
    follows: bool
    at_keyframe: bool


def carried(tracks: Sequence[Track], options: Mapping[str, str]) -> list[Track]:
    """Choose the tracks of a stream that segments have; arguments as of `select_tracks`."""
    return [x for x in select_tracks(tracks, options) if x.codec in CODECS and can_carry(x)]


class _Mark(NamedTuple):
    """A keyframe within a segment, where this could have ended.

    Attributes:
        parts: How many pieces are before it.
        size: Their bytes.
        dts: Decode time, in ticks of `CLOCK_RATE`.
        offset: From it to the time when the picture is shown.
    """

    parts: int
    size: int
    dts: int
    offset: int


class Segmenter:
    """Turns packets into segments.

    Args:
        options: Which tracks, as of `ntvmedia.hub.rendition.select_tracks`.
        done: Called with each finished segment.
        wanted_seconds: Asked for the length that segments should have.
        longest_group: Asked for the longest time between keyframes that was seen, in seconds.

    Attributes:
        target_duration: Whole seconds that no segment exceeds, rounded; 0 until the first is
            finished, and the same from then on.
        tracks: Those that are carried.
    """

    def __init__(
        self,
        options: Mapping[str, str],
        done: Callable[[Cut], None],
        wanted_seconds: Callable[[], float],
        longest_group: Callable[[], float],
    ) -> None:
        self.target_duration = 0
        self.tracks: list[Track] = []
        self._options = options
        self._done = done
        self._wanted_seconds = wanted_seconds
        self._longest_group = longest_group
        self._muxer: Muxer | None = None
        self._wanted: frozenset[int] = frozenset()
        self._reference: Track | None = None
        self._finished = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._start: int | None = None
        self._offset = 0
        self._at_keyframe = False
        self._follows = False
        self._waits = True
        self._waits_since: int | None = None
        self._group_start = 0
        self._mark: _Mark | None = None
        self._still: Packet | None = None
        self._last_sound = 0
        self._sound_alone = 0
        self._last = 0
        self._step = _ONE_FRAME
        self._longest = LONGEST_SEGMENT_SECONDS * CLOCK_RATE

    @property
    def begun_at(self) -> int | None:
        """When the segment that is being filled begins to be shown; None where there is none."""
        return None if self._start is None else self._start + self._offset

    def choose(self, tracks: Sequence[Track]) -> bool:
        """Take the tracks of the stream.

        Returns:
            Whether what is carried has changed; what there was is a finished segment then, and
            the next begins with a keyframe.
        """
        chosen = carried(tracks, self._options)
        if chosen == self.tracks:
            return False
        self.finish()
        self.tracks = chosen
        self._wanted = frozenset(track.id for track in chosen)
        self._reference = chosen[0] if chosen else None
        if not chosen:
            return True
        if self._muxer is None:
            self._muxer = Muxer(chosen, audio_gather_seconds=AUDIO_GATHER_SECONDS)
        else:
            self._muxer.tracks_changed(chosen)
        return True

    def packet(self, packet: Packet) -> None:
        """Take one packet; those of tracks that are not carried are left out."""
        track, dts, pts, is_keyframe, payload = packet
        if track.id not in self._wanted or self._muxer is None:
            return
        rate = track.clock_rate
        if rate != CLOCK_RATE:
            dts = dts * CLOCK_RATE // rate
            pts = pts * CLOCK_RATE // rate
        if self._reference is not None and track.id == self._reference.id:
            self._sound_alone = 0
            if is_keyframe:
                self._still = packet
                self._keyframe(dts, pts, is_video=track.kind is MediaKind.VIDEO)
            step = dts - self._last
            if 0 < step < CLOCK_RATE:
                self._step = step
            self._overdue(dts, len(payload))
            self._last = dts
        elif self._start is not None:
            step = dts - self._last_sound
            self._last_sound = dts
            if 0 < step < CLOCK_RATE:  # more is a hole in the stream, which pictures may share
                self._sound_alone += step
            if self._sound_alone > PICTURELESS_TICKS < dts - self._last:
                self._sound_alone = 0
                self._cut_without_pictures(self._start, dts)
        if self._start is None and not self._begin_without(dts, pts):
            return
        self._muxer.packet(packet, self._parts)
        self._size += _bytes_of(len(payload))

    def finish(self) -> None:
        """End the segment that there is, if any: nothing more comes, or it does not fit."""
        start = self._start
        if start is not None:
            self._close(max(self._last + self._step, start + 1))
        self._waits = True
        self._waits_since = None
        self._follows = False

    def forget(self) -> None:
        """Throw away what is not finished; begin with the next keyframe, of any time.

        It may be one that was seen already, when the same group of pictures is begun anew.
        """
        if self._muxer is not None:
            self._muxer = Muxer(self.tracks, audio_gather_seconds=AUDIO_GATHER_SECONDS)
        self._start = None
        self._mark = None
        self._parts = []
        self._size = 0
        self._finished = 0
        self._waits = True
        self._waits_since = None
        self._follows = False

    def still(self, start: int) -> bytes:
        """Return a segment for a gap: the last keyframe once more.

        Players that know EXT-X-GAP do not fetch it. VLC 3 does, and ends where it finds no media.
        It does not count in the counters of the others.

        Args:
            start: When it is to be shown, in ticks of `CLOCK_RATE`.
        """
        muxer = Muxer(self.tracks)
        parts = [muxer.tables()]
        packet = self._still
        if packet is not None and packet.track in self.tracks:
            time = start * packet.track.clock_rate // CLOCK_RATE
            muxer.packet(packet._replace(dts=time, pts=time), parts)
            muxer.flush(parts)
        return b"".join(parts)

    def _keyframe(self, dts: int, pts: int, *, is_video: bool) -> None:
        start = self._start
        if start is not None and dts > start and dts - start > self._longest:
            self._cut_at_mark(dts)
            start = self._start
        if start is None:
            self._begin(dts, pts, at_keyframe=True)
        elif dts > start and self._is_long_enough(dts - start, dts - self._group_start, is_video):
            if dts - start <= self._longest:
                self._close(dts)
                self._begin(dts, pts, at_keyframe=True)
            else:  # time has passed without media
                self.finish()
                self._begin(dts, pts, at_keyframe=True)
        elif is_video:
            self._remember(dts, pts)
        self._group_start = dts

    def _is_long_enough(self, length: int, group: int, is_video: bool) -> bool:
        wanted = round(self._wanted_seconds() * CLOCK_RATE)
        if self._finished < QUICK_SEGMENTS:
            wanted = min(wanted, QUICK_TICKS)
        if not is_video:
            return length >= wanted
        # With another group of this length it would be too long.
        return length >= wanted or length + group > self._longest

    def _overdue(self, dts: int, size: int) -> None:
        """End a segment that would grow too long with what comes, though there is no keyframe.

        It ends at the last keyframe that it has, if there is one: the group that began there has
        turned out longer than those before.
        """
        while (start := self._start) is not None and dts > start:
            is_large = self._size + _bytes_of(size) > MAX_SEGMENT_BYTES
            if dts - start + self._step <= self._longest and not is_large:
                return
            if self._cut_at_mark(dts):
                continue
            if dts - start <= self._longest:
                self._close(dts)
                self._waits = False
            else:
                self.finish()

    def _remember(self, dts: int, pts: int) -> None:
        """Note a keyframe, and put tables before it: a segment may have to begin there."""
        assert self._muxer is not None
        self._muxer.flush(self._parts)
        self._mark = _Mark(len(self._parts), self._size, dts, pts - dts)
        self._parts.append(self._muxer.tables())

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
        rest, size, last = self._parts[mark.parts :], self._size - mark.size, self._last
        del self._parts[mark.parts :]
        self._close(mark.dts, flush=False)
        self._begin(mark.dts, mark.dts + mark.offset, at_keyframe=True, parts=rest)
        self._size, self._last = size, last
        return True

    def _cut_without_pictures(self, start: int, dts: int) -> None:
        """End a segment since the pictures have stopped; what comes begins the next."""
        end = min(dts, start + self._longest)
        self._close(end)
        self._follows = end == dts
        self._waits = False

    def _begin_without(self, dts: int, pts: int) -> bool:
        """Begin without a keyframe, after a cut that had none, or after waiting in vain."""
        if self._waits:
            if self._waits_since is None:
                self._waits_since = dts
            if dts - self._waits_since < LONGEST_WAIT_TICKS:
                return False
        self._begin(dts, dts + self._offset, at_keyframe=False)
        return True

    def _begin(
        self, dts: int, pts: int, *, at_keyframe: bool, parts: list[bytes] | None = None
    ) -> None:
        assert self._muxer is not None
        self._start = dts
        self._offset = pts - dts
        self._at_keyframe = at_keyframe
        self._waits = False
        self._waits_since = None
        self._last = dts
        self._mark = None
        self._parts = [self._muxer.tables()] if parts is None else parts
        self._size = 0

    def _close(self, end: int, *, flush: bool = True) -> None:
        start = self._start
        assert start is not None
        assert self._muxer is not None
        if flush:
            self._muxer.flush(self._parts)
        duration = end - start
        if not self.target_duration:
            self._fix_target(duration)
        cut = Cut(
            start + self._offset, duration, b"".join(self._parts), self._follows, self._at_keyframe
        )
        self._start = None
        self._mark = None
        self._parts = []
        self._size = 0
        self._follows = True
        self._finished += 1
        self._done(cut)

    def _fix_target(self, duration: int) -> None:
        """Promise a longest duration: it may never change (RFC 8216bis section 4.4.3.1)."""
        longest = max(self._wanted_seconds(), self._longest_group(), duration / CLOCK_RATE)
        self.target_duration = max(1, min(LONGEST_SEGMENT_SECONDS, int(longest + 0.5)))
        self._longest = self.target_duration * CLOCK_RATE + ROUNDING


def _bytes_of(payload: int) -> int:
    """Return at least how many bytes a payload takes in MPEG-TS."""
    return payload + payload // 46 + _PACKET_OVERHEAD
