"""Runs of segments on one timeline: where each begins, of one source and of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.formats import hls_runs
from ntvmedia.formats.hls_joining import Joiner, Piece, Source, join
from ntvmedia.media import Codec, MediaKind, Packet
from tests.formats import packed_bytes
from tests.formats.hls_segments import (
    FRAME,
    INIT,
    PICTURE,
    SECOND,
    SOUND_PID,
    STEP,
    VIDEO_PID,
    aac,
    mp4,
    picture,
    tables,
    ts,
)
from tests.formats.ts_bytes import Wire

WRAP = 1 << 33
VIDEO, AUDIO = MediaKind.VIDEO, MediaKind.AUDIO
AAC_FRAME = Fraction(1024, 48000)


def piece(data: bytes, *, discontinuity: bool = False, duration: float = 1.0) -> Piece:
    """Make a piece, read in two halves."""
    half = len(data) // 2
    return Piece((data[:half], data[half:]), b"", duration, discontinuity)


def gap(duration: float = 1.0, *, discontinuity: bool = False) -> Piece:
    """Make a piece that is missing."""
    return Piece((), b"", duration, discontinuity, missing=True)


@cache
def second_of(number: int, start: int, **options: bool | int) -> bytes:
    """Write a segment of a second of pictures and sound."""
    return ts(25 * number, 25, start=start, **options)  # type: ignore[arg-type]


def run(start: int, *seconds: int, begins: bool = True, **options: bool | int) -> list[Piece]:
    """Make segments of a second of pictures and sound; times begin at `start`."""
    return [
        piece(
            second_of(second, start, **options),
            discontinuity=begins and number == 0,
        )
        for number, second in enumerate(seconds)
    ]


def packed(first: int, count: int, time: int | None, *, discontinuity: bool = False) -> Piece:
    """Make a segment of raw AAC with numbered frames; `time` of the first in ticks of 90 kHz."""
    tag = b"" if time is None else packed_bytes.timestamp(time % WRAP)
    frames = (packed_bytes.adts(b"!%08d" % n) for n in range(first, first + count))
    return piece(tag + b"".join(frames), discontinuity=discontinuity)


class Joined:
    """What came out; times are in seconds."""

    def __init__(self, *sources: Iterable[Piece] | Source) -> None:
        self.joiner = join([x if isinstance(x, Source) else Source(x) for x in sources])
        self.packets = list(self.joiner)

    def of(self, kind: MediaKind, number: int = 0) -> list[Packet]:
        """Return the packets of one track."""
        return [p for p in self.packets if (p.track.kind, p.track.number) == (kind, number)]

    def times(self, kind: MediaKind, number: int = 0) -> list[Fraction]:
        """Return when packets of one track are presented."""
        return [Fraction(p.pts, p.track.clock_rate) for p in self.of(kind, number)]

    def numbers(self, kind: MediaKind, number: int = 0) -> list[int]:
        """Return the numbers in the payloads of one track."""
        return [int(p.payload[-8:]) for p in self.of(kind, number)]

    def counts(self) -> tuple[int, int]:
        """Return how often times were put right, and how many packets were left out."""
        return self.joiner.discontinuities, self.joiner.dropped


def check(joined: Joined) -> None:
    """Check what always holds: each track's times rise, and nothing comes much too late."""
    last: dict[int, int] = {}
    latest = Fraction(-10)
    for packet in joined.packets:
        assert packet.dts > last.get(packet.track.id, -WRAP)
        last[packet.track.id] = packet.dts
        time = Fraction(packet.dts, packet.track.clock_rate)
        assert time > latest - 2
        latest = max(latest, time)
    ends = [p.pts / p.track.clock_rate for p in joined.packets]
    assert max(ends) < joined.joiner.duration_seconds < max(ends) + 0.1


def test_one_run() -> None:
    """Times begin at 0, and keep their distances; sound stays beside its pictures."""
    joined = Joined(run(5 * SECOND, 3, 4, 5))
    check(joined)
    assert joined.times(VIDEO) == [Fraction(n, 25) for n in range(75)]
    sound = joined.times(AUDIO)
    assert sound == [sound[0] + n * AAC_FRAME for n in range(len(sound))]
    # Its first frame begins with number 141, at 141 * 1920 ticks, and the pictures at 75 * 3600.
    assert abs(sound[0] - Fraction(141 * 1920 - 75 * 3600, SECOND)) < Fraction(1, 48000)
    assert joined.counts() == (0, 0)
    assert joined.joiner.damaged == 0
    assert abs(joined.joiner.duration_seconds - 3) < 0.03


