"""Tests of ntvmedia.wire.hls.follower: servers that do as the document says."""

from __future__ import annotations

from typing import Any

import pytest

from ntvmedia.errors import PeerError
from ntvmedia.formats.m3u8 import ByteRange, Key, MediaPlaylist, Segment
from ntvmedia.formats.m3u8_reader import parse_playlist
from ntvmedia.wire.hls.follower import EDGE_TARGETS, Follower, Identity, Start, identity
from tests.wire.hls.lists import BASE, TARGET, show, window


def names(*numbers: int) -> list[str]:
    """Return names as `window` gives them."""
    return [f"{number}.ts" for number in numbers]


# Where it begins


@pytest.mark.parametrize(
    ("durations", "first"),
    [
        ([4, 4, 4, 4, 4, 4], 3),
        ([4, 4, 4], 0),
        ([4, 4], 0),
        ([4], 0),
        # Each may be shorter than the target: 3 segments would be too near to the end.
        ([4, 2, 2, 2, 2, 2, 2, 2], 2),
        ([4, 4, 4, 4, 4, 3.9], 2),
        # What lasts longer than it may.
        ([4, 60, 4, 4], 1),
        ([4, 4, 13], 2),
        # Nobody knows how long they last.
        ([0, 0, 0], 0),
    ],
)
def test_live_edge(durations: list[float], first: int) -> None:
    """RFC 8216bis 6.3.3: the last segment that begins 3 target durations before the end or more."""
    assert EDGE_TARGETS == 3
    segments = tuple(Segment(f"{i}.ts", float(x)) for i, x in enumerate(durations))
    playlist = MediaPlaylist(segments, TARGET, media_sequence=70)
    found = Follower().playlist_received(playlist, BASE)
    assert [segment.number for segment in found] == list(range(70 + first, 70 + len(durations)))
    assert not found[0].discontinuity


@pytest.mark.parametrize("fields", [{"ended": True}, {"kind": "EVENT"}, {"kind": "VOD"}])
def test_begins_with_the_first(fields: dict[str, Any]) -> None:
    """What keeps all of its segments is taken from its beginning."""
    follower = Follower()
    assert show(follower, window(range(5, 15), **fields)) == names(*range(5, 15))
    assert follower.ended == ("ended" in fields)


@pytest.mark.parametrize(
    ("start", "first"),
    [
        # From the end, and from the beginning of the list.
        (-20.0, 5),
        (-21.0, 4),
        (8.0, 2),
        (9.0, 2),
        (0.0, 0),
        # Never nearer to the end than players are.
        (-1.0, 7),
        (39.0, 7),
        (1000.0, 7),
        # Nor before what there is.
        (-1000.0, 0),
    ],
)
def test_start_of_the_list(start: float, first: int) -> None:
    """RFC 8216bis 4.4.2.2: EXT-X-START says where to begin in what has not ended."""
    playlist = window(range(10), start_seconds=start)
    assert show(Follower(), playlist) == names(*range(first, 10))
    assert show(Follower(Start.FIRST), playlist) == names(*range(10))
    ended = window(range(10), start_seconds=start, ended=True)
    assert show(Follower(), ended) == names(*range(10))


def test_start_first() -> None:
    """Who wants all that there is gets it of a list that slides, too."""
    assert show(Follower(Start.FIRST), window(range(5, 15))) == names(*range(5, 15))


def test_empty_at_first() -> None:
    """A list that has nothing yet is no beginning; that comes with what it has later."""
    follower = Follower()
    assert show(follower, window([])) == []
    assert not follower.ended
    assert show(follower, window(range(9))) == names(6, 7, 8)
    assert (follower.missed, follower.restarts) == (0, 0)


def test_empty_and_ended() -> None:
    """A list may end without anything in it."""
    follower = Follower()
    assert show(follower, window([], ended=True)) == []
    assert follower.ended


# How it goes on


def test_grows() -> None:
    """EVENT: only added to, at last ended."""
    follower = Follower()
    assert show(follower, window([0, 1], kind="EVENT")) == names(0, 1)
    assert show(follower, window([0, 1], kind="EVENT")) == []
    assert show(follower, window([0, 1, 2, 3], kind="EVENT")) == names(2, 3)
    assert show(follower, window(range(5), kind="EVENT", ended=True)) == names(4)
    assert follower.ended
    assert (follower.missed, follower.restarts) == (0, 0)


