"""What happens in the hub is in the database at most ten seconds later, and only once."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

from ntvmedia.errors import ConfigError, UsageError
from ntvmedia.events import PlayEnded, PlayStarted, PublishStarted
from ntvmedia.media import StreamKey
from ntvmedia.statistics import RefusalSlice, writing
from ntvmedia.statistics.service import BATCH_SECONDS
from ntvmedia.store import StoreError
from tests.statistics.cases import StatisticsCase
from tests.statistics.totals import at


class CountingTests(StatisticsCase):
    """From events to rows."""

    def test_a_visit(self) -> None:
        """P-308: who watches is counted by the protocol, as is who publishes."""
        publication, stream = self.publish()
        self.advance(5)
        viewer = self.visit(stream)
        viewer.sent_bytes = 5000
        self.send(publication, 1000, size=398)
        self.advance(6)
        viewer.sent_bytes = 7000
        self.advance(10)
        viewer.leave()
        publication.close("done", lost=False)
        self.advance(10)
        hls, rtmp = self.days(sort="protocol")
        self.assertEqual(str(hls.day), "2026-11-22")
        self.assertEqual(hls[1:], ("liveshow", "one", "hls", 1, 1, 16.0, 0, 7000, 0))
        self.assertEqual(rtmp[1:], ("liveshow", "one", "rtmp", 0, 0, 0.0, 502, 0, 1))
        [row] = self.viewers()
        self.assertEqual(
            row[2:],
            ("liveshow", "one", "hls", "192.0.2.9", "player", "http://example.org/a",
             at("2026-11-22T12:00:05"), at("2026-11-22T12:00:21"), 16.0, 7000, "viewer left"),
        )  # fmt: skip

    def test_ten_seconds(self) -> None:
        """Batches come at the marks of the clock; a quiet server writes none."""
        self.wall += 3.5
        self.advance(60)
        self.assertEqual(self.store.asked, 0)
        _publication, stream = self.publish()
        self.visit(stream)
        self.advance(BATCH_SECONDS + 1)
        self.assertEqual(len(self.viewers()), 1)
        asked = self.store.asked
        self.advance(100)
        self.assertEqual(self.store.asked - asked, 10)

    def test_charts(self) -> None:
        """P-308: a chart has a point for each minute, with peaks and bytes."""
        _publication, stream = self.publish()
        viewer = self.visit(stream)
        self.advance(60)
        viewer.sent_bytes = 6000
        self.visit(stream).leave()
        self.advance(60)
        points = self.successResultOf(
            self.statistics.reports.points(60, "", at("2026-11-22T12:00"), self.wall)
        )
        self.assertEqual([row.viewers for row in points], [1, 2])
        self.assertEqual([row.bytes_out for row in points], [0, 6000])
        self.assertEqual([row.seconds for row in points], [60.0, 60.0])
        self.assertEqual([row.publishers for row in points], [1, 1])
        with self.assertRaises(UsageError):
            self.statistics.reports.points(61, "", 0.0, 1.0)

    def test_refusals(self) -> None:
        """P-308: refusals are kept by rule."""
        self.refused["liveshow", "rtmp", "password"] += 2
        self.advance(10)
        self.refused["liveshow", "rtmp", "password"] += 1
        self.advance(10)
        found = self.successResultOf(self.statistics.reports.refusals(RefusalSlice()))
        self.assertEqual([row[1:] for row in found.rows], [("liveshow", "rtmp", "password", 3)])

    def test_clock_is_set(self) -> None:
        """G-RS-05: batches go on at their pace, wherever the wall clock is set."""
        _publication, stream = self.publish()
        self.visit(stream)
        for step in (-3600.0, 3600.0, -5e8, 1e9, 0.3):
            self.wall += step
            asked = self.store.asked
            self.advance(50)
            self.assertIn(self.store.asked - asked, (4, 5, 6), step)
        self.assertEqual(sum(row.seconds for row in self.days()), 250.0)

    def test_no_log(self) -> None:
        """Where no log is kept, nobody is in it; what was begun is not written any more."""
        _publication, stream = self.publish()
        first = self.visit(stream)
        self.advance(10)
        self.preferences.values = replace(self.preferences.values, viewer_log_days=0)
        self.visit(stream)
        self.advance(10)
        first.leave()
        self.advance(20)
        self.assertEqual([row.ended_at for row in self.viewers()], [None])
        self.assertEqual(self.days(protocol="hls")[0].viewers, 2)

    def test_strangers(self) -> None:
        """Events of what is not in the hub are counted as far as they tell."""
        key = StreamKey("liveshow", "gone")
        self.bus.emit(PlayStarted(key, "flv", "192.0.2.1:1", 77))
        self.bus.emit(PublishStarted(key, "rtmp", "192.0.2.1:1", 78))
        self.advance(10)
        self.bus.emit(PlayEnded(key, 77, "viewer left", 900))
        self.bus.emit(PlayEnded(key, 99, "viewer left", 900))
        self.advance(10)
        [row] = self.days(protocol="flv")
        self.assertEqual(row[4:9], (1, 1, 10.0, 0, 900))
        self.assertEqual([row.bytes_out for row in self.viewers()], [900])

    def test_bug(self) -> None:
        """G-RS: a bug in counting is told, and counting goes on."""
        with mock.patch.object(self.statistics, "_sample", side_effect=ZeroDivisionError):
            self.advance(10)
        with mock.patch.object(self.statistics.health, "look", side_effect=ZeroDivisionError):
            self.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        _publication, stream = self.publish()
        self.visit(stream)
        self.advance(20)
        self.assertEqual(len(self.viewers()), 1)


class FailureTests(StatisticsCase):
    """A database that fails."""

    def test_it_waits(self) -> None:
        """P-308: what is counted meanwhile waits, and is written when the database is back."""
        _publication, stream = self.publish()
        viewer = self.visit(stream)
        self.store.problem = StoreError("the disk is full")
        self.advance(200)
        viewer.sent_bytes = 10
        viewer.leave()
        self.store.problem = None
        self.advance(10)
        [row] = self.days(protocol="hls")
        self.assertEqual(row[4:9], (1, 1, 200.0, 0, 10))
        self.assertEqual([row.seconds for row in self.viewers()], [200.0])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_lost_answer(self) -> None:
        """A batch whose answer was lost is not counted twice."""
        _publication, stream = self.publish()
        self.visit(stream)
        self.store.lost = StoreError("the connection broke")
        self.advance(30)
        [row] = self.days(protocol="hls")
        self.assertEqual(row[4:7], (1, 1, 30.0))

    def test_slow(self) -> None:
        """A database that takes long is not asked again meanwhile."""
        _publication, stream = self.publish()
        self.visit(stream)
        self.store.at_once = False
        self.advance(100)
        self.assertEqual(self.store.waiting, 1)
        while self.store.waiting:
            self.store.step()
        self.store.at_once = True
        [row] = self.days(protocol="hls")
        self.assertEqual(row[4:7], (1, 1, 100.0))

    def test_bug(self) -> None:
        """A batch that a bug cannot write is lost; those after it are written."""
        _publication, stream = self.publish()
        self.visit(stream)
        with mock.patch.object(writing, "write_batch", side_effect=ZeroDivisionError):
            self.advance(10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.advance(10)
        self.assertEqual([row.seconds for row in self.days(protocol="hls")], [10.0])

    def test_many_rows(self) -> None:
        """What is more than one transaction takes goes in several."""
        _publication, stream = self.publish()
        with mock.patch.object(writing, "MAX_ROWS", 7):
            for _number in range(40):
                self.visit(stream).leave()
            self.advance(10)
        self.assertEqual(len(self.viewers(limit=100)), 40)

    def test_no_start(self) -> None:
        """A database that cannot be written ends the start."""
        self.store.problem = StoreError("the disk is full")
        with self.assertRaisesRegex(ConfigError, "the disk is full"):
            self.statistics.load()


class EndTests(StatisticsCase):
    """How it ends, in order and not."""

    def test_stop(self) -> None:
        """A stop writes all: who still watches has left."""
        publication, stream = self.publish()
        viewer = self.visit(stream)
        self.advance(13)
        viewer.sent_bytes = 30
        self.send(publication, 1000)
        self.assertIsNone(self.successResultOf(self.statistics.stopService()))
        self.assertEqual(self.days(protocol="hls")[0][4:9], (1, 1, 13.0, 0, 30))
        self.assertEqual(self.days(protocol="rtmp")[0].bytes_in, 204)
        [row] = self.viewers()
        self.assertEqual((row.seconds, row.reason), (13.0, "the server was stopped"))
        # What ends later is not counted again.
        viewer.leave()
        self.hub.stop("server is stopping")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.days(protocol="hls")[0].viewers, 1)

    def test_stop_while_it_writes(self) -> None:
        """A stop waits for what is being written, and may be told to wait no longer."""
        _publication, stream = self.publish()
        self.visit(stream)
        self.store.at_once = False
        self.advance(10)
        stopping = self.statistics.stopService()
        self.assertNoResult(stopping)
        self.store.step()
        self.assertNoResult(stopping)
        self.store.step()
        self.successResultOf(stopping)
        self.store.at_once = True
        self.assertEqual(len(self.viewers()), 1)

    def test_stop_of_a_dead_database(self) -> None:
        """A database that never answers does not hold the stop, once that is cancelled."""
        _publication, stream = self.publish()
        self.visit(stream)
        self.store.at_once = False
        self.advance(10)
        stopping = self.statistics.stopService()
        stopping.cancel()
        self.assertIsNotNone(self.failureResultOf(stopping))

    def test_killed(self) -> None:
        """After kill -9 the last batch counts: viewers of the log left then, and none is gone."""
        _publication, stream = self.publish()
        viewer = self.visit(stream)
        self.advance(25)
        viewer.sent_bytes = 99
        self.advance(14)
        # The process is gone, without a word; the machine takes a while.
        self.wall += 301.0
        self.begin()
        [row] = self.viewers()
        self.assertEqual(row.ended_at, at("2026-11-22T12:00:30"))
        self.assertEqual((row.seconds, row.bytes_out), (30.0, 99))
        self.assertEqual(row.reason, "the server was stopped without a word")
        _publication, stream = self.publish()
        self.visit(stream)
        self.advance(20)
        self.assertEqual(len(self.viewers()), 2)
        [row] = self.days(protocol="hls")
        self.assertEqual(row[4:9], (2, 1, 50.0, 0, 99))
