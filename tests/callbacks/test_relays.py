"""Tests of `relay_up` and `relay_down`: what is told of relay tasks."""

from __future__ import annotations

from typing import Any

from ntvmedia.access.refusals import WrongField
from ntvmedia.callbacks.facts import stream_facts
from ntvmedia.events import RelayDown, RelayUp
from ntvmedia.media import StreamKey
from tests.callbacks.rig import KEY, FakeCase

SOURCE = "rtsp://<hidden>@cam.example/one"
AWAY = StreamKey("live2", "abcd-efgh")


class RelayTests(FakeCase):
    """A receiver of both events."""

    def setUp(self) -> None:
        super().setUp()
        fields = {"name": "r", "url": "http://r/", "events": ["relay_up", "relay_down"]}
        self.receiver = self.successResultOf(self.callbacks.registry.add(fields)).id

    def all_told(self) -> list[dict[str, Any]]:
        """Take all that is told, and return it."""
        found: list[dict[str, Any]] = []
        while True:
            self.clock.advance(0)
            if not self.outbound.asked:
                return found
            found.append(self.outbound.asked[0].got.fields)
            self.outbound.asked[0].reply()

    def test_pair(self) -> None:
        """An up and a down, with the task, its source and the stream; no secret."""
        self.host.events.emit(RelayUp(KEY, "0a1b", SOURCE))
        self.host.events.emit(RelayDown(KEY, "0a1b", SOURCE, "no media for 10 s"))
        up, down = self.all_told()
        self.assertEqual((up["event"], down["event"]), ("relay_up", "relay_down"))
        common = {**stream_facts(KEY), "relay": "0a1b", "source": SOURCE, "server": ""}
        for name, value in common.items():
            self.assertEqual((up[name], down[name]), (value, value))
        self.assertNotIn("reason", up)
        self.assertEqual(down["reason"], "no media for 10 s")

    def test_other_server(self) -> None:
        """F-AC-03: the name of a stream on another server may be a key, and is not told."""
        self.host.events.emit(RelayUp(AWAY, "0a1b", SOURCE, "rtmps://a.example"))
        self.host.events.emit(RelayDown(AWAY, "0a1b", SOURCE, "stopped", "rtmps://a.example"))
        up, down = self.all_told()
        self.assertEqual((up["server"], up["application"]), ("rtmps://a.example", "live2"))
        self.assertEqual(down["event"], "relay_down")
        self.assertNotIn("stream", up)
        self.assertNotIn("abcd-efgh", str((up, down)))

    def test_in_turn(self) -> None:
        """What follows of a task waits until the first was taken."""
        for _time in range(2):
            self.host.events.emit(RelayUp(AWAY, "0a1b", SOURCE, "rtmps://a.example"))
            self.host.events.emit(RelayDown(AWAY, "0a1b", SOURCE, "gone", "rtmps://a.example"))
        self.clock.advance(0)
        self.assertEqual(len(self.outbound.asked), 1)
        self.assertEqual(
            [x["event"] for x in self.all_told()],
            ["relay_up", "relay_down", "relay_up", "relay_down"],
        )

    def test_test(self) -> None:
        """A test has the fields of the event."""
        self.callbacks.test(self.receiver, "relay_down")
        (test,) = self.all_told()
        self.assertEqual((test["kind"], test["relay"], test["reason"]), ("test",) * 3)
        self.assertNotIn("client_id", test)

    def test_srs(self) -> None:
        """SRS has no word for it: a callback in its dialect cannot be told."""
        fields = {"name": "s", "url": "http://s/", "events": ["relay_up"], "dialect": "srs"}
        self.failureResultOf(self.callbacks.registry.add(fields), WrongField)
