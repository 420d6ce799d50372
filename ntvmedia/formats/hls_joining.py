"""Segments of HLS put together into one timeline: of a variant, and of its renditions.

RFC 8216 section 4.3.2.3: behind a discontinuity times begin anew, the same for all playlists of a
presentation (section 6.2.4). Here they go on.

Where runs are placed:

* The first begins at 0: that is when the first of all its packets is presented. Those of several
  sources keep their distances.
* Each further one follows the one before without a gap: as early as no track overlaps itself.
  What the playlist says is missing there stays missing. Its tracks keep their distances too.
* A discontinuity behind which times just go on changes nothing.
* Discontinuities of two sources at the same place, within a segment, are one. Another one, of a
  rendition alone, leaves that where it is in relation to the first source, if the times allow;
  else it goes on where it ended.
* Sound whose times nobody told, or that are far from those of the pictures, begins with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Final

from ntvmedia.errors import PeerError
from ntvmedia.formats.hls_runs import Feed, Lane, Piece, Run, Source
from ntvmedia.formats.mpegts_packets import CLOCK_RATE, TIME_BITS
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.timebase import rescale

__all__ = ["Joiner", "Piece", "Source", "join"]

_NEVER: Final = float("inf")

_HLS: Final = "RFC 8216 section 3"

# After which a counter of 33 bits is the same.
_WRAP_SECONDS: Final = Fraction(1 << TIME_BITS, CLOCK_RATE)

# Times of two sources, or of two tracks, that are further apart have nothing to do with each
# other; and a place that is further from where the times have it.
_FAR_SECONDS: Final = 10
_FAR_SEGMENTS: Final = 3

# A gap behind a discontinuity that is no reason to move anything: about a picture.
_SMALL_GAP: Final = Fraction(1, 20)
# What sound may overlap itself, or fall short, since times are rounded: half a frame of AAC.
_ROUNDING: Final = Fraction(1, 100)

# Discontinuities of several sources are the same within a segment, and this at least.
_SAME_SECONDS: Final = 1.0


class Joiner:
    """All packets of some sources on one timeline; iterate over it, once.

    Sources are read in step, and only as far as is needed. Packets come roughly in the order of
    their times over all sources, those of a track in their order. Presentation begins at 0, so
    pictures that are shown later than they are decoded may be decoded before. Tracks are numbered
    anew, in the order in which they appear. A track is the same in all runs, and has the clock
    that it had first, whatever its sample rate is later.

    Pictures before the first keyframe of a run are left out, but for those of a run that goes on
    where the one before ended.

    Args:
        sources: The variant first: where its runs are decides.

    Attributes:
        duration_seconds: When the presentation ends, as far as it was given out.
        discontinuities: Places where times were put right.
        dropped: Packets that were left out.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.duration_seconds = 0.0
        self.discontinuities = 0
        self.dropped = 0
        self._followers = [_Follower(source) for source in sources]
        self._numbers: dict[MediaKind, int] = {}
        self._has_begun = False

    @property
    def damaged(self) -> int:
        """Places where something was left out, as far as can be told."""
        return sum(follower.feed.damaged for follower in self._followers)

    @property
    def unread(self) -> frozenset[str]:
        """As in `SegmentDemuxer`, of all sources."""
        return frozenset().union(*(follower.feed.unread for follower in self._followers))

    def __iter__(self) -> Iterator[Packet]:
        """Read the sources, and yield all packets.

        Raises:
            PeerError: A segment is none, or broken, its name before the message; or there is
                neither picture nor sound in any.
            LimitExceeded: Something in a segment is too large.
        """
        while True:
            waiting: list[_Follower] = []
            first: _Follower | None = None
            head = until = _NEVER
            for follower in self._followers:
                run = self._prepare(follower)
                if run is None:
                    continue
                if run.offset is None:
                    waiting.append(follower)
                    continue
                time = run.ready[0][0]
                if time < head:
                    first, head, until = follower, time, head
                else:
                    until = min(until, time)
            if waiting:
                # Who waits for its place waits for others that are about to: but not for ever.
                patience = max(_SAME_SECONDS, *(one.feed.longest for one in waiting))
                until = min(until, min(one.stop for one in waiting) + patience)
                if first is None or head > until:
                    near = [one for one in waiting if one.stop <= until]
                    self._place(near)
                    continue
            if first is None:
                break
            yield from self._given(first, until)
        if not self._has_begun:
            raise PeerError("neither pictures nor sound in any segment", reference=_HLS)

    def _prepare(self, follower: _Follower) -> Run | None:
        """Read until a source has a packet to give, or a run that wants its place."""
        feed = follower.feed
        runs = feed.runs
        while True:
            if runs:
                run = runs[0]
                if run.offset is None:
                    if run.is_settled:
                        return run
                elif run.ready:
                    return run
                elif feed.is_over or (len(runs) > 1 and runs[1].is_settled):
                    run.release(everything=True)
                    if not run.ready:
                        follower.finish(runs.popleft())
                        self.duration_seconds = max(self.duration_seconds, float(follower.end))
                    continue
            elif feed.is_over:
                return None
            feed.read()

    def _given(self, follower: _Follower, until: float) -> Iterator[Packet]:
        """Give out what is ready in a source, up to a time."""
        ready = follower.feed.runs[0].ready
        while ready and ready[0][0] <= until:
            _time, lane, packet = ready.popleft()
            track, dts, pts, is_keyframe, payload = packet
            if track is not lane.track:
                self._track_changed(follower, lane, track)
            output, shift = lane.output, lane.shift
            rate, other = lane.rate, output.clock_rate
            if rate != other:
                dts, pts = rescale(dts, rate, other), rescale(pts, rate, other)
            yield Packet(output, dts + shift, pts + shift, is_keyframe, payload)

    def _track_changed(self, follower: _Follower, lane: Lane, track: Track) -> None:
        """Make the track of a lane's packets."""
        known = follower.outputs.get(track.id)
        if known is None:
            number = self._numbers.get(track.kind, 0)
            self._numbers[track.kind] = number + 1
        else:
            number = known.number
        same = known is not None and known.codec is track.codec
        output = replace(
            track,
            number=number,
            clock_rate=known.clock_rate if known is not None and same else track.clock_rate,
            language=track.language or follower.language,
        )
        if output == known:
            output = known
        follower.outputs[track.id] = output
        lane.track, lane.output = track, output
        # Not `round`, which goes to even numbers: what is a tick apart has to stay so.
        lane.shift = floor(lane.delta * output.clock_rate + Fraction(1, 2))

    def _place(self, group: list[_Follower]) -> None:
        """Put runs of one or more sources, which begin together, on the timeline."""
        begun = [one for one in self._followers if one in group or one.offset is not None]
        leader = begun[0]
        for follower in group:
            run = follower.feed.runs[0]
            if not self._has_begun:
                self._drop_undecodable(run)
            run.align(follower.far)
        if leader not in group:
            for follower in group:
                self._follow(follower, leader)
        else:
            self._lead(group)
        self._has_begun = True
        for follower in group:
            run = follower.feed.runs[0]
            assert run.offset is not None
            follower.offset = run.offset
            run.release(everything=True)

    def _lead(self, group: list[_Follower]) -> None:
        """Place runs of which the first is the leader's."""
        base = next((one for one in group if one.feed.runs[0].has_times), group[0])
        mine = base.feed.runs[0]
        start = mine.start()
        together: list[tuple[_Follower, Fraction]] = []
        alone: list[_Follower] = []
        for follower in group:
            run = follower.feed.runs[0]
            turn = Fraction(0)
            if run.wraps or mine.wraps:
                turn = -round((run.start() - start) / _WRAP_SECONDS) * _WRAP_SECONDS
            is_near = abs(run.start() + turn - start) <= follower.far
            if run is mine or (run.has_times and mine.has_times and is_near):
                together.append((follower, turn))
            else:
                alone.append(follower)
        goes_on = False
        if self._has_begun:
            offset = max(follower.tight() - turn for follower, turn in together)
            if base.offset is not None:
                old = base.offset
                if mine.wraps:
                    old += round((offset - old) / _WRAP_SECONDS) * _WRAP_SECONDS
                goes_on = mine.has_times and -_ROUNDING <= old - offset <= _SMALL_GAP
                offset = old if goes_on else offset
        else:
            offset = -min(follower.feed.runs[0].start() + turn for follower, turn in together)
        begin = start + offset
        for follower in alone:
            run = follower.feed.runs[0]
            late = begin - run.start()
            run.place(max(late, follower.tight()) if self._has_begun else late)
        for follower, turn in together:
            follower.feed.runs[0].place(offset + turn)
        if self._has_begun and not goes_on:
            self.discontinuities += 1
            for follower in group:
                self._drop_undecodable(follower.feed.runs[0])

    def _follow(self, follower: _Follower, leader: _Follower) -> None:
        """Place the run of a source whose leader is in the middle of one."""
        run = follower.feed.runs[0]
        tight = follower.tight()
        assert leader.offset is not None
        offset = leader.offset
        if run.wraps:
            offset += round((tight - offset) / _WRAP_SECONDS) * _WRAP_SECONDS
        is_near = run.has_times and abs(offset - tight) <= follower.far
        if not is_near:
            offset = tight
        run.place(offset)
        if offset < tight - _ROUNDING:
            self.dropped += follower.drop_overlap()
        self.discontinuities += not is_near
        self._drop_undecodable(run)

    def _drop_undecodable(self, run: Run) -> None:
        self.dropped += sum(lane.drop_undecodable() for lane in run.lanes.values())