def test_discontinuity() -> None:
    """Each run begins where the one before ended, to a frame; pictures and sound stay together."""
    joined = Joined(run(0, 0, 1) + run(500 * SECOND, 0, 1) + run(WRAP - SECOND, 0, 1))
    check(joined)
    video, sound = joined.times(VIDEO), joined.times(AUDIO)
    assert joined.counts() == (2, 0)
    for n in (0, 50, 100):
        assert [b - a for a, b in pairwise(video[n : n + 50])] == [Fraction(1, 25)] * 49
    for place in (50, 100):
        assert Fraction(1, 25) <= video[place] - video[place - 1] <= Fraction(1, 25) + AAC_FRAME
    starts = [n for n, number in enumerate(joined.numbers(AUDIO)) if not number]
    assert len(starts) == 3
    for place, picture_time in zip(starts, video[::50], strict=True):
        assert abs(sound[place] - picture_time) <= Fraction(1, 48000)
    assert abs(joined.joiner.duration_seconds - 6) < 3 * 0.04


def test_discontinuity_where_times_go_on() -> None:
    """A tag that tells of nothing changes nothing, and drops no pictures without keyframe."""
    plain = Joined(run(0, 0, 1, 2))
    second = ts(25, 25, start=0, keys=(40,))
    tagged = Joined([*run(0, 0), piece(second, discontinuity=True), *run(0, 2)])
    assert [p[1:3] for p in tagged.packets] == [p[1:3] for p in plain.packets]
    assert tagged.counts() == (0, 0)


@pytest.mark.parametrize("start", [100 * SECOND, 5000 * SECOND, WRAP - 60 * SECOND])
def test_jump_that_is_not_announced(start: int) -> None:
    """Times that jump, forwards or back, are treated as behind a discontinuity."""
    announced = Joined(run(50 * SECOND, 0, 1) + run(start, 0, 1))
    joined = Joined(run(50 * SECOND, 0, 1) + run(start, 0, 1, begins=False))
    check(joined)
    assert joined.packets == announced.packets
    assert joined.counts() == (1, 0)


def test_jump_in_a_segment() -> None:
    """Tracks that jump in the middle of a segment, the sound 20 frames after the pictures."""
    wire, start = Wire(), 900 * SECOND
    ts(0, 25, start=0, wire=wire)
    sound = [(n, n * FRAME) for n in range(47, 67)] + [(n, start + n * FRAME) for n in range(30)]
    for n in range(25):
        data = picture(100 + n, is_key=n == 0)
        wire.pes(VIDEO_PID, data, start + n * PICTURE, stream_id=0xE0, length=0)
        for number, time in sound[2 * n : 2 * n + 2]:
            wire.pes(SOUND_PID, aac(number), time)
    joined = Joined([piece(wire.data, duration=2.0)])
    assert joined.counts() == (1, 0)
    assert joined.numbers(VIDEO) == [*range(25), *range(100, 125)]
    assert joined.numbers(AUDIO) == [*range(67), *range(30)]
    # The sound of before fits until 67 frames: there all begins anew, side by side.
    assert joined.times(AUDIO) == [n * AAC_FRAME for n in range(97)]
    assert abs(joined.times(VIDEO)[25] - 67 * AAC_FRAME) <= Fraction(1, SECOND)


def test_step_back() -> None:
    """Times that fall back by more than a second begin anew, however little that is."""
    joined = Joined(run(0, 0, 1, 2) + run(0, 0, 1, begins=False))
    check(joined)
    assert joined.numbers(VIDEO) == [*range(75), *range(50)]
    assert joined.numbers(AUDIO) == [*range(141), *range(94)]
    assert joined.counts() == (1, 0)


def test_no_jump() -> None:
    """A pause of nine seconds that the times tell stays, and a track that pauses alone too."""
    joined = Joined(run(0, 0, 10, begins=False))
    assert joined.times(VIDEO)[25] == 10
    assert joined.counts() == (0, 0)
    alone = [piece(ts(25 * n, 25, start=0, sound=n % 20 == 0)) for n in range(41)]
    joined = Joined(alone)
    assert joined.counts() == (0, 0)
    assert [round(time) for time in joined.times(AUDIO)[::47]] == [0, 20, 40]


