"""Where a stream is cut."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.endpoints.http.hls.alignment import Alignment
from ntvmedia.endpoints.http.hls.cuts import Cut, PartCut, Wishes
from ntvmedia.endpoints.http.hls.segmenter import Segmenter
from ntvmedia.media import Codec, Packet, Track
from tests.codecs.vectors import AAC_LC_STEREO, AVCC_BASELINE
from tests.hls.ts import read_segment

VIDEO = Track(Codec.H264, config=AVCC_BASELINE)
AUDIO = Track(Codec.AAC, clock_rate=48000, config=AAC_LC_STEREO)
FRAME = 3600
IDR = bytes.fromhex("00000004 65888402")
SLICE = bytes.fromhex("00000004 419a2402")


class Maker:
    """A segmenter and what it made."""

    def __init__(
        self,
        seconds: float = 2.0,
        longest: float = 0.0,
        format_name: str = "ts",
        part_seconds: float = 0.0,
        **options: str,
    ) -> None:
        self.cuts: list[Cut] = []
        self.wanted = seconds
        self.longest = longest
        self.parts: list[PartCut] = []
        wishes = Wishes(lambda: self.wanted, lambda: part_seconds, lambda: self.longest)
        self.segmenter = Segmenter(format_name, options, Alignment(0), self, wishes)
        self.segmenter.choose([VIDEO, AUDIO])

    def segment_finished(self, cut: Cut) -> None:
        """Take a segment."""
        self.cuts.append(cut)

    def segment_begun(self, start: int, *, follows: bool) -> None:
        """Note nothing."""

    def part_finished(self, part: PartCut) -> None:
        """Take a part."""
        self.parts.append(part)

    def video(self, dts: int, *, key: bool = False, delay: int = 0) -> None:
        """Give a picture."""
        self.segmenter.packet(Packet(VIDEO, dts, dts + delay, key, IDR if key else SLICE))

    def audio(self, dts: int) -> None:
        """Give a sound frame, at a time of the video's clock."""
        ticks = dts * 48000 // 90000
        self.segmenter.packet(Packet(AUDIO, ticks, ticks, True, bytes(20)))

    def groups(self, lengths: Iterable[int], *, start: int = 0) -> int:
        """Give groups of so many frames at 25 a second, and the next keyframe."""
        dts = start
        for length in lengths:
            for index in range(length):
                self.video(dts, key=not index)
                dts += FRAME
        self.video(dts, key=True)
        return dts

    @property
    def seconds(self) -> list[float]:
        """Durations so far."""
        return [cut.duration / 90000 for cut in self.cuts]


def test_first_segments_come_soon() -> None:
    """The first playlist is there after a keyframe or two, then segments have their length."""
    maker = Maker(4.0)
    maker.groups([25] * 12)
    assert maker.seconds == [1.0, 1.0, 1.0, 4.0, 4.0]
    assert maker.segmenter.target_duration == 4


def test_keyframes_decide() -> None:
    """C-PL-01: groups of 2 s with segments of 3 s: cut where another group would be too long."""
    maker = Maker(3.0)
    maker.groups([50] * 8)
    assert maker.seconds == [2.0] * 8
    assert maker.segmenter.target_duration == 3
    assert all(cut.at_keyframe and cut.follows is (cut is not maker.cuts[0]) for cut in maker.cuts)


def test_long_groups() -> None:
    """C-PL-01: a group of 10 s makes a segment of 10 s, and the promise for the others."""
    maker = Maker(4.0)
    maker.groups([250, 250])
    assert maker.seconds == [10.0, 10.0]
    assert maker.segmenter.target_duration == 10


def test_what_was_seen_of_the_stream() -> None:
    """The promise allows for groups that were longer before anybody watched."""
    maker = Maker(2.0, longest=8.33)
    maker.groups([40, 208, 40])
    assert maker.segmenter.target_duration == 8
    assert maker.seconds[:2] == [1.6, 8.32]


def test_longer_than_promised() -> None:
    """C-PL-02: a group beyond the promise is cut, and no duration rounds above it."""
    maker = Maker(2.0)
    maker.groups([50, 50, 50, 500, 50])
    assert maker.segmenter.target_duration == 2
    assert max(maker.seconds) < 2.5
    assert sum(cut.duration for cut in maker.cuts) == 28 * 90000
    assert [cut.at_keyframe for cut in maker.cuts[:5]] == [True, True, True, True, False]
    assert all(cut.follows for cut in maker.cuts[1:])


def test_group_that_turns_out_long() -> None:
    """C-PL-01: a segment that would grow too long ends at the keyframe that it has, if any."""
    maker = Maker()
    maker.groups([25] * 7 + [25, 61, 25, 25, 50])
    assert maker.seconds == [1.0, 1.0, 1.0, 2.0, 2.0, 1.0, 2.44, 2.0, 2.0]
    assert all(cut.at_keyframe for cut in maker.cuts)
    tables = maker.cuts[0].body[:188]
    # Packets of 188 bytes, and tables first, whatever was cut off before.
    assert all(len(cut.body) % 188 == 0 for cut in maker.cuts)
    assert all(cut.body[:3] == tables[:3] for cut in maker.cuts)


