"""RTP timestamps on one timeline (D-PL-05, D-PL-06, D-PL-09, D-RT-10), with times given."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.wire.rtp.clock import START_SECONDS, SessionClock, TrackClock
from ntvmedia.wire.rtp.rtcp import SenderReport, ntp_from_unix

WALL = 1_800_000_000.0
BASE = (1 << 32) - 500_000


class Camera:
    """A track of a camera, as a simulation: true time in, timestamps and reports out.

    Args:
        session: Of the receiver.
        rate: Ticks a second.
        speed: Of the camera's media clock: 1.001 gains a millisecond each second.
        delay: Seconds that its packets take.
        epoch: Added to the wall clock that it reports.
    """

    def __init__(
        self,
        session: SessionClock,
        rate: int,
        *,
        speed: float = 1.0,
        delay: float = 0.02,
        epoch: float = 0.0,
    ) -> None:
        self.clock: TrackClock = session.track(rate)
        self.rate = rate
        self.speed = speed
        self.delay = delay
        self.epoch = epoch
        self.base = random.Random(rate).getrandbits(32)

    def timestamp(self, true: float) -> int:
        """Return the timestamp of what happens at a time."""
        return (self.base + round(true * self.speed * self.rate)) & 0xFFFFFFFF

    def send(self, true: float, jitter: float = 0.0) -> float:
        """Deliver the packet of a time; return what the timeline says, in seconds."""
        arrived = 1000.0 + true + self.delay + jitter
        return self.clock.ticks(self.timestamp(true), arrived) / self.rate

    def report(self, true: float) -> None:
        """Deliver a sender report."""
        ntp = ntp_from_unix(WALL + true + self.epoch)
        report = SenderReport(1, ntp, self.timestamp(true), 0, 0)
        self.clock.report_received(report, 1000.0 + true + self.delay)


def worst(video: Camera, audio: Camera, start: float, stop: float, report: float = 0.0) -> float:
    """Run two tracks; return by how much sound and picture were apart at the worst, in the end."""
    dice = random.Random(5)
    apart = 0.0
    true = start
    due = start
    while true < stop:
        # A keyframe takes longer to arrive than the frames behind it.
        jitter = dice.random() * 0.01 + (0.05 if round(true * 25) % 25 == 0 else 0.0)
        picture = video.send(true, jitter) - true
        sound = audio.send(true, dice.random() * 0.01) - true
        if report and true >= due:
            due += report
            video.report(true)
            audio.report(true)
        if true > stop - (stop - start) / 2:
            apart = max(apart, abs(picture - sound))
        true += 0.04
    return apart


def test_wraps() -> None:
    """D-PL-09: timestamps wrap every 13 h 15 m, time goes on; so do reports."""
    session = SessionClock()
    clock = session.track(90000)
    first = clock.ticks(BASE, 10.0)
    assert first == START_SECONDS * 90000
    for index in range(1, 1000):
        assert clock.ticks((BASE + 3600 * index) & 0xFFFFFFFF, 10.0 + index / 25) == (
            first + 3600 * index
        )
    clock.report_received(SenderReport(1, ntp_from_unix(WALL), BASE, 0, 0), 50.0)
    assert clock.wall_time(first) == pytest.approx(WALL)
    assert clock.wall_time(first + 900_000) == pytest.approx(WALL + 10)


def test_hours() -> None:
    """D-PL-09: a whole turn of 2**32 and more, a packet each second."""
    clock = SessionClock().track(90000)
    ticks = [clock.ticks(90000 * n & 0xFFFFFFFF, float(n)) for n in range(100_000)]
    assert {b - a for a, b in pairwise(ticks)} == {90000}
    assert clock.faults == 0


def test_backward_steps_of_pictures() -> None:
    """The order of decoding is no fault."""
    clock = SessionClock().track(90000)
    shown = [0, 3, 1, 2, 6, 4, 5]
    ticks = [clock.ticks(BASE + 3600 * n, 1.0 + i / 25) for i, n in enumerate(shown)]
    assert [(x - ticks[0]) // 3600 for x in ticks] == shown
    assert clock.faults == 0


def test_tracks_begin_beside_each_other() -> None:
    """Without reports, arrival tells where the second track begins; also behind a burst."""
    session = SessionClock()
    video, audio = session.track(90000), session.track(48000)
    for index in range(50):  # 2 s of pictures at once, as servers begin
        video.ticks(3600 * index, 1.0 + index / 1000)
    assert audio.ticks(77, 1.05) / 48000 == pytest.approx(START_SECONDS + 49 / 25, abs=0.01)


def test_reports_put_tracks_together() -> None:
    """Sound that takes 0.4 s longer than the pictures is moved to where it belongs."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000, delay=0.42)
    assert abs(video.send(0.0) - audio.send(0.0)) == pytest.approx(0.4, abs=0.001)
    video.report(0.1)
    audio.report(0.1)
    assert video.send(0.2) == pytest.approx(audio.send(0.2), abs=0.0001)
    assert video.clock.is_locked and audio.clock.is_locked


