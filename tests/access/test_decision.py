"""Tests of ntvmedia.access: the one rule that there is now."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ntvmedia.access import (
    BUILT_IN,
    Access,
    Action,
    Application,
    ApplicationType,
    Request,
    Verdict,
)
from ntvmedia.interfaces import IAccess
from ntvmedia.media import StreamKey


def request(application: str, action: Action = Action.PLAY) -> Request:
    """Make a request for a stream of an application."""
    return Request(action, StreamKey(application, "test"), "rtmp", "192.0.2.1:5")


class AccessTests(SynchronousTestCase):
    """Applications decide."""

    def setUp(self) -> None:
        self.applications = dict(BUILT_IN)
        self.access = Access(self.applications)

    def verdict(self, application: str, action: Action = Action.PLAY) -> Verdict:
        """Decide."""
        answer: Verdict = self.successResultOf(self.access.decide(request(application, action)))
        return answer

    def test_interface(self) -> None:
        """It provides what endpoints ask."""
        verifyObject(IAccess, self.access)

    def test_built_in(self) -> None:
        """P-202: the four are there, enabled; P-207: `audio` keeps nothing but sound."""
        self.assertEqual(list(BUILT_IN), ["liveshow", "tv", "audio", "vod"])
        for name in BUILT_IN:
            for action in Action:
                verdict = self.verdict(name, action)
                self.assertTrue(verdict.allowed)
                self.assertEqual(verdict.audio_only, name == "audio")
                self.assertEqual(
                    (verdict.lifetime, verdict.rename, verdict.reason), (0.0, None, "")
                )

    def test_unknown(self) -> None:
        """P-201: an application must exist, spelled exactly; the reason names it."""
        for name in ("none", "LiveShow"):
            verdict = self.verdict(name)
            self.assertFalse(verdict.allowed)
            self.assertIn(f'"{name}"', verdict.reason)

    def test_change_counts_at_once(self) -> None:
        """P-204: a disabled application refuses publishers and players from that moment."""
        self.applications["liveshow"] = Application("liveshow", ApplicationType.LIVE, enabled=False)
        for action in Action:
            verdict = self.verdict("liveshow", action)
            self.assertEqual(
                (verdict.allowed, verdict.reason), (False, 'application "liveshow" is disabled')
            )
        del self.applications["liveshow"]
        self.assertIn("no application", self.verdict("liveshow").reason)
