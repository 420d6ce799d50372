"""The API's statistics: pages, charts, CSV that no spreadsheet computes, and health."""

from __future__ import annotations

import csv
import tempfile
import time
from datetime import date, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from hypothesis import given, strategies as st
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin import csv_answers, statistics
from ntvmedia.admin.csv_answers import PIECE_ROWS, csv_bytes, field_of
from ntvmedia.admin.site import make_control_resource
from ntvmedia.media import StreamKey
from ntvmedia.store import Batch, DayRow, PointRow, RefusalRow, StoreError, ViewerRow, write_batch
from tests.admin.web import ROOT, SOCKET, Answer, Client, ask, whole_host
from tests.hub.fakes import AUDIO, VIDEO, FakePublisher, audio, video

DAY = date(2026, 11, 22)
NOON = 1_795_348_800.0  # on that day

# 0 to 99,999.
_NUMBERS = (
    "WITH RECURSIVE number(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM number WHERE n < 99999)"
)


def day(number: int = 0, stream: str = "one", **values: Any) -> DayRow:
    """Make a row, so many days later."""
    row = DayRow(DAY + timedelta(days=number), "liveshow", stream, "flv", 2, 2, 1.5, 10, 20, 1)
    return row._replace(**values)


def viewer(number: int, **values: Any) -> ViewerRow:
    """Make a row of the log."""
    row = ViewerRow(
        f"r-{number:06}", "r", "liveshow", "one", "flv", "192.0.2.1", "VLC", "http://example.org/",
        NOON + number, NOON + 60.0, 30.5, 1 << 40, "viewer left",
    )  # fmt: skip
    return row._replace(**values)


