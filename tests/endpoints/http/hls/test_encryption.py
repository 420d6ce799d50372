"""Encrypted segments, their keys, and key servers that are down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints.http.hls.encryption import Encryption, encrypt
from ntvmedia.endpoints.http.hls.keys import Key
from ntvmedia.formats import m3u8
from ntvmedia.media import StreamKey
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from tests.endpoints.http.hls.cases import HLSCase
from tests.hls.m3u8 import MediaPlaylist, Segment, parse_media
from tests.hls.resources import decrypt
from tests.hls.rig import KEY, PATH, Player
from tests.hls.ts import read_segment

TEMPLATE = "https://keys.example/{application}/{stream}/{key}"
OTHER_TEMPLATE = "https://other.example/{key}"
DOWN = OutboundError("https://keys.example: the connection was refused")


@given(st.binary(max_size=100), st.binary(min_size=16, max_size=16), st.binary(min_size=16))
def test_round_trip(body: bytes, value: bytes, vector: bytes) -> None:
    """C-AE-01: another implementation of the padding gets back what was encrypted."""
    encrypted = encrypt(body, m3u8.Key("a.key", vector[:16]), value)
    assert len(encrypted) % 16 == 0
    assert 0 < len(encrypted) - len(body) <= 16
    assert decrypt(encrypted, value, vector[:16]) == body


def test_vector() -> None:
    """C-AE-01: NIST SP 800-38A F.2.1, CBC-AES128, with a block of padding behind it."""
    value = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    vector = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    encrypted = encrypt(plain, m3u8.Key("a.key", vector), value)
    assert encrypted[:16].hex() == "7649abac8119b246cee98e9b12e9197d"
    assert decrypt(encrypted, value, vector) == plain


class Source:
    """Gives keys at once, or when it is told to.

    Attributes:
        asked: Numbers and templates.
        waiting: What it has not given yet.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.asked: list[tuple[int, str]] = []
        self.waiting: list[tuple[int, Deferred[Key]]] = []
        self.cancelled = 0

    def make(self, _stream: StreamKey, number: int, template: str) -> Deferred[Key]:
        """Give a key."""
        self.asked.append((number, template))
        if self.at_once:
            return succeed(self._key(number))
        waiting: Deferred[Key] = Deferred(lambda _waiting: self._cancel())
        self.waiting.append((number, waiting))
        return waiting

    def _cancel(self) -> None:
        self.cancelled += 1

    def _key(self, number: int) -> Key:
        return Key(f"{number}.key", number.to_bytes(16, "big"))

    def answer(self) -> None:
        """Give the oldest that is waited for."""
        number, waiting = self.waiting.pop(0)
        waiting.callback(self._key(number))


