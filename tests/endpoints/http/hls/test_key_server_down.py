"""C-AE-05: encrypted streams whose key server is down at some time."""

from __future__ import annotations

from collections.abc import Callable

from tests.endpoints.http.hls.encrypted import TEMPLATE, EncryptedCase
from tests.hls.m3u8 import MediaPlaylist
from tests.hls.resources import decrypt
from tests.hls.rig import PATH, Player
from tests.hls.ts import read_segment


class DownCase(EncryptedCase):
    """A key server that is down at some time."""

    options = {  # noqa: RUF012
        "encrypted": True,
        "hls_key_segments": 2,
        "hls_key_url": TEMPLATE,
        "hls_segment_count": 4,
    }

    def check_goes_on(self, player: Player) -> None:
        """See that other outputs go on, and that what waits is bounded."""
        (publication,) = (self.rig.publication,)
        assert publication is not None
        self.assertTrue(publication.active)
        for playlist in self.outputs.playlists.by_place.values():
            self.assertLessEqual(len(playlist._listing._held), 4)
            self.assertLess(playlist.window.size, 1_000_000)
        self.assertEqual(self.flushLoggedErrors(), [])


class DownTests(DownCase):
    """C-AE-05: what is made meanwhile waits, and becomes gaps; all else goes on."""

    def check(self, check: Callable[[MediaPlaylist], None] = lambda playlist: None) -> None:
        """See that all that is listed and no gap can be read."""
        playlist = self.listed()
        check(playlist)
        for segment in playlist.segments:
            if not segment.gap:
                read_segment(self.plain(segment))

    def test_up(self) -> None:
        """A key server that answers gives each key once."""
        self.watch()
        self.play(20)
        self.check()
        self.assertLess(self.server.asked, 14)
        self.assertEqual(self.server.asked, len(self.server.values))

    def test_from_the_start(self) -> None:
        """Who asks is held, others play; when it is back there is a playlist at once."""
        self.server.up = False
        self.player.join()
        pending = self.player.ask()
        flv = self.rig.ask("/liveshow/test.flv")
        self.rig.run(15.0)
        self.assertIsNone(pending.answer)
        self.assertTrue(flv.has_begun)
        self.check_goes_on(self.player)
        self.server.up = True
        for _second in range(31):  # the longest wait of who asks the key server
            if pending.answer is None:
                self.rig.run(1.0)
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 200)
        self.check()
        self.play(10)
        self.check()
        self.assertFalse(self.listed().segments[-1].gap)
        pending.leave()
        flv.leave()

    def test_never(self) -> None:
        """Who waits in vain until the stream is over is told so, and nothing is left."""
        self.server.up = False
        self.player.join()
        pending = self.player.ask()
        self.rig.run(10.0)
        self.rig.unpublish()
        self.rig.run(1.0)
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 404)
        pending.leave()
        self.rig.run(200.0)
        self.assertEqual(self.outputs.playlists.by_place, {})

    def test_at_a_rotation(self) -> None:
        """C-PL-22: gaps come in time, and where it is back in time there is none."""
        self.watch()
        self.play(6)
        self.server.up = False
        playlist = self.play(3)
        self.assertFalse(playlist.segments[-1].gap)  # the next key was there
        number, changed = 0, self.rig.now
        for _poll in range(40):
            self.rig.run(0.4)
            playlist = self.listed()
            last = playlist.segments[-1].number
            if last != number:
                number, changed = last, self.rig.now
            self.assertLessEqual(self.rig.now - changed, 1.5 * playlist.target)
        self.assertTrue(all(segment.gap for segment in playlist.segments[-4:]))
        self.check_goes_on(self.player)
        self.server.up = True
        self.play(40)
        self.check()
        playlist = self.listed()
        self.assertFalse(any(segment.gap for segment in playlist.segments))
        self.assertGreaterEqual(playlist.segments[0].discontinuity_number, 1)

    def test_down_for_long(self) -> None:
        """G-RS-01: nothing grows, and the key server is asked ever more seldom."""
        self.watch()
        self.server.up = False
        self.play(30)
        asked = self.server.asked
        calls = len(self.rig.reactor.getDelayedCalls())
        self.play(120)
        self.check_goes_on(self.player)
        self.assertLess(self.server.asked - asked, 12)
        self.assertEqual(len(self.rig.reactor.getDelayedCalls()), calls)

    def test_own_keys_instead(self) -> None:
        """The operator takes keys of our own instead: all goes on, with what waited."""
        for segments in (1, 10):
            self.server.up = False
            self.rig.set_options(hls_key_url=TEMPLATE, hls_key_segments=segments)
            self.play_anew()
            self.rig.run(12.0)
            self.rig.set_options(hls_key_url="")
            self.rig.run(3.0)
            self.check_goes_on(self.player)
            self.play(6)
            self.check()
            dates = [segment.date for segment in self.listed().segments]
            self.assertEqual(len(set(dates)), len(dates))
            self.assertFalse(self.listed().segments[-1].gap)

    def play_anew(self) -> None:
        """Publish and play, so that no key is there yet."""
        self.rig.unpublish()
        self.rig.run(100.0)
        self.rig.publish()
        self.rig.run(2.0)
        self.player = Player(self.rig)
        self.player.join()
        self.addCleanup(self.player.ask().leave)

    def test_without_encryption_instead(self) -> None:
        """Or none: what waited is listed in the clear."""
        self.watch()
        self.play(4)
        self.server.up = False
        self.play(8)
        self.rig.set_options(encrypted=False)
        playlist = self.play(6)
        self.assertIsNone(playlist.segments[-1].key)
        self.assertFalse(playlist.segments[-1].gap)
        self.check()
        asked = self.server.asked
        self.play(100)
        self.assertLessEqual(self.server.asked - asked, 5)

    def test_old_key(self) -> None:
        """An old key is asked for once; where the key server is down the answer is 503."""
        self.watch()
        first = self.listed().segments[0].key
        assert first is not None
        value = self.player.fetch(first.uri).body
        self.play(40)
        self.outputs.playlists.keys._servers._kept.clear()
        asked = self.server.asked
        answer = self.player.fetch(first.uri)
        self.assertEqual((answer.status, answer.body), (200, value))
        self.assertEqual(self.server.asked, asked + 1)
        self.assertEqual(self.player.fetch(first.uri).body, value)
        self.assertEqual(self.server.asked, asked + 1)
        self.outputs.playlists.keys._servers._kept.clear()
        self.server.up = False
        answer = self.player.fetch(first.uri)
        self.assertEqual((answer.status, answer.headers["cache-control"]), (503, "no-store"))
        # Nobody has the key server asked for what was never given out.
        asked = self.server.asked
        self.assertEqual(self.player.fetch("7-0123456789abcdef.key").status, 404)
        self.assertEqual(self.server.asked, asked)


