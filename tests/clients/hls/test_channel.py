"""Tests of ntvmedia.clients.hls.channel: one list, followed and loaded."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ntvmedia.clients.hls import channel as channels
from ntvmedia.clients.hls.channel import (
    MAX_WAITING,
    SEGMENT_STRIKES,
    STRIKES,
    Channel,
    Place,
    any_playlist,
    media_playlist,
    remote,
)
from ntvmedia.clients.hls.loader import LoadError
from ntvmedia.clients.hls.pieces import NothingYet
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.formats.m3u8 import MediaPlaylist, MultivariantPlaylist
from ntvmedia.formats.m3u8_reader import parse_playlist
from tests.clients.hls.fakes import LoaderCase, Reply
from tests.formats.hls_segments import ts

ROOT = "https://example.org/live/"
LIST = f"{ROOT}index.m3u8"
OTHER = f"{ROOT}other.m3u8"
TARGET = 4
MULTIVARIANT = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"
TS = ts(0, 2)


def listed(first: int, count: int, *, ended: bool = False, before: str = "") -> bytes:
    """Return a list; with lines before its first segment."""
    lines = "".join(f"#EXTINF:{TARGET},\n{n}.ts\n" for n in range(first, first + count))
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:{TARGET}\n#EXT-X-MEDIA-SEQUENCE:{first}\n{before}"
    return (head + lines + "#EXT-X-ENDLIST\n" * ended).encode()


def playlist(data: bytes) -> MediaPlaylist:
    """Read a list."""
    found = parse_playlist(data)
    assert isinstance(found, MediaPlaylist)
    return found


class ChannelCase(LoaderCase):
    """A channel, and what it says."""

    def setUp(self) -> None:
        super().setUp()
        self.notes: list[str] = []
        self.added = 0
        self.renewed: list[RemoteError] = []
        self.place: Place | RemoteError = Place(OTHER)
        self.channel = self.make()

    def make(self, stall_seconds: float = 10.0) -> Channel:
        """Return one for the list."""
        return Channel(
            self.clock,
            self.loader,
            Place(LIST),
            stall_seconds,
            self._count,
            self.notes.append,
            self._renew,
        )

    def _count(self) -> None:
        self.added += 1

    async def _renew(self, error: RemoteError) -> Place:
        self.renewed.append(error)
        if isinstance(self.place, RemoteError):
            raise self.place
        return self.place

    def segments(self, *numbers: int, reply: Any = None) -> None:
        """Have segments, or another answer instead."""
        for number in numbers:
            self.serve(f"{ROOT}{number}.ts", reply or Reply(TS))

    def taken(self) -> list[Any]:
        """Take what is there; return names, None for what is missing, and "end" for the end."""
        found: list[Any] = []
        while True:
            try:
                piece = next(self.channel.pieces)
            except NothingYet:
                return found
            except StopIteration:
                return [*found, "end"]
            found.append(None if piece.missing else piece.name)
            self.channel.look()

    def times(self, url: str = LIST) -> int:
        """Return how often something was asked for."""
        return self.outbound.urls().count(url)

    def leave(self, waiting: Deferred[Any]) -> None:
        """End what goes on; nothing is left of it."""
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BeginTests(ChannelCase):
    """Where it begins."""

    def test_edge(self) -> None:
        """A live list begins three target durations before its end, whatever it keeps."""
        for before in ("", "#EXT-X-PLAYLIST-TYPE:EVENT\n"):
            self.channel = self.make()
            first = self.channel.begin(playlist(listed(100, 50, before=before)), LIST)
            self.assertEqual(first, 147)
            self.assertTrue(self.channel.is_live)
            self.assertEqual(self.channel.behind_seconds, 3 * TARGET)
            self.assertEqual(self.channel.edge_seconds, 3 * TARGET)

    def test_ended(self) -> None:
        """A list that has ended begins with its first segment."""
        self.assertEqual(self.channel.begin(playlist(listed(5, 9, ended=True)), LIST), 5)
        self.assertFalse(self.channel.is_live)

    def test_number(self) -> None:
        """Sound begins with the number of the pictures, if its list has that."""
        for number, first in ((103, 103), (100, 100), (109, 109), (110, 107), (99, 107)):
            self.channel = self.make()
            self.assertEqual(self.channel.begin(playlist(listed(100, 10)), LIST, number), first)

    def test_empty(self) -> None:
        """A list without segments begins nowhere, yet."""
        self.assertIsNone(self.channel.begin(playlist(listed(7, 0)), LIST))

    def test_elsewhere(self) -> None:
        """F-SS-01: a list that leads to a file of this machine is refused."""
        text = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n"
        self.assertRaises(PeerError, self.channel.begin, playlist(text), LIST)


class LoadTests(ChannelCase):
    """What is loaded."""

    def begin(self, first: int, count: int, *, ended: bool = False) -> Deferred[None]:
        """Begin with all segments of a list, and load them."""
        self.channel.begin(playlist(listed(first, count, ended=ended)), LIST, first)
        return self.start(self.channel.load())

    def test_room(self) -> None:
        """E-SR-08: no more is loaded than may wait, until somebody takes it; in order."""
        self.segments(*range(10))
        waiting = self.begin(0, 10)
        self.assertEqual(len(self.outbound.asked), MAX_WAITING)
        self.assertEqual(self.channel.behind_seconds, 10 * TARGET)
        self.assertEqual(self.taken(), [f"segment {n}" for n in range(10)])
        self.assertEqual(self.outbound.urls(), [f"{ROOT}{n}.ts" for n in range(10)])
        self.assertEqual((self.channel.behind_seconds, self.added), (0.0, 10))
        self.leave(waiting)

    def test_end(self) -> None:
        """After the last segment of a list that has ended comes the end."""
        self.segments(1, 2)
        waiting = self.begin(1, 2, ended=True)
        self.successResultOf(self.start(self.channel.follow()))
        self.assertEqual(self.taken(), ["segment 1", "segment 2", "end"])
        self.successResultOf(waiting)

    def test_missing(self) -> None:
        """A segment that is not there is left out, and its time is kept; so is a gap."""
        self.segments(0, 2, 3)
        self.segments(1, reply=Reply(b"", 400))
        waiting = self.begin(0, 4)
        self.assertEqual(self.taken(), ["segment 0", None, "segment 2", "segment 3"])
        self.assertEqual(self.channel.missed, 1)
        self.assertEqual(self.notes, ["segment 1: the server answers 400; it is left out"])
        self.leave(waiting)

    def test_gap(self) -> None:
        """E-SR-08: a gap is not asked for."""
        text = listed(0, 3).replace(b"#EXTINF:4,\n1.ts", b"#EXT-X-GAP\n#EXTINF:4,\n1.ts")
        self.segments(0, 2)
        self.channel.begin(playlist(text), LIST, 0)
        waiting = self.start(self.channel.load())
        self.assertEqual(self.taken(), ["segment 0", None, "segment 2"])
        self.assertEqual((self.times(f"{ROOT}1.ts"), self.notes), (0, []))
        self.leave(waiting)

    def test_discontinuity(self) -> None:
        """What begins something new is told with the next that is there."""
        text = listed(0, 4).replace(b"#EXTINF:4,\n1.ts", b"#EXT-X-DISCONTINUITY\n#EXTINF:4,\n1.ts")
        self.segments(0, 2, 3)
        self.segments(1, reply=Reply(b"", 400))
        self.channel.begin(playlist(text), LIST, 0)
        waiting = self.start(self.channel.load())
        found = []
        for _piece in range(4):
            found.append(next(self.channel.pieces).discontinuity)
            self.channel.look()
        self.assertEqual(found, [False, False, True, False])
        self.leave(waiting)

    def test_no_media(self) -> None:
        """What is no media counts as missing, after no further try."""
        self.segments(0, reply=Reply(b"<html>Sorry</html>" * 20))
        self.segments(1)
        waiting = self.begin(0, 2)
        self.assertEqual(self.taken(), [None, "segment 1"])
        self.assertEqual(self.times(f"{ROOT}0.ts"), 1)
        self.leave(waiting)

    def test_strikes(self) -> None:
        """Some in a row that are not there are the end; one that is begins the count anew."""
        lost = SEGMENT_STRIKES - 1
        self.segments(lost, reply=Reply(TS))
        for number in (*range(lost), *range(lost + 1, 2 * lost + 2)):
            self.segments(number, reply=Reply(b"", 400))
        waiting = self.begin(0, 3 * lost)
        self.assertEqual(self.taken(), [None] * lost + [f"segment {lost}"] + [None] * lost)
        error = self.failureResultOf(waiting, RemoteError).value
        self.assertEqual((error.status, error.is_permanent), (400, False))

    def test_refused(self) -> None:
        """E-ST-05: a segment that nobody may have is the end at once, and for good."""
        for status in (401, 403):
            self.channel = self.make()
            self.segments(0, reply=Reply(b"", status))
            error = self.failureResultOf(self.begin(0, 9), RemoteError).value
            self.assertEqual((error.status, error.is_permanent), (status, True))
            self.assertNotIn("example.org", str(error))

    def test_listed_most(self) -> None:
        """Of a live list that nobody takes from, the oldest are passed over, and counted."""
        self.patch(channels, "MAX_LISTED", 5)
        self.channel.begin(playlist(listed(0, 20)), LIST, 0)
        self.assertEqual(self.channel.missed, 15)
        self.assertEqual(self.channel.behind_seconds, 5 * TARGET)
        self.segments(*range(20))
        waiting = self.start(self.channel.load())
        self.assertEqual(self.taken(), [f"segment {n}" for n in range(15, 20)])
        self.leave(waiting)


class FollowTests(ChannelCase):
    """A list that grows."""

    def follow(self, first: int = 0, count: int = 3, **options: Any) -> Deferred[None]:
        """Begin with all of a list, and follow it."""
        self.channel = self.make(**options)
        self.channel.begin(playlist(listed(first, count)), LIST, first)
        return self.start(self.channel.follow())

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([0.5] * round(seconds / 0.5))

    def test_grows(self) -> None:
        """It is asked for once in a target duration, and twice where nothing was new."""
        lists = [listed(0, 4), listed(0, 4), listed(1, 5), listed(1, 6, ended=True)]
        self.serve(LIST, *map(Reply, lists))
        waiting = self.follow()
        asked = []
        for step in range(30):
            before = self.times()
            self.clock.advance(1.0)
            if self.times() > before:
                asked.append(step + 1)
        self.assertEqual(asked, [4, 8, 10, 14])
        self.successResultOf(waiting)
        self.segments(*range(7))
        done = self.start(self.channel.load())
        self.assertEqual(self.taken(), [*(f"segment {n}" for n in range(7)), "end"])
        self.successResultOf(done)

    def test_stands_still(self) -> None:
        """E-ST-01: a list that has nothing new for long is given up, not before."""
        self.serve(LIST, Reply(listed(0, 3)))
        for stall, least in ((1.0, 4.0 * TARGET), (30.0, 30.0)):
            waiting = self.follow(stall_seconds=stall)
            self.run_for(least)
            self.assertNoResult(waiting)
            self.run_for(TARGET)
            error = self.failureResultOf(waiting, RemoteError).value
            self.assertIn("the playlist has nothing new for", str(error))
            self.assertFalse(error.is_permanent)

    def test_strikes(self) -> None:
        """A list that cannot be had now and then is asked for again, without its address noted."""
        broken = [Reply(b"<html>", 200), Reply(b"", 400)]
        self.assertEqual(len(broken), STRIKES - 1)
        self.serve(LIST, *broken, Reply(listed(1, 3)), *broken, Reply(listed(2, 3)))
        waiting = self.follow(stall_seconds=60.0)
        self.run_for(7 * TARGET)
        self.assertNoResult(waiting)
        self.assertEqual((self.renewed, len(self.notes)), ([], 4))
        self.assertTrue(all(note.endswith("; it is asked for again") for note in self.notes))
        self.assertNotIn("example.org", str(self.notes))
        self.leave(waiting)

    def test_gone(self) -> None:
        """One that is gone, or refused, or never there, is looked for, and followed where it is."""
        for replies in ([Reply(b"", 404)], [Reply(b"", 403)], [Reply(b"", 400)] * STRIKES):
            self.renewed.clear()
            self.serve(LIST, *replies)
            self.serve(OTHER, Reply(listed(2, 3)), Reply(listed(3, 3, ended=True)))
            waiting = self.follow()
            self.run_for(6 * TARGET)
            self.successResultOf(waiting)
            [error] = self.renewed
            self.assertEqual(error.status, replies[0].status)

    def test_gone_for_good(self) -> None:
        """What nobody finds again is told as it is."""
        self.place = RemoteError("the server does not have it (404)", 404, is_permanent=True)
        self.serve(LIST, Reply(b"", 404))
        waiting = self.follow()
        self.run_for(TARGET)
        self.assertIs(self.failureResultOf(waiting, RemoteError).value, self.place)

    def test_another_kind(self) -> None:
        """E-ST-05: where segments have to be listed, variants are no use."""
        self.serve(LIST, Reply(MULTIVARIANT))
        error = self.problem(media_playlist(self.loader, Place(LIST)), RemoteError)
        self.assertTrue(error.is_permanent)
        found, base = self.result(any_playlist(self.loader, Place(LIST)))
        self.assertIsInstance(found, MultivariantPlaylist)
        self.assertEqual(base, LIST)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                [
                    Reply(listed(1, 3)),
                    Reply(listed(2, 4)),
                    Reply(listed(40, 3)),
                    Reply(listed(0, 0)),
                    Reply(listed(3, 3, ended=True)),
                    Reply(listed(1, 2, before='#EXT-X-MAP:URI="file:///x"\n')),
                    Reply(listed(1, 2, before='#EXT-X-KEY:METHOD=SAMPLE-AES,URI="x"\n')),
                    Reply(MULTIVARIANT),
                    Reply(b"", 404),
                    Reply(b"", 500),
                    Reply(b"#EXTM3U\n#EXTINF:-1,x\nx\n"),
                ]
            )
            | st.binary(max_size=40).map(Reply),
            min_size=1,
            max_size=6,
        ),
        st.lists(st.booleans(), min_size=1, max_size=4),
    )
    def test_anything(self, replies: list[Reply], there: list[bool]) -> None:
        """Whatever lists come, it ends, or fails with what is documented; nothing goes back."""
        self.setUp()
        self.place = RemoteError("gone", 404)
        self.serve(LIST, *replies, Reply(b"", 404))
        for number in range(50):
            is_there = there[number % len(there)]
            self.segments(number, reply=Reply(TS) if is_there else Reply(b"", 400))
        waiting = [self.follow(), self.start(self.channel.load())]
        failures: list[Failure] = []
        for one in waiting:
            one.addErrback(failures.append)
        names: list[Any] = []
        for _step in range(200):
            self.clock.advance(1.0)
            names += self.taken()
        for one in waiting:
            one.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for failure in failures:
            self.assertIsInstance(failure.value, RemoteError | PeerError | CancelledError)
        found = [int(name.split()[1]) for name in names if name not in (None, "end")]
        self.assertEqual(found, sorted(set(found)))


def test_what_tasks_are_told() -> None:
    """E-ST-05: without an address; what lasts is marked as that."""
    for error, words, status, is_permanent in (
        (LoadError("x at https://a/b", 503, "x"), "x", 503, False),
        (LoadError("x", 401), "x", 401, True),
        (LoadError("x", 403), "x", 403, True),
        (LoadError("x", 404), "x", 404, True),
        (LoadError("x", 410), "x", 410, True),
        (LoadError("x", is_permanent=True), "x", 0, True),
        (PeerError("odd", reference="RFC 1", offset=7), "odd", 0, True),
    ):
        found = remote(error)
        assert (str(found), found.status, found.is_permanent) == (words, status, is_permanent)
