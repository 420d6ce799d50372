"""Encrypted streams over a whole server: what is listed, and who is given keys."""

from __future__ import annotations

from urllib.parse import urljoin

from tests.endpoints.http.hls.encrypted import EncryptedCase
from tests.hls.rig import Player
from tests.hls.ts import read_segment


class OwnKeyTests(EncryptedCase):
    """Keys of our own."""

    def test_encrypted(self) -> None:
        """C-AE-01, C-AE-02: all segments can be read, with another IV each and few keys."""
        self.watch()
        playlist = self.play(16)
        keys = [segment.key for segment in playlist.segments]
        assert all(key is not None for key in keys)
        self.assertEqual(len({key.iv for key in keys if key}), len(keys))
        names = [key.uri for key in keys if key]
        self.assertTrue(all(names.count(name) <= 2 for name in names))
        self.assertGreaterEqual(len(set(names)), 3)
        for segment in playlist.segments:
            self.assertGreater(len(read_segment(self.plain(segment)).video), 20)
        answer = self.player.fetch(names[0])
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertEqual(len(answer.body), 16)

    def test_toggled(self) -> None:
        """C-AE-07: switched on and off while somebody watches: from the next segment on."""
        self.watch()
        self.play(4)
        self.rig.set_options(encrypted=False)
        playlist = self.play(6)
        self.assertIsNone(playlist.segments[-1].key)
        self.assertIn(b"#EXT-X-KEY:METHOD=NONE\n", self.player.poll().body)
        self.rig.set_options(encrypted=True)
        playlist = self.play(4)
        kinds = [segment.key is not None for segment in playlist.segments]
        self.assertEqual((kinds[-1], False in kinds), (True, True))
        # Nothing breaks by it.
        self.assertEqual(playlist.segments[-1].discontinuity_number, playlist.discontinuity_number)
        for segment in playlist.segments:
            read_segment(self.plain(segment))

    def test_old_key(self) -> None:
        """C-AE-02: a key that is listed no more is found by its name."""
        player = self.watch()
        first = self.listed().segments[0].key
        assert first is not None
        value = player.fetch(first.uri).body
        self.play(90)
        (playlist,) = self.outputs.playlists.by_place.values()
        self.assertNotIn(first.uri.encode(), playlist.files)
        answer = player.fetch(first.uri)
        self.assertEqual((answer.status, answer.body), (200, value))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        forged = first.uri.replace("-", "-f")
        for name in (forged, "1-0123456789abcdef.key", "x.key", ".key", "%2e%2e.key"):
            self.assertEqual(player.fetch(name).status, 404, name)

    def test_after_a_restart(self) -> None:
        """C-AE-02: also when the server began anew, for addresses that are the same for all."""
        self.rig.set_options(hls_sessions=False)
        player = self.watch()
        key = self.listed().segments[0].key
        assert key is not None
        value = player.fetch(key.uri).body
        self.rig.restart()
        self.rig.run(1.0)
        self.rig.publish()
        self.rig.run(3.0)
        answer = player.fetch(key.uri)
        self.assertEqual((answer.status, answer.body), (200, value))
        again = self.watch(Player(self.rig))
        for segment in self.listed(again).segments:
            read_segment(self.plain(segment, again))

    def test_who_may(self) -> None:
        """C-AE-05, B-HT-11: a key needs the same session as its segments."""
        player, other = self.watch(), self.watch(Player(self.rig))
        found = self.listed().segments[-1].key
        assert found is not None
        key = urljoin(player.playlist, found.uri)
        self.assertEqual(self.rig.get(key).status, 200)
        session = player.playlist.split("/")[3]
        self.assertEqual(self.rig.get(key.replace(session, "~")).status, 403)
        self.assertEqual(self.rig.get(key.replace(session, "~" + "A" * 22)).status, 404)
        self.assertEqual(self.rig.get(key.replace(f"/{session}", "")).status, 404)
        self.viewers[0].kick("sent away")
        for address in (key, key.replace("~", "%7E")):
            self.assertEqual(self.rig.get(address).status, 403)
            self.assertEqual(self.rig.get(address, method=b"HEAD").status, 403)
        self.assertEqual(other.fetch(found.uri).status, 200)

    def test_other_stream(self) -> None:
        """C-AE-05: nor does another stream's session, or another stream's key, do."""
        player = self.watch()
        found = self.listed().segments[-1].key
        assert found is not None
        feed = self.rig.feed("other")
        feed.publish()
        self.rig.run(3.0)
        other = self.watch(Player(self.rig, "/liveshow/other.m3u8"))
        self.assertEqual(other.fetch(found.uri).status, 404)
        session = other.playlist.split("/")[3]
        mixed = urljoin(player.playlist, found.uri).replace(player.playlist.split("/")[3], session)
        self.assertEqual(self.rig.get(mixed).status, 404)
        theirs = self.listed(other).segments[-1].key
        assert theirs is not None
        self.assertNotEqual(other.fetch(theirs.uri).body, player.fetch(found.uri).body)

    def test_often(self) -> None:
        """With a key for each segment the playlist is written no more often than without."""
        self.watch()
        (playlist,) = self.outputs.playlists.by_place.values()
        written: list[int] = []
        write = playlist.window.write

        def noted() -> None:
            written.append(playlist.window.number)
            write()

        self.patch(playlist.window, "write", noted)
        for segments in (10, 1):
            self.rig.set_options(hls_key_segments=segments)
            self.play(12)
        self.assertEqual(len(written), written[-1] - written[0] + 1)


class MP4Tests(EncryptedCase):
    """C-AE-04: encrypted fragments, whose init segments are clear."""

    options = {**EncryptedCase.options, "hls_format": "fmp4"}  # noqa: RUF012

    def test_init_segment(self) -> None:
        """C-AE-04: it is not encrypted, and no key applies to its tag, also when it changes."""
        self.watch()
        self.play(8)
        self.rig.encoder.has_audio = False
        self.rig.unpublish()
        self.rig.publish()
        self.play(6)
        text = self.player.poll().body.decode("ascii")
        maps = [line for line in text.splitlines() if line.startswith("#EXT-X-MAP")]
        self.assertEqual(len(maps), 2)
        applies = False
        for line in text.splitlines():
            if line.startswith("#EXT-X-KEY"):
                applies = "METHOD=NONE" not in line
            elif line.startswith("#EXT-X-MAP"):
                self.assertFalse(applies, text)
        for segment in self.listed().segments:
            self.assertEqual(self.player.fetch(segment.map).body[4:8], b"ftyp")
            self.assertIn(b"moof", self.plain(segment)[:16])
