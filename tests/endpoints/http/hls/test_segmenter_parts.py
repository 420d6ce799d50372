"""Where a stream is cut into parts, and segments of fragmented MP4."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.endpoints.http.hls.alignment import Alignment
from ntvmedia.endpoints.http.hls.cuts import Cut, PartCut, Wishes
from ntvmedia.endpoints.http.hls.segmenter import Segmenter
from ntvmedia.media import Packet
from tests.endpoints.http.hls.test_segmenter import AUDIO, FRAME, IDR, SLICE, VIDEO
from tests.hls.mp4 import Fragments, read_fragments, read_init

LEAST = 0.85
"""Of the part target, that each part has which is not excepted (section 4.4.4.9)."""

RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
    "60": Fraction(60),
}


class Maker:
    """A segmenter of low latency, and what it made: parts with their segment."""

    def __init__(
        self,
        seconds: float = 2.0,
        part_seconds: float = 0.2,
        format_name: str = "ll",
        alignment: Alignment | None = None,
        **options: str,
    ) -> None:
        self.cuts: list[Cut] = []
        self.parts: list[list[PartCut]] = [[]]
        self.part_seconds = part_seconds
        self.alignment = alignment or Alignment(0)
        wishes = Wishes(lambda: seconds, lambda: self.part_seconds, lambda: 0.0)
        self.segmenter = Segmenter(format_name, options, self.alignment, self, wishes)
        self.segmenter.choose([VIDEO, AUDIO])

    def segment_finished(self, cut: Cut) -> None:
        """Take a segment."""
        if cut.last_part is not None:
            self.parts[-1].append(cut.last_part)
        self.cuts.append(cut)
        self.parts.append([])

    def segment_begun(self, start: int, *, follows: bool) -> None:
        """Note nothing."""

    def part_finished(self, part: PartCut) -> None:
        """Take a part."""
        self.parts[-1].append(part)

    def give(self, times: Iterable[int], group: int = 50) -> None:
        """Give pictures, each some way after its keyframe: times are of 90 kHz."""
        for packet in pictures(times, group):
            self.segmenter.packet(packet)

    def sound(self, count: int, first: int = 0) -> None:
        """Give frames of sound of 1024 samples."""
        for index in range(first, first + count):
            ticks = index * 1024
            self.segmenter.packet(Packet(AUDIO, ticks, ticks, True, b"\x21" + bytes(20)))

    @property
    def target(self) -> int:
        """What no part exceeds, in ticks."""
        return self.segmenter.part_target

    def check(self, first: int = 0) -> int:
        """Check all parts of the segments from one on against C-LL-07, and return how many."""
        count = 0
        for cut, parts in zip(self.cuts[first:], self.parts[first:], strict=False):
            assert b"".join(part.body for part in parts) == cut.body
            assert sum(part.duration for part in parts) == cut.duration
            assert all(part.start == cut.start and part.body for part in parts)
            assert all(0 < part.duration <= self.target for part in parts)
            for part in parts[:-1]:
                assert part.at_keyframe or part.duration >= LEAST * self.target
            count += len(parts)
        return count


def pictures(times: Iterable[int], group: int) -> list[Packet]:
    """Return pictures with a keyframe every so many."""
    return [
        Packet(VIDEO, time, time, not index % group, SLICE if index % group else IDR)
        for index, time in enumerate(times)
    ]


def times_of(rate: Fraction, count: int, spelling: str = "exact") -> list[int]:
    """Return times of pictures, as a publisher tells them."""
    exact = [index / rate for index in range(count)]
    if spelling == "exact":
        return [int(time * 90000) for time in exact]
    if spelling == "floor":
        return [int(time * 1000) * 90 for time in exact]
    return [round(time * 1000) * 90 for time in exact]


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.334, 1.0])
@pytest.mark.parametrize("spelling", ["exact", "floor", "rounded"])
@pytest.mark.parametrize("rate", RATES)
def test_part_durations(rate: str, spelling: str, seconds: float) -> None:
    """C-LL-07: none above the target, and none much below, at every rate and rounding of times."""
    maker = Maker(part_seconds=seconds)
    times = times_of(RATES[rate], 500, spelling)
    group = round(RATES[rate] * 2)
    maker.segmenter.measure(pictures(times[:20], group))
    target = maker.target
    assert abs(target / 90000 - seconds) <= 0.5 / RATES[rate] + 0.005
    maker.give(times, group)
    assert maker.check() > 1.4 / seconds
    assert maker.target == target
    # As many pictures in each as in the others.
    most = {
        round(part.duration * RATES[rate] / 90000) for x in maker.parts[1:-1] for part in x[:-1]
    }
    assert len(most) <= 1


@pytest.mark.parametrize("rate", RATES)
def test_unknown_rate(rate: str) -> None:
    """C-LL-07: where nothing is known beforehand the first segment keeps the promise as well."""
    maker = Maker()
    maker.give(times_of(RATES[rate], 400, "rounded"), round(RATES[rate] * 2))
    with_parts = [bool(parts) for parts in maker.parts[:-1]]
    assert all(with_parts[1:])
    assert maker.check(0 if with_parts[0] else 1) > 10


def test_constant() -> None:
    """C-LL-07: the target never changes: not with the rate, nor with what the operator wants."""
    maker = Maker()
    times, now = [], 0
    for step in (3600, 1800, 3003, 3600):
        for _picture in range(100):
            times.append(now)
            now += step
    maker.give(times[:100])
    target = maker.target
    assert target == 5 * FRAME + 270
    maker.part_seconds = 1.0
    maker.give(times)
    assert maker.target == target
    assert max(part.duration for parts in maker.parts for part in parts) <= target


def test_other_configuration() -> None:
    """Nor with other tracks."""
    maker = Maker()
    maker.give(times_of(Fraction(25), 60))
    target = maker.target
    assert maker.segmenter.choose([AUDIO])
    maker.sound(200)
    assert maker.target == target
    assert maker.segmenter.choose([VIDEO])
    maker.give(times_of(Fraction(60), 300), 120)
    assert maker.target == target
    maker.check(2)


@settings(max_examples=40)
@given(st.lists(st.integers(900, 17_000), min_size=60, max_size=200), st.integers(1, 60))
def test_variable_rate(steps: list[int], group: int) -> None:
    """C-LL-07: whatever the rate, no part goes on that could have ended; nothing is lost."""
    maker = Maker()
    times = [sum(steps[:index]) for index in range(len(steps))]
    packets = pictures(times, group)
    maker.segmenter.measure(packets[:10])
    for packet in packets:
        maker.segmenter.packet(packet)
    maker.segmenter.finish()
    target = maker.target
    longest = max(steps)
    for cut, parts in zip(maker.cuts, maker.parts, strict=False):
        assert b"".join(part.body for part in parts) == cut.body
        assert sum(part.duration for part in parts) == cut.duration
        # One that is longer ends with a picture that is longer than those before it.
        assert all(part.duration <= target + longest for part in parts)
    samples = [
        len(read_fragments(part.body, read_init(maker.segmenter.packager.init_segment())).video)
        for parts in maker.parts
        for part in parts
    ]
    assert sum(samples) == len(times)
    assert all(part.body for parts in maker.parts for part in parts)


def test_a_picture_that_stays() -> None:
    """A picture that is shown for seconds is told with its whole duration, for others to share."""
    maker = Maker()
    times = times_of(Fraction(25), 60)
    times += [time + times[-1] + 3 * FRAME * 10 for time in times]
    maker.give(times, 500)
    maker.segmenter.finish()
    parts = [part for found in maker.parts for part in found]
    assert sum(part.duration for part in parts) == sum(cut.duration for cut in maker.cuts)
    assert sum(part.duration > maker.target for part in parts) == 1


def test_burst() -> None:
    """C-LL-15: what comes at once is cut by its own time, and no part is empty."""
    packets = pictures(times_of(Fraction(25), 501), 50)
    maker = Maker()
    for packet in packets:
        maker.segmenter.packet(packet)
    assert len(maker.cuts) == 10
    assert {len(parts) for parts in maker.parts[1:-1]} == {10}
    maker.check(1)


def test_independent_parts() -> None:
    """C-LL-08: a part is marked that begins with a keyframe, and no other."""
    maker = Maker()
    maker.give(times_of(Fraction(25), 400), 25)  # two groups in each segment
    init = read_init(maker.segmenter.packager.init_segment())
    marks = []
    for part in (part for parts in maker.parts for part in parts):
        media = read_fragments(part.body, init)
        assert part.at_keyframe is media.begins_with_key
        marks.append(part.at_keyframe)
    assert sum(marks) == 16
    assert not all(marks)


def test_sound_alone() -> None:
    """C-FM-06, C-LL-11: sound has parts as well, each of which a player may begin with."""
    maker = Maker(video="none")
    maker.sound(1000)
    assert maker.check(1) > 50
    parts = [part for found in maker.parts for part in found]
    assert all(part.at_keyframe for part in parts)
    assert maker.segmenter.packager.content_type == "audio/mp4"
    init = read_init(maker.segmenter.packager.init_segment())
    before: Fragments | None = None
    for part in parts:
        media = read_fragments(part.body, init)
        if before is not None:
            media.check_follows(before)
        before = media


def test_sound_beside_pictures() -> None:
    """C-PL-24: the sound's parts keep the promise of the pictures, and wait till there is one."""
    whole = Maker()
    sound = Maker(alignment=whole.alignment, video="none")
    sound.sound(10)
    assert sound.target == 0
    whole.give(times_of(Fraction(25), 10))
    assert whole.target == sound.target == 5 * FRAME + 270
    whole.give(times_of(Fraction(25), 500)[10:])
    sound.sound(900, 10)
    assert sound.target == whole.target
    parts = [part for found in sound.parts[1:] for part in found]
    assert len(parts) > 20
    assert all(part.duration <= whole.target for part in parts)


