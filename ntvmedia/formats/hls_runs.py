"""Runs of one media playlist of HLS: stretches of segments whose times belong together.

A run ends where the playlist has a discontinuity (RFC 8216 section 4.3.2.3), and where times jump
although the playlist has none. Here they are told apart; `hls_joining` puts them together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from ntvmedia.errors import PeerError
from ntvmedia.formats.fmp4_frames import measurer
from ntvmedia.formats.hls_media import Event, SegmentDemuxer
from ntvmedia.media.packets import MediaKind, Packet, Track

MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Of packets that wait, in one source: for the end of a run's first segment, which tells where it
begins, and for those of other tracks. Twelve seconds at 20 Mb/s."""

# Runs that wait for the end of their segment.
_MAX_RUNS: Final = 64

# A step of time that the playlist does not announce is a jump if it is longer than this many
# seconds, and than so many segments; back, if it is longer than this: decode times only rise, but
# for those who tell none for B-frames.
_JUMP_SECONDS: Final = 10.0
_JUMP_SEGMENTS: Final = 3
_JUMP_BACK_SECONDS: Final = 1.0

# A picture that is shown so much later, or earlier, than it is decoded is a mistake.
_MAX_SHIFT_SECONDS: Final = 10

# A picture that stands alone, and the longest that is taken for usual at the end of a run.
_USUAL_FRAME_RATE: Final = 25
_LONGEST_FRAME_SECONDS: Final = 1

_VIDEO: Final = MediaKind.VIDEO


class Piece(NamedTuple):
    """One media segment.

    Attributes:
        data: Its bytes, decrypted; read when it is its turn, and once.
        init: The Media Initialization Section that applies to it, or what returns that; b"" for
            none.
        duration: As the playlist has it, in seconds.
        discontinuity: The playlist has one before it.
        missing: It is not there: a gap, or not loaded. `data` is not read.
        name: For messages.
    """

    data: Iterable[bytes]
    init: bytes | Callable[[], bytes] = b""
    duration: float = 0.0
    discontinuity: bool = False
    missing: bool = False
    name: str = ""


class Source(NamedTuple):
    """One media playlist: the variant, or a rendition.

    Attributes:
        pieces: In the order of the playlist; read when it is their turn, and once.
        language: Of its tracks, where they do not tell; BCP 47.
        only: Other tracks than those are left out: so a variant's own sound, where a rendition
            has the sound.
    """

    pieces: Iterable[Piece]
    language: str = ""
    only: MediaKind | None = None


