"""Who is there is asked again: by the rules of now, and by the stream that he has by now."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ntvmedia.access import Action, Verdict
from tests.access.test_pipeline import KEY, OTHER, Authorizer, PipelineCase

PEER = "192.0.2.1:5"


class AgainTests(PipelineCase):
    """One that was allowed before."""

    def test_changed_password(self) -> None:
        """P-204: another password ends nobody who sends, and takes him out of no other rule."""
        self.set(publish_password="new")
        authorizer = Authorizer(Verdict(True, lifetime=60.0))
        self.access.authorizers.append(authorizer)
        old = {"query": "password=old", "action": Action.PUBLISH}
        verdict = self.ask(**old, again=True, ask=True)
        self.assertTrue(verdict.allowed)
        # That he could not begin with it is told all the same.
        self.assertEqual((verdict.rule, verdict.lifetime), ("password", 60.0))
        self.assertEqual(self.ask(**old, again=True).rule, "password")
        authorizer.opinion = Verdict(False, "the time is over")
        self.assertEqual(self.ask(**old, again=True, ask=True).reason, "the time is over")
        self.assertEqual(self.ask(**old).rule, "password")
        self.assertFalse(self.ask(**old).allowed)

    def test_renamed(self) -> None:
        """What holds for a stream holds for who has it under another name."""
        self.assertTrue(self.ask(again=True, has=OTHER).allowed)
        self.successResultOf(self.access.forbidden.forbid(OTHER))
        for action in Action:
            self.assertTrue(self.ask(again=True, action=action).allowed)
            self.assertEqual(self.ask(again=True, action=action, has=OTHER).rule, "forbidden")

    def test_blocked_by_its_other_name(self) -> None:
        """F-AC-09: no name that leads to a stream helps who was sent away from it."""
        self.access.authorizers.append(Authorizer(Verdict(True, rename=OTHER)))
        for action in Action:
            self.access.block(PEER, OTHER, 60, action)
            self.assertEqual(self.ask(action=action).rule, "kicked")
            self.access.block(PEER, OTHER, 0, action)
            self.assertTrue(self.ask(action=action).allowed)

    def test_changed_while_others_are_asked(self) -> None:
        """What changes while somebody outside is asked counts when he has answered."""
        for rule, change in (
            ("application", lambda: self.set(enabled=False)),
            ("signature", lambda: self.set(signed=True)),
            ("jwt", lambda: self.set(jwks_url="https://id.example/")),
            ("kicked", lambda: self.access.block(PEER, KEY, 60)),
        ):
            self.set(enabled=True, signed=False, jwks_url="")
            opinion: Deferred[Verdict] = Deferred()
            self.access.authorizers[:] = [Authorizer(opinion)]
            asking = self.asking()
            self.assertNoResult(asking)
            change()
            opinion.callback(Verdict(True))
            self.assertEqual(self.successResultOf(asking).rule, rule)
        self.access.block(PEER, KEY, 0)
        self.access.authorizers.clear()
        self.assertTrue(self.ask().allowed)