def test_reports_before_the_first_packet() -> None:
    """D-PL-05: a report that comes first counts as soon as there is something to compare."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000, delay=0.42)
    video.report(0.0)
    audio.report(0.0)
    assert video.send(0.0) == pytest.approx(audio.send(0.0), abs=0.0001)


def test_late_reports() -> None:
    """D-PL-06: reports that begin after a minute put tracks together then."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000, delay=0.3)
    worst(video, audio, 0, 60)
    assert worst(video, audio, 60, 120, report=5.0) < 0.01


@pytest.mark.parametrize("speed", [1.0003, 0.9997, 1.002])
def test_drift_with_reports(speed: float) -> None:
    """D-PL-06: a sound card that drifts by 1 to 7 s an hour stays within 100 ms of the picture."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000, speed=speed)
    assert worst(video, audio, 0, 3600, report=5.0) < 0.06
    assert audio.clock.is_locked


@pytest.mark.parametrize("speed", [1.0003, 0.9997, 1.002])
def test_drift_without_reports(speed: float) -> None:
    """D-PL-06: the same where nobody tells: arrival does."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000, speed=speed)
    assert worst(video, audio, 0, 3600) < 0.1
    assert audio.clock.faults == 0


def test_wrong_epoch() -> None:
    """D-PL-06: a track whose wall clock is a year off stays where arrival puts it."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000, epoch=-31e6)
    assert worst(video, audio, 0, 60, report=5.0) < 0.1
    assert not audio.clock.is_locked


def test_epoch_of_uptime() -> None:
    """D-PL-06: a wall clock that began when the camera did is as good, if all tracks have it."""
    session = SessionClock()
    epoch = -WALL - 2208988800 + 50
    video = Camera(session, 90000, epoch=epoch)
    audio = Camera(session, 48000, epoch=epoch, delay=0.4)
    assert worst(video, audio, 0, 60, report=5.0) < 0.001


def test_wall_clock_that_jumps() -> None:
    """D-PL-06: a camera whose clock is set moves nothing, at once or after it has persisted."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000)
    worst(video, audio, 0, 30, report=5.0)
    video.epoch = audio.epoch = 3600.0
    before = video.send(30.0) - 30.0
    assert worst(video, audio, 30.04, 120, report=5.0) < 0.02
    assert video.send(121.0) - 121.0 == pytest.approx(before, abs=0.001)
    # The new time is believed meanwhile.
    wall = video.clock.wall_time(video.clock.ticks(video.timestamp(122.0), 1122.0))
    assert wall == pytest.approx(WALL + 3600 + 122, abs=0.1)