class Lane:
    """The packets of one track in one run.

    Attributes:
        rate: Ticks a second of its times.
        is_video: It is pictures.
        has_keyframe: A packet was one.
        held: Packets that wait, each behind its decode time in seconds.
        time: Decode time of the last packet, in seconds.
        delta: What is added to times, in seconds.
        track: That of the last packet given out; None before.
        output: What that is on the timeline.
        shift: What is added to times there, in ticks.
    """

    __slots__ = (
        "_last_dts", "_last_packet", "_max_pts", "_max_shift", "_steps", "delta",
        "has_keyframe", "held",
        "is_video", "output", "rate", "shift", "time", "track",
    )  # fmt: skip

    def __init__(self, track: Track) -> None:
        self.rate = track.clock_rate
        self.is_video = track.kind is _VIDEO
        self.has_keyframe = False
        self.held: deque[tuple[float, Packet]] = deque()
        self.time = 0.0
        self.delta = Fraction(0)
        self.track: Track | None = None
        self.output = track
        self.shift = 0
        self._max_shift = _MAX_SHIFT_SECONDS * track.clock_rate
        self._last_dts = self._max_pts = 0
        self._steps = (0, 0)
        self._last_packet: Packet | None = None

    def append(self, packet: Packet, time: float) -> None:
        """Take the next packet.

        Args:
            time: Its decode time in seconds.
        """
        _track, dts, pts, is_keyframe, _payload = packet
        if is_keyframe:
            self.has_keyframe = True
        if not -self._max_shift <= pts - dts <= self._max_shift:
            pts = dts
        if self._last_packet is None:
            self._max_pts = pts
        else:
            step = dts - self._last_dts
            if step > 0:
                self._steps = (self._steps[1], step)
            if pts > self._max_pts:
                self._max_pts = pts
        self._last_packet = packet
        self._last_dts = dts
        self.time = time
        self.held.append((time, packet))

    def drop_undecodable(self) -> int:
        """Drop what waits before the first keyframe, if there is one; return how many that were."""
        return self._drop(
            next((n for n, (_time, packet) in enumerate(self.held) if packet.is_keyframe), 0)
        )

    def drop_before(self, end: Fraction) -> int:
        """Drop what waits and begins before a time, in seconds; return how many that were."""
        first = next(
            (n for n, one in enumerate(self.held) if one[0] + self.delta >= end), len(self.held)
        )
        return self._drop(first)

    def _drop(self, count: int) -> int:
        for _ in range(count):
            self.held.popleft()
        return count

    def start(self) -> Fraction:
        """Return when what waits is first presented, in seconds."""
        times = (
            packet.pts if abs(packet.pts - packet.dts) <= self._max_shift else packet.dts
            for _time, packet in self.held
        )
        return Fraction(min(times), self.rate) + self.delta

    def first_dts(self) -> Fraction:
        """Return when what waits is first decoded, in seconds."""
        return Fraction(self.held[0][1].dts, self.rate) + self.delta

    def last_dts(self) -> Fraction:
        """Return when the last packet is decoded, in seconds."""
        return Fraction(self._last_dts, self.rate) + self.delta

    def end(self) -> Fraction:
        """Return when its presentation ends, in seconds."""
        return Fraction(self._max_pts + self._last_duration(), self.rate) + self.delta

    def _last_duration(self) -> int:
        packet, rate = self._last_packet, self.rate
        assert packet is not None
        measure = measurer(packet.track)
        samples = 0 if measure is None else measure(packet.payload)
        if samples:
            return samples
        # The shorter of two: before one of them pictures may be missing.
        step = min((step for step in self._steps if step), default=rate // _USUAL_FRAME_RATE)
        return min(step, _LONGEST_FRAME_SECONDS * rate)


class Run:
    """A run, as far as it is read and not given out.

    Attributes:
        lanes: By `Track.id` of the source.
        has_jumped: Its times begin elsewhere although no discontinuity told so: tracks of the
            run before may go on.
        has_times: Its times were told.
        wraps: They are those of a counter of 33 bits at 90 kHz.
        time: Decode time of the last packet, in seconds.
        held_bytes: Of the packets that wait in lanes.
        is_settled: All that tells where it begins was read.
        hole: Seconds that are missing before it.
        offset: From its times to those of the timeline, in seconds; None until it has its place.
        ready: Packets to give out, in order, each behind its time on the timeline and its lane.
    """

    __slots__ = (
        "has_jumped", "has_times", "held_bytes", "hole", "is_settled", "lanes", "offset", "ready",
        "time", "wraps",
    )  # fmt: skip

    def __init__(self, time: float, *, wraps: bool, hole: float) -> None:
        self.lanes: dict[int, Lane] = {}
        self.has_jumped = False
        self.has_times = True
        self.wraps = wraps
        self.hole = hole
        self.time = time
        self.held_bytes = 0
        self.is_settled = False
        self.offset: Fraction | None = None
        self.ready: deque[tuple[float, Lane, Packet]] = deque()

    def start(self) -> Fraction:
        """Return when it is first presented, in seconds of its own times."""
        return min(lane.start() for lane in self.lanes.values() if lane.held)

    def wants_keyframe(self) -> bool:
        """Whether there are pictures, and no keyframe among them yet."""
        return self.held_bytes <= MAX_HELD_BYTES and any(
            lane.is_video and not lane.has_keyframe for lane in self.lanes.values()
        )

    def align(self, far: float) -> None:
        """Let tracks begin with the pictures whose clocks have nothing to do with theirs.

        Args:
            far: Seconds between their beginnings that tell.
        """
        lanes = [lane for lane in self.lanes.values() if lane.held]
        first = next((lane for lane in lanes if lane.is_video), lanes[0])
        start = first.start()
        for lane in lanes:
            distance = start - lane.start()
            if abs(distance) > far:
                lane.delta += distance

    def place(self, offset: Fraction) -> None:
        """Put it on the timeline, that many seconds behind its own times."""
        self.offset = offset
        for lane in self.lanes.values():
            lane.delta += offset

    def release(self, *, everything: bool) -> None:
        """Make packets ready in the order of their times: those that nothing can come before."""
        lanes = self.lanes.values()
        if everything or self.held_bytes > MAX_HELD_BYTES:
            safe = float("inf")
        elif all(lane.held for lane in lanes):
            safe = min(lane.held[-1][0] + float(lane.delta) for lane in lanes)
        else:
            return
        found: list[tuple[float, Lane, Packet]] = []
        for lane in lanes:
            held, delta = lane.held, float(lane.delta)
            while held and held[0][0] + delta <= safe:
                time, packet = held.popleft()
                self.held_bytes -= len(packet.payload)
                found.append((time + delta, lane, packet))
        if len(lanes) > 1:
            found.sort(key=_time)
        self.ready.extend(found)


def _time(one: tuple[float, Lane, Packet]) -> float:
    return one[0]


class Feed:
    """Reads one source, piece by piece, into runs.

    Args:
        source: What to read.

    Attributes:
        runs: Those that are not given out, the present one last.
        only: As in the source.
        longest: Of the pieces so far, in seconds.
        is_over: All was read.
    """

    def __init__(self, source: Source) -> None:
        self.runs: deque[Run] = deque()
        self.only = source.only
        self.longest = 0.0
        self.is_over = False
        self._demuxer = SegmentDemuxer()
        self._pieces: Iterator[Piece] = iter(source.pieces)
        self._chunks: Iterator[bytes] | None = None
        self._init = b""
        self._name = ""
        self._begins_run = True
        self._limit = _JUMP_SECONDS
        # Seconds that are missing before the present piece.
        self._missing = 0.0

    @property
    def damaged(self) -> int:
        """Places where something was left out, as far as can be told."""
        return self._demuxer.damaged

    @property
    def unread(self) -> frozenset[str]:
        """As in `SegmentDemuxer`."""
        return self._demuxer.unread

    def read(self) -> None:
        """Read some more: a piece of data, or what the end of a segment tells.

        Raises:
            PeerError: A segment is none, or broken; the message begins with its name.
        """
        try:
            if self._chunks is None:
                self._next_piece()
                return
            chunk = next(self._chunks, None)
            if chunk is None:
                self._chunks = None
                self._take(self._demuxer.end())
                self._settle()
                self._missing = 0.0
            else:
                self._demuxer.receive_data(chunk)
                self._take(self._demuxer.events())
        except PeerError as error:
            if self._name:
                error.args = (f"{self._name}: {error.args[0]}",)
            raise

    def _next_piece(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            self._flush()
            self.is_over = True
            return
        if piece.discontinuity:
            self._flush()
        self._name = piece.name
        self.longest = max(self.longest, piece.duration)
        self._limit = max(_JUMP_SECONDS, _JUMP_SEGMENTS * piece.duration) + self._missing
        if piece.missing:
            self._missing += piece.duration
            if not self._demuxer.has_times:
                # Who counts knows nothing of a hole.
                self._flush()
            return
        init = piece.init() if callable(piece.init) else piece.init
        if init != self._init:
            self._init = init
            self._demuxer.init_section(init)
        self._demuxer.begin(discontinuity=piece.discontinuity)
        self._chunks = iter(piece.data)

    def _flush(self) -> None:
        """End the run."""
        has_times = self._demuxer.has_times
        self._take(self._demuxer.flush())
        if self.runs:
            self.runs[-1].has_times = has_times
        for run in self.runs:
            run.is_settled = True
        self._settle()
        self._begins_run = True

    def _settle(self) -> None:
        """Let the runs that have begun be placed, and given out: a segment is over."""
        for run in self.runs:
            if run.offset is not None:
                run.release(everything=True)
            elif not run.wants_keyframe():
                run.is_settled = True

    def _take(self, events: Iterator[Event]) -> None:
        """Put packets into lanes."""
        only, limit, packet_type = self.only, self._limit, Packet
        present = self.runs[-1] if self.runs and not self._begins_run else None
        for event in events:
            if not isinstance(event, packet_type):
                continue
            track = event[0]
            if only is not None and track.kind is not only:
                continue
            time = event[1] / track.clock_rate
            run = present
            lane = None if run is None else run.lanes.get(track.id)
            if (
                run is None
                or lane is None
                or lane.rate != track.clock_rate
                or time < lane.time - _JUMP_BACK_SECONDS
                or (time > lane.time + limit and time > run.time + limit)
            ):
                run, lane = self._other_lane(run, lane, track, time)
                present = self.runs[-1]
            run.time = time
            run.held_bytes += len(event[4])
            lane.append(event, time)
            if run.held_bytes > MAX_HELD_BYTES:
                run.is_settled = True
        if present is not None:
            present.has_times = self._demuxer.has_times
            if present.offset is not None:
                present.release(everything=False)

    def _other_lane(
        self, run: Run | None, lane: Lane | None, track: Track, time: float
    ) -> tuple[Run, Lane]:
        """Find where a packet belongs that does not go on where the present lane ends.

        Args:
            run: The present one; None where a new one begins.
            lane: Of the track in that; None where it has none.
        """
        if run is None:
            return self._new_lane(self._new_run(time, has_jumped=False), track, time)
        if run.has_jumped and not run.is_settled:
            # Tracks do not jump in the same place: this one may not have done so.
            before = self.runs[-2]
            late = before.lanes.get(track.id)
            if late is not None and abs(time - late.time) < min(self._limit, abs(time - run.time)):
                return before, late
        if lane is not None:
            run = self._new_run(time, has_jumped=True)
        return self._new_lane(run, track, time)

    def _new_run(self, time: float, *, has_jumped: bool) -> Run:
        self._begins_run = False
        held = sum(run.held_bytes for run in self.runs)
        if held > MAX_HELD_BYTES or len(self.runs) >= _MAX_RUNS:
            for run in self.runs:
                run.is_settled = True
        run = Run(time, wraps=self._demuxer.kind != "mp4", hole=self._missing)
        run.has_jumped = has_jumped
        self.runs.append(run)
        return run

    def _new_lane(self, run: Run, track: Track, time: float) -> tuple[Run, Lane]:
        lane = run.lanes[track.id] = Lane(track)
        if run.offset is not None:
            lane.delta = run.offset
            if abs(time - run.time) > self._limit:
                # Its clock has nothing to do with the other tracks'.
                lane.delta += Fraction(run.time) - Fraction(time)
        return run, lane