class LowLatencyDownTests(DownCase):
    """C-AE-05 with parts: what waits for its key has none, and is listed late or never."""

    options = {**DownCase.options, "hls_format": "ll"}  # noqa: RUF012

    def test_at_a_rotation(self) -> None:
        """What waits has no parts; then parts come again, and all can be read."""
        self.watch()
        self.play(6)
        self.assertGreater(self.player.poll().body.count(b"#EXT-X-PART:"), 10)
        self.server.up = False
        playlist = self.play(20)
        self.assertTrue(all(segment.gap for segment in playlist.segments[-3:]))
        self.check_goes_on(self.player)
        self.server.up = True
        playlist = self.play(40)
        self.assertFalse(any(segment.gap for segment in playlist.segments))
        for segment in playlist.segments:
            whole = self.plain(segment)
            assert segment.key is not None
            key = self.player.fetch(segment.key.uri).body
            parts = [
                decrypt(self.player.fetch(part.uri).body, key, segment.key.iv)
                for part in segment.parts
            ]
            self.assertEqual(b"".join(parts), whole if parts else b"")
        self.assertGreater(len(playlist.segments[-1].parts), 5)

    def test_held_requests(self) -> None:
        """C-LL-04: who waits for a part that has no key is answered, with a gap at latest."""
        self.watch()
        self.play(6)
        self.server.up = False
        self.play(8)
        playlist = self.listed()
        pending = self.player.ask(f"?_HLS_msn={playlist.segments[-1].number + 1}&_HLS_part=0")
        self.rig.run(3.0)
        assert pending.answer is not None
        self.assertEqual(pending.answer.status, 200)
        pending.leave()

    def test_path(self) -> None:
        """C-AE-05: a new player finds a playlist while the key server is down."""
        self.watch()
        self.play(6)
        self.server.up = False
        self.play(8)
        other = Player(self.rig, PATH)
        other.join()
        self.assertEqual(other.wait(), 0.0)
