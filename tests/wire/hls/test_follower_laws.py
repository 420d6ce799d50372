"""What holds for ntvmedia.wire.hls.follower whatever lists of a stream it is shown."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ntvmedia.formats.m3u8 import MediaPlaylist, Segment
from ntvmedia.wire.hls.follower import EDGE_TARGETS, STALE_LISTS, Follower, Start, identity
from ntvmedia.wire.hls.resources import MediaSegment
from tests.wire.hls.lists import BASE, TARGET, window

# How the address of a segment is made of its number and a token that is another one in each list.
STYLES = ("{}.ts", "{}.ts?{token}", "{token}/{}.ts", "{}/media.ts", "{token}-{}.ts")


class Stream(RuleBasedStateMachine):
    """A live stream behind caches, its window sliding; somebody follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(Start.FIRST)
        self.given: list[MediaSegment] = []
        # Of the newest list that was shown: its first segment, and that after its last.
        self.begin, self.end = 100, 100
        self.cuts: set[int] = set()
        self.missed = 0
        self.stale = 0
        self.lists = 0
        self.style = STYLES[0]
        self.has_ended = False

    @initialize(style=st.sampled_from(STYLES))
    def name(self, style: str) -> None:
        """Say how segments are named."""
        self.style = style

    @rule(
        slide=st.sampled_from((0, 1, 1, 2, 3, 12)),
        length=st.integers(1, 8),
        cuts=st.sets(st.integers(0, 11)),
    )
    def go_on(self, slide: int, length: int, cuts: set[int]) -> None:
        """A newer list is shown: it begins and ends no earlier."""
        if self.has_ended:
            return
        new_begin = self.begin + slide
        new_end = max(new_begin + length, self.end)
        self.cuts |= {self.end + cut for cut in cuts if self.end + cut < new_end}
        if self.given:
            self.missed += max(new_begin - self.end, 0)
        expected = list(range(max(new_begin, self.end), new_end))
        self.begin, self.end = new_begin, new_end
        assert [x.number for x in self.show(new_begin, new_end)] == expected
        self.stale = 0

    @rule(back=st.integers(1, 5), length=st.integers(1, 8))
    def go_back(self, back: int, length: int) -> None:
        """A list of a cache that is behind is shown."""
        end = self.end - back
        begin = max(end - length, 100)
        if begin >= end or not self.given or self.stale == STALE_LISTS or self.has_ended:
            return
        self.stale += 1
        assert self.show(begin, end) == []

    @precondition(lambda self: self.given)
    @rule()
    def end_it(self) -> None:
        """The newest list is shown again, and has ended."""
        self.has_ended = True
        assert self.show(self.begin, self.end, ended=True) == []

    @precondition(lambda self: not self.has_ended)
    @rule()
    def empty(self) -> None:
        """A list that has nothing is shown."""
        playlist = window([], sequence=self.begin, target_duration=TARGET)
        assert self.follower.playlist_received(playlist, BASE) == []

    def show(self, begin: int, end: int, *, ended: bool = False) -> list[MediaSegment]:
        """Show a list."""
        self.lists += 1
        playlist = window(
            range(begin, end),
            name=self.style.replace("{token}", f"t{self.lists}"),
            cuts=sorted(self.cuts),
            ended=ended,
        )
        found = self.follower.playlist_received(playlist, BASE)
        self.given += found
        return found

    @invariant()
    def is_in_order(self) -> None:
        """Each segment is given once, in order, and what is missing is counted."""
        numbers = [x.number for x in self.given]
        assert all(a < b for a, b in pairwise(numbers))
        if numbers:
            assert numbers[-1] == self.end - 1
            assert len(numbers) + self.follower.missed == self.end - numbers[0]
        assert self.follower.missed == self.missed
        assert self.follower.restarts == 0
        assert self.follower.ended == self.has_ended

    @invariant()
    def has_its_discontinuities(self) -> None:
        """One stands wherever one is between two segments that follow each other here."""
        if self.given:
            before = self.given[0].number
            for segment in self.given[1:]:
                between = any(before < cut <= segment.number for cut in self.cuts)
                assert segment.discontinuity == between
                before = segment.number


StreamTests = Stream.TestCase
StreamTests.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


@given(st.lists(st.floats(0.1, 12.0), max_size=30))
def test_edge(durations: list[float]) -> None:
    """RFC 8216bis 6.3.3: as near to the end as may be, and no nearer; all of a short list."""
    segments = tuple(Segment(f"{i}.ts", x) for i, x in enumerate(durations))
    found = Follower().playlist_received(MediaPlaylist(segments, TARGET), BASE)
    lasts = [sum(durations[i:]) for i in range(len(durations))]
    far = [i for i, last in enumerate(lasts) if last >= EDGE_TARGETS * TARGET + 1e-6]
    first = found[0].number if found else 0
    assert first >= max(far, default=0)
    assert first == 0 or lasts[first] >= EDGE_TARGETS * TARGET - 1e-6


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=12),
    st.data(),
)
def test_resuming_changes_nothing(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whoever is ended and goes on with another follower gets what one alone would have got."""
    lists: list[MediaPlaylist] = []
    begin, end = 0, 0
    for slide, length in steps:
        # The one that went on while nobody looked still has the last one that was seen.
        begin = min(begin + slide, max(end - 1, 0))
        end = max(begin + length, end)
        lists.append(window(range(begin, end), kind="EVENT" if not lists else ""))
    alone = Follower(Start.FIRST)
    expected = [x for playlist in lists for x in alone.playlist_received(playlist, BASE)]
    breaks = data.draw(st.sets(st.integers(0, len(lists) - 1)))
    follower = Follower(Start.FIRST)
    found: list[MediaSegment] = []
    for index, playlist in enumerate(lists):
        if index in breaks and found:
            last = found[-1]
            listed = Segment(last.url, last.duration, byte_range=last.byte_range)
            follower = Follower(after=identity(listed, last.number))
        found += follower.playlist_received(playlist, BASE)
    assert found == expected


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.lists(st.sampled_from(("a.ts", "b.ts", "c.ts", "d/a.ts", "e.ts?1", "")), max_size=6),
            st.booleans(),
        ),
        max_size=10,
    )
)
def test_nonsense(lists: list[tuple[int, list[str], bool]]) -> None:
    """Whatever servers list: what comes is part of the list, its end, and no error is raised."""
    follower = Follower()
    for number, uris, ended in lists:
        segments = tuple(Segment(uri, TARGET) for uri in uris)
        playlist = MediaPlaylist(segments, TARGET, media_sequence=number, ended=ended)
        missed = follower.missed
        found = follower.playlist_received(playlist, BASE)
        numbers = [x.number for x in found]
        assert numbers == list(range(number + len(uris) - len(found), number + len(uris)))
        assert follower.missed >= missed
        assert follower.ended <= ended
        assert 0.5 <= follower.reload_seconds <= TARGET
