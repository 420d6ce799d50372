"""Tests of ntvmedia.outbound.requests: how a request ends, on a clock of the tests' own."""

from __future__ import annotations

import math

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from ntvmedia.outbound.requests import PendingRequest


class PendingRequestTests(SynchronousTestCase):
    """Whatever ends it first, it ends once, and leaves no timer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.forgotten: list[PendingRequest] = []
        self.work: Deferred[Answer] = Deferred(lambda _work: self.cancelled.append(1))
        self.cancelled: list[int] = []

    def make(self, timeout_seconds: float = 10.0, idle_seconds: float = math.inf) -> PendingRequest:
        """Return one whose work is not done."""
        request = PendingRequest(
            self.clock, "http://a.example", timeout_seconds, idle_seconds, self.forgotten.append
        )
        request.begin(self.work)
        return request

    def check_failed(self, request: PendingRequest, why: str) -> None:
        """It failed with that, which another try may mend; the work was cancelled."""
        error = self.failureResultOf(request.answer, OutboundError).value
        self.assertEqual(str(error), f"http://a.example: {why}")
        self.assertFalse(error.is_permanent)
        self.assertEqual((self.cancelled, self.forgotten), ([1], [request]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_done(self) -> None:
        """What the work comes to is the answer."""
        request = self.make(idle_seconds=5)
        request.asked()
        answer = Answer(200, {}, b"1", "http://a.example/")
        self.work.callback(answer)
        self.assertIs(self.successResultOf(request.answer), answer)
        self.assertEqual((self.forgotten, self.clock.getDelayedCalls()), ([request], []))

    def test_ended_before(self) -> None:
        """One that was cancelled, since the server stops and another one failed, stays so."""
        request = self.make()
        request.answer.cancel()
        self.failureResultOf(request.answer, CancelledError)
        request.fail("the server stops")
        self.assertEqual((self.cancelled, self.forgotten), ([1], [request]))

    def test_timeout(self) -> None:
        """It takes as long as it may, and no longer."""
        request = self.make()
        self.clock.advance(9.999)
        self.assertNoResult(request.answer)
        self.clock.advance(0.001)
        self.check_failed(request, "no answer within 10 seconds")

    def test_no_timeout(self) -> None:
        """It may take for ever, without a timer."""
        request = self.make(math.inf)
        request.asked()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(1e9)
        self.assertNoResult(request.answer)

    def test_silence(self) -> None:
        """E-SR-08: silence ends it, counted from the last that came, not from its beginning."""
        request = self.make(math.inf, 30)
        request.asked()
        for _time in range(5):
            self.clock.advance(29.999)
            request.touched()
        self.clock.advance(29.999)
        self.assertNoResult(request.answer)
        self.clock.advance(0.002)
        self.check_failed(request, "nothing came for 30 seconds")

    def test_silence_at_once(self) -> None:
        """Who never says a word is waited for no longer than who stops."""
        request = self.make(math.inf, 0.5)
        request.asked()
        self.clock.advance(0.5)
        self.check_failed(request, "nothing came for 0.5 seconds")

    def test_not_asked(self) -> None:
        """Who waits for a turn hears nothing from a server that was not asked."""
        request = self.make(10, 1)
        self.clock.advance(9)
        self.assertNoResult(request.answer)
        request.asked()
        self.clock.advance(1)
        self.check_failed(request, "no answer within 10 seconds")

    def test_one_timer(self) -> None:
        """A million pieces of a body make no million timers."""
        request = self.make(math.inf, 30)
        request.asked()
        [timer] = self.clock.getDelayedCalls()
        for _time in range(100):
            request.touched()
        self.assertEqual(self.clock.getDelayedCalls(), [timer])
        request.answer.cancel()
        self.failureResultOf(request.answer, CancelledError)

    def test_cancelled(self) -> None:
        """Who no longer waits is told so, and so is the work."""
        request = self.make(10, 5)
        request.asked()
        request.answer.cancel()
        self.failureResultOf(request.answer, CancelledError)
        self.assertEqual((self.cancelled, self.forgotten), ([1], [request]))
        self.assertEqual(self.clock.getDelayedCalls(), [])