@pytest.mark.parametrize("late", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("format_name", ["ts", "fmp4", "ll"])
def test_sound_is_cut_with_pictures(format_name: str, late: float) -> None:
    """C-PL-24: the sound's segments begin where those of the pictures do, and nothing is lost."""
    whole = Maker(format_name=format_name)
    sound = Maker(format_name=format_name, alignment=whole.alignment, video="none")
    count = 0
    for packet in pictures(times_of(Fraction(25), 700), 25 if late else 50):
        whole.segmenter.packet(packet)
        while count * 1024 * 90000 <= (packet.dts - late * 90000) * 48000:
            sound.sound(1, count)
            count += 1
    whole.segmenter.finish()
    sound.segmenter.finish()
    assert whole.alignment.target_duration == 2
    assert all(int(cut.duration / 90000 + 0.5) <= 2 for cut in (*whole.cuts, *sound.cuts))
    assert sum(cut.duration for cut in sound.cuts) == pytest.approx(count * 1920, abs=1920)
    # What of the sound is there when the pictures are cut belongs to the segment before.
    starts = [cut.start for cut in sound.cuts[1:]]
    for cut in whole.cuts[1 : len(starts)]:
        behind = min(cut.start - start for start in starts if start <= cut.start + 2 * 1920)
        assert behind <= late * 90000 + FRAME + 2 * 1920
    assert all(cut.follows for cut in sound.cuts[1:])


def test_group_that_turns_out_long() -> None:
    """C-PL-02: a segment with parts ends in time, and its parts stay what was told of them."""
    maker = Maker()
    times = times_of(Fraction(25), 500)
    for index, packet in enumerate(pictures(times, 1000)):
        key = index in (0, 50, 100, 150, 160)
        maker.segmenter.packet(packet._replace(is_keyframe=key, payload=IDR if key else SLICE))
    maker.segmenter.finish()
    assert maker.segmenter.target_duration == 2
    assert max(cut.duration for cut in maker.cuts) < 2.5 * 90000
    maker.check(1)
    assert sum(cut.duration for cut in maker.cuts) == 500 * FRAME


def test_reordered_pictures() -> None:
    """C-FM-01: with B-frames parts are cut by decode times."""
    maker = Maker()
    for index, time in enumerate(times_of(Fraction(25), 300)):
        shown = time + FRAME * (1, 3, 0, 0)[index % 4]
        key = not index % 50
        maker.segmenter.packet(Packet(VIDEO, time, shown, key, IDR if key else SLICE))
    maker.check(1)


def test_end() -> None:
    """What there is at the end is the last part, of one picture too."""
    for count in (51, 52, 57):
        maker = Maker()
        maker.segmenter.measure(pictures(times_of(Fraction(25), 10), 50))
        maker.give(times_of(Fraction(25), count))
        maker.segmenter.finish()
        assert [cut.duration for cut in maker.cuts] == [50 * FRAME, (count - 50) * FRAME]
        maker.check()


def test_forgotten() -> None:
    """What was not finished is in no part of what comes then."""
    maker = Maker()
    maker.give(times_of(Fraction(25), 53))
    maker.segmenter.forget()
    maker.parts[-1].clear()
    maker.give([time + 90000 * 500 for time in times_of(Fraction(25), 300)])
    maker.check(1)


def test_fmp4() -> None:
    """Ordinary segments of MP4: no parts, whatever another playlist promised of its own."""
    whole = Maker()
    whole.give(times_of(Fraction(25), 100))
    maker = Maker(format_name="fmp4", alignment=whole.alignment)
    times = times_of(Fraction(25), 400)
    sounds = 0
    for packet in pictures(times, 50):
        maker.segmenter.packet(packet)
        while sounds * 1024 * 90000 < packet.dts * 48000:
            maker.sound(1, sounds)
            sounds += 1
    assert maker.target == 0
    assert not any(maker.parts)
    init = read_init(maker.segmenter.packager.init_segment())
    media = [read_fragments(cut.body, init) for cut in maker.cuts]
    assert len(media) >= 6
    for before, after in pairwise(media):
        after.check_follows(before)
    assert all(found.begins_with_key and found.audio for found in media)
    assert [len(found.video) * FRAME for found in media] == [cut.duration for cut in maker.cuts]


def _any_order(maker: Maker, lengths: Sequence[int], sound: Callable[[int], None]) -> int:
    time = 0
    for length in lengths:
        for packet in pictures(range(time, time + length * FRAME, FRAME), 10_000):
            maker.segmenter.packet(packet)
            sound(packet.dts)
        time += length * FRAME
    return time


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 120), min_size=2, max_size=12),
    st.sampled_from([1.0, 2.0]),
    st.booleans(),
)
def test_any_groups(lengths: list[int], seconds: float, has_sound: bool) -> None:
    """C-PL-02, C-PL-05, C-FM-02, C-LL-07: with parts the rules of segments hold as without."""
    maker = Maker(seconds)
    sounds = 0

    def sound(time: int) -> None:
        nonlocal sounds
        while has_sound and sounds * 1024 * 90000 < time * 48000:
            maker.sound(1, sounds)
            sounds += 1

    maker.segmenter.measure(pictures(times_of(Fraction(25), 10), 50))
    end = _any_order(maker, lengths, sound)
    maker.segmenter.finish()
    target = maker.segmenter.target_duration
    assert all(int(cut.duration / 90000 + 0.5) <= target for cut in maker.cuts)
    assert sum(cut.duration for cut in maker.cuts) == end
    maker.check()
    init = read_init(maker.segmenter.packager.init_segment())
    before: Fragments | None = None
    for part in (part for parts in maker.parts for part in parts):
        media = read_fragments(part.body, init)
        if before is not None:
            media.check_follows(before)
        before = media