def test_missing_in_a_run() -> None:
    """What is missing leaves its hole, however long, also before a run, and behind one."""
    joined = Joined([*run(0, 0), gap(), gap(), *run(0, 3, begins=False)])
    assert joined.times(VIDEO)[25] == 3
    assert joined.counts() == (0, 0)
    long = Joined([*run(0, 0), *[gap()] * 30, *run(0, 31, begins=False)])
    assert long.times(VIDEO)[25] == 31
    assert long.counts() == (0, 0)
    for pieces in (
        [*run(0, 0), gap(), gap(), *run(700 * SECOND, 0)],
        [*run(0, 0), gap(), gap(discontinuity=True), *run(700 * SECOND, 0, begins=False)],
        [*run(0, 0), gap(discontinuity=True), gap(), *run(700 * SECOND, 0)],
        [*run(0, 0), gap(), gap(), *run(700 * SECOND, 0, begins=False)],
    ):
        joined = Joined(pieces)
        check(joined)
        assert 3 <= joined.times(VIDEO)[25] <= 3 + AAC_FRAME
        assert joined.counts() == (1, 0)


def test_missing_of_sound_without_times() -> None:
    """Sound that is only counted has the hole as well."""
    joined = Joined([packed(0, 47, None), gap(), packed(94, 47, None)])
    times = joined.times(AUDIO)
    assert times[47] == 47 * AAC_FRAME + 1
    assert joined.numbers(AUDIO)[47] == 94


def test_before_the_first_keyframe() -> None:
    """Pictures that cannot be decoded are left out, and time begins with what is there."""
    joined = Joined([piece(ts(0, 25, keys=(5,), sound=False))])
    assert joined.numbers(VIDEO) == list(range(5, 25))
    assert joined.times(VIDEO)[0] == 0
    assert joined.counts() == (0, 5)
    later = Joined(
        [*run(0, 0), piece(ts(0, 25, start=900 * SECOND, keys=(5,)), discontinuity=True)]
    )
    assert later.numbers(VIDEO) == [*range(25), *range(5, 25)]
    assert later.times(VIDEO)[25] >= Fraction(30, 25)
    assert later.counts() == (1, 5)


def test_keyframe_that_comes_late() -> None:
    """The first keyframe is waited for over segments; where there is none all is kept."""
    pieces = [piece(ts(25 * n, 25, keys=(60,), start=0)) for n in range(3)]
    joined = Joined(pieces)
    assert joined.numbers(VIDEO) == list(range(60, 75))
    assert joined.counts() == (0, 60)
    joined = Joined([piece(ts(25 * n, 25, keys=(), start=0)) for n in range(3)])
    assert joined.numbers(VIDEO) == list(range(75))
    assert joined.counts() == (0, 0)


def test_no_keyframe_before_a_jump() -> None:
    """A run without keyframe that ends with a jump, in the last segment, is given out as well."""
    wire = Wire()
    ts(0, 5, keys=(), start=0, sound=False, wire=wire)
    data = ts(0, 5, start=900 * SECOND, sound=False, wire=wire)
    for pieces in ([piece(data)], [piece(data), *run(0, 0)]):
        joined = Joined(pieces)
        assert joined.numbers(VIDEO)[:10] == [0, 1, 2, 3, 4] * 2
        assert joined.counts()[1] == 0


def test_rendition() -> None:
    """Sound of a source of its own, that begins earlier, keeps its distance to the pictures."""
    video = [piece(ts(25 * n, 25, start=10 * SECOND, sound=False)) for n in range(3)]
    sound = [packed(47 * n, 47, 9 * SECOND + n * 47 * 1920) for n in range(5)]
    joined = Joined(video, Source(sound, "de"))
    check(joined)
    assert joined.times(AUDIO) == [n * AAC_FRAME for n in range(235)]
    assert joined.times(VIDEO) == [1 + Fraction(n, 25) for n in range(75)]
    assert {p.track.language for p in joined.of(AUDIO)} == {"de"}
    assert {p.track.language for p in joined.of(VIDEO)} == {""}
    assert joined.counts() == (0, 0)


def test_own_sound_is_left_out() -> None:
    """A variant's own sound is left out where a rendition has the sound."""
    sound = [packed(1000 + 47 * n, 47, 10 * SECOND + n * 47 * 1920) for n in range(3)]
    joined = Joined(Source(run(10 * SECOND, 0, 1, 2), only=VIDEO), sound)
    assert joined.numbers(AUDIO) == list(range(1000, 1141))
    assert len(joined.of(VIDEO)) == 75


def test_two_renditions() -> None:
    """Each source has tracks of its own, numbered in their order."""
    joined = Joined(run(0, 0, 1), *[[packed(100 * n, 94, 0)] for n in (1, 2)])
    assert [joined.numbers(AUDIO, n)[0] for n in range(3)] == [0, 100, 200]
    assert len({p.track.id for p in joined.packets}) == 4


