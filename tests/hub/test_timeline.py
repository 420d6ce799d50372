"""Tests of ntvmedia.hub.timeline: whatever a publisher's clock does, ours goes on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.hub.timeline import (
    LONGEST_STEP_BACK_SECONDS,
    START_SECONDS,
    TOLERATED_LEAD_SECONDS,
    Timeline,
)
from ntvmedia.media import Codec, Packet, Track
from tests.hub.fakes import AUDIO, VIDEO, audio, video

G711 = Track(Codec.PCM_ALAW, clock_rate=8000)
CD = Track(Codec.AAC, clock_rate=44100, config=b"a2")
AUDIO_1 = Track(Codec.AAC, number=1, clock_rate=44100, config=b"a3")
DATA = Track(Codec.AMF0, clock_rate=1000)


class Feed:
    """A timeline, and a clock that runs as fast as the media does."""

    def __init__(self, *tracks: Track) -> None:
        self.timeline = Timeline()
        self.now = 100.0
        for track in tracks or (VIDEO, AUDIO):
            self.timeline.track_received(track)

    def take(self, packet: Packet, passed: float = 0.02) -> int:
        """Repair one packet the way a stream does; returns its time in milliseconds."""
        self.now += passed
        state = self.timeline.states[packet.track.id]
        dts = packet.dts + state.shift
        if 0 < dts - state.last <= state.longest_step:
            state.last = dts  # the short way
            out = packet._replace(dts=dts, pts=packet.pts + state.shift)
        else:
            out = self.timeline.repair(packet, self.now)
        self.timeline.active_at = self.now
        state.packets += 1
        assert out.pts - out.dts == packet.pts - packet.dts
        assert out[3:] == packet[3:]
        return round(out.dts * 1000 / packet.track.clock_rate)

    def play(self, packets: Iterable[Packet]) -> list[int]:
        """Repair several."""
        return [self.take(packet) for packet in packets]


def both(start: int, count: int, *, behind: int = 0, step: int = 40) -> list[Packet]:
    """Video every 40 ms and sound at the same times, `behind` ms later than it should come."""
    packets: list[Packet] = []
    for at in range(start, start + count * step, step):
        packets += [video(at), audio(at - behind)]
    return packets


def test_taken_as_it_is() -> None:
    """A-MD-16: a publisher that begins at 0, and goes on at 40, is not changed."""
    feed = Feed()
    assert feed.play([video(0), video(40), audio(3), audio(23)]) == [0, 40, 3, 23]
    assert (feed.timeline.jumps, feed.timeline.straightened) == (0, 0)


def test_pictures_never_go_back() -> None:
    """The next publisher's pictures come after those that were sent ahead of others."""
    feed = Feed()
    # A group that was cut short: the picture at 160 came before those that are shown first.
    feed.play([video(0), video(40)._replace(pts=160 * 90)])
    feed.timeline.publisher_changed(0.2)
    assert feed.take(video(7000)) == 200
    # One that sends ahead itself is shown at the same time, and sound has its place beside it.
    feed.timeline.publisher_changed(0.32)
    assert feed.play([video(0)._replace(pts=80 * 90), audio(0)]) == [240, 240]
    # Where that is over long ago, the time that passed counts.
    feed.timeline.publisher_changed(0.36)
    assert feed.take(video(0), passed=3.0) == 3240
    # No publisher can move its successor far away.
    feed.timeline.publisher_changed(8000.0)
    assert feed.take(video(0)) == 4240


@pytest.mark.parametrize("start", [3_514_123_186, -50, 2**31 - 20, 2**32 - 20, 10_000])
def test_late_start(start: int) -> None:
    """A-MD-15: times begin near 0, and sound a little before the first picture has its place."""
    feed = Feed()
    assert feed.play([video(start), audio(start - 200), video(start + 40), audio(start - 180)]) == [
        500,
        300,
        540,
        320,
    ]
    assert round(START_SECONDS * 1000) == 500


