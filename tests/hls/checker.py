"""What must stay true of a live playlist and its segments over time, whoever makes them.

The rules are those of draft-pantos-hls-rfc8216bis (6.2.1, 6.2.2) and of this project's own: see
`PlaylistMonitor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from tests.hls.m3u8 import MediaPlaylist, Segment, check_dates, demand, parse_media
from tests.hls.media import Media, step
from tests.hls.mp4 import Fragments
from tests.hls.parts import PartMonitor
from tests.hls.resources import LARGEST_SEGMENT, Answer, Fetch, Resources

__all__ = ["LARGEST_SEGMENT", "Answer", "Fetch", "PlaylistMonitor"]

# A new version with a new segment comes at latest after so many target durations (6.2.1).
LONGEST_WAIT = 1.5

# No playlist is shorter than so many target durations, once it was that long (6.2.2).
SHORTEST_WINDOW = 3

# In bytes: one that has almost so many was cut for that (C-PL-04).
_LARGE = 45_000_000

# A part comes within its target, and the step of the source's clock (C-LL-07).
PART_SLACK_SECONDS = 0.1

HALF = Decimal("0.5")

# Of EXTINF against the media, in ticks of 90 kHz: one segment, and a run of any length (C-PL-05).
_SEGMENT_DRIFT = 180
_RUN_DRIFT = 4500

# So much earlier than a removed segment may go it is asked for once more.
_LAST_LOOK_SECONDS = 1.5


@dataclass(slots=True)
class Seen:
    """A segment that was listed once.

    Attributes:
        segment: As it was listed.
        longest: The duration of the longest playlist that had it.
        removed: Until when it must still be there, since it is listed no more.
        looks: How often it was fetched since.
    """

    segment: Segment
    longest: Decimal
    removed: float | None = None
    looks: int = 0


class PlaylistMonitor:
    """Watches one media playlist, as one player after the other would get it.

    To be given every version, at least about twice in a target duration while `saw` is called;
    whoever stops for a while says so by `paused`.

    Args:
        fetch: Fetches an address as written in the playlist.
        on_segment: Called with each new segment that is not a gap, and what is in it.

    Attributes:
        playlist: The last version.
        segments: How many there were, gaps too.
        gaps: How many of them were gaps.
        runs: How many discontinuities there were.
        keyless: How many segments begin without a keyframe.
        remakes: How often the list was made anew.
        first_discontinuity: The Discontinuity Sequence Number of the first segment.
        parts: Watches those of a low-latency list.
        parts_are_due: Parts come all the time, so that a late one is a fault; for who is told of
            every version at once.
        resources: What was fetched.
    """

    def __init__(
        self,
        fetch: Fetch,
        on_segment: Callable[[Segment, Media], None] = lambda segment, media: None,
    ) -> None:
        self.playlist: MediaPlaylist | None = None
        self.first_discontinuity = 0
        self.segments = self.gaps = self.runs = self.keyless = self.remakes = 0
        self.resources = Resources(fetch)
        self.parts = PartMonitor(self.resources)
        self.parts_are_due = False
        self._on_segment = on_segment
        self._listed: dict[int, Seen] = {}
        self._removed: dict[int, Seen] = {}
        self._names: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._changed_at: float | None = None
        self._part_at: float | None = None
        self._polled_at = 0.0
        self._over = self._was_last = self._began = self._parts_are_over = False
        self._may_be_remade = False
        self._before: tuple[Segment, Media | None] | None = None
        self._run_lead = self._size = 0
        self._run_ticks = [0, 0]  # by what is shown, and by what is decoded
        self._run_extinf = Decimal(0)

    # What the driver knows

    def paused(self) -> None:
        """From here to the next `saw` nobody asks: what was owed in between is not judged."""
        self._changed_at = self._part_at = None

    def server_restarted(self) -> None:
        """Another server took over: its list goes on above the old one, whose files are gone."""
        self.may_be_remade()
        self._listed.clear()
        self._removed.clear()
        self.parts.forget()

    def may_be_remade(self) -> None:
        """The next version may have nothing of the last one: nobody asked for long."""
        self._may_be_remade = True
        self.paused()

    def stream_ended(self) -> None:
        """The stream is over: after the next version no segment may come."""
        self._over = True

    def stream_began(self) -> None:
        """There is a stream again: from the next version on, segments are owed."""
        self._over = self._was_last = self._parts_are_over = False
        self._began = True
        self.paused()

    # What it sees

    def saw(self, now: float, body: bytes) -> MediaPlaylist:
        """Take what a player got.

        Args:
            now: Monotonic seconds.
            body: The playlist.

        Raises:
            Violation: A rule is broken.
        """
        before = self.playlist
        playlist = parse_media(body, before)
        if before is None:
            new = list(playlist.segments)
        else:
            final = before.ended and not self._began and not self._may_be_remade
            same = replace(before, skipped=0) == replace(playlist, skipped=0)
            demand(not final or same, "after-end", "ENDLIST is final (6.2.1)")
            new = self._compare(before, playlist)
        self.playlist = playlist
        self._began &= playlist.ended
        is_part = self.parts.take(playlist) > 0
        for segment in new:
            self._take(segment, playlist)
        demand(not (is_part and self._parts_are_over), "after-stream", "a part (C-PL-15)")
        self._parts_are_over = self._over
        self._check_part_time(now, playlist, is_new=is_part)
        duration = playlist.duration
        for seen in self._listed.values():
            seen.longest = max(seen.longest, duration)
        if new or self._changed_at is None:
            self._changed_at = now
        elif not (self._over or playlist.ended):
            waited = now - self._changed_at
            limit = LONGEST_WAIT * playlist.target
            demand(waited <= limit, "late", f"no new segment for {waited:.2f} s (6.2.1, C-PL-22)")
        self._look_again(now)
        self.parts.look_again(now)
        self._polled_at = now
        return playlist

    def check_all(self, now: float) -> None:
        """Fetch all that is listed or was removed lately once more.

        Raises:
            Violation: One is not there, or has changed.
        """
        for seen in self._listed.values():
            self._fetch_again(seen)
        for seen in self._removed.values():
            if seen.removed is not None and now <= seen.removed:
                self._fetch_again(seen)

    def _compare(self, before: MediaPlaylist, after: MediaPlaylist) -> list[Segment]:
        """Check what changed from one version to the next, and return what is new."""
        demand(after.number >= before.number, "sequence-back", f"{after.number} (6.2.2, C-PL-06)")
        back = after.discontinuity_number < before.discontinuity_number
        demand(not back, "discontinuity-back", f"{after.discontinuity_number} (6.2.2, C-PL-08)")
        last = before.segments[-1]
        common = [x for x in after.segments if x.number <= last.number]
        if not common:
            # Whoever asks often sees no segment come that was not the next of one it knows.
            follows = after.number == last.number + 1
            demand(self._may_be_remade or follows, "jump", f"from {last.number} to {after.number}")
            if self._may_be_remade:
                return self._remade(before, after)
        self._may_be_remade = False
        demand(after.target == before.target, "target-changed", f"{after.target} (6.2.1, C-PL-02)")
        demand(after.version == before.version, "version-changed", f"{after.version}")
        same = after.independent == before.independent
        demand(same, "independent-changed", "EXT-X-INDEPENDENT-SEGMENTS (6.2.1)")
        for segment in common:
            listed = self._listed[segment.number].segment
            segment = replace(segment, parts=())
            rule = "discontinuity-number" if _but_number(listed, segment) else "segment-changed"
            demand(listed == segment, rule, f"{listed} became {segment} (6.2.1, 6.2.2)")
        self.parts.compare(before, after, self._polled_at)
        numbers = {x.number for x in after.segments}
        demand(after.segments[-1].number >= last.number, "end-removed", f"{last.uri} (6.2.2)")
        gone = [x for x in before.segments if x.number not in numbers]
        if gone:
            short = after.duration < SHORTEST_WINDOW * after.target and not after.ended
            demand(not short, "window", f"only {after.duration} s (6.2.2, C-PL-23)")
            for segment in gone:
                self._remove(segment)
        new = [x for x in after.segments if x.number > last.number]
        demand(not (new and self._was_last), "after-stream", "the stream is over (C-PL-15)")
        self._was_last = self._over
        return new

    def _remade(self, before: MediaPlaylist, after: MediaPlaylist) -> list[Segment]:
        self._may_be_remade = False
        first, last = after.segments[0], before.segments[-1]
        number = first.discontinuity_number
        if first.discontinuity or number > last.discontinuity_number:
            self.remakes += 1
        else:
            # Or it has slid on all the time, since somebody else asked.
            missing = first.number - last.number - 1
            passed = (first.date - last.date) / 1000 - float(last.duration)
            most = missing * (after.target + 0.5) + 0.01
            text = f"{first.uri} is {passed} s after {last.uri}, with {missing} segments between"
            demand(passed <= most, "remade", f"{text}: nobody sees that the list was made anew")
        for segment in before.segments:
            self._remove(segment)
        self._before = None
        self.parts.forget()
        return list(after.segments)

    def _remove(self, segment: Segment) -> None:
        seen = self._listed.pop(segment.number, None)
        if seen is None:
            return  # the server that had it is gone
        # It was removed after the last look, at which it was there.
        seen.removed = self._polled_at + float(segment.duration + seen.longest)
        self._removed[segment.number] = seen

    def _take(self, segment: Segment, playlist: MediaPlaylist) -> None:
        """Fetch and check a new segment."""
        demand(segment.uri not in self._names, "uri-again", f"{segment.uri} was another (C-PL-07)")
        self._names.add(segment.uri)
        if not self.segments:
            self.first_discontinuity = segment.discontinuity_number
        self.segments += 1
        self.runs += segment.discontinuity
        self._listed[segment.number] = Seen(replace(segment, parts=()), Decimal(0))
        media, size = None, 0
        if segment.gap:
            self.gaps += 1
        else:
            owner = f"segment {segment.number}"
            media = self.resources.read(segment.uri, segment.map, segment.key, owner)
            size = self.resources.size
            self._check_numbers(segment, media)
            first = segment.number == playlist.number
            self.parts.check_segment(segment, media, playlist, first=first)
        if self._before is not None:
            check_dates(self._before[0], segment)
        if media is not None:
            self._check_media(segment, media, playlist)
            self._on_segment(segment, media)
        self._before, self._size = (segment, media), size

    def _check_media(self, segment: Segment, media: Media, playlist: MediaPlaylist) -> None:
        _check_span(segment, media)
        before, previous = self._before if self._before is not None else (None, None)
        joined = before is not None and previous is not None and not segment.discontinuity
        if not media.begins_with_key:
            self.keyless += 1
            demand(not playlist.independent, "independent", f"{segment.uri} has no keyframe first")
            # The one case: a group of pictures that would go over the target is cut.
            # A list that began before it was looked at may begin with one.
            cut = before is None or (
                joined and (before.duration >= playlist.target - HALF or self._size >= _LARGE)
            )
            cut &= not segment.discontinuity
            demand(cut, "no-keyframe", f"{segment.uri} does not begin with a keyframe (C-PL-01)")
        if not joined or before is None or previous is None:
            # Of sound alone a gap tells how long there was none, and breaks nothing.
            after_gap = before is not None and before.gap and not segment.discontinuity
            after_gap &= bool(media.video)
            demand(not after_gap, "gap-without-discontinuity", segment.uri)
            self._run_ticks, self._run_extinf, self._run_lead = [0, 0], Decimal(0), media.lead
            return
        media.check_follows(previous)
        passed = step(previous.start, media.start)
        said = round(before.duration * 90000)
        # A segment begins with its first picture, or with sound that comes before it. Where a
        # group is cut, pictures may be reordered over the cut: their decode times are not.
        units = [(x.video or x.audio)[0].dts for x in (previous, media)]
        ends = (passed, passed - media.lead, step(*units))
        good = any(
            abs(x + lead - said) <= _SEGMENT_DRIFT for x in ends for lead in (0, previous.lead)
        )
        demand(
            good,
            "duration",
            f"{before.uri}: EXTINF {before.duration}, the media {passed / 90000:.4f} s (C-PL-05)",
        )
        self._run_extinf += before.duration
        said = round(self._run_extinf * 90000)
        self._run_ticks[0] += passed
        self._run_ticks[1] += step(*units)
        drift = min(abs(x - said) for x in self._run_ticks)
        most = _RUN_DRIFT + media.lead + self._run_lead
        demand(drift <= most, "drift", f"{drift / 90:.1f} ms (C-PL-05)")

    def _look_again(self, now: float) -> None:
        """Fetch what was removed, at once and shortly before it may go."""
        for number, seen in list(self._removed.items()):
            until = seen.removed or 0.0
            if now > until:
                del self._removed[number]
            elif not seen.looks or (seen.looks == 1 and now > until - _LAST_LOOK_SECONDS):
                seen.looks += 1
                self._fetch_again(seen)

    def _fetch_again(self, seen: Seen) -> None:
        if seen.segment.gap:
            return
        rule = "gone-early" if seen.removed is not None else "not-there"
        segment = seen.segment
        self.resources.again(segment.uri, rule)
        # What it cannot be played without stays as long (C-FM-04, C-AE-02).
        if segment.map:
            self.resources.again(segment.map, f"map-{rule}")
        if segment.key is not None:
            self.resources.again(segment.key.uri, f"key-{rule}")

    def _check_numbers(self, segment: Segment, media: Media) -> None:
        """Check that fragments are numbered upwards, over discontinuities too (C-FM-03)."""
        if isinstance(media, Fragments):
            last = self._numbers.get(segment.map, 0)
            text = f"{segment.uri}: fragment {media.numbers[0]} after {last} (C-FM-03)"
            demand(media.numbers[0] > last, "mfhd", text)
            self._numbers[segment.map] = media.numbers[-1]

    def _check_part_time(self, now: float, playlist: MediaPlaylist, *, is_new: bool) -> None:
        """Check that a part comes within the part target after the last one (C-LL-07)."""
        if is_new or self._part_at is None:
            self._part_at = now
        elif self.parts_are_due and playlist.part_target:
            waited = now - self._part_at
            good = waited <= float(playlist.part_target) + PART_SLACK_SECONDS
            demand(good, "part-late", f"no part for {waited:.2f} s (6.2.1, C-LL-07)")


def _check_span(segment: Segment, media: Media) -> None:
    """Check that EXTINF covers what is in a segment."""
    units = media.video or media.audio
    # A picture that is sent early, and shown after those that the segment ends before.
    delay = max(step(x.dts, x.pts) for x in units) - step(units[0].dts, units[0].pts)
    span = max(step(media.start, x.pts) for x in units) - delay
    good = segment.duration * 90000 >= span - _SEGMENT_DRIFT
    text = f"{segment.uri}: EXTINF {segment.duration}, {span / 90000} s of media"
    demand(good, "duration", text)


def _but_number(one: Segment, other: Segment) -> bool:
    """Whether two differ in nothing but their Discontinuity Sequence Number."""
    return one != other and replace(one, discontinuity_number=other.discontinuity_number) == other
