"""Tests of ntvmedia.hub.merged_reads."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.hub.merged_reads import MOST_READS, READ_BYTES, SLICE, MergedReads
from tests.hub.fakes import FakeConnection, FakeReactor


class Publisher:
    """A connection and its transport in one, that counts how it is read."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.transport = self
        self.reads: list[float] = []
        self.in_reactor = True
        self.over: Exception | None = None
        self.bug: Exception | None = None
        self.aborted = False
        self.last_read = 0
        self.waiting = 0

    def pauseProducing(self) -> None:
        """Leave the reactor."""
        self.in_reactor = False

    def resumeProducing(self) -> None:
        """Come back to it."""
        self.in_reactor = True

    def doRead(self) -> Exception | None:
        """Be read."""
        self.reads.append(round(self.clock.seconds(), 3))
        if self.bug is not None:
            raise self.bug
        self.last_read = min(self.waiting, READ_BYTES)
        self.waiting -= self.last_read
        return self.over

    def abortConnection(self) -> None:
        """Be cut."""
        self.aborted = True


class MergedReadsTests(SynchronousTestCase):
    """Sockets are read in rounds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.reads = MergedReads(self.clock, 0.1)

    def publishers(self, count: int) -> list[Publisher]:
        """Add some."""
        made = [Publisher(self.clock) for _ in range(count)]
        for publisher in made:
            self.reads.add(publisher)
        return made

    def run_for(self, seconds: float) -> None:
        """Let time pass in steps of a millisecond."""
        for _ in range(round(seconds * 1000)):
            self.clock.advance(0.001)

    def test_one(self) -> None:
        """One is read once in a period, and not by the reactor."""
        (publisher,) = self.publishers(1)
        self.assertFalse(publisher.in_reactor)
        self.run_for(1.05)
        self.assertEqual(len(publisher.reads), 10)

    def test_much(self) -> None:
        """One that sends more than a read takes is read again, up to a limit in each round."""
        (publisher,) = self.publishers(1)
        publisher.waiting = 3 * READ_BYTES + 5
        self.run_for(0.105)
        self.assertEqual((publisher.waiting, len(publisher.reads)), (0, 4))
        publisher.waiting = 100 * READ_BYTES
        self.run_for(0.1)
        self.assertEqual(publisher.waiting, (100 - MOST_READS) * READ_BYTES)

    def test_many(self) -> None:
        """Each of many is read about as often; never more than a slice at once."""
        publishers = self.publishers(200)
        self.run_for(2)
        times = [moment for publisher in publishers for moment in publisher.reads]
        self.assertLessEqual(max(map(times.count, set(times))), SLICE)
        for publisher in publishers:
            self.assertGreaterEqual(len(publisher.reads), 15)
            gaps = [b - a for a, b in zip(publisher.reads, publisher.reads[1:], strict=False)]
            self.assertLessEqual(max(gaps), 0.15)

    def test_back_to_the_reactor(self) -> None:
        """One that is removed is the reactor's again; without any there is no timer."""
        publishers = self.publishers(2)
        self.reads.remove(publishers[0])
        self.reads.remove(publishers[0])
        self.assertTrue(publishers[0].in_reactor)
        self.reads.forget(publishers[1])
        self.assertFalse(publishers[1].in_reactor)
        self.run_for(0.2)
        self.assertEqual(publishers[0].reads + publishers[1].reads, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.reads), 0)

    def test_end(self) -> None:
        """G-RS-08: one that left is the reactor's, which meets the end again and closes it."""
        publisher, other = self.publishers(2)
        publisher.over = ConnectionDone()
        self.run_for(0.35)
        self.assertTrue(publisher.in_reactor)
        self.assertEqual((len(publisher.reads), len(other.reads)), (1, 3))

    def test_bug(self) -> None:
        """G-LC-08: a bug that one meets ends that one only."""
        publisher, other = self.publishers(2)
        publisher.bug = ZeroDivisionError()
        self.run_for(0.15)
        self.assertTrue(publisher.aborted)
        self.assertEqual(len(other.reads), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_removed_while_its_round_goes_on(self) -> None:
        """One that goes in the middle of a round is not read in it."""
        publishers = self.publishers(3 * SLICE)
        self.run_for(0.101)
        self.assertFalse(publishers[-1].reads)
        self.reads.forget(publishers[-1])
        self.run_for(0.3)
        self.assertFalse(publishers[-1].reads)

    def test_can_take(self) -> None:
        """Only plain TCP can be read from outside."""
        connection = FakeConnection(FakeReactor())
        self.assertTrue(MergedReads.can_take(connection))
        connection.TLS = True
        self.assertFalse(MergedReads.can_take(connection))
        self.assertFalse(MergedReads.can_take(StringTransport()))
