"""Tests of ntvmedia.callbacks.decisions: what is asked, and what follows from the answers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from ntvmedia.access import Action, Verdict
from ntvmedia.callbacks.decisions import AGAIN_SECONDS, TRY_SECONDS
from ntvmedia.interfaces import IAuthorizer
from ntvmedia.media import StreamKey
from tests.callbacks.rig import KEY, FakeCase, application, request

SILENCE = "the authorization server does not answer"


class DecisionTests(FakeCase):
    """Answers that come, and those that do not."""

    def setUp(self) -> None:
        super().setUp()
        self.asked = request()

    def deciding(self, **fields: Any) -> Any:
        """Add a callback that decides."""
        return self.add(**{"events": ["publish", "play"], "decides": True, **fields})

    def test_interface(self) -> None:
        """It is an authorizer, the only one that is put there."""
        (authorizer,) = self.host.access.authorizers
        verifyObject(IAuthorizer, authorizer)

    def test_nobody_decides(self) -> None:
        """Without a callback that decides nobody is asked, and there is no opinion."""
        self.add()
        self.deciding(enabled=False, name="off")
        self.deciding(events=["publish"], name="other")
        self.assertIsNone(self.successResultOf(self.decide(self.asked)))
        self.assertEqual(self.outbound.asked, [])

    def test_yes(self) -> None:
        """Who is asked and says yes lets the client in."""
        self.deciding()
        deciding = self.decide(self.asked)
        (asked,) = self.outbound.asked
        fields = asked.got.fields
        self.assertEqual((fields["kind"], fields["event"]), ("decision", "play"))
        self.assertEqual((fields["ip"], fields["param"]), ("192.0.2.7", "?token=a+b"))
        self.assertEqual(asked.timeout, TRY_SECONDS)
        self.assertNoResult(deciding)
        asked.reply(200, b'{"allow": true, "lifetime": 30, "stream": "two"}')
        self.assertEqual(
            self.successResultOf(deciding),
            Verdict(True, lifetime=30.0, rename=StreamKey("liveshow", "two")),
        )

    def test_no(self) -> None:
        """A-SE-05: a refusal is one at once, with its reason, and is not asked again."""
        self.deciding()
        deciding = self.decide(request(Action.PUBLISH))
        self.outbound.asked[0].reply(200, b'{"allow": false, "reason": "not paid"}')
        self.assertEqual(
            self.successResultOf(deciding), Verdict(False, "not paid", rule="third_party")
        )
        self.clock.advance(20)
        self.assertEqual(len(self.outbound.all), 1)

    def test_elsewhere(self) -> None:
        """An answer may send the client to another server."""
        self.deciding()
        deciding = self.decide(self.asked)
        self.outbound.asked[0].reply(200, b'{"redirect": "rtmp://edge.example/liveshow/one"}')
        verdict: Any = self.successResultOf(deciding)
        self.assertFalse(verdict.allowed)
        self.assertEqual(verdict.redirect, "rtmp://edge.example/liveshow/one")

    def test_retry(self) -> None:
        """G-HK-01: who does not answer is asked once more, the same, and then it is a refusal."""
        for again in (False, True):
            self.deciding() if not again else None
            deciding = self.decide(request())
            (first,) = self.outbound.asked
            first.fail() if again else first.reply(500)
            self.assertEqual(self.outbound.asked, [])
            self.clock.advance(AGAIN_SECONDS)
            (second,) = self.outbound.asked
            self.assertEqual(second.got.body, first.got.body)
            self.assertEqual(second.got.headers, first.got.headers)
            second.fail()
            self.assertEqual(
                self.successResultOf(deciding), Verdict(False, SILENCE, rule="third_party")
            )
            self.clock.advance(20)
            self.assertEqual(self.outbound.asked, [])

    def test_second_try(self) -> None:
        """The second answer counts as the first would have."""
        self.deciding(on_failure="allow")
        deciding = self.decide(self.asked)
        self.outbound.asked[0].fail()
        self.clock.advance(AGAIN_SECONDS)
        self.outbound.asked[0].reply(403)
        verdict: Any = self.successResultOf(deciding)
        self.assertFalse(verdict.allowed)

    def test_permanent(self) -> None:
        """What would fail in the same way, such as an address that is forbidden, is not tried."""
        self.deciding()
        deciding = self.decide(self.asked)
        self.outbound.asked[0].fail(is_permanent=True)
        self.assertFalse(getattr(self.successResultOf(deciding), "allowed", True))

    def test_allow_on_failure(self) -> None:
        """G-HK-01: who is to be let in without an answer is; but not with one that is strange."""
        self.deciding(on_failure="allow")
        deciding = self.decide(self.asked)
        self.outbound.asked[0].fail()
        self.clock.advance(AGAIN_SECONDS)
        self.outbound.asked[0].fail()
        self.assertEqual(self.successResultOf(deciding), Verdict(True))
        deciding = self.decide(request())
        self.outbound.asked[0].reply(200, b"<html>")
        self.assertFalse(getattr(self.successResultOf(deciding), "allowed", True))

    def test_all_agree(self) -> None:
        """Several are asked at the same time; all have to agree, and the first no is enough."""
        for number in range(3):
            self.deciding(name=str(number), url=f"http://r{number}/")
        deciding = self.decide(self.asked)
        self.assertEqual(len(self.outbound.asked), 3)
        self.outbound.asked[0].reply(200, b'{"allow": true, "lifetime": 50, "stream": "a"}')
        self.outbound.asked[0].reply(200, b'{"allow": true, "lifetime": 20, "stream": "b"}')
        self.assertNoResult(deciding)
        self.outbound.asked[0].reply(204)
        self.assertEqual(
            self.successResultOf(deciding),
            Verdict(True, lifetime=20.0, rename=StreamKey("liveshow", "a")),
        )
        deciding = self.decide(request())
        self.outbound.asked[1].reply(403)
        self.assertFalse(getattr(self.successResultOf(deciding), "allowed", True))
        self.assertEqual(self.outbound.cancelled, 2)

    def test_third_party(self) -> None:
        """P-304: an application's own system is asked too, by our own dialect, unsigned."""
        found = application(authorize_url="http://cms.example/auth", authorize_failure="allow")
        self.host.applications["liveshow"] = found
        deciding = self.decide(self.asked)
        (asked,) = self.outbound.asked
        self.assertEqual((asked.got.method, asked.got.path), ("POST", "http://cms.example/auth"))
        self.assertNotIn("x-ntvmedia-signature", asked.got.headers)
        asked.reply(403, b'{"reason": "no"}')
        self.assertEqual(self.successResultOf(deciding), Verdict(False, "no", rule="third_party"))
        deciding = self.decide(request(Action.PUBLISH))
        self.outbound.asked[0].fail(is_permanent=True)
        self.assertEqual(self.successResultOf(deciding), Verdict(True))
        other = request(key=StreamKey("tv", "one"))
        self.assertIsNone(self.successResultOf(self.decide(other)))

    def test_asked_once(self) -> None:
        """The same wish is not asked about twice, as long as the answer holds."""
        self.deciding()
        deciding = self.decide(self.asked)
        self.outbound.asked[0].reply(200, b'{"allow": true, "lifetime": 100}')
        self.assertTrue(self.successResultOf(deciding))
        self.events.play(1, self.asked)
        self.clock.advance(99)
        self.assertEqual(self.successResultOf(self.decide(self.asked)), Verdict(True, lifetime=100))
        self.assertEqual(len(self.outbound.all), 1 + 1)  # the notification is the second
        self.clock.advance(2)
        deciding = self.decide(self.asked)
        self.assertNoResult(deciding)
        self.assertEqual(self.outbound.asked[-1].got.fields["kind"], "decision")

    def test_other_wish(self) -> None:
        """Another client with the same words is asked about."""
        self.deciding()
        self.decide(self.asked)
        self.outbound.asked[0].reply()
        self.decide(request())
        self.assertEqual(len(self.outbound.asked), 1)

    def test_client_leaves(self) -> None:
        """When the client leaves the question ends with it."""
        self.deciding()
        deciding = self.decide(self.asked)
        deciding.cancel()
        self.failureResultOf(deciding, CancelledError)
        self.assertEqual((self.outbound.asked, self.outbound.cancelled), ([], 1))
        deciding = self.decide(request())
        self.outbound.asked[0].fail()
        deciding.cancel()
        self.failureResultOf(deciding, CancelledError)
        self.clock.advance(60)
        self.assertEqual([x for x in self.clock.getDelayedCalls() if x.active()], [])

    def test_bug(self) -> None:
        """A bug refuses, and is in the log."""
        self.deciding()
        self.host.access.authorizers[0]._server_facts = None
        verdict: Any = self.successResultOf(self.decide(self.asked))
        self.assertFalse(verdict.allowed)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_page(self) -> None:
        """A page is asked about in our own dialect; SRS, which counts, hears of its player."""
        self.deciding(dialect="srs")
        page = request(protocol="page")
        self.assertIsNone(self.successResultOf(self.decide(page)))
        self.deciding()
        self.decide(page)
        self.assertEqual([x.got.fields["protocol"] for x in self.outbound.asked], ["page"])

    def test_counts(self) -> None:
        """What came of questions is counted."""
        self.deciding()
        for answer in (b"", b"no"):
            self.decide(request())
            self.outbound.asked[0].reply(200, answer)
        self.decide(request())
        self.outbound.asked[0].fail(is_permanent=True)
        self.assertEqual(
            dict(self.callbacks.counts.asked), {"allowed": 1, "denied": 1, "failed": 1}
        )

    def test_facts_of_a_question(self) -> None:
        """A question and what is told later name the same client (G-HK-04)."""
        self.add(events=["play", "stop"])
        self.deciding(url="http://d/")
        self.decide(self.asked)
        (question,) = self.outbound.asked
        question.reply()
        self.events.play(1, self.asked, StreamKey("liveshow", "renamed"))
        told = [x.got.fields for x in self.outbound.asked]
        client_ids = {fields["client_id"] for fields in told}
        self.assertEqual(client_ids, {question.got.fields["client_id"]})
        self.assertEqual(question.got.fields["stream"], KEY.stream)
        self.assertEqual({fields["stream"] for fields in told}, {"renamed"})