def test_discontinuities_of_two_sources() -> None:
    """Those at the same place are one: pictures and sound stay together behind them."""
    video = run(0, 0, 1, sound=False) + run(900 * SECOND, 0, 1, sound=False)
    sound = [
        packed(0, 94, 0),
        packed(500, 94, 900 * SECOND + 9000, discontinuity=True),
    ]
    joined = Joined(video, sound)
    check(joined)
    assert joined.counts() == (1, 0)
    place = joined.numbers(AUDIO).index(500)
    distance = joined.times(AUDIO)[place] - joined.times(VIDEO)[50]
    assert abs(distance - Fraction(1, 10)) <= Fraction(1, 48000)


def test_wrap_between_two_sources() -> None:
    """Sound that begins behind the wrap of 33 bits, beside pictures that begin before it."""
    start = WRAP - SECOND // 2
    video = [piece(ts(25 * n, 25, start=start, sound=False)) for n in range(3)]
    sound = [packed(47 * n, 47, start + SECOND + n * 47 * 1920) for n in range(2)]
    for sources in ((video, sound), (sound, video)):
        joined = Joined(*sources)
        assert joined.times(VIDEO)[0] == 0
        assert abs(joined.times(AUDIO)[0] - 1) <= Fraction(1, 48000)
        assert joined.counts() == (0, 0)


def test_clock_of_another_kind() -> None:
    """Sound whose times nobody told, or that are of another clock, begins with the pictures."""
    video = [piece(ts(25 * n, 25, start=77 * SECOND, sound=False)) for n in range(3)]
    for time in (None, 5000 * SECOND):
        joined = Joined(video, [packed(0, 141, time)])
        check(joined)
        assert joined.times(AUDIO) == [n * AAC_FRAME for n in range(141)]
        assert joined.times(VIDEO)[0] == 0


def test_clocks_of_two_tracks() -> None:
    """Tracks of one segment whose times have nothing to do with each other begin together."""
    pieces = [piece(ts(25 * n, 25, start=0, delay=3600 * SECOND)) for n in range(3)]
    joined = Joined(pieces)
    check(joined)
    assert joined.times(VIDEO) == [Fraction(n, 25) for n in range(75)]
    assert joined.times(AUDIO)[0] == 0
    assert joined.counts() == (0, 0)


def test_discontinuity_of_a_rendition_alone() -> None:
    """Sound begins anew where pictures do not: its times decide where they can, else its end."""
    video = [piece(ts(25 * n, 25, start=0, sound=False)) for n in range(6)]
    exact = [packed(0, 94, 0), packed(500, 94, 3 * SECOND, discontinuity=True)]
    joined = Joined(video, exact)
    check(joined)
    assert joined.times(AUDIO)[94] == 3
    assert joined.counts() == (0, 0)
    other = [packed(0, 94, 0), packed(500, 94, 3000 * SECOND, discontinuity=True)]
    joined = Joined(video, other)
    check(joined)
    assert joined.times(AUDIO)[94] == 94 * AAC_FRAME
    assert joined.counts() == (1, 0)
    assert joined.times(VIDEO) == [Fraction(n, 25) for n in range(150)]


def test_overlap_of_a_rendition() -> None:
    """Sound that comes twice is heard once, and stays beside its pictures."""
    video = [piece(ts(25 * n, 25, start=0, sound=False)) for n in range(6)]
    again = [packed(0, 94, 0), packed(47, 94, 47 * 1920, discontinuity=True)]
    joined = Joined(video, again)
    assert joined.numbers(AUDIO) == list(range(141))
    assert joined.times(AUDIO) == [n * AAC_FRAME for n in range(141)]
    assert joined.counts() == (0, 47)


def test_discontinuity_of_the_pictures_alone() -> None:
    """A rendition whose list has no discontinuity goes on as it was."""
    video = run(0, 0, 1, sound=False) + run(900 * SECOND, 0, 1, sound=False)
    joined = Joined(video, [packed(47 * n, 47, n * 47 * 1920) for n in range(4)])
    check(joined)
    assert joined.times(AUDIO) == [n * AAC_FRAME for n in range(188)]
    assert joined.times(VIDEO)[50] == 2


def test_mp4() -> None:
    """Fragmented MP4 with its initialization section, given as bytes or by what returns them."""
    pieces = [Piece([mp4(n)], INIT, 1.0) for n in range(1, 4)]
    joined = Joined(pieces)
    assert [p.dts for p in joined.of(VIDEO)] == [0, STEP, 2 * STEP]
    assert Joined([one._replace(init=lambda: INIT) for one in pieces]).packets == joined.packets


