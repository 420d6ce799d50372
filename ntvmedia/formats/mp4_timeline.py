"""The timeline of a track's samples: where each one begins, and how long it is.

ISO/IEC 14496-12 section 8.6.1.1: in each track a sample begins where the one before it ends, so
that a table of durations tells all times. The last sample is held back until the next one tells
how long it is.

Sound is counted in samples, as publishers' times are rounded; where half a frame or more is
missing, the sample before the hole is longer. Times that fall, or stand still, are put right.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.formats.fmp4_boxes import NOT_SYNC, SYNC, SampleEntry
from ntvmedia.formats.fmp4_entries import sample_entry
from ntvmedia.formats.fmp4_fragment import Run
from ntvmedia.formats.fmp4_frames import measurer, trimmer
from ntvmedia.media.packets import MediaKind, Track

NOT_KNOWN: Final = -1
"""No time: every one here is 0 or more."""

LONGEST_STEP: Final = 0x7FFFFFFF
"""Ticks that a sample may last: half of what 32 bits hold, as some readers take the other half
for negative. Of pictures 6 hours."""

# Composition offsets have 32 bits and a sign.
_LARGEST_OFFSET: Final = 0x7FFFFFFF
_MASK: Final = 0xFFFFFFFF

# `tfdt` has 64 bits: no stream gets there, but a broken publisher may say so.
_LATEST_TIME: Final = 1 << 62

# The last sample of a timeline is no longer than this, in seconds, however long the one before.
_LONGEST_LAST: Final = 1

# How long a frame is that stands alone, and whose codec does not tell: as at 25 a second.
_USUAL_FRAME_RATE: Final = 25

_VIDEO: Final = MediaKind.VIDEO


class Timeline:
    """A track, and its samples that are not written yet.

    For each packet: `time`, then `take`, and between them the end of the sample that is held, by
    `durations` or `end`. The samples that are done with are given out by `run`.

    Attributes:
        track: What it carries.
        track_id: In the file.
        clock_rate: Ticks a second of all times here.
        entry: How it is described.
        wants_frame: A frame would describe it better.
        is_video: It is pictures.
        trim: Takes from its payloads what a sample has not; None where they are samples.
        measure: Tells how long its packets are; None for pictures.
        is_held: The last sample has no duration yet.
        last: Decode time of the last sample, or where it ends if it is not held; `NOT_KNOWN` at
            the start of a timeline.
        durations: Of the samples: one less than there are samples while one is held.
    """

    __slots__ = (
        "_counted",
        "_flags",
        "_offsets",
        "_other_track",
        "_payloads",
        "_recent",
        "_samples",
        "_sizes",
        "_start",
        "_step",
        "clock_rate",
        "durations",
        "entry",
        "is_held",
        "is_video",
        "last",
        "measure",
        "track",
        "track_id",
        "trim",
        "wants_frame",
    )

    def __init__(self, track: Track, track_id: int, entry: SampleEntry) -> None:
        self.track = self._other_track = track
        self.track_id = track_id
        self.clock_rate = track.clock_rate
        self.entry = entry
        self.wants_frame = not entry.is_complete
        self.is_video = track.kind is _VIDEO
        self.trim = trimmer(track)
        self.measure = measurer(track)
        self._step = max(round(track.clock_rate / (entry.frame_rate or _USUAL_FRAME_RATE)), 1)
        self._recent: list[int] = []
        self.durations: list[int] = []
        self._sizes: list[int] = []
        self._flags: list[int] = []
        self._offsets: list[int] = []
        self._payloads: list[bytes] = []
        self.restart()

    def restart(self) -> None:
        """Begin another timeline; all samples are written."""
        self.is_held = False
        self.last = self._counted = NOT_KNOWN
        self._start = self._samples = 0

    def knows(self, track: Track) -> bool:
        """Whether packets of `track` are for the same decoder."""
        mine = self.track
        if track is mine or track is self._other_track:
            return True
        if (track.codec, track.clock_rate, track.config) != (
            mine.codec,
            mine.clock_rate,
            mine.config,
        ):
            return False
        self._other_track = track
        return True

    def describe(self, payload: bytes) -> None:
        """Learn what a frame tells."""
        entry = sample_entry(self.track, payload)
        if entry is not None and entry.is_complete:
            self.entry = entry
            self.wants_frame = False

    def time(self, told: int, samples: int) -> int:
        """Return where the next sample begins; `NOT_KNOWN` where it is on another timeline.

        Nothing changes, so that it is the same for a packet that follows and then comes.

        Args:
            told: Decode time of the packet.
            samples: How long it is; 0 where that is not known.
        """
        if not 0 <= told <= _LATEST_TIME:
            told = min(max(told, 0), _LATEST_TIME)
        last = self.last
        if last < 0:
            return told
        # As `mpegts_clock.SampleClock` has it.
        counted = self._counted
        if counted >= 0 and 2 * abs(told - counted) <= samples:
            told = counted
        step = told - last
        if step > LONGEST_STEP or step < -self.clock_rate - 1:
            return NOT_KNOWN
        if not self.is_held:
            return last
        return told if step > 0 else last + 1

    def take(self, time: int, samples: int, pts: int, is_keyframe: bool, payload: bytes) -> None:
        """Hold a sample; the one before it has its duration.

        Args:
            time: As `time` says.
        """
        if self.last < 0:
            self._start = time
        self.is_held = True
        self.last = time
        self._samples = samples
        if self.is_video:
            offset = pts - time
            if not -_LARGEST_OFFSET <= offset <= _LARGEST_OFFSET:
                offset = 0
            self._offsets.append(offset & _MASK)
            self._flags.append(SYNC if is_keyframe else NOT_SYNC)
        else:
            # Sound is heard when it is decoded, and each of its frames is a beginning.
            self._counted = time + samples if samples else NOT_KNOWN
            self._offsets.append(0)
            self._flags.append(SYNC)
        self._sizes.append(len(payload))
        self._payloads.append(payload)

    def end(self, time: int) -> None:
        """End the sample that is held.

        Args:
            time: Where it ends; `NOT_KNOWN` for what is usual.
        """
        if time < 0:
            time = self.last + self.usual_length()
        self.durations.append(time - self.last)
        self.last = time
        self.is_held = False

    def usual_length(self) -> int:
        """Return how long the sample that is held is, if nothing follows it."""
        # The shorter of the last two: before one of them pictures may be missing.
        step = min([*self._recent, *self.durations][-2:], default=self._step)
        usual = self._samples or min(step, _LONGEST_LAST * self.clock_rate)
        return min(usual, LONGEST_STEP)

    def run(self) -> Run:
        """Give out the samples whose durations are known: one or more."""
        run = Run(
            self.track_id,
            self._start,
            self.durations,
            self._sizes,
            self._flags,
            self._offsets,
            self._payloads,
        )
        self._start = self.last
        self._recent = [*self._recent, *self.durations[-2:]][-2:]
        self.durations = []
        if self.is_held:
            self._sizes = [run.sizes.pop()]
            self._flags = [run.flags.pop()]
            self._offsets = [run.offsets.pop()]
            self._payloads = [run.payloads.pop()]
        else:
            self._sizes, self._flags, self._offsets, self._payloads = [], [], [], []
        return run