class _Follower:
    """A source, and where its tracks are on the timeline.

    Args:
        source: As given.

    Attributes:
        feed: Reads it.
        language: As in the source.
        offset: Of its last run; None before the first has its place.
        end: When the presentation of what was given out ends, in seconds.
        outputs: By `Track.id` of the source: the tracks of its packets.
    """

    def __init__(self, source: Source) -> None:
        self.feed = Feed(source)
        self.language = source.language
        self.offset: Fraction | None = None
        self.end = Fraction(0)
        self.outputs: dict[int, Track] = {}
        # By `Track.id`: when its presentation ends, and when its last packet is decoded.
        self._ends: dict[int, tuple[Fraction, Fraction]] = {}

    @property
    def far(self) -> float:
        """Seconds between times that have nothing to do with each other."""
        return max(_FAR_SECONDS, _FAR_SEGMENTS * self.feed.longest)

    @property
    def stop(self) -> float:
        """When the next run may begin, in seconds."""
        return float(self.end) + self.feed.runs[0].hole

    def finish(self, run: Run) -> None:
        """Remember where a run ended; all of it is given out."""
        for number, lane in run.lanes.items():
            self._ends[number] = (lane.end(), lane.last_dts())
            self.end = max(self.end, lane.end())

    def tight(self) -> Fraction:
        """Return the least offset of the next run by which no track overlaps itself."""
        run, ends = self.feed.runs[0], self._ends
        hole = Fraction(run.hole)
        found: list[Fraction] = []
        for number, lane in run.lanes.items():
            end, last_dts = ends.get(number, (None, None))
            if end is None or last_dts is None or end < self.end - _FAR_SECONDS or not lane.held:
                continue
            found.append(end + hole - lane.start())
            if lane.is_video:
                found.append(last_dts + Fraction(1, lane.rate) - lane.first_dts())
        return max(found, default=self.end + hole - run.start())

    def drop_overlap(self) -> int:
        """Drop sound of the next run that overlaps what there is; return how many packets."""
        run = self.feed.runs[0]
        return sum(
            lane.drop_before(self._ends[number][0] - _ROUNDING)
            for number, lane in run.lanes.items()
            if number in self._ends and not lane.is_video
        )


def join(sources: Sequence[Source]) -> Joiner:
    """Return all packets of some sources on one timeline, as `Joiner` tells."""
    return Joiner(sources)
