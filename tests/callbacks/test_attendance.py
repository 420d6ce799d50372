"""Tests of ntvmedia.callbacks.attendance: each start that is known has one end (G-HK-03)."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from ntvmedia.access import Action
from ntvmedia.callbacks import attendance
from ntvmedia.callbacks.attendance import START_SECONDS, SWEEP_SECONDS
from ntvmedia.media import StreamKey
from tests.callbacks.rig import FakeCase, request

ALL = ["publish", "unpublish", "play", "stop"]


class PairTests(FakeCase):
    """Starts and ends, in both dialects, asked and unasked."""

    def setUp(self) -> None:
        super().setUp()
        self.asked = request()

    def srs(self, **fields: Any) -> Any:
        """Add a system that was made for SRS."""
        return self.add(**{"dialect": "srs", "events": ALL, "decides": True, **fields})

    def admit(self, asked: Any) -> Any:
        """Let somebody in, and return the client's id."""
        deciding = self.decide(asked)
        (question,) = self.outbound.asked
        fields = question.got.fields
        question.reply(200, b"0" if "action" in fields else b"")
        verdict: Any = self.successResultOf(deciding)
        self.assertTrue(verdict.allowed)
        return fields["client_id"]

    def test_srs(self) -> None:
        """SRS hears once of a start, by the question, and once of the end."""
        self.srs()
        client = self.admit(self.asked)
        self.events.play(1, self.asked)
        self.assertEqual(self.told(), [])
        self.events.stop(1)
        self.assertEqual(self.told(), [("on_stop", client)])
        self.clock.advance(START_SECONDS + SWEEP_SECONDS)
        self.assertEqual(self.told(), [])

    def test_srs_publisher(self) -> None:
        """The same for who publishes."""
        self.srs()
        asked = request(Action.PUBLISH)
        client = self.admit(asked)
        self.events.publish(1, asked)
        self.events.unpublish(1)
        self.assertEqual(self.told(), [("on_unpublish", client)])

    def test_own(self) -> None:
        """In our own dialect a question is none of the two."""
        self.add(events=ALL, decides=True)
        client = self.admit(self.asked)
        self.events.play(1, self.asked)
        self.events.stop(1)
        self.assertEqual(self.told(), [("play", client), ("stop", client)])

    def test_never_began(self) -> None:
        """Somebody who was allowed and never comes has an end where he was counted."""
        self.srs()
        self.add(events=ALL)
        client = self.admit(self.asked)
        self.clock.advance(START_SECONDS - 1)
        self.assertEqual(self.told(), [])
        for _second in range(10):
            self.clock.advance(1)
        self.assertEqual(self.told(), [("on_stop", client)])
        self.assertEqual([x for x in self.clock.getDelayedCalls() if x.active()], [])

    def test_late(self) -> None:
        """Who begins after he was taken for gone begins anew."""
        self.srs()
        client = self.admit(self.asked)
        for _second in range(70):
            self.clock.advance(1)
        self.assertEqual(self.told(), [("on_stop", client)])
        self.events.play(1, self.asked)
        self.events.stop(1)
        (start, again), (end, also) = self.told()
        self.assertEqual((start, end), ("on_play", "on_stop"))
        self.assertEqual(again, also)
        self.assertNotEqual(again, client)

    def test_refused_by_another(self) -> None:
        """Who said yes is told that another one said no."""
        self.srs()
        self.add(name="b", decides=True, url="http://other/")
        deciding = self.decide(self.asked)
        client = self.outbound.asked[0].got.fields["client_id"]
        self.outbound.asked[0].reply(200, b"0")
        self.outbound.asked[0].reply(403)
        self.assertFalse(getattr(self.successResultOf(deciding), "allowed", True))
        self.assertEqual(self.told(), [("on_stop", client)])

    def test_refused_first(self) -> None:
        """The same where the yes comes after the no."""
        self.srs()
        self.add(name="b", decides=True, url="http://other/")
        deciding = self.decide(self.asked)
        client = self.outbound.asked[0].got.fields["client_id"]
        self.outbound.asked[1].reply(403)
        self.assertFalse(getattr(self.successResultOf(deciding), "allowed", True))
        self.assertEqual(self.told(), [("on_play", client), ("on_stop", client)])

    def test_asked_again_meanwhile(self) -> None:
        """A late yes to who was refused takes nothing from him who has asked again."""
        self.srs()
        self.add(name="b", decides=True, url="http://other/")
        deciding = self.decide(self.asked)
        (first, refuses) = self.outbound.asked
        refuses.reply(403)
        self.successResultOf(deciding)
        deciding = self.decide(self.asked)
        again = self.outbound.asked[1].got.fields["client_id"]
        first.reply(200, b"0")
        ends = [x for x in self.outbound.asked if x.got.fields.get("action") == "on_stop"]
        self.assertEqual(len(ends), 1)
        ends[0].reply()
        for question in tuple(self.outbound.asked):
            question.reply(200, b"0" if "action" in question.got.fields else b"")
        self.assertTrue(getattr(self.successResultOf(deciding), "allowed", False))
        self.events.play(1, self.asked)
        self.events.stop(1)
        found = self.told()
        self.assertEqual([x for x in found if x[0] == "on_stop"], [("on_stop", again)])
        self.assertNotIn("on_play", [event for event, _client in found])

    def test_closed_before_the_answer(self) -> None:
        """play, and closed before the hook answers: the yes that still comes has its end."""
        self.srs()
        deciding = self.decide(self.asked)
        client = self.outbound.asked[0].got.fields["client_id"]
        deciding.addErrback(lambda _cancelled: None)
        deciding.cancel()
        self.assertEqual(self.told(), [("on_play", client), ("on_stop", client)])

    def test_closed_before_a_refusal(self) -> None:
        """A no that still comes has none."""
        self.srs()
        deciding = self.decide(self.asked)
        deciding.addErrback(lambda _cancelled: None)
        deciding.cancel()
        self.outbound.asked[0].reply(200, b"1")
        self.assertEqual(self.told(), [])

    def test_refused(self) -> None:
        """Publish and refused: no end without a start."""
        self.srs()
        self.add(events=ALL)
        self.decide(request(Action.PUBLISH))
        self.outbound.asked[0].reply(200, b"1")
        self.clock.advance(100)
        self.assertEqual(self.told(), [])

    def test_unasked(self) -> None:
        """Who is let in without being asked about, from a trusted network, is told of as he is."""
        self.srs()
        self.events.play(1, self.asked)
        self.events.play(2, None)
        self.events.stop(1)
        self.events.stop(2)
        found = self.told()
        self.assertEqual(
            [event for event, _client in found], ["on_play", "on_play", "on_stop", "on_stop"]
        )
        self.assertEqual(found[0][1], found[2][1])
        self.assertEqual(found[1][1], found[3][1])

    def test_allowed_without_an_answer(self) -> None:
        """Who does not answer has counted nobody: it is told when it is back."""
        self.srs(on_failure="allow")
        deciding = self.decide(self.asked)
        client = self.outbound.asked[0].got.fields["client_id"]
        self.outbound.asked[0].fail(is_permanent=True)
        self.assertTrue(getattr(self.successResultOf(deciding), "allowed", False))
        self.events.play(1, self.asked)
        self.events.stop(1)
        self.assertEqual(self.told(), [("on_play", client), ("on_stop", client)])

    def test_takeover(self) -> None:
        """publish, drop, takeover: each publisher has its start and its end."""
        self.srs()
        first, second = request(Action.PUBLISH), request(Action.PUBLISH)
        ids = [self.admit(first)]
        self.events.publish(1, first)
        ids.append(self.admit(second))
        self.events.unpublish(1)
        self.events.publish(2, second)
        self.events.unpublish(2)
        self.assertEqual(self.told(), [("on_unpublish", ids[0]), ("on_unpublish", ids[1])])

    def test_plays_again(self) -> None:
        """Who stops and plays again by the same right is a second start."""
        self.srs()
        client = self.admit(self.asked)
        for number in (1, 2):
            self.events.play(number, self.asked)
            self.events.stop(number)
        self.assertEqual(
            self.told(), [("on_stop", client), ("on_play", client), ("on_stop", client)]
        )

    def test_two_at_once(self) -> None:
        """One right that is used twice at the same time is two clients."""
        self.srs()
        client = self.admit(self.asked)
        self.events.play(1, self.asked)
        self.events.play(2, self.asked)
        ((event, other),) = self.told()
        self.assertEqual(event, "on_play")
        self.assertNotEqual(other, client)
        self.events.stop(2)
        self.events.stop(1)
        self.assertEqual(self.told(), [("on_stop", other), ("on_stop", client)])

    def test_made_meanwhile(self) -> None:
        """A callback that is made while somebody plays hears of no end without a start."""
        self.add(events=["stop"], name="before")
        self.events.play(1)
        self.add(events=["stop"], name="after", url="http://after/")
        self.events.stop(1)
        self.assertEqual([x.path for x in self.outbound.all], ["http://r/hook"])

    def test_nobody_cares(self) -> None:
        """Without callbacks nothing is remembered of who plays."""
        for number in range(10):
            self.events.play(number, self.asked)
        self.assertEqual(len(self.callbacks._attendance._sessions), 0)

    def test_facts_of_the_end(self) -> None:
        """An end says why, how much and how long."""
        self.add(events=["stop"])
        self.events.play(1, self.asked)
        self.clock.advance(12.5)
        self.events.stop(1)
        fields = self.outbound.asked[0].got.fields
        self.assertEqual(
            (fields["reason"], fields["bytes"], fields["seconds"]), ("viewer left", 1234, 12.5)
        )
        self.assertEqual(fields["param"], "?token=a+b")

    def test_bounded(self) -> None:
        """Those who were allowed and do not come are not remembered without end."""
        self.srs()
        with patch.object(attendance, "MAX_CLIENTS", 3):
            wishes = [request() for _number in range(5)]
            ids = [self.admit(wish) for wish in wishes[:3]]
            self.decide(wishes[3])
            self.assertEqual(
                [x.got.fields["action"] for x in self.outbound.asked], ["on_stop", "on_play"]
            )
            self.assertEqual(self.outbound.asked[0].got.fields["client_id"], ids[0])
        self.assertEqual(len(self.callbacks._attendance), 3)

    def test_renewed(self) -> None:
        """The end of a lifetime asks only who gave it one: SRS does not count twice."""
        self.srs()
        self.add(name="b", decides=True, events=["play"], url="http://other/")
        self.decide(self.asked)
        self.outbound.asked[0].reply(200, b"0")
        self.outbound.asked[0].reply(200, b'{"allow": true, "lifetime": 10}')
        self.events.play(1, self.asked, StreamKey("liveshow", "one"))
        self.told()
        self.clock.advance(11)
        self.decide(self.asked)
        self.assertEqual([x.got.path for x in self.outbound.asked], ["http://other/"])
        self.outbound.asked[0].reply(403)
        self.assertEqual(self.told(), [])
        self.events.stop(1)
        self.assertEqual([event for event, _client in self.told()], ["on_stop"])
