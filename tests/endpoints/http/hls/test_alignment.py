"""What all playlists of one name share: cuts, and one timeline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from ntvmedia.endpoints.http.hls.alignment import (
    BREAK_TICKS,
    CLOCK_RATE,
    MAX_BOUNDARIES,
    SAME_CLOCK_SECONDS,
    SAME_TICKS,
    Alignment,
    TimeBase,
)

SECOND = CLOCK_RATE


def _cut(alignment: Alignment, *times: int) -> None:
    """Cut where one wants it who comes first."""
    for start, time in zip((-10 * SECOND, *times), times, strict=False):
        assert alignment.cuts_at(start, time, wanted=True)


def test_the_first_decides() -> None:
    """C-PL-24: where one cuts the others do, whatever they would do alone."""
    alignment = Alignment(0)
    assert alignment.cuts_at(0, 2 * SECOND, wanted=True)
    for _other in range(3):
        assert alignment.cuts_at(0, 2 * SECOND, wanted=False)
        assert alignment.cuts_at(0, 2 * SECOND, wanted=True)


def test_the_first_goes_by() -> None:
    """C-PL-24: where one went by the others go by as well, and cut where it did."""
    alignment = Alignment(0)
    assert not alignment.cuts_at(0, 1 * SECOND, wanted=False)
    assert alignment.cuts_at(0, 2 * SECOND, wanted=True)
    assert not alignment.cuts_at(0, 1 * SECOND, wanted=True)
    assert alignment.cuts_at(0, 2 * SECOND, wanted=False)


def test_nobody_was_there() -> None:
    """What nobody has decided is the caller's: also when it is told again."""
    alignment = Alignment(0)
    assert not alignment.cuts_at(0, SECOND, wanted=False)
    assert alignment.cuts_at(0, SECOND, wanted=True)
    assert not alignment.cuts_at(SECOND, 2 * SECOND, wanted=False)


def test_about_the_same_time() -> None:
    """Two encodings of one keyframe differ by what milliseconds and a frame leave, not by more."""
    for shift in (-SAME_TICKS, -1, 0, 1, SAME_TICKS):
        alignment = Alignment(0)
        _cut(alignment, 2 * SECOND)
        assert alignment.cuts_at(0, 2 * SECOND + shift, wanted=False), shift
    alignment = Alignment(0)
    _cut(alignment, 2 * SECOND)
    assert not alignment.cuts_at(0, 2 * SECOND + SAME_TICKS + 1, wanted=False)
    assert not alignment.cuts_at(0, 2 * SECOND - SAME_TICKS - 1, wanted=True)


def test_a_cut_is_not_made_twice() -> None:
    """A keyframe right behind the cut that began a segment does not end it."""
    alignment = Alignment(0)
    _cut(alignment, 2 * SECOND)
    assert not alignment.cuts_at(2 * SECOND - 30, 2 * SECOND + 30, wanted=False)


def test_one_that_lags() -> None:
    """Who comes seconds later finds all cuts that are newer than a minute, and makes none."""
    alignment = Alignment(0)
    cuts = [2 * SECOND * index for index in range(1, 31)]
    _cut(alignment, *cuts)
    start = 0
    for time in range(SECOND, 60 * SECOND, SECOND):
        is_cut = alignment.cuts_at(start, time, wanted=True)
        assert is_cut is (time in cuts)
        start = time if is_cut else start


def test_bounded() -> None:
    """G-RS-01: what was long ago is forgotten."""
    alignment = Alignment(0)
    _cut(alignment, *(2 * SECOND * index for index in range(1, 10 * MAX_BOUNDARIES)))
    assert len(alignment._boundaries) == MAX_BOUNDARIES


def test_who_is_ahead() -> None:
    """One that sends a minute at once does not decide where the others are cut."""
    alignment = Alignment(0)
    alignment.target_duration = 2
    _cut(alignment, *(2 * SECOND * index for index in range(1, 30)))
    assert alignment.cuts_at(SECOND, 3 * SECOND, wanted=True)
    assert not alignment.cuts_at(3 * SECOND, 5 * SECOND, wanted=False)