class StatisticsTests(SynchronousTestCase):
    """Over the control socket."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host: Any = whole_host(Path(folder.name))
        self.resource = make_control_resource(self.host)
        self.batches = 0

    def write(self, **rows: Any) -> None:
        """Put rows into the database."""
        self.batches += 1
        batch = Batch("r", self.batches, 1.0, **rows)
        self.host.store.run_now(partial(write_batch, batch=batch))

    def ask(self, path: str) -> Answer:
        """Send a request."""
        return ask(self.resource, self.host.reactor, b"GET", ROOT + path.encode("ascii"))

    def json(self, path: str) -> Any:
        """Return what a good answer says."""
        answer = self.ask(path)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def refused(self, path: str, field: str) -> None:
        """Ask for what is refused since one field is wrong."""
        answer = self.ask(path)
        self.assertEqual(answer.status, 400)
        self.assertEqual([x["field"] for x in answer.problem()["errors"]], [field])

    def table(self, path: str) -> list[list[str]]:
        """Return a CSV's lines."""
        answer = self.ask(path)
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.fields[b"content-type"].startswith(b"text/csv; charset=utf-8"))
        self.assertEqual(answer.fields[b"content-disposition"], b"attachment")
        return list(csv.reader(StringIO(answer.body.decode("utf-8"), newline="")))

    def test_days(self) -> None:
        """P-308: days are listed in pages, newest first, and found by name and time."""
        self.write(days=[day(number) for number in range(5)] + [day(0, "two", seconds=9.0)])
        found = self.json("/statistics/days?page=2&page_size=2")
        self.assertEqual((found["total"], found["page"], found["page_size"]), (6, 2, 2))
        self.assertEqual([x["day"] for x in found["days"]], ["2026-11-24", "2026-11-23"])
        self.assertEqual(
            found["days"][0],
            {
                "day": "2026-11-24", "application": "liveshow", "stream": "one",
                "protocol": "flv", "viewers": 2, "peak": 2, "seconds": 1.5, "bytes_in": 10,
                "bytes_out": 20, "publishes": 1,
            },
        )  # fmt: skip
        self.assertEqual(self.json("/statistics/days?sort=-seconds")["days"][0]["stream"], "two")
        for query, total in (
            ("since=2026-11-23", 4),
            ("since=2026-11-23&until=2026-11-24", 2),
            ("stream=two", 1),
            ("stream=none", 0),
            ("q=TW", 1),
            ("protocol=flv&application=liveshow", 6),
        ):
            self.assertEqual(self.json(f"/statistics/days?{query}")["total"], total, query)

    def test_sums(self) -> None:
        """Days are added up by what is not to be told apart."""
        self.write(days=[day(0), day(1), day(0, "two", peak=7)])
        found = self.json("/statistics/days?by=day&sort=day")
        self.assertEqual([x["viewers"] for x in found["days"]], [4, 2])
        self.assertEqual(found["days"][0]["peak"], 7)
        found = self.json("/statistics/days?by=application&by=stream")
        self.assertEqual([(x["day"], x["stream"]) for x in found["days"]],
                         [(None, "one"), (None, "two")])  # fmt: skip
        [total] = self.json("/statistics/days?by=total")["days"]
        self.assertEqual((total["viewers"], total["seconds"]), (6, 4.5))

    def test_wrong_queries(self) -> None:
        """What is not understood is refused, with the name of the field."""
        self.refused("/statistics/days?since=2026-02-30", "since")
        self.refused("/statistics/days?sort=reason", "sort")
        self.refused("/statistics/days?by=day&sort=stream", "sort")
        self.refused("/statistics/days?by=hour", "by[0]")
        self.refused("/statistics/days?page=0", "page")
        self.refused("/statistics/days.csv?page=1", "page")
        self.refused("/statistics/points?span=7", "span")
        self.refused("/statistics/points?since=9&until=8", "since")
        self.refused("/statistics/points?since=0&until=900000&span=60", "span")
        self.refused("/statistics/points?since=0&until=90000000000", "span")
        self.refused("/statistics/points?since=nan", "since")
        self.refused("/statistics/viewers?until=-1", "until")
        self.refused("/statistics/viewers?sort=reason", "sort")
        self.refused("/statistics/refusals?sort=stream", "sort")

    def test_refusals(self) -> None:
        """Refusals are listed by rule."""
        self.write(
            refusals=[
                RefusalRow(DAY, "tv", "rtmp", "password", 3),
                RefusalRow(DAY, "", "flv", "application", 9),
            ]
        )
        found = self.json("/statistics/refusals?sort=-refused&page_size=1")
        self.assertEqual(found["total"], 2)
        self.assertEqual(
            found["refusals"],
            [{"day": "2026-11-22", "application": "", "protocol": "flv", "rule": "application",
              "refused": 9}],
        )  # fmt: skip
        self.assertEqual(self.json("/statistics/refusals?rule=password")["total"], 1)

    def test_points(self) -> None:
        """A chart has as many points as fit, with rates."""
        self.write(
            points=[
                PointRow(span, NOON + 60.0 * number, name, 5, 1, 30.0, 3000, 6000)
                for number in range(3)
                for span in (60, 600)
                for name in ("", "tv")
            ]
        )
        found = self.json(f"/statistics/points?since={NOON}&until={NOON + 120}")
        self.assertEqual((found["span"], len(found["points"])), (60, 2))
        self.assertEqual(
            found["points"][1],
            {"time": NOON + 60, "viewers": 5, "publishers": 1, "bytes_in": 3000,
             "bytes_out": 6000, "bitrate_in": 800, "bitrate_out": 1600},
        )  # fmt: skip
        of_tv = self.json(f"/statistics/points?application=tv&until={NOON + 61}")
        self.assertEqual(len(of_tv["points"]), 2)
        week = self.json(f"/statistics/points?since={NOON - 604800}&until={NOON + 1}")
        self.assertEqual((week["span"], len(week["points"])), (600, 1))
        year = self.json(f"/statistics/points?since={NOON - 1.5e7}&until={NOON + 1}&span=0")
        self.assertEqual((year["span"], year["points"]), (3600, []))
        self.assertEqual(self.json("/statistics/points")["span"], 60)

    def test_viewers(self) -> None:
        """P-308: the log says who watched what, when, how long and how much."""
        self.write(viewers=[viewer(number) for number in range(5)] + [viewer(9, ended_at=None)])
        found = self.json("/statistics/viewers?page_size=2")
        self.assertEqual((found["total"], len(found["viewers"])), (6, 2))
        self.assertIsNone(found["viewers"][0]["ended_at"])
        self.assertEqual(
            found["viewers"][1],
            {"id": "r-000004", "application": "liveshow", "stream": "one", "protocol": "flv",
             "peer": "192.0.2.1", "user_agent": "VLC", "page_url": "http://example.org/",
             "started_at": NOON + 4, "ended_at": NOON + 60, "seconds": 30.5,
             "bytes_out": 1 << 40, "reason": "viewer left"},
        )  # fmt: skip
        self.assertEqual(self.json(f"/statistics/viewers?since={NOON + 4}")["total"], 2)
        self.assertEqual(self.json("/statistics/viewers?peer=192.0.2.2")["total"], 0)

    def test_formulas(self) -> None:
        """F-IN: what a viewer calls himself is computed by no spreadsheet."""
        evil = [
            '=HYPERLINK("http://x";"y")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", 'a,"b"\r\nc', "ok"
        ]  # fmt: skip
        self.write(viewers=[viewer(number, user_agent=text) for number, text in enumerate(evil)])
        head, *lines = self.table("/statistics/viewers.csv")
        column = head.index("user_agent")
        self.assertEqual([x[column] for x in lines], [*("'" + x for x in evil[:5]), *evil[5:]])
        self.assertEqual(lines[0][head.index("started_at")], "2026-11-22T12:00:00.000+00:00")
        self.assertEqual(lines[0][head.index("seconds")], "30.500")
        self.assertNotIn("run", head)

    def test_days_csv(self) -> None:
        """Days are exported whole, the oldest first, as they are kept."""
        self.write(days=[day(number) for number in range(3)] + [day(0, "-rf")])
        head, *lines = self.table("/statistics/days.csv")
        self.assertEqual(head, list(DayRow._fields))
        self.assertEqual([x[0] for x in lines], ["2026-11-22"] * 2 + ["2026-11-23", "2026-11-24"])
        self.assertEqual(lines[0][2], "'-rf")
        self.assertEqual(lines[3][4:], ["2", "2", "1.500", "10", "20", "1"])
        self.assertEqual(len(self.table("/statistics/days.csv?until=2026-11-22&stream=one")), 2)

    def test_long_csv(self) -> None:
        """A table of any length goes piece by piece, each row once."""
        for module in (csv_answers, statistics):
            self.patch(module, "PIECE_ROWS", 7)
        for count in (6, 7, 8, 20, 21):
            self.write(viewers=[viewer(number) for number in range(count)])
            lines = self.table("/statistics/viewers.csv")
            self.assertEqual(len(lines), count + 1)
            self.assertEqual(len({x[6] for x in lines[1:]}), count)

    def test_slow_reader(self) -> None:
        """Who reads slowly is sent no more than he takes; one who leaves ends it."""
        self.write(viewers=[viewer(number) for number in range(PIECE_ROWS * 3)])
        client = Client(self.resource, self.host.reactor, SOCKET)
        self.host.store.at_once = False
        client.send(b"GET", ROOT + b"/statistics/viewers.csv")
        self.assertEqual(client.answer().status, 0)
        self.host.store.step()
        first = len(client.transport.value())
        producer: Any = client.transport.producer
        producer.pauseProducing()
        self.host.store.step()
        second = len(client.transport.value())
        self.assertGreater(second, first)
        self.assertEqual(self.host.store.waiting, 0)
        producer.resumeProducing()
        self.assertEqual(self.host.store.waiting, 1)
        client.protocol.connectionLost(Failure(ConnectionDone()))
        self.host.store.step()
        self.assertEqual(self.host.store.waiting, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_database_fails(self) -> None:
        """While the database fails the answer is 503; in the midst of a table, the end of it."""
        self.write(viewers=[viewer(number) for number in range(PIECE_ROWS * 2)])
        self.host.store.problem = StoreError("the disk is full")
        for path in ("days", "days.csv", "points", "viewers", "viewers.csv", "refusals"):
            self.assertEqual(self.ask(f"/statistics/{path}").status, 503, path)
        self.host.store.problem = None
        client = Client(self.resource, self.host.reactor, SOCKET)
        self.host.store.at_once = False
        client.send(b"GET", ROOT + b"/statistics/viewers.csv")
        self.host.store.step()
        self.host.store.problem = StoreError("the disk is full")
        self.host.store.step()
        self.assertTrue(client.transport.disconnected)
        client.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertFalse(client.transport.value().endswith(b"0\r\n\r\n"))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_hundred_thousand_rows(self) -> None:
        """With 100,000 rows a page takes at most 3 times as long as without any."""

        def spent(path: str) -> float:
            times = []
            for _time in range(5):
                began = time.process_time()
                self.json(path)
                times.append(time.process_time() - began)
            return min(times)

        empty = spent("/statistics/viewers"), spent("/statistics/days")
        # As write_batch does it, in a hundredth of the time.
        self.host.store.run_now(
            lambda connection: [
                connection.exec_driver_sql(f"{_NUMBERS} INSERT INTO {table} SELECT {row}")
                for table, row in (
                    (
                        "viewer_log",
                        "'r-' || n, 'r', 'liveshow', 's' || (n % 500), 'hls', '192.0.2.1', 'VLC', "
                        "'http://example.org/', n, n + 60, 60, n, 'viewer left' FROM number",
                    ),
                    (
                        "statistics_days",
                        "date('2026-01-01', (n / 500) || ' day'), 'liveshow', 's' || (n % 500), "
                        "'hls', 1, 1, 60.5, n, n, 1 FROM number",
                    ),
                )
            ]
        )
        full = spent("/statistics/viewers"), spent("/statistics/days")
        self.assertEqual(self.json("/statistics/days")["total"], 100_000)
        for before, after in zip(empty, full, strict=True):
            self.assertLess(after, before * 3)

    def test_health(self) -> None:
        """The health of a stream is told in words; of what is not there, 404."""
        self.assertEqual(self.ask("/streams/liveshow/one/health").status, 404)
        self.assertEqual(self.ask("/streams/live%20show/one/health").status, 404)
        hub = self.host.hub
        publication = hub.publish(StreamKey("liveshow", "one"), FakePublisher())
        publication.track_received(VIDEO)
        publication.track_received(AUDIO)
        for second in range(15):
            publication.packet_received(video(second * 1000, key=second < 2))
            publication.packet_received(audio(second * 1000))
            publication.batch_ended()
            self.host.reactor.advance(1.0)
            self.host.statistics.health.look()
        found = self.json("/streams/liveshow/one/health")
        self.assertEqual((found["state"], found["healthy"]), ("live", False))
        self.assertEqual(found["observed_seconds"], 14.0)
        self.assertEqual([x["code"] for x in found["findings"]], ["no_keyframe"])
        self.assertEqual(set(found["findings"][0]), {"code", "severity", "text", "advice"})

    def test_refusals_in_metrics(self) -> None:
        """P-301: refusals are in the metrics, by reason."""
        self.host.access.refused["tv", "rtmp", "password"] += 3
        answer = ask(self.resource, self.host.reactor, b"GET", b"/metrics")
        line = b'ntvmedia_refusals_total{application="tv",protocol="rtmp",rule="password"} 3.0'
        self.assertIn(line, answer.body)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(st.lists(texts, max_size=5), max_size=5))
def test_any_table(rows: list[list[str]]) -> None:
    """What is written is read back by a CSV reader, but for the apostrophes."""
    text = csv_bytes(rows).decode("utf-8")
    read = list(csv.reader(StringIO(text, newline="")))
    assert read == [[field_of(value) for value in row] for row in rows]
    formulas = ("=", "+", "-", "@", "\t", "\r", "\n")
    assert not any(value.startswith(formulas) for row in read for value in row)
