"""Tests of ntvmedia.callbacks.delivery and queue: what is told, when, and in which order."""

from __future__ import annotations

import json
from unittest.mock import patch

from ntvmedia.callbacks import queue
from ntvmedia.callbacks.delivery import (
    AT_A_TIME,
    KEEP_SECONDS,
    LONGEST_PAUSE_SECONDS,
    TOTAL_AT_A_TIME,
    TRY_SECONDS,
)
from ntvmedia.callbacks.queue import Queue
from ntvmedia.media import StreamKey
from ntvmedia.store import StoreError, list_notifications
from tests.callbacks.rig import KEY, FakeCase


class DeliveryTests(FakeCase):
    """Receivers that take what they are told, late or never."""

    def rows(self) -> list[tuple[str, str]]:
        """Return what waits in the database: callbacks and events."""
        return [(row.callback, row.event) for row in self.host.store.run_now(list_notifications)]

    def test_told(self) -> None:
        """What happens is told at once, written down until it was taken, and then forgotten."""
        added = self.add()
        self.events.play(1)
        self.assertEqual(self.rows(), [(added.id, "play")])
        (asked,) = self.outbound.asked
        self.assertEqual(asked.timeout, TRY_SECONDS)
        self.assertEqual(asked.got.fields["kind"], "notification")
        asked.reply()
        self.assertEqual(self.rows(), [])
        self.assertEqual(self.callbacks.counts.delivered, 1)

    def test_not_before_it_is_written(self) -> None:
        """A notification that the database has not yet is not told: a crash would undo it."""
        self.add()
        self.host.store.at_once = False
        self.events.play(1)
        self.assertEqual(self.outbound.asked, [])
        self.host.store.step()
        self.assertEqual(len(self.outbound.asked), 1)

    def test_order(self) -> None:
        """G-HK-02: of one stream all is told in order, while other streams do not wait."""
        self.add()
        for session in (1, 2, 3):
            self.events.play(session)
        other = StreamKey("liveshow", "two")
        self.events.play(4, key=other)
        self.assertEqual([x.got.fields["stream"] for x in self.outbound.asked], ["one", "two"])
        self.outbound.asked[1].reply()
        self.events.stop(1)
        found = self.told()
        self.assertEqual([event for event, _id in found], ["play", "play", "play", "stop"])
        self.assertEqual(found[0][1], found[3][1])
        self.assertEqual(len({client for _event, client in found}), 3)

    def test_again(self) -> None:
        """What fails is told again, the same, later and later, and not before what came first."""
        self.add()
        self.events.play(1)
        self.events.stop(1)
        first = self.outbound.asked[0].got
        pauses = []
        for _try in range(14):
            self.outbound.asked[0].reply(500)
            self.assertEqual(self.outbound.asked, [])
            began = self.clock.seconds()
            while not self.outbound.asked:
                self.clock.advance(0.125)
            pauses.append(self.clock.seconds() - began)
            (asked,) = self.outbound.asked
            self.assertEqual(asked.got.body, first.body)
        self.assertGreater(pauses[0], 0.4)
        self.assertLessEqual(pauses[0], 1.125)
        self.assertGreater(pauses[-1], LONGEST_PAUSE_SECONDS / 2 - 1)
        self.assertLessEqual(max(pauses), LONGEST_PAUSE_SECONDS + 1)
        self.outbound.asked[0].reply()
        self.assertEqual(self.told()[0][0], "stop")

    def test_one_line(self) -> None:
        """A receiver that is down is a line in the log, and one when it is back."""
        self.add(name="billing")
        self.events.play(1)
        for _try in range(5):
            self.outbound.asked[0].fail()
            self.clock.advance(300)
        self.outbound.asked[0].reply()
        lines = [line for line in self.logged if "billing" in line and "added" not in line]
        self.assertEqual(
            lines,
            [
                "callback billing fails: http://r: no answer",
                "callback billing answers again",
            ],
        )

    def test_down_for_an_hour(self) -> None:
        """G-HK-02: 1,000 events in an hour without a receiver all come, in order, soon after."""
        self.add(events=["play", "stop"])
        asked = 0
        for number in range(500):
            key = StreamKey("liveshow", f"s{number % 7}")
            self.events.play(number, key=key)
            self.events.stop(number, key=key)
            self.clock.advance(7.2)
            for waiting in tuple(self.outbound.asked):
                asked += 1
                waiting.fail()
        # It is looked for every few minutes, not for each of them.
        self.assertLess(asked, 80)
        self.assertEqual(self.callbacks.counts.waiting, 1000)
        found: dict[str, list[tuple[str, str]]] = {}
        ids: list[str] = []
        for _step in range(2000):
            for waiting in tuple(self.outbound.asked):
                fields = waiting.got.fields
                found.setdefault(fields["stream"], []).append(
                    (fields["event"], fields["client_id"])
                )
                ids.append(waiting.got.headers["x-ntvmedia-event-id"])
                waiting.reply(204)
            self.clock.advance(0.5)
        self.assertEqual(self.callbacks.counts.waiting, 0)
        self.assertEqual(len(set(ids)), 1000)
        for told in found.values():
            self.assertEqual([event for event, _id in told], ["play", "stop"] * (len(told) // 2))
            self.assertTrue(all(a[1] == b[1] for a, b in zip(told[::2], told[1::2], strict=True)))

    def test_others_go_on(self) -> None:
        """One receiver that hangs does not hold up another, and is not asked more than it takes."""
        slow = self.add(url="http://slow/")
        self.add(url="http://quick/")
        for number in range(20):
            self.events.play(number, key=StreamKey("liveshow", f"s{number}"))
        while True:
            quick = [x for x in self.outbound.asked if "quick" in x.got.path]
            if not quick:
                break
            quick[0].reply()
        self.assertEqual(len(self.outbound.asked), AT_A_TIME)
        self.assertEqual(self.callbacks.waiting(slow.id), 20)
        self.assertEqual(self.callbacks.counts.delivered, 20)

    def test_total(self) -> None:
        """However many receivers hang, so many are told at a time, and the rest have their turn."""
        for number in range(20):
            self.add(url=f"http://r{number}/", name=str(number))
        for number in range(5):
            self.events.play(number, key=StreamKey("liveshow", f"s{number}"))
        self.assertEqual(len(self.outbound.asked), TOTAL_AT_A_TIME)
        hosts = set()
        for _step in range(100):
            hosts.add(self.outbound.asked[0].got.path)
            self.outbound.asked[0].reply()
        self.assertEqual(len(hosts), 20)
        self.assertEqual(self.outbound.asked, [])

    def test_poison(self) -> None:
        """What a receiver never takes holds up its stream, and the others for a moment only."""
        self.add()
        bad, good = StreamKey("liveshow", "bad"), StreamKey("liveshow", "good")
        self.events.play(1, key=bad)
        self.events.play(2, key=bad)
        told = 0
        for number in range(100):
            self.events.play(10 + number, key=good)
            self.clock.advance(5)
            while self.outbound.asked:
                asked = self.outbound.asked[0]
                is_bad = asked.got.fields["stream"] == "bad"
                told += not is_bad
                asked.reply(400 if is_bad else 200)
        self.assertEqual(told, 100)
        self.assertEqual(self.callbacks.counts.waiting, 2)

    def test_given_up(self) -> None:
        """After a day without success a notification is given up, and what follows has its turn."""
        self.add()
        self.events.play(1)
        self.clock.advance(KEEP_SECONDS + 1)
        self.events.stop(1)
        self.outbound.asked[0].reply(404)
        self.assertEqual(dict(self.callbacks.counts.dropped), {"age": 1})
        self.clock.advance(2)
        self.assertEqual(self.told()[0][0], "stop")

    def test_changed(self) -> None:
        """Whoever mends an address does not wait; what waits goes to the new one."""
        added = self.add(url="http://wrong/")
        self.events.play(1)
        for _try in range(6):
            self.outbound.asked[0].fail()
            self.clock.advance(300)
        self.outbound.asked[0].fail()
        self.successResultOf(
            self.callbacks.registry.change(added.id, {"url": "http://right/", "secret": "s"})
        )
        (asked,) = self.outbound.asked
        self.assertEqual(asked.got.path, "http://right/")
        self.assertIn("x-ntvmedia-signature", asked.got.headers)

    def test_disabled(self) -> None:
        """A disabled callback is told nothing; what waited before waits until it is enabled."""
        added = self.add()
        self.events.play(1)
        self.events.play(2)
        change = self.callbacks.registry.change
        self.successResultOf(change(added.id, {"enabled": False}))
        self.outbound.asked[0].reply()
        self.events.play(3)
        self.assertEqual(self.outbound.asked, [])
        self.successResultOf(change(added.id, {"enabled": True}))
        self.assertEqual(len(self.told()), 1)

    def test_removed(self) -> None:
        """With a callback goes what it was still to be told, and the request that is on its way."""
        added = self.add()
        self.events.play(1)
        self.events.play(2)
        self.successResultOf(self.callbacks.registry.remove(added.id))
        self.assertEqual(self.outbound.cancelled, 1)
        self.assertEqual(self.rows(), [])
        self.assertEqual(self.callbacks.counts.waiting, 0)

    def test_restart(self) -> None:
        """G-HK-02: what was not told is told after the next start, with the same ids."""
        self.add()
        for number in range(3):
            self.events.play(number)
        first = self.outbound.asked[0].got
        ids = []
        # The process is gone: nothing that it had in memory is left.
        self.outbound.asked.clear()
        self.callbacks = self.make()
        self.events.play(7)
        while self.outbound.asked:
            ids.append(self.outbound.asked[0].got.headers["x-ntvmedia-event-id"])
            if len(ids) == 1:
                self.assertEqual(self.outbound.asked[0].got.body, first.body)
            self.outbound.asked[0].reply()
        self.assertEqual(len(set(ids)), 4)
        self.assertEqual(self.rows(), [])

    def test_rows_of_no_callback(self) -> None:
        """What is left of a callback that is gone is removed."""
        added = self.add()
        self.events.play(1)
        self.host.store.run_now(
            lambda connection: connection.exec_driver_sql(
                f"DELETE FROM callbacks WHERE id = '{added.id}'"
            )
        )
        self.outbound.asked.clear()
        self.callbacks = self.make()
        self.assertEqual(self.rows(), [])

    def test_many_rows_of_no_callback(self) -> None:
        """A hundred thousand of them do not hold up the start: they are looked through once."""
        kept, gone = self.add(), self.add(name="b")
        for session in range(20):
            self.events.play(session)
        self.host.store.run_now(
            lambda connection: connection.exec_driver_sql(
                f"DELETE FROM callbacks WHERE id = '{gone.id}'"
            )
        )
        self.outbound.asked.clear()
        forgotten: list[str] = []
        forget = Queue.forget

        def counted(queue: Queue, callback: str) -> None:
            forgotten.append(callback)
            forget(queue, callback)

        self.patch(Queue, "forget", counted)
        self.callbacks = self.make()
        self.assertEqual(forgotten, [gone.id])
        self.assertEqual({callback for callback, _event in self.rows()}, {kept.id})

    def test_full(self) -> None:
        """Over the bound the oldest is dropped and counted; what is being told is not."""
        self.add()
        with patch.object(queue, "MAX_WAITING", 4):
            for number in range(7):
                self.events.play(number)
        self.assertEqual(dict(self.callbacks.counts.dropped), {"full": 3})
        self.assertEqual(len(self.rows()), 4)
        ids = [client.rpartition("-")[2] for _event, client in self.told()]
        self.assertEqual(ids, ["1", "5", "6", "7"])
        lines = [line for line in self.logged if "dropped" in line]
        self.assertEqual(lines, ["notifications are dropped: full"])

    def test_flood(self) -> None:
        """Names that anybody makes up do not drive out what happened."""
        self.add(events=["play", "stream_not_found"])
        with patch.object(queue, "MAX_FLOOD", 3):
            for number in range(10):
                self.callbacks.notify("stream_not_found", StreamKey("liveshow", f"n{number}"))
            self.events.play(1)
        self.assertEqual(dict(self.callbacks.counts.dropped), {"flood": 7})
        self.assertEqual(len(self.told()), 4)
        # They are counted down as they are told.
        with patch.object(queue, "MAX_FLOOD", 3):
            self.callbacks.notify("stream_not_found", KEY)
        self.assertEqual(len(self.told()), 1)

    def test_database_fails(self) -> None:
        """While the database fails what happens is kept, and written and told when it is back."""
        self.add()
        self.host.store.problem = StoreError("the disk is full")
        with patch.object(queue, "MAX_UNSAVED", 3):
            for number in range(5):
                self.events.play(number)
        self.assertEqual(self.outbound.asked, [])
        self.assertEqual(dict(self.callbacks.counts.dropped), {"unsaved": 2})
        self.clock.advance(queue.RETRY_SECONDS)
        self.assertEqual(self.outbound.asked, [])
        self.host.store.problem = None
        self.clock.advance(queue.RETRY_SECONDS)
        self.assertEqual(len(self.told()), 3)
        self.assertEqual(self.rows(), [])
        lines = [line for line in self.logged if "not saved" in line or "takes" in line]
        self.assertEqual(
            lines,
            [
                "notifications are not saved: the disk is full",
                "the database takes notifications again",
            ],
        )

    def test_lost_answer(self) -> None:
        """A transaction that was committed, but whose answer was lost, is not in the way."""
        self.add()
        self.host.store.lost = StoreError("the connection is lost")
        self.events.play(1)
        self.assertEqual(self.outbound.asked, [])
        self.assertEqual(len(self.rows()), 1)
        self.events.play(2)
        self.clock.advance(queue.RETRY_SECONDS)
        self.assertEqual(len(self.told()), 2)
        self.assertEqual(self.rows(), [])

    def test_only_in_the_database(self) -> None:
        """What many wait for is not all in memory; it is read when its turn comes."""
        self.add()
        with patch.object(queue, "MAX_KEPT", 2):
            for number in range(10):
                self.events.play(number)
            found = self.told()
        self.assertEqual([x[1].rpartition("-")[2] for x in found], [str(x) for x in range(1, 11)])

    def test_batches(self) -> None:
        """What happens while the database writes is written in one transaction after it."""
        self.add()
        self.host.store.at_once = False
        for number in range(50):
            self.events.play(number)
        self.assertEqual(self.host.store.waiting, 1)
        self.host.store.step()
        self.assertEqual(self.host.store.waiting, 1)
        self.host.store.step()
        self.assertEqual(len(self.rows()), 50)

    def test_read_fails(self) -> None:
        """A notification that cannot be read is told later."""
        self.add()
        with patch.object(queue, "MAX_KEPT", 0):
            self.host.store.at_once = False
            self.events.play(1)
            self.host.store.step()
        self.host.store.problem = StoreError("busy")
        self.host.store.step()
        self.assertEqual(self.outbound.asked, [])
        self.host.store.problem = None
        self.host.store.at_once = True
        self.clock.advance(2)
        self.assertEqual(len(self.told()), 1)

    def test_last_deliveries(self) -> None:
        """The last tries of each callback are remembered, good and bad, without what was told."""
        added = self.add(secret="topsecret", url="http://u:pw@r/?k=v")
        self.events.play(1)
        self.clock.advance(1.5)
        self.outbound.asked[0].reply(503)
        self.clock.advance(2)
        self.outbound.asked[0].reply(200)
        good, bad = self.callbacks.deliveries(added.id)
        self.assertEqual((good.status, good.problem), (200, ""))
        self.assertEqual((bad.status, bad.problem, bad.seconds), (503, "status 503", 1.5))
        self.assertEqual((bad.event, bad.kind, bad.stream), ("play", "notification", str(KEY)))
        self.assertEqual(good.event_id, bad.event_id)
        shown = json.dumps([good, bad])
        self.assertNotIn("token", shown)
        self.assertNotIn("pw", shown)