@pytest.mark.parametrize("missing", [1, 2, 5, 11])
@pytest.mark.parametrize("every", [59, 60, 61, 62, 63])
def test_pictures_that_are_missing(missing: int, every: int) -> None:
    """C-PL-01, C-PL-02: a picture or some that are missing cost no others, in a long group too."""
    maker = Maker()
    maker.groups([50, 50, 50])
    dts, given = 150 * FRAME, 151
    for index in range(1, 500):
        dts += FRAME
        if index % every >= missing:
            maker.video(dts)
            given += 1
    maker.segmenter.finish()
    assert sum(len(read_segment(cut.body).video) for cut in maker.cuts) == given
    assert all(int(seconds + 0.5) <= maker.segmenter.target_duration for seconds in maker.seconds)
    ends = [cut.start + cut.duration for cut in maker.cuts]
    assert all(end <= cut.start for end, cut in zip(ends, maker.cuts[1:], strict=False))


def test_pictures_come_back_after_a_group() -> None:
    """Nor is a keyframe that comes much later in the segment of one before."""
    maker = Maker()
    maker.groups([25] * 8)
    maker.video(8 * 25 * FRAME + 5 * 90000, key=True)
    assert maker.cuts[-1].at_keyframe
    assert max(maker.seconds) < 2.5


def test_no_keyframe_at_all() -> None:
    """C-PL-04: an endless group is cut after 20 s; memory is bounded."""
    maker = Maker(2.0)
    maker.video(0, key=True)
    for index in range(1, 25 * 65):
        maker.video(index * FRAME)
    assert len(maker.cuts) == 3
    assert maker.segmenter.target_duration == 20
    assert max(maker.seconds) < 20.5


def test_never_a_keyframe() -> None:
    """What never had one is begun with all the same, after 20 s."""
    maker = Maker(2.0)
    for index in range(25 * 50):
        maker.video(index * FRAME)
    assert maker.cuts[0].start == 20 * 90000
    assert not maker.cuts[0].at_keyframe


def test_large_segments() -> None:
    """C-PL-04: nor are they above 50 MB."""
    maker = Maker(20.0)
    large = (1 << 20).to_bytes(4, "big") + b"\x41" + bytes((1 << 20) - 1)
    maker.video(0, key=True)
    for index in range(1, 80):
        dts = index * FRAME
        maker.segmenter.packet(Packet(VIDEO, dts, dts, False, large))
    assert len(maker.cuts) == 1
    assert 48_000_000 < len(maker.cuts[0].body) <= 50_000_000


def test_sound_alone() -> None:
    """Without video the sound is cut by its time."""
    maker = Maker(2.0, video="none")
    for index in range(500):
        maker.audio(index * 1920)
    assert [round(x, 1) for x in maker.seconds[:5]] == [1.0, 1.0, 1.0, 2.0, 2.0]


def test_pictures_that_stop() -> None:
    """Sound goes on in segments where the pictures have stopped, and so do pictures after."""
    maker = Maker(2.0)
    maker.groups([50, 50])
    last = 100 * FRAME
    for index in range(500):
        maker.audio(last + index * 1920)
    made = len(maker.cuts)
    assert made > 5
    assert max(maker.seconds) < 2.5
    maker.groups([50, 50], start=last + 500 * 1920)
    assert len(maker.cuts) > made
    assert maker.cuts[-1].at_keyframe


def test_changed_tracks() -> None:
    """A new configuration ends a segment; repeated headers do not (C-PL-09)."""
    maker = Maker()
    maker.groups([50])
    assert not maker.segmenter.choose([AUDIO, VIDEO])
    maker.video(51 * FRAME)
    assert maker.segmenter.choose([Track(Codec.H264, config=AVCC_BASELINE + b"\0"), AUDIO])
    assert maker.seconds == [2.0, 0.08]


def test_what_cannot_be_carried() -> None:
    """C-TS-07: other codecs are left out."""
    maker = Maker()
    maker.segmenter.choose([Track(Codec.AV1), Track(Codec.OPUS, clock_rate=48000)])
    assert maker.segmenter.tracks == []
    maker.video(0, key=True)
    assert maker.segmenter.begun_at is None


def test_finish() -> None:
    """What there is becomes a segment as long as what it shows; the next one does not follow."""
    maker = Maker()
    maker.groups([50, 10])
    maker.segmenter.finish()
    assert [round(x, 2) for x in maker.seconds] == [2.0, 0.44]
    maker.video(200 * FRAME)  # no keyframe
    assert maker.segmenter.begun_at is None
    maker.groups([50], start=201 * FRAME)
    assert not maker.cuts[-1].follows


def test_time_that_is_missing() -> None:
    """Where time passed without media the segment is as long as its media."""
    maker = Maker()
    maker.groups([50])
    maker.video(3 * 25 * 90000, key=True)
    maker.groups([50], start=90000 * 200)
    assert max(maker.seconds) < 2.5
    assert [cut.follows for cut in maker.cuts].count(False) == 3


def test_b_frames() -> None:
    """A segment begins when its first picture is shown."""
    maker = Maker()
    maker.video(0, key=True, delay=2 * FRAME)
    for index in range(1, 51):
        maker.video(index * FRAME, key=index == 50, delay=2 * FRAME)
    assert maker.cuts[0].start == 2 * FRAME
    assert maker.cuts[0].duration == 50 * FRAME


@settings(max_examples=40)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=20), st.sampled_from([1.0, 2.0, 4.0]))
def test_any_groups(lengths: list[int], seconds: float) -> None:
    """C-PL-02, C-PL-05: no duration rounds above the promise, and none of the time is lost."""
    maker = Maker(seconds)
    end = maker.groups(lengths)
    maker.segmenter.finish()
    target = maker.segmenter.target_duration
    assert all(int(x + 0.5) <= target for x in maker.seconds)
    assert sum(cut.duration for cut in maker.cuts) == end + FRAME
    assert all(len(cut.body) % 188 == 0 for cut in maker.cuts)