def test_sample_rate_changes() -> None:
    """A track has one clock, also where another sample rate comes behind a discontinuity."""
    low = packed_bytes.timestamp(0) + packed_bytes.adts(rate_index=4) * 100
    joined = Joined([packed(0, 94, 0), piece(low, discontinuity=True), packed(0, 9, 0)])
    packets = joined.of(AUDIO)
    assert {p.track.clock_rate for p in packets} == {48000}
    times = joined.times(AUDIO)
    assert times[94] == 94 * AAC_FRAME
    assert abs(times[193] - times[94] - 99 * Fraction(1024, 44100)) <= Fraction(1, 48000)
    assert len({p.track.config for p in packets}) == 2
    assert len({p.track.id for p in packets}) == 1


def test_codec_changes() -> None:
    """Another codec behind a discontinuity keeps the number, and has a clock of its own."""
    mp3 = packed_bytes.timestamp(0) + packed_bytes.MP3 * 10
    joined = Joined([packed(0, 94, 0), piece(mp3, discontinuity=True)])
    tracks = {p.track.codec: p.track for p in joined.packets}
    assert tracks[Codec.MP3].id == tracks[Codec.AAC].id
    assert tracks[Codec.MP3].clock_rate == 44100
    assert abs(joined.times(AUDIO)[94] - 94 * AAC_FRAME) <= Fraction(1, 44100)


def test_sources_are_read_in_step() -> None:
    """No source is read ahead of the others by more than its next segment."""
    opened = [0, 0]

    def pieces(source: int, of: list[Piece]) -> Iterator[Piece]:
        for one in of:
            opened[source] += 1
            yield one

    video = run(0, *range(20), begins=False, sound=False)
    sound = [packed(47 * n, 47, n * 47 * 1920) for n in range(20)]
    for number, packet in enumerate(join([Source(pieces(0, video)), Source(pieces(1, sound))])):
        time = packet.dts / packet.track.clock_rate
        assert abs(opened[0] - opened[1]) <= 2
        assert max(opened) <= time + 3
        assert number < 2000
    assert opened == [20, 20]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment of any length is given out while it is read, once enough of it is there."""
    size, count, limit = 20_000, 60, 300_000
    monkeypatch.setattr(hls_runs, "MAX_HELD_BYTES", limit)
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        wire = Wire()
        tables(wire, sound=False)
        for n in range(count):
            data = picture(n) + b"\x55" * size
            wire.pes(VIDEO_PID, data, n * PICTURE, stream_id=0xE0, length=0)
            yield wire.data
            wire.packets.clear()
            read += 1

    packets = iter(join([Source([Piece(chunks(), duration=600.0)])]))
    next(packets)
    assert limit // size <= read <= limit // size + 3
    assert len(list(packets)) == count - 1


def test_error_names_the_segment() -> None:
    """What is no media is told with the name of the segment; what came before is given out."""
    bad = Piece([b"<html>"], name="segment 7")
    joiner = join([Source([*run(0, 0), bad])])
    seen: list[Packet] = []
    with pytest.raises(PeerError, match=r"segment 7: the segment is neither .* HTML"):
        seen.extend(joiner)
    assert len(seen) >= 25


def test_nothing() -> None:
    """Sources without any picture or sound are an error."""
    for pieces in ([], [gap()], [Piece([b""])]):
        with pytest.raises(PeerError, match="neither pictures nor sound"):
            list(Joiner([Source(pieces)]))


runs = st.lists(
    st.tuples(
        st.integers(0, WRAP - 1),
        st.integers(1, 2),
        st.sampled_from((0, 500, 4000)),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(runs)
def test_any_runs(wanted: list[tuple[int, int, int, bool]]) -> None:
    """Whatever runs there are: tracks never overlap, distances stay, and no time is lost."""
    pieces: list[Piece] = []
    for start, seconds, delay, sound in wanted:
        pieces += run(start, *range(seconds), sound=sound, delay=delay)
    joined = Joined(pieces)
    total = sum(seconds for _start, seconds, _delay, _sound in wanted)
    video = joined.times(VIDEO)
    assert len(video) == 25 * total
    assert all(b - a >= Fraction(1, 25) - Fraction(1, SECOND) for a, b in pairwise(video))
    sound_times = joined.times(AUDIO)
    assert all(b - a >= AAC_FRAME - Fraction(1, 100) for a, b in pairwise(sound_times))
    assert total - 0.001 <= joined.joiner.duration_seconds <= total + len(wanted) * 0.09
    assert joined.counts()[1] == 0
