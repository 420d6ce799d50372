"""The list of segments: its parts, init segments and keys, delta updates, and what it holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ntvmedia.endpoints.http.hls import window as module
from ntvmedia.endpoints.http.hls.files import Copies
from ntvmedia.endpoints.http.hls.window import (
    MAX_BYTES,
    PART_TARGETS,
    PLAYLIST_NAME,
    NewSegment,
    Window,
)
from ntvmedia.formats.m3u8 import SKIP_TARGETS, Key, Report
from tests.hls.m3u8 import parse_media

TARGET = 2
PART = 0.5


def _window(count: int = 4, **attributes: Any) -> Window:
    """Return an empty list of low latency."""
    window = Window(10, 0, "x", Copies())
    window.target_duration, window.count = TARGET, count
    window.part_target, window.can_block = PART, True
    for name, value in attributes.items():
        setattr(window, name, value)
    return window


def _open(window: Window, now: float, *, map_uri: str = "", key: Key | None = None) -> None:
    window.open(NewSegment(1000.0 + now, False, map_uri, key, "m4s", "video/mp4"))


def _segment(
    window: Window, now: float, *, parts: int = 4, map_uri: str = "", key: Key | None = None
) -> None:
    """Add a segment of two seconds with its parts, and show it."""
    _open(window, now, map_uri=map_uri, key=key)
    for index in range(parts):
        window.add_part(b"part", PART, now, independent=not index)
    window.add(b"media" * 4, 2.0, now)
    window.write()


def _text(window: Window) -> str:
    return window.files[PLAYLIST_NAME].body.decode("ascii")


# Parts


def test_parts() -> None:
    """C-LL-08, C-LL-09: parts stand in their segment; the hint has the name of the next one."""
    window = _window()
    _segment(window, 0.0)
    _open(window, 2.0)
    window.add_part(b"one", PART, 2.0, independent=True)
    window.write()
    hint = window.hint
    assert hint == b"11.1-x.m4s"
    lines = _text(window).splitlines()
    assert lines[-1] == '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="11.1-x.m4s"'
    assert lines[-2] == '#EXT-X-PART:DURATION=0.500000,URI="11.0-x.m4s",INDEPENDENT=YES'
    window.add_part(b"two", PART, 2.5, independent=False)
    window.write()
    assert window.files[hint].body == b"two"
    assert window.files[hint].head.startswith(b"Content-Type: video/mp4\r\nCache-Control: max-age")
    assert (window.parts, window.parts_of(11), window.parts_of(10)) == (2, 2, 4)
    assert (window.parts_of(9), window.parts_of(12), window.parts_of(-5)) == (0, 0, 0)
    parse_media(window.files[PLAYLIST_NAME].body)


def test_hint_of_what_does_not_come() -> None:
    """C-LL-09: no hint where nothing is awaited: blocking is off, or the list is over.

    hls.js 1.7 takes a segment that nothing follows for the next one: the date of that stands there.
    """
    window = _window()
    _segment(window, 0.0)
    window.can_block = False
    window.write()
    assert window.hint == b""
    assert "PRELOAD-HINT" not in _text(window)
    assert _text(window).splitlines()[-1].startswith("#EXT-X-PROGRAM-DATE-TIME:")
    window.can_block = True
    window.end()
    assert window.hint == b""
    assert "PRELOAD-HINT" not in _text(window)


def test_parts_that_are_old() -> None:
    """C-LL-12: listed for three target durations, and to be had for three more; then 404."""
    window = _window(20)
    times = [float(now) for now in range(0, 40, 2)]
    gone: dict[bytes, float] = {}
    for now in times:
        listed = (
            {x.uri for y in parse_media(_text(window).encode()).segments for x in y.parts}
            if (window.listed)
            else set()
        )
        _segment(window, now)
        playlist = parse_media(window.files[PLAYLIST_NAME].body)
        ends = [
            float(sum(x.duration for x in playlist.segments[i + 1 :]))
            for i in range(len(playlist.segments))
        ]
        for segment, behind in zip(playlist.segments, ends, strict=True):
            assert bool(segment.parts) is (behind < PART_TARGETS * TARGET)
        kept = {x.uri for y in playlist.segments for x in y.parts}
        for uri in listed - kept:
            gone[uri.encode("ascii")] = now
    assert len(gone) > 60
    for name, removed in gone.items():
        is_there = name in window.files
        assert is_there is (times[-1] - removed < PART_TARGETS * TARGET), (name, removed)
    # Their segments are there, as ever.
    assert all(x.uri.encode() in window.files for x in playlist.segments)


def test_old_parts_go_with_new_parts() -> None:
    """Nor does a part that is listed wait for the end of a segment to be too old."""
    window = _window(20)
    for now in range(0, 8, 2):
        _segment(window, float(now))
    before = _text(window).count("#EXT-X-PART:")
    _open(window, 8.0)
    for index in range(4):
        window.add_part(b"part", PART, 8.0 + index * PART, independent=False)
        window.write()
    playlist = parse_media(window.files[PLAYLIST_NAME].body)
    behind = sum(float(x.duration) for x in playlist.segments) + 4 * PART
    for segment in playlist.segments:
        behind -= float(segment.duration)
        assert bool(segment.parts) is (behind < PART_TARGETS * TARGET)
    assert _text(window).count("#EXT-X-PART:") == before


def test_begun_segment_is_given_up() -> None:
    """A segment of which parts were seen leaves its number to nobody; its parts stay a while."""
    window = _window()
    _segment(window, 0.0)
    _open(window, 2.0)
    window.add_part(b"part", PART, 2.0, independent=False)
    window.retire(2.5)
    assert window.number == 12
    assert b"11.0-x.m4s" in window.files
    window.purge(2.5 + PART_TARGETS * TARGET - 0.01)
    assert b"11.0-x.m4s" in window.files
    window.purge(2.5 + PART_TARGETS * TARGET)
    assert b"11.0-x.m4s" not in window.files
    _segment(window, 20.0)
    assert b"12-x.m4s" in window.files


# What segments need


def test_init_segments() -> None:
    """C-FM-04: another one has another name, and stays as long as the segments that need it."""
    window = _window(3, part_target=0.0)
    one = window.add_init(b"init one", "video/mp4")
    for now in (0.0, 2.0):
        _segment(window, now, parts=0, map_uri=one)
    two = window.add_init(b"init two", "audio/mp4")
    assert one != two
    names = []
    for now in range(4, 40, 2):
        _segment(window, float(now), parts=0, map_uri=two)
        names.append((b"10-x.m4s" in window.files, one.encode() in window.files))
        if b"11-x.m4s" in window.files:
            assert one.encode() in window.files
    assert (True, True) in names
    assert names[-1] == (False, False)
    assert two.encode() in window.files
    assert b"Content-Type: audio/mp4\r\n" in window.files[two.encode()].head
    assert b"immutable" in window.files[two.encode()].head


def test_keys() -> None:
    """C-AE-02, C-AE-03: a key can be had as long as any segment that needs it."""
    window = _window(3, part_target=0.0)
    last_of: dict[str, bytes] = {}
    for index in range(20):
        key = Key(f"{index // 3}.key", bytes([index] * 16))
        window.add_key(key.uri, b"k" * 16)
        window.add_key(key.uri, b"k" * 16)
        last_of[key.uri] = b"%d-x.m4s" % window.number
        _segment(window, index * 2.0, parts=0, key=key)
        playlist = parse_media(window.files[PLAYLIST_NAME].body)
        for segment in playlist.segments:
            assert segment.key is not None
            assert segment.key.uri.encode() in window.files
        for name, segment_name in last_of.items():
            assert (name.encode() in window.files) is (segment_name in window.files), name
    assert b"0.key" not in window.files
    file = window.files[b"6.key"]
    assert file.body == b"k" * 16
    assert b"Cache-Control: no-store\r\n" in file.head


def test_key_that_comes_again() -> None:
    """A key that left the list and came back is not let go of by its first time."""
    window = _window(3, part_target=0.0)
    one, two = Key("1.key", bytes(16)), Key("2.key", bytes(16))
    now = 0.0
    for key in (one, two, two, two, two, one, one, one, one, one, one):
        window.add_key(key.uri, b"k" * 16)
        _segment(window, now, parts=0, key=key)
        now += 2.0
        for name in {x.key.uri for x in parse_media(_text(window).encode()).segments if x.key}:
            assert name.encode() in window.files


def test_retired_with_init_and_key() -> None:
    """C-FM-04, C-AE-02: with the list its init segment and key go last, as its segments go."""
    for parts in (0, 4):
        window = _window(part_target=PART if parts else 0.0)
        name = window.add_init(b"init", "video/mp4")
        window.add_key("1.key", b"k" * 16)
        for index in range(3):
            _segment(window, index * 2.0, parts=parts, map_uri=name, key=Key("1.key", bytes(16)))
        window.retire(5.0)
        assert PLAYLIST_NAME not in window.files
        now = 5.0
        while len(window.files) > 2:
            assert {name.encode(), b"1.key"} < set(window.files)
            now += 0.1
            window.purge(now)
        window.purge(now + 0.1)
        assert (window.files, window.size) == ({}, 0)
        assert now > 12.0


def test_retired_with_parts_only() -> None:
    """Parts that were seen keep what they need, also where no segment was finished."""
    window = _window()
    name = window.add_init(b"init", "video/mp4")
    _segment(window, 0.0, map_uri="")
    _open(window, 2.0, map_uri=name)
    window.add_part(b"part", PART, 2.0, independent=False)
    window.retire(2.5)
    window.purge(2.5 + PART_TARGETS * TARGET - 0.01)
    assert name.encode() in window.files
    window.purge(60.0)
    assert (window.files, window.size) == ({}, 0)


# Delta updates


def test_delta() -> None:
    """Section 6.2.5.1: a delta update leaves out what is older than six target durations."""
    window = _window(30)
    for index in range(20):
        _segment(window, index * 2.0)
        whole = parse_media(window.files[PLAYLIST_NAME].body)
        delta = window.answer(delta=True, certain=True).body
        assert (b"EXT-X-SKIP" in delta) is (window.length - 2.0 >= SKIP_TARGETS * TARGET)
        read = parse_media(delta, whole)
        assert [x.uri for x in read.segments] == [x.uri for x in whole.segments]
        assert [x.parts for x in read.segments[-3:]] == [x.parts for x in whole.segments[-3:]]
    assert b"#EXT-X-SKIP:SKIPPED-SEGMENTS=14\n" in delta
    assert window.answer(delta=True, certain=True) is window.answer(delta=True, certain=True)
    assert window.answer(delta=False, certain=True) is window.files[PLAYLIST_NAME]
    # With parts of the next one the end has moved on.
    _open(window, 40.0)
    for _part in range(3):
        window.add_part(b"part", PART, 40.0, independent=False)
        window.write()
    assert b"#EXT-X-SKIP:SKIPPED-SEGMENTS=14\n" in window.answer(delta=True, certain=True).body
    window.add_part(b"part", PART, 40.0, independent=False)
    window.write()
    assert b"#EXT-X-SKIP:SKIPPED-SEGMENTS=15\n" in window.answer(delta=True, certain=True).body


def test_delta_of_what_is_short() -> None:
    """Where nothing is old the whole list is the update."""
    window = _window()
    _segment(window, 0.0)
    assert window.answer(delta=True, certain=True).body == window.files[PLAYLIST_NAME].body


def test_delta_with_init_and_key() -> None:
    """Section 4.4.5.2: what held for the segments that are left out holds on behind them."""
    window = _window(30)
    name = window.add_init(b"init", "video/mp4")
    window.add_key("1.key", b"k" * 16)
    for index in range(20):
        key = Key("1.key", bytes([index // 5] * 16)) if index // 5 % 2 else None
        _segment(window, index * 2.0, map_uri=name, key=key)
        whole = parse_media(window.files[PLAYLIST_NAME].body)
        read = parse_media(window.answer(delta=True, certain=True).body, whole)
        assert [(x.key, x.map) for x in read.segments] == [(x.key, x.map) for x in whole.segments]
    assert read.skipped == 14


def test_stale() -> None:
    """What is known to be out of date is written before somebody is given it."""
    told = [Report("../a/index.m3u8", 1, 0)]
    window = Window(10, 0, "x", Copies(), lambda: told)
    window.target_duration, window.count, window.part_target = TARGET, 3, PART
    _segment(window, 0.0)
    assert "LAST-MSN=1," in _text(window)
    told[0] = Report("../a/index.m3u8", 2, 0)
    assert b"LAST-MSN=1," in window.answer(delta=False, certain=False).body
    window.stale = True
    assert b"LAST-MSN=2," in window.answer(delta=False, certain=False).body
    assert (window.stale, "LAST-MSN=2," in _text(window)) == (False, True)


def test_caching() -> None:
    """Appendix B.1: a version that was asked for by number may be kept where all share it."""
    window = _window(30)
    window.shared = True
    for index in range(10):
        _segment(window, index * 2.0)
    for delta in (True, False):
        head = window.answer(delta=delta, certain=True).head
        assert b"Cache-Control: max-age=%d\r\n" % (SKIP_TARGETS * TARGET) in head
        # Who asked for no certain version would get it again when it is out of date.
        head = window.answer(delta=delta, certain=False).head
        assert b"Cache-Control: max-age=1\r\n" in head
    assert b"Cache-Control: max-age=1\r\n" in window.files[PLAYLIST_NAME].head
    window.shared = False
    window.write()
    assert b"Cache-Control: no-cache\r\n" in window.answer(delta=True, certain=True).head


# What it holds


def test_most_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """G-RS-01: above the bound what is no longer listed goes first, and nothing that is listed."""
    assert MAX_BYTES == 1 << 30
    monkeypatch.setattr(module, "MAX_BYTES", 2000)
    window = _window(3, part_target=0.0)
    name = window.add_init(b"init", "video/mp4")
    sizes = []
    for index in range(40):
        _open(window, index * 2.0, map_uri=name)
        window.add(b"m" * 300, 2.0, index * 2.0)
        window.write()
        sizes.append(window.size)
        assert all(
            x.uri.encode() in window.files
            for x in parse_media(window.files[PLAYLIST_NAME].body).segments
        )
        assert name.encode() in window.files
    assert max(sizes) < 2000 + 1000
    for index in range(40, 60):
        _open(window, index * 2.0, map_uri=name)
        window.add(b"m" * 900, 2.0, index * 2.0)
        window.write()
    assert window.listed == 3
    assert sum(x.endswith(b".m4s") for x in window.files) == 3


class WindowMachine(RuleBasedStateMachine):
    """A list that lives: what is told of its size is true, and what media needs is there.

    C-PL-14, C-FM-04, C-AE-02, C-LL-12.
    """

    def __init__(self) -> None:
        super().__init__()
        self.window = _window()
        self.now = 0.0
        self.needs: dict[bytes, tuple[bytes, ...]] = {}
        self.given: dict[bytes, bytes] = {}
        self.map = ""
        self.key: Key | None = None
        self.keys = 0
        self.is_open = False

    @initialize(count=st.integers(3, 6), part_target=st.sampled_from([0.0, PART]))
    def begin(self, count: int, part_target: float) -> None:
        """Of some length, with parts or without."""
        self.window.count, self.window.part_target = count, part_target

    @rule(seconds=st.floats(0.0, 9.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.window.purge(self.now)

    @rule(has_map=st.booleans())
    def other_init(self, has_map: bool) -> None:
        """The next segment has another init segment, or none."""
        self.map = self.window.add_init(b"init" * 5, "video/mp4") if has_map else ""
        if self.map:
            self.begin_segment()  # it is added when there is a segment for it

    @rule(number=st.integers(0, 3))
    def other_key(self, number: int) -> None:
        """The next segment has another key, perhaps one that was there before, or none."""
        self.key = Key(f"{number}.key", bytes([number] * 16)) if number else None
        self.begin_segment()

    def begin_segment(self) -> None:
        """Begin one."""
        if self.is_open and self.window.parts:
            self.window.add(b"short", 0.5, self.now)
        if self.key is not None:
            self.window.add_key(self.key.uri, b"k" * 16)
        _open(self.window, self.now, map_uri=self.map, key=self.key)
        self.is_open = True

    @precondition(lambda self: self.window.part_target)
    @rule(size=st.integers(1, 50))
    def part(self, size: int) -> None:
        """A part."""
        if not self.is_open:
            self.begin_segment()
        self.now += PART
        self.window.add_part(b"p" * size, PART, self.now, independent=False)
        self.window.write()

    @rule(size=st.integers(0, 200), duration=st.floats(0.04, 2.4), gap=st.booleans())
    def segment(self, size: int, duration: float, gap: bool) -> None:
        """A segment."""
        if not self.is_open:
            self.begin_segment()
        self.now += duration
        self.window.add(b"m" * size, duration, self.now, gap=gap)
        self.is_open = False
        self.window.write()
        if self.window.listed and self.window.part_target:
            self.window.answer(delta=True, certain=True)

    @rule()
    def retire(self) -> None:
        """Nobody asks any more."""
        self.window.retire(self.now)
        self.is_open, self.map = False, ""

    @rule()
    def clear(self) -> None:
        """All is let go of."""
        self.window.clear()
        self.is_open, self.map = False, ""
        assert (self.window.files, self.window.size) == ({}, 0)
        self.given.clear()

    @invariant()
    def sizes_are_true(self) -> None:
        """Never negative, and the sum of what is there."""
        files = self.window.files
        assert self.window.size == sum(len(file.body) for file in files.values()) >= 0

    @invariant()
    def what_is_needed_is_there(self) -> None:
        """Init segment and key of all media, listed or not."""
        files = self.window.files
        for segment in (*self.window._listed, *filter(None, [self.window._next])):
            needs = tuple(x.uri.encode() for x in (segment.map, segment.key) if x is not None)
            for uri in (segment.uri, *(x.uri for x in segment.parts)):
                self.needs[uri.encode()] = needs
        for name, needs in self.needs.items():
            if name in files:
                assert set(needs) <= set(files), (name, needs)

    @invariant()
    def names_are_of_one_content(self) -> None:
        """A name is never given to other bytes."""
        for name, file in self.window.files.items():
            if name != PLAYLIST_NAME:
                assert self.given.setdefault(name, file.body) == file.body

    def teardown(self) -> None:
        """In the end nothing is left."""
        self.window.retire(self.now)
        self.window.purge(self.now + 1000.0)
        assert (self.window.files, self.window.size) == ({}, 0)


WindowMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

TestWindowMachine = WindowMachine.TestCase