def test_slides() -> None:
    """A window that slides by one, by some, by all of it."""
    follower = Follower(Start.FIRST)
    assert show(follower, window([0, 1, 2])) == names(0, 1, 2)
    assert show(follower, window([1, 2, 3])) == names(3)
    assert show(follower, window([3, 4, 5])) == names(4, 5)
    assert show(follower, window([6, 7, 8])) == names(6, 7, 8)
    assert (follower.missed, follower.restarts) == (0, 0)


def test_ends_without_more() -> None:
    """EXT-X-ENDLIST may come alone."""
    follower = Follower()
    show(follower, window([0, 1, 2]))
    assert not follower.ended
    assert show(follower, window([0, 1, 2], ended=True)) == []
    assert follower.ended


def test_missed() -> None:
    """What left the list unseen is counted, and what is left goes on as it is."""
    follower = Follower(Start.FIRST)
    show(follower, window([0, 1, 2]))
    assert show(follower, window([7, 8, 9])) == names(7, 8, 9)
    assert follower.missed == 4
    assert show(follower, window([11, 12])) == names(11, 12)
    assert (follower.missed, follower.restarts) == (5, 0)


def test_discontinuity() -> None:
    """A discontinuity is that of the segment that has it, once."""
    follower = Follower(Start.FIRST)
    assert show(follower, window([0, 1, 2], cuts=[1])) == ["0.ts", "|1.ts", "2.ts"]
    assert show(follower, window([1, 2, 3, 4], cuts=[1, 4])) == ["3.ts", "|4.ts"]
    assert show(follower, window([4, 5], cuts=[1, 4])) == names(5)


def test_missed_discontinuity() -> None:
    """One that went by with what was missed counts for the first that comes after it."""
    follower = Follower(Start.FIRST)
    show(follower, window([0, 1, 2], cuts=[1]))
    assert show(follower, window([6, 7], cuts=[1, 4])) == ["|6.ts", "7.ts"]
    # Without one between them, the times go on.
    assert show(follower, window([9, 10], cuts=[1, 4])) == names(9, 10)
    # It is not doubled where the first one has it itself.
    assert show(follower, window([12, 13], cuts=[1, 4, 12])) == ["|12.ts", "13.ts"]
    assert follower.missed == 3 + 1 + 1


def test_missed_without_discontinuity() -> None:
    """One that was seen before is not one that was missed."""
    follower = Follower(Start.FIRST)
    show(follower, window([0, 1, 2], cuts=[1]))
    assert show(follower, window([5, 6], cuts=[1])) == names(5, 6)


def test_gap() -> None:
    """EXT-X-GAP: there is nothing to ask for, and its time goes on."""
    playlist = parse_playlist(
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXT-X-GAP\n#EXTINF:4,\nfile:///no\n"
        b"#EXTINF:4,\n2.ts\n#EXT-X-ENDLIST\n"
    )
    assert isinstance(playlist, MediaPlaylist)
    found = Follower().playlist_received(playlist, BASE)
    assert [(x.gap, x.url[-4:], x.duration) for x in found] == [
        (False, "0.ts", 4.0),
        (True, "", 4.0),
        (False, "2.ts", 4.0),
    ]


# When to ask again


def test_reload_times() -> None:
    """RFC 8216bis 6.3.4: a target duration after a list that is new, half of it after another."""
    follower = Follower()
    show(follower, window([0, 1, 2]))
    assert follower.reload_seconds == TARGET
    show(follower, window([0, 1, 2]))
    assert follower.reload_seconds == TARGET / 2
    show(follower, window([0, 1, 2], target_duration=10.0))
    assert follower.target_duration == 10.0
    assert follower.reload_seconds == 5.0
    show(follower, window([1, 2, 3], target_duration=10.0))
    assert follower.reload_seconds == 10.0


def test_reload_not_too_soon() -> None:
    """Whatever a list says, nobody is asked more than twice a second."""
    follower = Follower()
    show(follower, window([0, 1], target_duration=0.1))
    assert follower.reload_seconds == 0.5
    show(follower, window([0, 1], target_duration=0.1))
    assert follower.reload_seconds == 0.5
    # Before the first list, nobody knows.
    assert Follower().reload_seconds == 0.5


