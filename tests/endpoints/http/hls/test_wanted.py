"""Segments are made while somebody wants them, and stay for as long as they must."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urljoin

from ntvmedia.endpoints.http.hls.playlist import FAILED_SECONDS
from tests.endpoints.http.hls.cases import HLSCase
from tests.hls.rig import KEY, Player


class WantedTests(HLSCase):
    """Segments are made while somebody wants them."""

    def test_idle(self) -> None:
        """An idle stream costs nothing; its numbers go on when somebody comes."""
        self.watch()
        (playlist,) = self.outputs.playlists.by_place.values()
        number = playlist.window.number
        discontinuities = playlist.window.discontinuities
        segment = self.segment(self.player)
        self.rig.run(12.0)
        self.assertIsNone(playlist.stream)
        # What a player may just have read of is there a little longer (C-PL-14).
        self.assertEqual(self.rig.get(segment).status, 200)
        self.rig.run(30.0)
        self.assertEqual(dict(playlist.files), {})
        sinks = self.rig.host.hub.streams[KEY].audience.sinks
        self.assertEqual(sinks, {})
        self.player.wait()
        # It is seen that nothing of the list before is in this one.
        self.assertGreater(playlist.window.number, number + 10)
        self.assertGreater(playlist.window.discontinuities, discontinuities)

    def test_first_playlist(self) -> None:
        """It is there within 2.5 s at a GOP of 2 s, whenever somebody comes."""
        for pause in (13.0, 13.3, 14.7, 15.1):
            self.rig.run(pause)
            player = Player(self.rig)
            player.join()
            self.assertLess(player.wait(), 2.5)

    def test_always(self) -> None:
        """With the option it is there at once, for streams that come and those that are there."""
        self.rig.set_options(hls_always=True)
        self.rig.run(30.0)
        self.player.join()
        self.assertEqual(self.player.wait(), 0.0)
        self.rig.unpublish()
        self.rig.run(100.0)
        self.rig.publish()
        self.rig.run(30.0)
        player = Player(self.rig)
        player.join()
        self.assertEqual(player.wait(), 0.0)

    def test_after_the_end(self) -> None:
        """C-PL-15: the list can be had for a minute, then everything is let go of."""
        player = self.watch()
        segment = self.segment(player)
        self.rig.unpublish()
        self.rig.run(50.0)
        self.assertEqual(player.poll().status, 200)
        self.assertNotIn(b"ENDLIST", player.poll().body)
        self.assertEqual(self.rig.get(segment).status, 200)
        self.rig.run(12.0)
        self.assertEqual(player.poll().status, 404)
        self.assertEqual(self.rig.get(segment).status, 200)
        self.rig.run(20.0)
        self.assertEqual(self.rig.get(segment).status, 404)
        self.assertEqual(self.outputs.playlists.by_place, {})

    def test_polled_after_the_end(self) -> None:
        """Who polls on does not keep the list of a stream that is over."""
        player = self.watch()
        self.rig.unpublish()
        for _second in range(58):
            self.rig.run(1.0)
            self.assertEqual(player.poll().status, 200)
        self.rig.run(8.0)
        self.assertEqual(player.poll().status, 404)

    def test_end_of_the_list(self) -> None:
        """Where the operator wants it players are told that it is over."""
        self.rig.set_options(hls_end_list=True)
        player = self.watch()
        self.rig.unpublish()
        last = player.poll()
        self.assertTrue(last.body.endswith(b"#EXT-X-ENDLIST\n"))
        # RFC 8216bis section 6.2.1: it is never taken back; another list begins.
        self.rig.publish()
        self.rig.run(0.5)
        other = Player(self.rig)
        other.join()
        other.wait()
        self.assertNotIn(b"ENDLIST", other.poll().body)
        self.assertGreater(_discontinuities(other.poll().body), _discontinuities(last.body))

    def test_long_list_after_the_end(self) -> None:
        """RFC 8216bis section 6.2.2: a list stays as long as it is, its segments longer."""
        self.rig.set_options(hls_segment_seconds=4.0, hls_segment_count=30, hls_always=True)
        self.rig.run(150.0)
        player = self.watch()
        first = player.poll().body.decode("ascii").splitlines()
        # The first of all may leave the list when the last short segment enters it.
        oldest = urljoin(player.playlist, [x for x in first if x.endswith(".ts")][1])
        self.rig.unpublish()
        self.rig.run(110.0)
        self.assertEqual(player.poll().status, 200)
        self.rig.run(20.0)
        self.assertEqual(player.poll().status, 404)
        self.assertEqual(self.rig.get(oldest).status, 200)
        self.rig.run(150.0)
        self.assertEqual(self.outputs.playlists.by_place, {})

    def test_stopped(self) -> None:
        """The server's end is that of all its viewers."""
        self.watch()
        self.rig.host.hub.stop("the server is stopping")
        self.outputs.stopService()
        self.assertEqual(self.plays, ["hls", "the server is stopping"])
        self.assertEqual(self.outputs._visits, {})
        self.outputs.startService()

    def test_a_bug_while_looking(self) -> None:
        """One that cannot be looked after does not keep the others from it."""
        self.watch()
        self.outputs.sessions._all[""] = cast(Any, SimpleNamespace(key=KEY))
        (playlist,) = self.outputs.playlists.by_place.values()
        self.patch(playlist, "look", None)
        self.rig.run(30.0)
        self.assertEqual((len(self.viewers), self.plays[-1]), (0, "no more requests"))
        self.assertGreater(len(self.flushLoggedErrors(AttributeError)), 20)
        self.assertGreater(len(self.flushLoggedErrors(TypeError)), 20)
        del self.outputs.sessions._all[""]

    def test_a_bug_in_the_segmenter(self) -> None:
        """G-LC-08: the stream and its other viewers go on; who waits is answered."""
        self.player.join()
        (playlist,) = self.outputs.playlists.by_place.values()
        self.patch(playlist.segmenter, "packet", None)
        self.rig.run(0.5)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertIsNone(playlist.stream)
        self.assertIn(KEY, self.rig.host.hub.streams)
        self.assertEqual(self.rig.get(self.player.playlist).status, 404)
        # It is tried again after a while, with nothing left of what had failed.
        self.rig.run(FAILED_SECONDS)
        vars(playlist.segmenter).pop("packet")
        self.player.wait()
        self.player.monitor().saw(self.rig.now, self.player.poll().body)  # no frame twice


def _discontinuities(body: bytes) -> int:
    (line,) = [x for x in body.splitlines() if x.startswith(b"#EXT-X-DISCONTINUITY-SEQUENCE:")]
    return int(line.partition(b":")[2]) + body.count(b"#EXT-X-DISCONTINUITY\n")