class Sound:
    """Notes where it is told to end a segment."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def follow(self, time: int) -> None:
        """Note it."""
        self.told.append(time)


def test_sound_follows() -> None:
    """Sound is told of each cut of the pictures once, whoever of them comes to it then."""
    alignment, sound = Alignment(0), Sound()
    alignment.followers[sound] = None
    assert not alignment.cuts_at(0, SECOND, wanted=False)
    assert sound.told == []
    for start in (0, 2 * SECOND):
        for _member in range(3):
            assert alignment.cuts_at(start, start + 2 * SECOND, wanted=True)
    assert sound.told == [2 * SECOND, 4 * SECOND]


# What breaks


def test_one_break() -> None:
    """C-PL-08: what breaks in all at about the same time is one discontinuity."""
    alignment = Alignment(7)
    assert alignment.number_at(0) == 7
    for late in (0, 30, -30, BREAK_TICKS // 2):
        alignment.break_at(10 * SECOND + late, 7)
    assert alignment.number_at(10 * SECOND) == 8
    assert alignment.number_at(9 * SECOND) == 7
    assert alignment.number_at(20 * SECOND) == 8


def test_breaks_of_one_that_lags() -> None:
    """C-PL-08: who comes late counts what the others had, each before the same content."""
    alignment = Alignment(0)
    for index, time in enumerate((10 * SECOND, 20 * SECOND, 30 * SECOND)):
        alignment.break_at(time, index)
    numbers = [alignment.number_at(time * SECOND) for time in (5, 10, 15, 20, 25, 30, 35)]
    assert numbers == [0, 1, 1, 2, 2, 3, 3]
    alignment.break_at(20 * SECOND, 1)  # it breaks there for the late one too
    assert alignment.number_at(35 * SECOND) == 3


def test_a_break_of_one_alone() -> None:
    """C-PL-08: what only one has, as it was away, gives all others a discontinuity too."""
    alignment = Alignment(0)
    alignment.break_at(10 * SECOND, 0)
    alignment.break_at(11 * SECOND, 1)
    assert alignment.number_at(12 * SECOND) == 2
    assert alignment.number_at(10 * SECOND) == 1


def test_breaks_of_another_stream() -> None:
    """C-PL-08: with another stream, whose times begin anew, numbers do not go back."""
    alignment = Alignment(0)
    alignment.follow(first := object())
    for index in range(5):
        alignment.break_at(index * 10 * SECOND + SECOND, index)
    alignment.follow(first)
    assert alignment.number_at(0) == 0
    alignment.follow(object())
    assert alignment.number_at(0) == 6  # it is one more break


def test_breaks_are_bounded() -> None:
    """G-RS-01: breaks of long ago are counted and forgotten."""
    alignment = Alignment(0)
    for index in range(10 * MAX_BOUNDARIES):
        alignment.break_at(index * 10 * SECOND + SECOND, index)
        assert alignment.number_at(index * 10 * SECOND + SECOND) == index + 1
    assert len(alignment._breaks) == MAX_BOUNDARIES


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=60),
)
def test_numbers_of_members(steps: list[tuple[int, int, bool]]) -> None:
    """C-PL-08: the numbers of each only go up, and after all have caught up they are the same."""
    alignment = Alignment(3)
    at = [0, 0, 0]
    numbers: list[int | None] = [None, None, None]

    def segment(member: int, *, breaks: bool) -> None:
        at[member] += 2 * SECOND
        number = numbers[member]
        if breaks and number is not None:
            alignment.break_at(at[member], number)
        wanted = alignment.number_at(at[member])
        assert number is None or wanted >= number
        if breaks and number is not None:
            assert wanted > number
        numbers[member] = wanted

    for member, ahead, breaks in steps:
        for index in range(ahead + 1):
            segment(member, breaks=breaks and not index)
    latest = max(at) + 2 * SECOND
    for member in range(3):
        while at[member] < latest:
            segment(member, breaks=False)
    assert len(set(numbers)) == 1


def test_follow() -> None:
    """The times of another stream are other ones; the same stream keeps its cuts."""
    alignment, first, second = Alignment(0), object(), object()
    alignment.follow(first)
    _cut(alignment, 2 * SECOND)
    alignment.follow(first)
    assert alignment.cuts_at(0, 2 * SECOND, wanted=False)
    alignment.follow(second)
    assert alignment.cuts_at(0, SECOND, wanted=True)


@given(
    st.lists(st.integers(SAME_TICKS * 2 + 1, 5 * SECOND), min_size=1, max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
    st.integers(2, 4),
    st.integers(0, SAME_TICKS // 2),
)
def test_all_are_cut_alike(steps: list[int], wishes: list[bool], members: int, jitter: int) -> None:
    """C-PL-24: members that see the same keyframes have the same segments, whoever leads."""
    alignment = Alignment(0)
    times = [sum(steps[: index + 1]) for index in range(len(steps))]
    starts = [0] * members
    cuts: list[list[int]] = [[] for _member in range(members)]
    for index, time in enumerate(times):
        for place in range(members):
            member = (place + index) % members  # each leads in its turn
            shown = time + (jitter if member else 0)
            wanted = wishes[index] is (place == 0)  # and the others want something else
            if alignment.cuts_at(starts[member], shown, wanted=wanted):
                starts[member] = shown
                cuts[member].append(index)
    # Who comes after a leader that went by may cut, and then the leader is alone without: so all
    # must agree wherever the leader wanted it.
    led = [index for index, wish in enumerate(wishes[: len(times)]) if wish]
    assert all(set(led) <= set(found) for found in cuts)


# One timeline


class Encoder:
    """An encoder whose clock began at some moment; moments are monotonic seconds.

    Attributes:
        wall: Wall clock less monotonic clock, when a stream is connected.
    """

    wall = 0.0

    def __init__(self, began: float, clock: float = 0.0) -> None:
        self.began = began
        self.clock = clock

    def stream(self, connected: float, *, delay: float = 0.0, epoch: float | None = None) -> Any:
        """Return what the hub has of a stream that was connected at some moment.

        Args:
            connected: The moment.
            delay: Of the network.
            epoch: When the hub's timeline began; where another publisher was there before.
        """
        epoch = connected if epoch is None else epoch
        publisher_time = connected - delay - self.began + self.clock
        shift = round((connected - epoch) * 1000) - int(publisher_time * 1000)
        return SimpleNamespace(
            epoch=SimpleNamespace(wall_seconds=epoch + self.wall),
            timeline=SimpleNamespace(shift_ms=shift, position=connected - epoch + 1.0),
            asked_at=connected + 1.0,
            offset_ms=None,
        )

    def shown(self, base: TimeBase, stream: Any, moment: float) -> int:
        """Return where a picture of some moment is on the common timeline, in milliseconds."""
        if stream.offset_ms is None:
            stream.offset_ms = offset(base, stream)
        publisher_ms = int((moment - self.began + self.clock) * 1000)
        return publisher_ms + int(stream.timeline.shift_ms) + int(stream.offset_ms)


def offset(base: TimeBase, stream: Any) -> int:
    """Ask for an offset, as a playlist that begins does."""
    return base.offset_ms(stream, stream.asked_at)


def test_the_first_is_the_timeline() -> None:
    """It is that of the stream that came first."""
    base = TimeBase()
    assert base.wall_seconds is None
    assert offset(base, Encoder(900.0).stream(1000.0)) == 0
    assert base.wall_seconds == 1000.0


@pytest.mark.parametrize("clock", [0.0, 95_000.0])
def test_one_encoder(clock: float) -> None:
    """C-PL-24: one encoder, however late each of its streams is connected: the same times."""
    encoder, base = Encoder(990.0, clock), TimeBase()
    first = encoder.stream(1000.0)
    assert encoder.shown(base, first, 1100.0) == 100_000
    for connected, delay in ((1000.3, 0.0), (1003.7, 0.2), (1060.0, 1.1), (1060.0, -0.4)):
        other = encoder.stream(connected, delay=delay)
        assert encoder.shown(base, other, 1100.0) == 100_000
        assert encoder.shown(base, first, 1100.0) == 100_000


def test_unrelated_encoders() -> None:
    """Encoders that know nothing of each other are put side by side by the wall clock."""
    one, other, base = Encoder(990.0), Encoder(500.0, 77.0), TimeBase()
    first, second = one.stream(1000.0), other.stream(1020.0)
    assert one.shown(base, first, 1030.0) == 30_000
    assert other.shown(base, second, 1030.0) == 30_000
    assert one.shown(base, first, 1031.0) == 31_000


def test_almost_the_same_clock() -> None:
    """What is further apart than that is another encoder."""
    for apart, is_one in ((SAME_CLOCK_SECONDS - 0.1, True), (SAME_CLOCK_SECONDS + 0.1, False)):
        base, first = TimeBase(), Encoder(990.0).stream(1000.0)
        assert offset(base, first) == 0
        other = Encoder(990.0 + apart)
        shown = other.shown(base, other.stream(1010.0), 1020.0)
        # With the encoder's clock what is of one time there is of one here.
        assert shown == (20_000 - round(apart * 1000) if is_one else 20_000)


def test_encoder_restarts() -> None:
    """C-PL-10: with its new clock time goes on by the wall clock, and all members follow it."""
    base = TimeBase()
    old = Encoder(990.0)
    streams = [old.stream(1000.0), old.stream(1000.5)]
    assert [old.shown(base, x, 1010.0) for x in streams] == [10_000, 10_000]
    new = Encoder(1028.0)
    again = [new.stream(1030.0, epoch=1000.0), new.stream(1031.2, epoch=1000.5)]
    assert [new.shown(base, x, 1040.0) for x in again] == [40_000, 40_000]
    third = new.stream(1039.0)
    assert new.shown(base, third, 1040.0) == 40_000


def test_two_encoders_of_several_streams() -> None:
    """The streams of each encoder have its times, whichever of all came last."""
    one, other, base = Encoder(990.0), Encoder(700.0), TimeBase()
    first, second = one.stream(1000.0), other.stream(1002.0, delay=0.3)
    assert one.shown(base, first, 1020.0) == 20_000
    times_of_other = other.shown(base, second, 1020.0)
    late = one.stream(1010.0, delay=0.9)
    assert one.shown(base, late, 1020.0) == 20_000
    late = other.stream(1012.0, delay=1.2)
    assert other.shown(base, late, 1020.0) == times_of_other


def test_playlists_of_one_stream() -> None:
    """C-PL-24: the sound of a stream is where its pictures are, whatever began in between."""
    one, other, base = Encoder(990.0), Encoder(700.0), TimeBase()
    streams = [one.stream(1000.0), other.stream(1002.0), other.stream(1003.0, delay=0.7)]
    pictures = [offset(base, stream) for stream in streams]
    for order in ((0, 1, 2), (2, 1, 0), (0, 2, 1)):
        assert [offset(base, streams[x]) for x in order] == [pictures[x] for x in order]


@pytest.mark.parametrize("step", [-3600.0, -20.0, 20.0, 3600.0])
def test_clock_is_set(step: float) -> None:
    """C-PL-11, G-RS-06: who sets the wall clock moves no time of what is joined."""
    base, old, new = TimeBase(), Encoder(990.0), Encoder(1100.0)
    assert old.shown(base, old.stream(1000.0), 1010.0) == 10_000
    new.wall = step
    again = new.stream(1110.0)
    assert new.shown(base, again, 1120.0) == 120_000
    assert new.shown(base, new.stream(1111.0, delay=0.5), 1120.0) == 120_000


@given(
    st.floats(0.0, 5000.0),
    st.lists(st.tuples(st.floats(0.0, 300.0), st.floats(0.0, 0.9)), min_size=1, max_size=6),
)
def test_any_connections(clock: float, connections: list[tuple[float, float]]) -> None:
    """C-PL-24: to the millisecond, when and through whatever network they were connected."""
    encoder, base = Encoder(990.0, clock), TimeBase()
    first = encoder.stream(1000.0)
    wanted = encoder.shown(base, first, 2000.0)
    for late, delay in connections:
        other = encoder.stream(1000.0 + late, delay=delay)
        assert encoder.shown(base, other, 2000.0) == wanted
