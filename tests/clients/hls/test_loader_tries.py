"""Tests of ntvmedia.clients.hls.loader: how often it asks, and when."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.defer import CancelledError

from ntvmedia.clients.hls.intake import Gathered
from ntvmedia.clients.hls.loader import LoadError
from ntvmedia.clients.hls.retries import LATE, TRANSIENT, Retries
from ntvmedia.formats.m3u8 import ByteRange
from ntvmedia.outbound import OutboundError
from ntvmedia.wire.hls.resources import InitSection, Key
from tests.clients.hls.fakes import LoaderCase, Reply
from tests.clients.hls.test_loader import INIT, KEY, LIST, MEDIA, SECRET, SEGMENT, TS, segment

LOST = OutboundError("https://example.org: the connection was lost")


class TryTests(LoaderCase):
    """What is tried again, and what is not."""

    def load(self, *replies: Any, **options: Any) -> tuple[bytes, int]:
        """Load a segment; return it, and how often that was asked for."""
        self.serve(SEGMENT, *replies)
        before = len(self.outbound.asked)
        sink = Gathered()
        waiting = self.patience(self.loader.segment(segment(), sink, **options))
        self.successResultOf(waiting)
        return sink.value(), len(self.outbound.asked) - before

    def fail(self, *replies: Any, **options: Any) -> tuple[LoadError, int]:  # type: ignore[override]
        """Load a segment in vain; return why, and how often it was asked for."""
        self.serve(SEGMENT, *replies)
        before = len(self.outbound.asked)
        waiting = self.patience(self.loader.segment(segment(), Gathered(), **options))
        error: Any = self.failureResultOf(waiting, LoadError).value
        return error, len(self.outbound.asked) - before

    def test_statuses(self) -> None:
        """Those that may be others in a moment are asked again, and no others."""
        for status in sorted(TRANSIENT):
            self.assertEqual(self.load(Reply(b"no", status), Reply(TS)), (TS, 2), status)
        for status in (400, 401, 403, 404, 405, 410, 416, 451, 501, 204, 304):
            error, count = self.fail(Reply(b"no", status), Reply(TS))
            self.assertEqual((error.status, count), (status, 1))
            self.assertIn(str(status), str(error))

    def test_late(self) -> None:
        """A segment that its list names, and its server has not yet."""
        replies = Reply(b"no", 404), Reply(b"no", 503), Reply(TS)
        self.assertEqual(self.load(*replies, statuses=LATE), (TS, 3))
        error, count = self.fail(Reply(b"no", 410), Reply(TS), statuses=LATE)
        self.assertEqual((error.status, count), (410, 1))

    def test_lost(self) -> None:
        """A connection that breaks, in the middle too: each byte is there once in the end."""
        replies = LOST, Reply(TS[:100], cut=True), Reply(b"", cut=True), Reply(TS)
        self.assertEqual(self.load(*replies), (TS, 4))
        self.assertEqual(len(self.lines), 3)
        self.assertRegex(
            self.lines[0],
            r"^segment 7, https://example\.org/a/1\.ts: the connection was lost; "
            r"again in \d\.\d s$",
        )

    def test_permanent(self) -> None:
        """What would fail in the same way is not tried again."""
        wrong = OutboundError("https://example.org: its certificate is wrong", is_permanent=True)
        error, count = self.fail(wrong, Reply(TS))
        self.assertIn("its certificate is wrong", str(error))
        self.assertEqual((error.status, count, self.lines), (0, 1, []))

    def test_empty(self) -> None:
        """An answer without a byte is no answer."""
        self.assertEqual(self.load(Reply(), Reply(TS)), (TS, 2))
        error, _count = self.fail(Reply())
        self.assertTrue(str(error).endswith("the answer is empty"))

    def test_wrong_length(self) -> None:
        """So are one that is too short, and another part."""
        what = segment(byte_range=ByteRange(3, 4))
        self.serve(
            SEGMENT,
            Reply(b"45", 206),
            Reply(b"0123", 200),
            Reply(b"012", 206, {"content-range": "bytes 0-2/10"}),
            Reply(b"456", 206),
        )
        sink = Gathered()
        self.successResultOf(self.patience(self.loader.segment(what, sink)))
        self.assertEqual(sink.value(), b"456")
        self.assertEqual([line.partition(" came")[0][-12:] for line in self.lines], [
            "1.ts: 2 bytes"[-12:],
            "1.ts: 0 bytes"[-12:],
            "bytes from 0",
        ])  # fmt: skip

    def test_encrypted_and_cut_off(self) -> None:
        """A body that nobody told the length of is cut off: its blocks tell."""
        self.serve(SEGMENT, Reply(bytes(47)))
        loader = self.make_loader(key=SECRET, retries=Retries(2))
        what = segment(key=Key(KEY, bytes(16)))
        waiting = self.patience(loader.segment(what, Gathered()))
        error = self.failureResultOf(waiting, LoadError).value
        self.assertIn("no multiple of 16", str(error))
        self.assertEqual(len(self.outbound.asked), 3)

    def test_in_vain(self) -> None:
        """After the first and all others, it says what the last one said."""
        error, count = self.fail(Reply(b"", 500), Reply(b"", 503))
        self.assertEqual(count, 1 + Retries().times)
        self.assertEqual(str(error), f"segment 7, {SEGMENT}: the server answers 503")
        self.assertEqual(error.status, 503)
        self.assertEqual(len(self.lines), Retries().times)

    def test_never_again(self) -> None:
        """`--retries 0`."""
        self.loader = self.make_loader(retries=Retries(0))
        _error, count = self.fail(LOST)
        self.assertEqual((count, self.lines), (1, []))

    def test_of_all_kinds(self) -> None:
        """Playlists, keys and init sections are asked for again as well."""
        self.serve(LIST, LOST, Reply(b"", 503), Reply(MEDIA))
        self.successResultOf(self.patience(self.loader.playlist(LIST)))
        self.serve(KEY, LOST, Reply(b"", 503), Reply(SECRET))
        waiting = self.patience(self.loader.key(Key(KEY, b"")))
        self.assertEqual(self.successResultOf(waiting), SECRET)
        self.serve(INIT, LOST, Reply(b"in", cut=True), Reply(b"init"))
        waiting = self.patience(self.loader.init_section(InitSection(INIT, None, None)))
        self.assertEqual(self.successResultOf(waiting), b"init")
        self.assertEqual(
            [line.partition(", ")[0] for line in self.lines],
            ["the playlist"] * 2 + ["the key"] * 2 + ["the init section"] * 2,
        )

    def test_init_fails(self) -> None:
        """What failed is tried again when another segment wants it."""
        self.serve(INIT, Reply(b"", 404), Reply(b"init"))
        section = InitSection(INIT, None, None)
        self.problem(self.loader.init_section(section), LoadError)
        self.assertEqual(self.result(self.loader.init_section(section)), b"init")


class WaitTests(LoaderCase):
    """The time between two tries."""

    def waits(self, *replies: Any, **manner: Any) -> list[float]:
        """Load a segment, and return the times between what was asked."""
        times: list[float] = []
        left = list(replies)

        def answer(_asked: Any) -> Any:
            times.append(self.clock.seconds())
            return left.pop(0)

        self.serve(SEGMENT, answer)
        loader = self.make_loader(**manner)
        self.successResultOf(self.patience(loader.segment(segment(), Gathered())))
        return [b - a for a, b in pairwise(times)]

    def test_backoff(self) -> None:
        """Twice as long each time, to the longest, half of it by chance."""
        found = self.waits(*[LOST] * 8, Reply(TS))
        for wait, longest in zip(found, (0.5, 1, 2, 4, 8, 15, 15, 15), strict=True):
            self.assertTrue(longest / 2 <= wait <= longest, found)
        self.assertEqual(len(found), 8)

    def test_chance(self) -> None:
        """Many that fail at once do not come back at once."""
        found = [self.waits(LOST, Reply(TS))[0] for _time in range(20)]
        self.assertGreater(len(set(found)), 10)

    def test_retry_after(self) -> None:
        """RFC 9110 10.2.3: a server is asked no sooner than it wants to be."""
        busy = Reply(b"", 503, {"retry-after": "20"})
        self.assertEqual(self.waits(busy, busy, Reply(TS)), [20.0, 20.0])
        for_ever = Reply(b"", 429, {"retry-after": "86400"})
        self.assertEqual(self.waits(for_ever, Reply(TS)), [60.0])
        # Our own wait is longer.
        soon = Reply(b"", 503, {"retry-after": "0"})
        self.assertGreaterEqual(self.waits(soon, Reply(TS))[0], 0.25)

    def test_retry_after_of_a_refusal(self) -> None:
        """A refusal stays one."""
        self.serve(SEGMENT, Reply(b"", 403, {"retry-after": "1"}), Reply(TS))
        self.problem(self.loader.segment(segment(), Gathered()), LoadError)
        self.assertEqual(len(self.outbound.asked), 1)

    def test_reported(self) -> None:
        """The line says how long it waits."""
        self.waits(Reply(b"", 503, {"retry-after": "20"}), Reply(TS))
        self.assertEqual(
            self.lines, [f"segment 7, {SEGMENT}: the server answers 503; again in 20.0 s"]
        )


class CancelTests(LoaderCase):
    """Who does not want it any more."""

    def test_while_asking(self) -> None:
        """The request is cancelled."""
        self.serve(SEGMENT, None)
        waiting = self.start(self.loader.segment(segment(), Gathered()))
        self.assertNoResult(waiting)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual((self.outbound.cancelled, self.outbound.waiting), (1, []))

    def test_while_waiting(self) -> None:
        """So is the wait between two."""
        self.serve(SEGMENT, LOST)
        waiting = self.start(self.loader.segment(segment(), Gathered()))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.outbound.asked), 1)

    def test_while_another_asks(self) -> None:
        """Whoever waits for the same key leaves the queue, and the others get it."""
        self.serve(KEY, None)
        first, second, third = (self.start(self.loader.key(Key(KEY, b""))) for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.serve(KEY, Reply(SECRET))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.successResultOf(third), SECRET)

    def test_sleep(self) -> None:
        """It may be used by others."""
        waiting = self.start(self.loader.sleep(5.0))
        self.clock.advance(4.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        self.successResultOf(waiting)
