"""What was published against what is in the segments: nothing lost, doubled, joined or parted."""

from __future__ import annotations

from itertools import pairwise

from tests.hls.m3u8 import Segment, demand
from tests.hls.media import Media
from tests.hls.rig import Rig
from tests.hls.source import TRACK_STEP, Encoder, Sent, number_of

# A picture is sent when its step of the clock comes.
_DATE_TOLERANCE_MS = 200


# With less than this missing between two segments they are one run.
_LEAST_MISSING_MS = 250


# After so long a silence the publisher may be taken to begin anew.
_LEAST_SILENCE_SECONDS = 1.0


class Ledger:
    """Compares each segment with what the encoder sent; a monitor's `on_segment`.

    Args:
        rig: Has the wall clock.
        encoder: What sent it; by default the first publisher's.
        sound: Which sound: "audio", "audio1"...
        joined: It has the discontinuities of other streams too (6.2.4).

    Attributes:
        pictures: How many came out.
        sounds: Likewise.
    """

    def __init__(
        self,
        rig: Rig,
        encoder: Encoder | None = None,
        sound: str = "audio",
        *,
        joined: bool = False,
    ) -> None:
        self.rig = rig
        self._joined = joined
        self._encoder = encoder
        self._sound = sound
        self.pictures = self.sounds = 0
        self._last: tuple[Segment, list[int], list[int]] | None = None
        self._offsets = {rig.wall_offset}
        self._dates_hold = True

    def dates_are_free(self) -> None:
        """What is sent does not come when it is made: dates say nothing of when it came."""
        self._dates_hold = False

    @property
    def sent(self) -> dict[str, list[Sent]]:
        """All that was sent, by track."""
        return (self._encoder or self.rig.encoder).sent

    def forget(self) -> None:
        """The next segment need not follow the last one: nobody asked in between."""
        self._last = None

    def clock_stepped(self) -> None:
        """The wall clock was set: dates follow the one that was, or the one that is."""
        if self.rig.wall_offset < max(self._offsets):
            # Where new dates would fall upon old ones they have to differ from the clock.
            self._dates_hold = False
        self._offsets.add(self.rig.wall_offset)

    def __call__(self, segment: Segment, media: Media) -> None:
        """Take a segment.

        Raises:
            Violation: It is not what was sent.
        """
        sent = self.sent
        pictures = [number_of(x.payload) for x in media.video]
        base = int(self._sound.removeprefix("audio") or 0) * TRACK_STEP
        sounds = [number_of(x) - base for x in media.sounds]
        ours = all(0 <= x < TRACK_STEP for x in sounds)
        demand(ours, "other-track", f"{segment.uri}: {sounds} are not of {self._sound}")
        self.pictures += len(pictures)
        self.sounds += len(sounds)
        for kind, numbers in (("video", pictures), (self._sound, sounds)):
            text = f"{segment.uri}: {kind} {numbers}"
            in_order = all(b == a + 1 for a, b in pairwise(numbers))
            demand(in_order, "frames", f"{text} are not all in order")
            runs = {sent[kind][x].run for x in numbers}
            # Sound alone goes on where the pictures are of another configuration.
            alone = kind != "video" and not pictures
            demand(len(runs) < 2 or alone, "mixed", f"{text} are of several runs: {runs}")
        self._check_joint(segment, pictures, sounds)
        self._check_group(segment, pictures)
        self._check_date(segment, pictures, sounds)
        self._last = segment, pictures, sounds

    def _check_joint(self, segment: Segment, pictures: list[int], sounds: list[int]) -> None:
        if self._last is None:
            return
        before, *lists = self._last
        follows = segment.number == before.number + 1
        sent = self.sent
        for kind, ended, began in (
            ("video", lists[0], pictures),
            (self._sound, lists[1], sounds),
        ):
            if not (ended and began):
                continue
            one, other = ended[-1], began[0]
            text = f"{kind} {one} of {before.uri}, {other} of {segment.uri}"
            demand(other > one, "frames", f"{text}: not in order")
            same_run = sent[kind][one].run == sent[kind][other].run
            if segment.discontinuity:
                # Not all that is missing is a gap of its own: see the dates. And sound that comes
                # before the first picture of a run may be left out.
                missing = segment.date - before.date - float(before.duration) * 1000
                whole = same_run and follows and other == one + 1 and missing < _LEAST_MISSING_MS
                silent = sent[kind][other].at - sent[kind][one].at > _LEAST_SILENCE_SECONDS
                parted = not whole or silent or kind != "video" or self._joined
                demand(parted, "needless-discontinuity", f"{text} (C-PL-09)")
            else:
                alone = kind != "video" and not pictures
                demand(same_run or alone, "no-discontinuity", f"{text} are of two runs (6.2.1)")
                demand(other == one + 1, "frames-lost", text)

    def _check_group(self, segment: Segment, pictures: list[int]) -> None:
        """Check that a group of pictures is cut only where it alone fills a segment (C-PL-01)."""
        sent = self.sent["video"]
        if self._last is None or not pictures or sent[pictures[0]].is_keyframe:
            return
        before, earlier, _sounds = self._last
        keys = [x for x in earlier[1:] if sent[x].is_keyframe]
        text = f"{segment.uri} begins in the middle of a group that began in {before.uri}"
        if keys and segment.parts and self._is_longest(keys[-1]):
            return  # what was listed as parts could not be cut at that keyframe any more
        demand(not keys, "group-cut", f"{text}, {len(earlier)} pictures, keyframes {keys}")

    def _is_longest(self, key: int) -> bool:
        """Whether the group that begins with a picture is longer than all before."""
        keys = [x for x, frame in enumerate(self.sent["video"]) if frame.is_keyframe]
        place = keys.index(key)
        lengths = [b - a for a, b in pairwise(keys[: place + 1])]
        following = keys[place + 1] if place + 1 < len(keys) else len(self.sent["video"])
        return following - key > max(lengths, default=0)

    def _check_date(self, segment: Segment, pictures: list[int], sounds: list[int]) -> None:
        if not self._dates_hold:
            return
        kind, numbers = ("video", pictures) if pictures else (self._sound, sounds)
        at = self.sent[kind][numbers[0]].at
        wrong = min(abs(segment.date - (at + x) * 1000) for x in self._offsets)
        demand(wrong <= _DATE_TOLERANCE_MS, "date-wrong", f"{segment.uri}: by {wrong:.0f} ms")
