"""One continuous timeline out of whatever times a publisher sends.

Everything behind may rely on this: times begin near 0, decode times strictly increase in each
track, and a jump of the publisher's clock is not seen. Small disorder is straightened; a jump
moves all tracks by the same amount, so that sound and picture stay together. Pure.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.media import MediaKind, Packet, Track

# A step of this length or less is taken as it is, in a track: variable frame rates, silence.
LONGEST_STEP_SECONDS: Final = 1.0

# A longer step is still time that passed, if about as much passed on the wall clock.
TOLERATED_LEAD_SECONDS: Final = 2.0

# A step back by less is disorder; by more, the publisher's clock began anew.
LONGEST_STEP_BACK_SECONDS: Final = 1.0

# Times are carried in milliseconds by FLV and RTMP: a shorter step would vanish there.
SHORTEST_STEP_SECONDS: Final = 0.001

# A publisher that begins within this time is taken as it is, and so is a track that begins this
# much behind the others.
LATEST_START_SECONDS: Final = 10.0

# Any other begins here: above 0, so that a track that lies a little before the first fits in.
START_SECONDS: Final = 0.5

# When nothing that can be begun with comes from a video track, it is begun with what comes.
LONGEST_WAIT_FOR_KEYFRAME_SECONDS: Final = 10.0


class TrackState:
    """What the timeline knows of one track, and what the stream counts of it.

    Attributes:
        track: As last announced.
        shift: Ticks to add to the publisher's times.
        earlier_shift: The same, from before the last jump.
        last: The last decode time given out, in ticks.
        longest_step: In ticks: a step of 1 to this many is taken without a further look.
        packets: Given out.
        bytes: Of their payloads.
        waits_since: Monotonic seconds since when it waits for a keyframe to go on, or None.
        keyframe_at: Decode time of the last keyframe.
        keyframe_interval: Ticks between the last two.
        longest_interval: The most that these ever were.
    """

    __slots__ = (
        "bytes",
        "earlier_shift",
        "keyframe_at",
        "keyframe_interval",
        "last",
        "longest_interval",
        "longest_step",
        "packets",
        "shift",
        "started",
        "track",
        "waits_since",
    )

    def __init__(self, track: Track) -> None:
        self.track = track
        self.shift = 0
        self.earlier_shift = 0
        self.last = 0
        self.longest_step = 0  # nothing is taken without a look before the first packet
        self.started = False
        self.waits_since: float | None = None
        self.packets = 0
        self.bytes = 0
        self.keyframe_at: int | None = None
        self.keyframe_interval = 0
        self.longest_interval = 0

    def wait_for_keyframe(self, now: float) -> None:
        """Leave out what comes of a video track until a keyframe: it could not be decoded."""
        if self.track.kind is MediaKind.VIDEO:
            self.waits_since = now
            self.longest_step = 0  # no packet takes the short way past `goes_on`

    def goes_on(self, packet: Packet, now: float) -> bool:
        """Whether a track that waits for its keyframe has it, or has waited long enough."""
        waited = now - (self.waits_since or 0.0)
        if not packet.is_keyframe and waited < LONGEST_WAIT_FOR_KEYFRAME_SECONDS:
            return False
        self.waits_since = None
        return True


class Timeline:
    """The timeline of one stream, over all publishers that it ever has.

    Attributes:
        states: By `Track.id`. The caller may take a packet's time on the short way itself: see
            `repair`.
        active_at: Monotonic seconds when the last packets came; kept by the caller.
        jumps: How often the publisher's clock jumped.
        straightened: How many packets were out of order in their track.
    """

    def __init__(self) -> None:
        self.states: dict[int, TrackState] = {}
        self.active_at = 0.0
        self.jumps = 0
        self.straightened = 0
        self._shift_ms = 0
        self._earlier_shift_ms = 0
        self._anchored = False
        self._resume = False
        self._shown_until = 0.0

    @property
    def position(self) -> float:
        """The latest decode time given out, of video and audio, in seconds."""
        return max(
            (
                x.last / x.track.clock_rate
                for x in self.states.values()
                if x.started and x.track.kind is not MediaKind.DATA
            ),
            default=0.0,
        )

    @property
    def shift_ms(self) -> int:
        """Milliseconds that are added to the publisher's times now."""
        return self._shift_ms

    def track_received(self, track: Track) -> None:
        """Take a track that appeared, or one with another configuration."""
        state = self.states.get(track.id)
        if state is None:
            state = self.states[track.id] = TrackState(track)
        elif state.track.clock_rate != track.clock_rate:
            state.last = -(-state.last * track.clock_rate // state.track.clock_rate)
            state.keyframe_at = None
        state.track = track
        self._set_shifts(state)

    def publisher_changed(self, shown_until: float = 0.0) -> None:
        """Let the next packet, of whatever time, go on where the stream is.

        Args:
            shown_until: Where the pictures that were given out end, by presentation times, in
                seconds: where pictures are sent before others that they are made of, that may be
                behind what comes next. 0 where it is not known.
        """
        self._resume = True
        self._shown_until = shown_until
        for state in self.states.values():
            state.longest_step = 0

    def repair(self, packet: Packet, now: float) -> Packet:
        """Return the packet with its time on the stream's timeline.

        A packet with `0 < dts + shift - last <= longest_step` needs only its times moved by
        `shift`, and `last` set: a caller in a hurry may do just that.

        Args:
            packet: Its track was announced by `track_received`.
            now: Monotonic seconds.
        """
        track = packet.track
        state = self.states[track.id]
        if track.kind is MediaKind.DATA:
            dts = self._of_data(packet, state)
        else:
            if not self._anchored or self._resume:
                self._anchor(packet, now)
            dts = self._on_timeline(packet, state, now)
            state.longest_step = int(LONGEST_STEP_SECONDS * track.clock_rate)
        if state.started:
            if dts <= state.last:
                self.straightened += 1
                dts = state.last + max(1, int(SHORTEST_STEP_SECONDS * track.clock_rate))
        else:
            dts = max(dts, 0)
            state.started = True
        state.last = dts
        by = dts - packet.dts
        if not by:
            return packet
        return Packet(track, dts, packet.pts + by, packet.is_keyframe, packet.payload)

    def _of_data(self, packet: Packet, state: TrackState) -> int:
        """Return the packet's time where it fits; data never moves the timeline.

        Encoders send script data with a time of 0 in the middle of a stream.
        """
        rate = packet.track.clock_rate
        now = int(self.position * rate)
        dts = packet.dts + state.shift
        if self._anchored and abs(dts - now) <= LONGEST_STEP_SECONDS * rate:
            return dts
        return max(now, state.last + 1)

    def _on_timeline(self, packet: Packet, state: TrackState, now: float) -> int:
        """Return the packet's time by the shift that holds, after a jump by another."""
        rate = packet.track.clock_rate
        dts = packet.dts + state.shift
        position = self.position
        ahead = dts / rate - position
        if state.started:
            is_behind = state.last - dts >= LONGEST_STEP_BACK_SECONDS * rate
        else:
            is_behind = -ahead >= LATEST_START_SECONDS
        lead = max(0.0, now - self.active_at) + TOLERATED_LEAD_SECONDS
        if ahead <= lead and not is_behind:
            return dts
        earlier = packet.dts + state.earlier_shift
        step = (earlier - state.last) / rate
        if state.started and -LONGEST_STEP_BACK_SECONDS < step <= LONGEST_STEP_SECONDS:
            return earlier  # this track still sends by the clock from before the jump
        self.jumps += 1
        self._shift_to(packet, position + self._passed(now))
        return packet.dts + state.shift

    def _passed(self, now: float) -> float:
        """Seconds since the last packet: what a new clock is taken to have missed."""
        return max(SHORTEST_STEP_SECONDS, now - self.active_at)

    def _anchor(self, packet: Packet, now: float) -> None:
        """Begin near 0, or go on after another publisher by the time that passed between."""
        if self._anchored:
            position = self.position
            # Pictures never go back, though one publisher sends ahead what another one does not;
            # what claims to be shown much later is no reason to wait.
            shown_after = max(0, packet.pts - packet.dts) / packet.track.clock_rate
            shown = min(self._shown_until - shown_after, position + LONGEST_STEP_SECONDS)
            self._shift_to(packet, max(position + self._passed(now), shown))
        elif not 0 <= packet.dts < LATEST_START_SECONDS * packet.track.clock_rate:
            self._shift_to(packet, START_SECONDS)
        self._anchored = True
        self._resume = False

    def _shift_to(self, packet: Packet, seconds: float) -> None:
        """Move all tracks so that this packet lies at `seconds`."""
        rate = packet.track.clock_rate
        self._earlier_shift_ms = self._shift_ms
        # Whole milliseconds: what FLV and RTMP carry comes out as evenly as it came in.
        self._shift_ms = round(seconds * 1000) - packet.dts * 1000 // rate
        for state in self.states.values():
            self._set_shifts(state)

    def _set_shifts(self, state: TrackState) -> None:
        rate = state.track.clock_rate
        state.shift = self._shift_ms * rate // 1000
        state.earlier_shift = self._earlier_shift_ms * rate // 1000
        state.longest_step = 0
