"""Deciding, and waiting for what is wanted, while things change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.endpoints.asking import MOST_TIMES, Denied, allowed, allowed_stream
from ntvmedia.events import ApplicationChanged, EventBus
from ntvmedia.media import StreamKey

KEY = StreamKey("liveshow", "test")
REQUEST = Request(Action.PLAY, KEY, "flv", "192.0.2.1:1")
CHANGED = ApplicationChanged("liveshow", "liveshow")


class AskingTests(SynchronousTestCase):
    """What is answered holds when the answer is there."""

    def setUp(self) -> None:
        self.verdicts: list[Any] = []
        self.waits: list[Deferred[Any]] = []
        self.streams: dict[StreamKey, Any] = {}
        self.host = SimpleNamespace(
            events=EventBus(),
            access=SimpleNamespace(decide=lambda _request: self.verdicts.pop(0)),
            hub=SimpleNamespace(streams=self.streams, wait_for=self.wait_for),
        )

    def wait_for(self, key: StreamKey, _hops: tuple[str, ...] = ()) -> Deferred[Any]:
        """Wait."""
        self.assertEqual(key, KEY)
        self.waits.append(Deferred())
        return self.waits[-1]

    def ask(self, how: Any = allowed_stream) -> Deferred[Any]:
        """Ask."""
        return Deferred.fromCoroutine(how(self.host, REQUEST))

    def test_at_once(self) -> None:
        """One question, and a stream that is there."""
        self.verdicts = [succeed(Verdict(True))]
        self.streams[KEY] = stream = SimpleNamespace(is_ready=True)
        self.assertEqual(self.successResultOf(self.ask()), (Verdict(True), stream))

    def test_denied(self) -> None:
        """The reason is the error's text."""
        self.verdicts = [succeed(Verdict(False, "not you"))]
        failure = self.failureResultOf(self.ask(allowed), Denied)
        self.assertEqual(str(failure.value), "not you")

    def test_changed_meanwhile(self) -> None:
        """A decision that was under way when something changed is asked for again."""
        first: Deferred[Verdict] = Deferred()
        self.verdicts = [first, succeed(Verdict(False, "disabled"))]
        asking = self.ask(allowed)
        self.host.events.emit(CHANGED)
        first.callback(Verdict(True))
        self.failureResultOf(asking, Denied)

    def test_changed_by_the_answer(self) -> None:
        """An answer that changes something each time it is given is not asked for without end."""

        def decide(_request: Request) -> Deferred[Verdict]:
            self.verdicts.append("asked")
            assert len(self.verdicts) < 100
            self.host.events.emit(CHANGED)
            return succeed(Verdict(True))

        self.host.access.decide = decide
        self.assertTrue(self.successResultOf(self.ask(allowed)).allowed)
        self.assertEqual(len(self.verdicts), MOST_TIMES)

    def test_after_waiting(self) -> None:
        """Who has waited for a stream is asked again, and the stream has to be there still."""
        self.verdicts = [succeed(Verdict(True)) for _time in range(3)]
        asking = self.ask()
        self.waits[0].callback(None)
        self.assertNoResult(asking)  # it was gone again
        self.streams[KEY] = stream = SimpleNamespace(is_ready=True)
        self.waits[1].callback(stream)
        self.assertIs(self.successResultOf(asking)[1], stream)
        self.verdicts = [succeed(Verdict(True)), succeed(Verdict(False, "signed now"))]
        self.streams.clear()
        asking = self.ask()
        self.streams[KEY] = stream
        self.waits[2].callback(stream)
        self.failureResultOf(asking, Denied)

    def test_renamed(self) -> None:
        """The stream that a verdict names is the one that is found."""
        other = StreamKey("liveshow", "other")
        self.verdicts = [succeed(Verdict(True, rename=other))]
        self.streams[other] = stream = SimpleNamespace(is_ready=True)
        self.assertIs(self.successResultOf(self.ask())[1], stream)