@pytest.mark.parametrize("who", ["video", "audio", "both"])
@pytest.mark.parametrize("stands", [True, False])
def test_wall_clock_that_stands_still(who: str, stands: bool) -> None:
    """D-PL-06: reports with one and the same wall time, or none: arrival keeps tracks together."""
    session = SessionClock()
    cameras = {"video": Camera(session, 90000), "audio": Camera(session, 48000, speed=1.001)}
    dice = random.Random(1)
    apart = 0.0
    for index in range(25 * 400):
        true = index / 25
        seen = {name: camera.send(true, dice.random() / 100) for name, camera in cameras.items()}
        if index > 25 * 200:
            apart = max(apart, abs(seen["video"] - seen["audio"]))
        if index % 125 == 0:
            for name, camera in cameras.items():
                wrong = who in (name, "both")
                if wrong and not stands:
                    camera.clock.report_received(
                        SenderReport(1, 0, camera.timestamp(true), 0, 0), 1000.0 + true
                    )
                    continue
                camera.epoch = -true if wrong else 0.0
                camera.report(true)
    assert apart < 0.1


def test_one_wrong_report() -> None:
    """D-PL-06: a single report that is off is passed over."""
    session = SessionClock()
    video, audio = Camera(session, 90000), Camera(session, 48000)
    worst(video, audio, 0, 30, report=5.0)
    audio.epoch = 4.0
    audio.report(30.0)
    audio.epoch = 0.0
    assert audio.send(30.1) == pytest.approx(video.send(30.1), abs=0.02)


def test_jump_back() -> None:
    """D-RT-10: an hour back is no time; it goes on by what passed."""
    clock = SessionClock().track(90000)
    for index in range(100):
        clock.ticks(BASE + 3600 * index, index / 25)
    for index in range(100, 200):
        ticks = clock.ticks((BASE + 3600 * index - 3600 * 90000) & 0xFFFFFFFF, index / 25)
        assert ticks == START_SECONDS * 90000 + 3600 * index
    assert clock.faults == 1
    assert not clock.by_arrival


def test_standstill() -> None:
    """D-RT-10: timestamps that stay the same; after some faults arrival is the clock."""
    clock = SessionClock().track(90000)
    seconds = [clock.ticks(BASE, index / 25) / 90000 for index in range(25 * 60)]
    assert clock.by_arrival
    assert seconds[-1] == pytest.approx(START_SECONDS + 60, abs=0.1)
    assert all(a <= b for a, b in pairwise(seconds))


def test_twice_as_fast() -> None:
    """D-RT-10: a clock at twice its rate gives way to arrival, and goes on from where it was."""
    clock = SessionClock().track(90000)
    seconds = [clock.ticks(BASE + 7200 * n & 0xFFFFFFFF, n / 25) / 90000 for n in range(25 * 90)]
    assert clock.by_arrival
    assert seconds[-1] - seconds[-251] == pytest.approx(10.0, abs=0.1)
    assert all(a < b for a, b in pairwise(seconds))


def test_faster_than_real_time() -> None:
    """A file that is sent as fast as it goes keeps its times: all its tracks are as fast."""
    session = SessionClock()
    video, audio = session.track(90000), session.track(48000)
    for index in range(25 * 600):
        now = index / 25 / 8
        picture = video.ticks(BASE + 3600 * index & 0xFFFFFFFF, now) / 90000
        sound = audio.ticks(1920 * index & 0xFFFFFFFF, now) / 48000
    assert not video.by_arrival and not audio.by_arrival
    assert picture == pytest.approx(sound, abs=0.1) == pytest.approx(600.96, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-9000, 9000), st.integers(0, (1 << 32) - 1)),
            st.floats(0, 30),
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_any_timestamps(steps: list[tuple[int, float, bool]]) -> None:
    """D-RT-10: whatever comes, the timeline stays within seconds of the time that passed."""
    clock = SessionClock().track(90000)
    now, timestamp = 5.0, 1234
    clock.ticks(timestamp, now)
    lead = 0.0
    for step, passed, reports in steps:
        now += passed
        timestamp = (timestamp + step) & 0xFFFFFFFF
        seconds = clock.ticks(timestamp, now) / 90000
        # One step may be 10 s too long, or 3 s back; a longer one is none.
        lead = max(lead + 10.0 - passed, 10.0)
        assert seconds - (now - 5.0) - START_SECONDS <= lead + passed + 0.01
        if reports:
            report = SenderReport(1, ntp_from_unix(now * step), timestamp ^ step & 0xFF, 0, 0)
            clock.report_received(report, now)