def test_reload_not_too_late() -> None:
    """Some lists tell their target duration in milliseconds."""
    follower = Follower()
    show(follower, window([0, 1], target_duration=4000.0))
    assert follower.reload_seconds == 60.0


# Resuming


def test_resume() -> None:
    """What was loaded in another run is where this one goes on, without a discontinuity."""
    follower = Follower(after=Identity(4, "4.ts", None))
    assert show(follower, window(range(2, 12))) == names(5, 6, 7, 8, 9, 10, 11)
    assert (follower.missed, follower.restarts) == (0, 0)
    assert show(follower, window(range(4, 13))) == names(12)


def test_resume_at_the_end() -> None:
    """Nothing has come since."""
    follower = Follower(after=Identity(11, "11.ts", None))
    assert show(follower, window(range(2, 12))) == []
    assert show(follower, window(range(3, 13))) == names(12)


def test_resume_by_name() -> None:
    """The same segment has another number in a list of another server."""
    follower = Follower(after=Identity(104, "4.ts", None))
    assert show(follower, window(range(2, 8))) == names(5, 6, 7)
    assert follower.restarts == 0


def test_resume_with_the_next_number() -> None:
    """It has just left the list, which begins with the next one: nothing is missing."""
    follower = Follower(after=Identity(4, "4.ts", None))
    assert show(follower, window(range(5, 15))) == names(*range(5, 15))
    assert (follower.missed, follower.restarts) == (0, 0)


def test_resume_too_late() -> None:
    """What was loaded has left the list: all that is there yet follows, as a new beginning."""
    for start in Start:
        follower = Follower(start, after=Identity(4, "4.ts", None))
        assert show(follower, window(range(60, 70))) == ["|60.ts", *names(*range(61, 70))]
        assert show(follower, window(range(61, 71))) == names(70)


def test_resume_another_stream() -> None:
    """The numbers meet, the names do not: that is another one, and all of it follows."""
    follower = Follower(after=Identity(4, "old4.ts", None))
    assert show(follower, window(range(2, 12))) == ["|2.ts", *names(*range(3, 12))]
    assert follower.restarts == 1


# What a segment is known by


def test_identity() -> None:
    """The folder and the query may be others each time; the name and the range are not."""
    extent = ByteRange(5, 7)
    assert identity(Segment("/a/b/c.ts?token=1", 1.0), 3) == (3, "c.ts", None)
    assert identity(Segment("https://x/y;z=1/c.ts#f", 1.0, byte_range=extent), 3) == (
        3,
        "c.ts",
        extent,
    )
    assert identity(Segment("http://[1/c.ts", 1.0), 3) == (3, "c.ts", None)


def test_byte_ranges_of_one_file() -> None:
    """Segments that are parts of one file are told apart by their ranges."""
    segments = tuple(Segment("all.ts", 4.0, byte_range=ByteRange(10, i * 10)) for i in range(6))
    follower = Follower(after=Identity(7, "all.ts", ByteRange(10, 20)))
    found = follower.playlist_received(MediaPlaylist(segments, TARGET), BASE)
    assert [x.byte_range for x in found] == [(10, 30), (10, 40), (10, 50)]


def test_same_name_in_folders() -> None:
    """Segments of one name in folders of their own are told apart by their numbers."""
    follower = Follower(Start.FIRST)
    assert show(follower, window([0, 1, 2], name="{}/media.ts")) == [
        "0/media.ts",
        "1/media.ts",
        "2/media.ts",
    ]
    assert show(follower, window([1, 2, 3], name="{}/media.ts")) == ["3/media.ts"]
    assert show(follower, window([5, 6], name="{}/media.ts")) == ["5/media.ts", "6/media.ts"]
    assert (follower.missed, follower.restarts) == (1, 0)


def test_cannot_be_loaded() -> None:
    """What is encrypted in another way, or is none of HTTP, is told by `PeerError`."""
    for segment in (
        Segment("file:///etc/passwd", 4.0),
        Segment("1.ts", 4.0, key=Key("k", b"", "SAMPLE-AES")),
    ):
        with pytest.raises(PeerError):
            Follower().playlist_received(MediaPlaylist((segment,), TARGET), BASE)
