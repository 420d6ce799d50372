"""Everything that can happen to a stream, in any order, while players poll (cases.md section 7)."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.hls.following import Following
from tests.hls.m3u8 import demand, parse_media
from tests.hls.rig import Player, Rig
from tests.hls.source import FRAME_SECONDS, video_track
from tests.hls.watching import KEPT_SECONDS, Watching

LONG = os.environ.get("NTVMEDIA_LONG") == "1"

GRACE = 15.0

durations = st.floats(0.3, 9.0).map(lambda x: round(x, 2))


class HLSMachine(RuleBasedStateMachine):
    """A publisher in all its states, a session that polls all the time, and others that do not.

    C-PL-01, C-PL-02, C-PL-06 to C-PL-11, C-PL-14, C-PL-15, C-PL-20, C-PL-22, C-PL-23: whatever
    comes after what, no rule of `PlaylistMonitor` and of `Ledger` is broken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rig: Rig = None  # type: ignore[assignment]
        self.watching: Watching = None  # type: ignore[assignment]
        self.others: list[Player] = []
        self.config = 0
        self.ended_at: float | None = None
        self.stepped_back = False
        self.follows = False

    @initialize(
        segment_seconds=st.sampled_from([1.0, 2.0, 4.0]),
        count=st.integers(3, 8),
        end_list=st.booleans(),
        always=st.booleans(),
        sessions=st.booleans(),
        clock=st.sampled_from([0.0, 3.0, 1000.0, 95_000.0]),
        format=st.sampled_from(["ts", "fmp4", "ll"]),
        key_segments=st.sampled_from([0, 1, 3]),
        reorders=st.booleans(),
    )
    def begin(
        self,
        clock: float,
        format: str = "ts",
        key_segments: int = 0,
        *,
        reorders: bool = False,
        **options: Any,
    ) -> None:
        """A server, a publisher, and who watches; without keys where they last for no segment."""
        names = {f"hls_{name}": value for name, value in options.items() if name != "count"}
        if key_segments:
            names.update(encrypted=True, hls_key_segments=key_segments)
        self.rig = Rig(hls_segment_count=options["count"], hls_format=format, **names)
        self.rig.encoder.reorders = reorders
        self.rig.publish(clock)
        self.rig.run(1.2)
        self.follows = format == "ll"
        self.watching = self.session()
        self.watching.join()

    def session(self) -> Watching:
        """Return a session of the kind that suits the format."""
        return Following(self.rig) if self.follows else Watching(self.rig)

    @property
    def is_published(self) -> bool:
        """Whether somebody publishes."""
        return self.rig.publication is not None

    @property
    def is_there(self) -> bool:
        """Whether there is a stream, perhaps one that waits for its publisher."""
        return bool(self.rig.host.hub.streams)

    def run_rig(self, seconds: float, *, silent: bool = False) -> None:
        """Let time pass, and see what it brings."""
        for _ in range(max(1, round(seconds / FRAME_SECONDS))):
            was_there = self.is_there
            self.rig.run(FRAME_SECONDS, silent=silent)
            if was_there and not self.is_there:
                self.ended()
            if self.ended_at is not None and self.rig.now - self.ended_at > KEPT_SECONDS - 1.0:
                self.watching.leave()

    def ended(self) -> None:
        """The stream is over."""
        self.ended_at = self.rig.now
        self.watching.ended()
        if self.watching.is_polling:
            self.watching.poll()

    @rule(seconds=durations)
    def play(self, seconds: float) -> None:
        """Time passes; who publishes sends."""
        self.run_rig(seconds)

    @precondition(lambda self: self.is_published)
    @rule(seconds=st.floats(0.2, 12.0).map(lambda x: round(x, 2)))
    def regroup(self, seconds: float) -> None:
        """Keyframes come more or less often."""
        self.rig.encoder.gop_seconds = seconds

    @precondition(lambda self: self.is_published)
    @rule()
    def keyframe(self) -> None:
        """One comes before its time."""
        self.rig.encoder.wants_key = True
        self.run_rig(0.1)

    @precondition(lambda self: self.is_published)
    @rule(at_once=st.booleans())
    def other_configuration(self, at_once: bool) -> None:
        """The pictures get another size; the next keyframe comes now or later (C-PL-09)."""
        self.config += 1
        encoder = self.rig.encoder
        encoder.video = video_track(self.config)
        encoder.wants_key = at_once
        encoder.cut()
        self.rig.announce()
        self.run_rig(0.4)

    @precondition(lambda self: self.is_published)
    @rule()
    def same_configuration(self) -> None:
        """The encoder says what it said before (C-PL-09)."""
        self.rig.announce()
        self.run_rig(0.1)

    @precondition(lambda self: self.is_published)
    @rule(seconds=st.floats(0.3, 9.0).map(lambda x: round(x, 2)))
    def stall(self, seconds: float) -> None:
        """Nothing comes for a while (C-PL-22)."""
        self.run_rig(seconds, silent=True)

    @precondition(lambda self: self.is_published)
    @rule(seconds=st.floats(0.1, GRACE - 1.0).map(lambda x: round(x, 2)))
    def lose(self, seconds: float) -> None:
        """The publisher is gone without a word, and perhaps comes back (C-PL-06)."""
        self.rig.lose()
        self.run_rig(seconds)

    @precondition(lambda self: not self.is_published)
    @rule(clock=st.sampled_from([0.0, 5.0, 70_000.0]), config=st.integers(0, 1))
    def publish(self, clock: float, config: int) -> None:
        """A publisher comes, or comes back, with a clock of its own (C-PL-06, C-PL-10)."""
        was_told = False
        if not self.is_there:
            self.watching.ledger.forget()
            self.run_rig(0.4)  # dates of two streams do not begin in the same moment
            was_told = self.rig.options["hls_end_list"] and self.watching.is_polling
            if was_told:  # that nothing follows: it asks no more (6.2.1)
                self.watching.leave()
        self.rig.encoder.video = video_track(self.config + config)
        self.config += config
        self.ended_at = None
        self.watching.published()
        self.rig.publish(clock)
        if was_told:
            self.watching.player.wait(2 * GRACE)
            self.watching.is_polling = True
        self.run_rig(3.0)

    @precondition(lambda self: self.is_published)
    @rule()
    def unpublish(self) -> None:
        """It leaves in order (C-PL-15)."""
        self.rig.unpublish()
        self.ended()

    @rule()
    def restart(self) -> None:
        """The server begins anew; its playlist goes on above the old one (C-PL-07)."""
        was_polling = self.watching.is_polling
        self.watching.leave()
        self.rig.restart()
        if self.stepped_back:
            # Nothing that a server knows tells it that the clock was ahead.
            self.watching = self.session()
            self.stepped_back = False
        self.watching.leave()
        self.watching.monitor.server_restarted()
        self.others.clear()
        self.run_rig(1.0)
        self.ended_at = None
        self.watching.published()
        self.rig.publish()
        self.run_rig(1.5)
        if was_polling:
            self.watching.join()

    @rule(seconds=st.sampled_from([-3600.0, -5.0, 5.0, 3600.0]))
    def step_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock (C-PL-11, G-RS-06)."""
        self.rig.wall_offset += seconds
        self.stepped_back |= seconds < 0
        self.watching.ledger.clock_stepped()

    @precondition(lambda self: self.watching.is_polling)
    @rule(seconds=st.floats(0.0, 40.0).map(lambda x: round(x, 2)))
    def pause(self, seconds: float) -> None:
        """The session asks for nothing for a while, and then goes on (C-PL-20)."""
        self.watching.leave()
        self.run_rig(seconds)
        if self.is_published:
            self.watching.player.wait(2 * GRACE)
            self.watching.is_polling = True
            self.watching.poll()

    @precondition(lambda self: self.is_published and not self.watching.is_polling)
    @rule()
    def watch(self) -> None:
        """Somebody watches again, in a new session."""
        self.run_rig(1.5)
        self.watching.join()

    @precondition(lambda self: self.is_published)
    @rule()
    def join(self) -> None:
        """One more session."""
        self.run_rig(1.5)
        other = Player(self.rig)
        other.join()
        other.wait()
        self.others.append(other)

    @precondition(lambda self: self.others)
    @rule(data=st.data())
    def poll_other(self, data: st.DataObject) -> None:
        """Another session asks, and gets what the first one gets (C-PL-24)."""
        other = data.draw(st.sampled_from(self.others))
        pending = other.ask()
        answer = pending.answer
        pending.leave()
        if answer is None:
            return
        demand(answer.status in (200, 404), "status", str(answer.status))
        if answer.status == 200:
            playlist = parse_media(answer.body)
            if self.watching.is_polling:
                same = answer.body == self.watching.player.poll().body
                demand(same, "differ", "two sessions")
            last = playlist.segments[-1]
            if not last.gap:
                demand(other.fetch(last.uri).status == 200, "not-there", last.uri)

    @rule(
        segment_seconds=st.sampled_from([1.0, 2.0, 6.0]),
        count=st.integers(3, 8),
        always=st.booleans(),
    )
    def change_options(self, segment_seconds: float, count: int, always: bool) -> None:
        """The operator changes the application: no playlist that is there gets another target."""
        self.rig.set_options(
            hls_segment_seconds=segment_seconds, hls_segment_count=count, hls_always=always
        )
        self.run_rig(0.2)

    @precondition(lambda self: self.watching.is_polling)
    @rule()
    def fetch_all(self) -> None:
        """All that is listed, or was lately, is there (C-PL-14)."""
        self.watching.monitor.check_all(self.rig.now)

    def teardown(self) -> None:
        """Nothing is left of anything (C-PL-17)."""
        if self.rig is not None:
            self.watching.leave()
            self.rig.close()


HLSMachine.TestCase.settings = settings(
    max_examples=400 if LONG else 20,
    stateful_step_count=50 if LONG else 25,
    deadline=None,
    # The short dose is the same each time; the long one looks for what nobody has seen yet.
    derandomize=not LONG,
    # A failure is read as it was found: to shrink one takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate] + [Phase.shrink] * LONG,
    suppress_health_check=list(HealthCheck),
)

TestHLSMachine = HLSMachine.TestCase
