"""Tests of ntvmedia.hub.limits: publishers that send too much are cut, and nobody else."""

from __future__ import annotations

from typing import Any

from ntvmedia.events import PublishEnded
from ntvmedia.hub.context import StreamState
from ntvmedia.hub.limits import JUDGED_SECONDS, PublisherLimit
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.stream import Stream
from tests.hub.cases import HubCase, Player
from tests.hub.fakes import AUDIO, VIDEO, audio, video


def test_average() -> None:
    """It is judged by the average of a few seconds: one burst is forgiven, and then forgotten."""
    limit = PublisherLimit(8, 0, 100.0)
    assert limit.judge(101.0, 4000, 1) == ""
    assert limit.judge(104.9, 5000, 1) == ""
    assert limit.judge(105.0, 5000, 1) == ""  # 8 kbit/s, not more
    assert limit.judge(106.0, 6000, 1) == ""
    assert "8 kbit/s, more than hub.max_publisher_bitrate_kbps = 8" in limit.judge(110.0, 10300, 1)
    assert limit.judge(115.0, 10300, 1) == ""


def test_late() -> None:
    """A server that comes late counts the time that passed, not the seconds that it should."""
    limit = PublisherLimit(8, 10, 0.0)
    assert limit.judge(60.0, 60_000, 600) == ""
    assert limit.judge(120.0, 120_000, 1210) == (
        "sent 10 packets a second, more than hub.max_publisher_packets = 10"
    )


def test_none() -> None:
    """0 is no limit."""
    assert PublisherLimit(0, 0, 0.0).judge(5.0, 1 << 60, 1 << 60) == ""


class FloodTests(HubCase):
    """F-RE-12: one publisher cannot take the server's time and line for itself."""

    settings = {"max_publisher_bitrate_kbps": 100, "max_publisher_packets": 200}  # noqa: RUF012

    def flood(self, publication: Publication, packets: int, size: int, seconds: int) -> None:
        """Send so many packets of this size in each second."""
        start = int(self.reactor.seconds() * 1000)
        for millisecond in range(0, seconds * 1000, 1000 // packets):
            self.send(publication, video(start + millisecond, key=True, size=size))
            if millisecond % 1000 >= 1000 - 1000 // packets:
                self.reactor.advance(1.0)
                self.hub.tick()

    def dismissals(self, publication: Publication) -> list[str]:
        """What its publisher was told."""
        publisher: Any = publication.publisher
        found: list[str] = publisher.dismissals
        return found

    def live_player(self) -> tuple[Publication, Stream, Player]:
        """Publish, and watch."""
        publication, stream = self.live(int(self.reactor.seconds() * 1000))
        return publication, stream, Player(self, stream)

    def test_bits(self) -> None:
        """Too many bits a second for some seconds: it is told why, and the stream ends."""
        publication, stream, player = self.live_player()
        self.flood(publication, 10, 1500, int(JUDGED_SECONDS) - 1)
        self.assertTrue(publication.active)
        self.flood(publication, 10, 1500, 1)
        (reason,) = self.dismissals(publication)
        self.assertIn("sent 120 kbit/s, more than hub.max_publisher_bitrate_kbps = 100", reason)
        self.assertEqual(player.ends, [reason])
        self.assertEqual([x.reason for x in self.events(PublishEnded)], [reason])
        self.assertIs(stream.state, StreamState.ENDED)
        self.end()

    def test_packets(self) -> None:
        """Too many packets a second, be they empty."""
        publication, _stream, _player = self.live_player()
        self.flood(publication, 250, 0, int(JUDGED_SECONDS))
        (reason,) = self.dismissals(publication)
        self.assertIn("packets a second, more than hub.max_publisher_packets = 200", reason)
        self.end()

    def test_within(self) -> None:
        """One that stays within the limits is left alone, whatever it sent at first."""
        publication, _stream, _player = self.live_player()
        self.flood(publication, 20, 1000, 2)
        self.flood(publication, 10, 500, 60)
        self.assertEqual(self.dismissals(publication), [])
        self.end()

    def test_left_out(self) -> None:
        """What is not kept counts too: video for an application of sound, and before a keyframe."""
        publication, _stream = self.begin(VIDEO, AUDIO, audio_only=True)
        self.send(publication, audio(0))
        self.flood(publication, 10, 1500, int(JUDGED_SECONDS))
        self.assertIn("kbit/s", self.dismissals(publication)[0])
        self.make()
        publication, _stream = self.live()
        publication.close("lost", lost=True)
        publication, _stream = self.begin(VIDEO)
        for second in range(int(JUDGED_SECONDS)):
            self.send(publication, *(video(second * 1000 + 4 * x, size=0) for x in range(250)))
            self.reactor.advance(1.0)
            self.hub.tick()
        self.assertIn("packets a second", self.dismissals(publication)[0])
        self.end()

    def test_other_publisher(self) -> None:
        """What one sent before is not held against the next."""
        publication, _stream, _player = self.live_player()
        self.flood(publication, 10, 1500, int(JUDGED_SECONDS) - 1)
        publication.close("lost", lost=True)
        again, _stream = self.begin(VIDEO)
        self.flood(again, 10, 1000, int(JUDGED_SECONDS) + 2)
        self.assertEqual(self.dismissals(again), [])
        self.end()

    def test_track_that_went(self) -> None:
        """The packets of a track that the next publisher does not send are not taken off."""
        publication, _stream, _player = self.live_player()
        self.flood(publication, 100, 10, 4)
        publication.close("lost", lost=True)
        again, stream = self.begin(AUDIO)
        start = int(self.reactor.seconds() * 1000)
        for second in range(int(JUDGED_SECONDS)):
            self.send(again, *(audio(start + second * 1000 + 4 * x) for x in range(250)))
            self.reactor.advance(1.0)
            self.hub.tick()
        self.assertEqual(stream.tracks, [AUDIO])
        self.assertIn("packets a second", self.dismissals(again)[0])
