"""Whoever is there is asked again: publishers too, in slices, and never after the stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia import enforcement
from ntvmedia.access import Action, ApplicationType, Request, Verdict
from ntvmedia.events import (
    AccessChanged,
    ApplicationChanged,
    PlayEnded,
    PreferencesChanged,
    PublishEnded,
)
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.media import StreamKey
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import Accepted, Ended
from tests.endpoints.rtmp.server import KEY as STREAM, Peer
from tests.endpoints.rtsp.server import RANDOM
from tests.endpoints.whole import PLAYERS, WholeServer


class EnforcementTests(SynchronousTestCase):
    """Who is there, and what happens to him."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.server: Any = WholeServer(Path(folder.name))
        self.ends: list[str] = []

    def set(self, **fields: Any) -> None:
        """Change the application."""
        self.server.change(replace(self.server.applications["liveshow"], **fields))

    def visit(self, lifetime: float = 0.0, peer: str = "192.0.2.1:1") -> Any:
        """Have somebody watch who was allowed."""
        request = Request(Action.PLAY, STREAM, "hls", peer)
        info = ViewerInfo("hls", peer, "", "", request, Verdict(True, lifetime=lifetime))
        return self.server.hub.streams[STREAM].visit(info, self.ends.append)

    def rtmp_publisher(self, query: str = "") -> Peer:
        """Have somebody publish by RTMP."""
        session = ClientSession(
            RANDOM,
            publishing=True,
            app="liveshow",
            name=f"test{query}",
            tc_url="rtmp://host/liveshow",
        )
        peer = Peer(self.server, self.server.rtmp.buildProtocol(None), session)
        self.assertTrue([x for x in peer.events if isinstance(x, Accepted)], peer.events)
        return peer

    def test_publisher_by_rtmp(self) -> None:
        """P-404: a stream that is forbidden loses its publisher, which is told so; one end."""
        peer = self.rtmp_publisher()
        self.successResultOf(self.server.access.forbidden.forbid(STREAM))
        peer.exchange()
        [ended] = [x for x in peer.events if isinstance(x, Ended)]
        self.assertEqual(ended.code, "NetStream.Publish.BadName")
        self.assertIn("forbidden", ended.description)
        self.assertEqual(self.server.hub.streams, {})
        self.assertEqual(len([x for x in self.server.told if isinstance(x, PublishEnded)]), 1)

    def test_publisher_by_rtsp(self) -> None:
        """The same for RTSP, which hangs up; another stream goes on."""
        peer = self.server.publisher()
        other = self.server.publisher(path="/liveshow/other")
        self.successResultOf(self.server.access.forbidden.forbid(STREAM))
        self.assertTrue(peer.transport.disconnecting)
        self.assertFalse(other.transport.disconnecting)
        self.assertEqual(set(self.server.hub.streams), {StreamKey("liveshow", "other")})

    def test_password(self) -> None:
        """P-204: a new password is for who comes; a publisher that is there is not disturbed."""
        peer = self.rtmp_publisher()
        self.set(publish_password="later")
        peer.exchange()
        self.assertEqual([x for x in peer.events if isinstance(x, Ended)], [])
        self.assertEqual(len(self.server.hub.streams), 1)

    def test_publisher_with_a_lifetime(self) -> None:
        """F-AC-09: a publisher's permission ends too."""
        verdicts = [Verdict(True, lifetime=5.0), Verdict(False, "the event is over")]
        authorizer = mock.Mock()
        authorizer.decide = lambda _request: _done(verdicts.pop(0))
        self.server.access.authorizers.append(authorizer)
        peer = self.rtmp_publisher()
        self.server.run(4)
        self.assertEqual(len(self.server.hub.streams), 1)
        self.server.run(2)
        peer.exchange()
        [ended] = [x for x in peer.events if isinstance(x, Ended)]
        self.assertIn("the event is over", ended.description)

    def test_renamed(self) -> None:
        """One who is asked again, and is given another stream, begins anew there."""
        self.server.publish()
        answers = [Verdict(True, lifetime=3.0, rename=StreamKey("liveshow", "next"))]
        authorizer = mock.Mock()
        authorizer.decide = lambda _request: _done(answers[0])
        self.server.access.authorizers.append(authorizer)
        self.visit(lifetime=2.0)
        self.server.run(4)
        self.assertEqual(self.ends, ["it has another name now"])

    def test_application(self) -> None:
        """P-204: disabled, deleted, or of another type: its streams end, those of others not."""
        for change in (
            {"enabled": False},
            {"type": ApplicationType.AUDIO},
            {"name": "renamed"},
        ):
            before = self.server.applications["liveshow"]
            self.server.publish()
            self.visit()
            if "name" in change:
                del self.server.applications["liveshow"]
                self.server.events.emit(ApplicationChanged("liveshow", "renamed"))
            else:
                self.set(**change)
            self.assertEqual(len(self.ends), 1, change)
            self.assertEqual(self.server.hub.streams, {})
            self.ends.clear()
            self.server.applications["liveshow"] = before

    def test_in_slices(self) -> None:
        """A change with many viewers does not stop the server: they are asked in slices."""
        self.server.publish()
        viewers = [self.visit(peer=f"192.0.2.1:{x}") for x in range(25)]
        with mock.patch.object(enforcement, "SLICE", 10):
            self.server.access.ip_rules.is_blocked = lambda *_: True
            self.server.access.ip_rules.are_there = True
            self.server.events.emit(AccessChanged("ip_rules"))
            self.assertEqual(len(self.ends), 10)
            # Another change meanwhile: nobody is forgotten.
            self.server.events.emit(PreferencesChanged())
            self.assertEqual(len(self.ends), 10)
            self.server.reactor.advance(0)
        self.assertEqual(len(self.ends), 25)
        self.assertFalse(any(viewer.watching for viewer in viewers))
        self.assertEqual(len([x for x in self.server.told if isinstance(x, PlayEnded)]), 25)

    def test_who_left_is_forgotten(self) -> None:
        """Those with a lifetime who leave early take no memory until it is over."""
        self.server.publish()
        with mock.patch.object(enforcement, "_MOST_VOID", 10):
            for _viewer in range(200):
                self.visit(lifetime=86400.0).leave()
        self.assertLess(len(self.server.enforcement._ends), 20)
        self.assertEqual(self.server.enforcement._until, {})

    def test_many_changes(self) -> None:
        """Changes that say the same moment again do not make more of it."""
        self.server.publish()
        self.visit(lifetime=3600.0)
        answer = Verdict(True, lifetime=3600.0)
        with mock.patch.object(self.server.access, "decide", lambda *_, **__: _done(answer)):
            for _change in range(50):
                self.server.events.emit(AccessChanged("ip_rules"))
        self.assertEqual(len(self.server.enforcement._ends), 1)

    def test_earlier_end(self) -> None:
        """A change that brings the end nearer counts."""
        self.server.publish()
        self.visit(lifetime=3600.0)
        verdicts = [Verdict(True, lifetime=5.0), Verdict(False, "expired")]
        with mock.patch.object(
            self.server.access, "decide", lambda *_, **__: _done(verdicts.pop(0))
        ):
            self.server.events.emit(AccessChanged("ip_rules"))
            self.server.run(6)
        self.assertEqual(self.ends, ["expired"])

    def test_slow_answer(self) -> None:
        """An answer that comes when the viewer has left does nothing; nor one after the stop."""
        self.server.publish()
        waiting: list[Deferred[Verdict]] = []

        def decide(*_arguments: Any, **_how: Any) -> Deferred[Verdict]:
            waiting.append(Deferred())
            return waiting[-1]

        first = self.visit(lifetime=1.0)
        self.visit(lifetime=1.0)
        with mock.patch.object(self.server.access, "decide", decide):
            self.server.run(2)
            self.assertEqual(len(waiting), 2)
            first.leave()
            waiting[0].callback(Verdict(False, "late"))
            self.assertEqual(self.ends, [])
            self.server.enforcement.startService()
            self.server.enforcement.stopService()
        self.assertEqual(self.ends, [])
        self.assertEqual(self.server.enforcement._asking, set())

    def test_failed_decision(self) -> None:
        """A decision that fails is a bug, which is logged, and sends nobody away."""
        self.server.publish()
        self.visit()
        with mock.patch.object(self.server.access, "decide", side_effect=ZeroDivisionError):
            self.server.events.emit(AccessChanged("ip_rules"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.ends, [])

    def test_clock(self) -> None:
        """The service looks each second, at the limits too, and leaves no timer."""
        self.server.publish()
        self.server.enforcement.startService()
        with mock.patch.object(self.server.limits, "tick") as tick:
            self.server.reactor.advance(1)
            self.server.reactor.advance(1)
        self.assertEqual(tick.call_count, 2)
        self.server.enforcement.stopService()
        self.assertFalse(self.server.enforcement._loop.running)

    def test_without_a_request(self) -> None:
        """A multicast group is nobody who asked: who has no request is left alone."""
        self.server.publish()
        info = ViewerInfo("rtsp", "239.0.0.1:1")
        self.server.hub.streams[STREAM].visit(info, self.ends.append)
        player = PLAYERS["rtsp"](self.server)
        self.successResultOf(self.server.access.ip_rules.add("192.0.2.0/24", "block"))
        self.assertTrue(player.end())
        self.assertEqual(self.ends, [])


def _done(verdict: Verdict) -> Deferred[Verdict]:
    done: Deferred[Verdict] = Deferred()
    done.callback(verdict)
    return done