@pytest.mark.parametrize("start", [0, 3_000, 3_514_123_186])
@pytest.mark.parametrize("to", [0, 3_600_000, -600_000, 16_777_216, -40_000, 5_000])
def test_jump(start: int, to: int) -> None:
    """A-MD-14: after a restart or a jump both tracks go on, with the same distance."""
    feed = Feed()
    before = feed.play(both(start, 100, behind=120))
    began = start + 4000 + to
    feed.timeline.active_at = feed.now
    after = feed.play(both(began, 100, behind=120))
    assert feed.timeline.jumps == (1 if to else 0)
    pictures, sounds = before[::2] + after[::2], before[1::2] + after[1::2]
    assert all(0 < b - a <= 200 for a, b in pairwise(pictures))
    assert all(0 < b - a <= 200 for a, b in pairwise(sounds))
    distances = {a - b for a, b in zip(after[::2], after[1::2], strict=True)}
    assert distances <= {119, 120, 121}


@pytest.mark.parametrize("bits", [24, 31, 32])
def test_wrap(bits: int) -> None:
    """A-MD-17, A-MD-18: a publisher's counter that wraps is not noticed behind."""
    feed = Feed()
    start = (1 << bits) - 2000
    packets = [
        packet._replace(dts=wrapped, pts=wrapped)
        for packet in both(start, 100, behind=100)
        for rate in (packet.track.clock_rate,)
        for wrapped in (packet.dts % ((rate << bits) // 1000),)
    ]
    times = feed.play(packets)
    assert feed.timeline.jumps == 1
    for track in (times[::2], times[1::2]):
        assert all(0 < b - a <= 100 for a, b in pairwise(track))
    assert times[-2] - times[-1] == pytest.approx(100, abs=2)


def test_data_without_a_clock() -> None:
    """Script data with a timestamp of 0 at any time is put where the stream is: no jump."""
    feed = Feed(VIDEO, AUDIO, DATA)
    feed.play(both(0, 1000))
    assert feed.take(Packet(DATA, 0, 0, True, b"cue")) == pytest.approx(39_960, abs=2)
    assert feed.take(Packet(DATA, 0, 0, True, b"cue")) == pytest.approx(39_961, abs=2)
    assert feed.play(both(40_000, 2)) == [40_000, 40_000, 40_040, 40_040]
    assert feed.take(Packet(DATA, 40_050, 40_050, True, b"cue")) == 40_050
    assert feed.timeline.jumps == 0


def test_data_first() -> None:
    """Data does not say where the timeline begins."""
    feed = Feed(VIDEO, DATA)
    feed.take(Packet(DATA, 0, 0, True, b"cue"))
    assert feed.take(video(90_000_000)) == 500
    assert feed.timeline.jumps == 0


def test_late_track() -> None:
    """A track that begins some seconds behind the others is where the publisher put it."""
    feed = Feed()
    feed.play([video(at) for at in range(0, 4000, 40)])
    assert feed.play([audio(0), audio(20), video(4000)]) == [0, 20, 4000]
    assert feed.timeline.jumps == 0


def test_disorder_after_a_jump() -> None:
    """Two equal times of a track that still uses the old clock are no jump back."""
    feed = Feed()
    feed.play(both(0, 50))
    feed.play([video(3_602_000), audio(1980), audio(1980), audio(1960), audio(2000)])
    feed.play(both(3_602_040, 50))
    assert feed.timeline.jumps == 1
    state = feed.timeline.states[VIDEO.id]
    assert video(3_604_040).dts + state.shift - state.last == 40 * 90, "not on the short way again"


def test_silence_is_time() -> None:
    """A step as long as the wall clock's is time that passed."""
    feed = Feed()
    feed.play(both(0, 10))
    assert feed.take(video(30_360), passed=30.0) == 30_360
    assert feed.timeline.jumps == 0


def test_lead_is_a_jump() -> None:
    """A-MD-13: a step of 5 s in no time is none of the media's."""
    feed = Feed()
    feed.play(both(0, 10))
    assert feed.take(video(5360)) < 500
    assert feed.timeline.jumps == 1


@pytest.mark.parametrize(("old", "new"), [(AUDIO, G711), (G711, AUDIO), (AUDIO, CD)])
def test_other_clock_rate(old: Track, new: Track) -> None:
    """Sound that changes its sample rate goes on at the same moment, whatever was before."""
    feed = Feed(VIDEO, old)
    feed.play([video(5_000_000), audio(5_000_000, track=old), audio(5_000_020, track=old)])
    feed.timeline.track_received(new)
    times = feed.play([audio(5_000_040, track=new), video(5_000_040), audio(5_000_060, track=new)])
    assert times == pytest.approx([540, 540, 560], abs=1)
    assert feed.timeline.jumps == 0


def test_track_added_after_a_jump() -> None:
    """A track that appears after a jump is on the timeline of now."""
    feed = Feed()
    feed.play(both(0, 100))
    feed.play(both(7_200_000, 100))
    feed.timeline.track_received(AUDIO_1)
    (at,) = feed.play([video(7_204_000)])
    assert feed.take(audio(7_204_000, track=AUDIO_1)) == pytest.approx(at, abs=1)
    assert feed.timeline.jumps == 1


@pytest.mark.parametrize("begin", [0, 4040, 9_999_999, -70])
def test_another_publisher(begin: int) -> None:
    """B-FL-10: the next publisher goes on after the time that passed between, whatever its own."""
    feed = Feed()
    feed.play(both(0, 100))
    feed.timeline.publisher_changed()
    first = feed.take(video(begin), passed=5.0)
    assert first == pytest.approx(3960 + 5000, abs=2)
    assert feed.play([audio(begin + 20), video(begin + 40)]) == pytest.approx(
        [first + 20, first + 40], abs=2
    )
    assert feed.timeline.jumps == 0


steps = st.lists(
    st.tuples(
        st.sampled_from([VIDEO, AUDIO, AUDIO_1, DATA]),
        st.one_of(
            st.integers(-2000, 6000),
            st.sampled_from([0, 1, 20, 40, -(2**24), 2**24, -(2**31), 2**32, 3_600_000, -600_000]),
        ),
        st.floats(0.0, 20.0),
    ),
    max_size=60,
)


@given(st.integers(-(2**33), 2**33), steps, st.sets(st.integers(0, 59), max_size=3))
def test_strictly_increasing(
    start: int, script: list[tuple[Track, int, float]], changes: set[int]
) -> None:
    """A-MD-13: each track's times increase from near 0 on, and never run ahead of the clock."""
    feed = Feed(VIDEO, AUDIO, AUDIO_1, DATA)
    at = start
    last: dict[int, int] = {}
    began = feed.now
    for number, (track, step, passed) in enumerate(script):
        if number in changes:
            feed.timeline.publisher_changed()
        at += step
        ticks = at * track.clock_rate // 1000
        feed.take(Packet(track, ticks, ticks, True, b""), passed)
        out = feed.timeline.states[track.id].last
        assert out > last.get(track.id, -1)
        last[track.id] = out
        allowed = 10.5 + (feed.now - began) + (number + 1) * (TOLERATED_LEAD_SECONDS + 0.01)
        assert out / track.clock_rate <= allowed


@given(
    st.integers(-(2**40), 2**40),
    st.lists(st.tuples(st.booleans(), st.integers(1, 900), st.integers(-90, 90)), max_size=60),
)
def test_nothing_moves_without_a_jump(start: int, script: list[tuple[bool, int, int]]) -> None:
    """Output and input differ by one constant, but for packets that were out of order."""
    feed = Feed()
    clock = start
    shifts = []
    for is_video, step, jitter in script:
        clock += step
        at = clock + jitter
        before = feed.timeline.straightened
        out = feed.take((video if is_video else audio)(at), step / 1000)
        if feed.timeline.straightened == before:
            shifts.append(out - at)
        else:
            assert abs(out - at - shifts[0]) <= LONGEST_STEP_BACK_SECONDS * 1000
    assert feed.timeline.jumps == 0
    if shifts and shifts[0] != shifts[-1]:
        assert max(shifts) - min(shifts) <= 1