class RotationTests(SynchronousTestCase):
    """Which key a segment has."""

    def make(self, *, at_once: bool = True) -> Encryption:
        """Make the encryption of a playlist."""
        self.source = Source(at_once=at_once)
        self.arrivals = 0
        counter = iter(range(1 << 30))

        def arrived() -> None:
            self.arrivals += 1

        return Encryption(
            self.source,  # type: ignore[arg-type]
            KEY,
            100,
            lambda count: next(counter).to_bytes(count, "big"),
            arrived,
        )

    def test_rotation(self) -> None:
        """C-AE-02: another key every so many segments, of the next number each time."""
        for segments in (1, 2, 5):
            encryption = self.make()
            keys = [encryption.next_segment("", segments) for _segment in range(20)]
            names = [key and key.name for key in keys]
            self.assertEqual(names, [f"{100 + x // segments}.key" for x in range(20)])

    def test_prefetch(self) -> None:
        """C-AE-05: the next key is asked for with the first segment of the one before it."""
        encryption = self.make(at_once=False)
        self.assertIsNone(encryption.next_segment(TEMPLATE, 5))
        self.source.answer()
        self.assertEqual(self.arrivals, 1)
        for segment in range(5):
            self.assertIsNotNone(encryption.next_segment(TEMPLATE, 5), segment)
            self.assertEqual(self.source.asked, [(100, TEMPLATE), (101, TEMPLATE)])
        self.source.answer()
        self.assertEqual(self.arrivals, 1)  # nobody waited for that
        for _segment in range(5):
            key = encryption.next_segment(TEMPLATE, 5)
            assert key is not None
            self.assertEqual(key.name, "101.key")

    def test_waits(self) -> None:
        """Where there is none yet it is told when there is one; it is not asked for twice."""
        encryption = self.make(at_once=False)
        for _segment in range(7):
            self.assertIsNone(encryption.next_segment(TEMPLATE, 2))
        self.assertEqual(self.source.asked, [(100, TEMPLATE)])
        self.source.answer()
        self.assertEqual(self.arrivals, 1)
        for _segment in range(2):
            self.assertIsNotNone(encryption.next_segment(TEMPLATE, 2))
        self.assertIsNone(encryption.next_segment(TEMPLATE, 2))
        self.source.answer()
        self.assertEqual(self.arrivals, 2)

    def test_at_once(self) -> None:
        """A key that is there at once is no arrival: nobody has waited."""
        encryption = self.make()
        for _segment in range(9):
            encryption.next_segment("", 1)
        self.assertEqual(self.arrivals, 0)

    def test_other_source(self) -> None:
        """With another source the next segment has a key of that."""
        encryption = self.make(at_once=False)
        encryption.next_segment(TEMPLATE, 5)
        self.assertIsNone(encryption.next_segment(OTHER_TEMPLATE, 5))
        self.assertEqual(self.source.cancelled, 1)
        self.assertEqual(self.source.asked[-1][1], OTHER_TEMPLATE)
        self.source.at_once = True
        self.assertIsNotNone(encryption.next_segment("", 5))
        self.assertEqual((self.source.cancelled, self.arrivals), (2, 0))

    def test_shorter_rotation(self) -> None:
        """The operator may have keys changed sooner: the one in use ends then."""
        encryption = self.make()
        names = []
        for segments in (100, 100, 3, 3, 3, 3):
            key = encryption.next_segment("", segments)
            names.append(key and key.name)
        self.assertEqual(names, ["100.key"] * 5 + ["101.key"])

    def test_stopped(self) -> None:
        """Nothing is waited for any more; stopping twice is nothing."""
        encryption = self.make(at_once=False)
        encryption.next_segment(TEMPLATE, 5)
        encryption.stop()
        encryption.stop()
        self.assertEqual((self.source.cancelled, self.arrivals), (1, 0))

    def test_vectors(self) -> None:
        """C-AE-02: each is another."""
        encryption = self.make()
        vectors = [encryption.new_iv() for _segment in range(50)]
        self.assertEqual(len(set(vectors)), 50)
        self.assertEqual({len(vector) for vector in vectors}, {16})


class KeyServer:
    """The HTTP client of a server whose key server may be down.

    Attributes:
        up: It answers.
        asked: How often it was asked.
        values: What it gave, by address.
    """

    def __init__(self) -> None:
        self.up = True
        self.asked = 0
        self.values: dict[str, bytes] = {}

    def get(self, url: str, *, limit_bytes: int) -> Deferred[Answer]:
        """Answer, or fail."""
        self.asked += 1
        waiting: Deferred[Answer] = Deferred()
        if self.up:
            value = self.values.setdefault(url, len(self.values).to_bytes(limit_bytes, "big"))
            waiting.callback(Answer(200, {}, value))
        else:
            waiting.errback(DOWN)
        return waiting


class EncryptedCase(HLSCase):
    """A stream that is encrypted."""

    options: dict[str, Any] = {"encrypted": True, "hls_key_segments": 2}  # noqa: RUF012

    def setUp(self) -> None:
        super().setUp()
        self.server = KeyServer()
        self.rig.host.outbound = self.server  # type: ignore[attr-defined]

    def listed(self, player: Player | None = None) -> MediaPlaylist:
        """Return what a player sees."""
        return parse_media((player or self.player).poll().body)

    def play(self, seconds: float, player: Player | None = None) -> MediaPlaylist:
        """Poll for a while."""
        for _poll in range(round(seconds)):
            self.rig.run(1.0)
            self.listed(player)
        return self.listed(player)

    def plain(self, segment: Segment, player: Player | None = None) -> bytes:
        """Fetch a segment, and what it is decrypted with."""
        player = player or self.player
        body = player.fetch(segment.uri).body
        if segment.key is None:
            return body
        return decrypt(body, player.fetch(segment.key.uri).body, segment.key.iv)


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
