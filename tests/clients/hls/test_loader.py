"""Tests of ntvmedia.clients.hls.loader: what it loads."""

from __future__ import annotations

import math
from typing import Any

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from ntvmedia.clients.hls import loader
from ntvmedia.clients.hls.intake import Gathered
from ntvmedia.clients.hls.loader import (
    MAX_INIT_BYTES,
    MAX_KEPT,
    MAX_PLAYLIST_BYTES,
    MAX_SEGMENT_BYTES,
    LoadError,
)
from ntvmedia.errors import PeerError
from ntvmedia.formats.m3u8 import ByteRange, MediaPlaylist, MultivariantPlaylist
from ntvmedia.wire.hls.resources import InitSection, Key, MediaSegment
from tests.clients.hls.fakes import LoaderCase, Reply

LIST = "https://example.org/a/index.m3u8"
SEGMENT = "https://example.org/a/1.ts"
KEY = "https://example.org/key"
INIT = "https://example.org/init.mp4"
SECRET, IV = b"0123456789abcdef", bytes(range(16))
TS = b"\x47" * 188
CLEAR = b"\0\0\0\x18ftypiso5\0\0\2\0iso5iso6" + b"\0\0\0\x08moov"
MEDIA = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n1.ts\n"


def segment(
    url: str = SEGMENT, *, byte_range: ByteRange | None = None, key: Key | None = None
) -> MediaSegment:
    """Return a segment, number 7."""
    return MediaSegment(7, url, byte_range, 4.0, None, False, False, None, key)


def locked(data: bytes, key: bytes = SECRET, iv: bytes = IV) -> bytes:
    """Encrypt."""
    return bytes(AES.new(key, AES.MODE_CBC, iv).encrypt(pad(data, 16)))


class PlaylistTests(LoaderCase):
    """Playlists."""

    def test_media(self) -> None:
        """It, and who answered."""
        self.serve(LIST, Reply(MEDIA, piece=5))
        playlist, base = self.result(self.loader.playlist(LIST))
        self.assertIsInstance(playlist, MediaPlaylist)
        self.assertEqual(playlist.segments[0].uri, "1.ts")
        self.assertEqual(base, LIST)

    def test_redirect(self) -> None:
        """E-SR-08: what it names is relative to where a redirect led."""
        other = "https://cdn.example.net/x/y.m3u8?token=1"
        body = b'#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM="token"\n#EXTINF:4,\n1.ts?t={$token}\n'
        self.serve(LIST, Reply(body, url=other))
        playlist, base = self.result(self.loader.playlist(LIST))
        self.assertEqual(base, other)
        self.assertEqual(playlist.segments[0].uri, "1.ts?t=1")

    def test_multivariant(self) -> None:
        """The other kind, and its variables for those that it names."""
        body = b'#EXTM3U\n#EXT-X-DEFINE:NAME="a",VALUE="b"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n'
        self.serve(LIST, Reply(body))
        playlist, _base = self.result(self.loader.playlist(LIST))
        self.assertIsInstance(playlist, MultivariantPlaylist)
        importing = b'#EXTM3U\n#EXT-X-DEFINE:IMPORT="a"\n#EXTINF:4,\n{$a}.ts\n'
        self.serve(LIST, Reply(importing))
        media, _base = self.result(self.loader.playlist(LIST, playlist.variables))
        self.assertEqual(media.segments[0].uri, "b.ts")

    def test_no_playlist(self) -> None:
        """What is none is told, and not asked for again."""
        self.serve(LIST, Reply(b"<html>"))
        error = self.problem(self.loader.playlist(LIST), LoadError)
        self.assertIn(f"the playlist, {LIST}: it is no playlist", str(error))
        self.assertEqual((len(self.outbound.asked), self.lines), (1, []))

    def test_limit(self) -> None:
        """F-SS-04: there is a longest one, and a longest time for it."""
        self.serve(LIST, Reply(MEDIA))
        self.result(self.loader.playlist(LIST))
        options = self.outbound.asked[0].options
        self.assertEqual(options["limit_bytes"], MAX_PLAYLIST_BYTES)
        self.assertEqual(options["timeout_seconds"], 60.0)


class KeyTests(LoaderCase):
    """Keys."""

    def test_once(self) -> None:
        """Each is loaded once, whatever it is used with, by as many as want it."""
        self.serve(KEY, None)
        waiting = [self.start(self.loader.key(Key(KEY, iv))) for iv in (IV, bytes(16), b"x" * 16)]
        self.assertEqual(len(self.outbound.asked), 1)
        # The one that asks is cancelled: another of them asks.
        self.serve(KEY, Reply(SECRET))
        waiting[0].cancel()
        self.failureResultOf(waiting[0])
        self.assertEqual([self.successResultOf(x) for x in waiting[1:]], [SECRET] * 2)
        self.assertEqual(self.result(self.loader.key(Key(KEY, IV))), SECRET)
        self.assertEqual(self.outbound.urls(), [KEY] * 2)

    def test_others(self) -> None:
        """Keys of other addresses are others; while one does not come, others do."""
        other = f"{KEY}?2"
        self.serve(KEY, None)
        self.serve(other, Reply(b"x" * 16))
        waiting = self.start(self.loader.key(Key(KEY, IV)))
        self.assertEqual(self.result(self.loader.key(Key(other, IV))), b"x" * 16)
        self.assertNoResult(waiting)
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_length(self) -> None:
        """A key has 16 bytes; an error page has not, and is not asked for again."""
        for value in (b"x" * 15, b"x" * 17, b"x" * 32, b"<html>no</html>"):
            self.serve(KEY, Reply(value))
            error = self.problem(self.loader.key(Key(KEY, IV)), LoadError)
            self.assertEqual(str(error), f"the key at {KEY} has {len(value)} bytes instead of 16")
        self.assertEqual(len(self.outbound.asked), 4)
        # It may be right the next time.
        self.serve(KEY, Reply(SECRET))
        self.assertEqual(self.result(self.loader.key(Key(KEY, IV))), SECRET)

    def test_longer_than_any_key(self) -> None:
        """A film in place of a key is not loaded."""
        self.serve(KEY, Reply(b"x" * 5000))
        self.assertIn("longer", str(self.problem(self.loader.key(Key(KEY, IV)), LoadError)))

    def test_refused(self) -> None:
        """A refusal says so, once."""
        for status in (401, 403):
            self.serve(KEY, Reply(b"no", status))
            error = self.problem(self.loader.key(Key(KEY, IV)), LoadError)
            self.assertEqual(str(error), f"the key, {KEY}: the server refuses it ({status})")
            self.assertEqual(error.status, status)
        self.assertEqual(self.lines, [])

    def test_own(self) -> None:
        """`--key` is used for all, and none is asked for, wherever the list says that they are."""
        loader = self.make_loader(key=b"y" * 16)
        for key in (Key(KEY, IV), Key("", IV, "the key is one of 'x', which is not supported")):
            self.assertEqual(self.result(loader.key(key)), b"y" * 16)
        self.assertEqual(self.outbound.asked, [])

    def test_not_to_be_had(self) -> None:
        """A key without an address is told as the list's."""
        error = self.problem(self.loader.key(Key("", IV, "the key is strange")), LoadError)
        self.assertEqual(str(error), "the key is strange")
        self.assertEqual(self.outbound.asked, [])


class InitSectionTests(LoaderCase):
    """Init sections."""

    def test_once(self) -> None:
        """Each is loaded once, by as many as want it."""
        section = InitSection(INIT, None, None)
        self.serve(INIT, Reply(b"init"))
        for _time in range(3):
            self.assertEqual(self.result(self.loader.init_section(section)), b"init")
        self.assertEqual(self.outbound.urls(), [INIT])
        self.assertEqual(self.outbound.asked[0].options["limit_bytes"], MAX_INIT_BYTES)

    def test_parts_of_one_file(self) -> None:
        """Others of the same file are others."""
        self.serve(INIT, Reply(b"0123456789"))
        for offset, value in ((0, b"012"), (3, b"345"), (0, b"012")):
            section = InitSection(INIT, ByteRange(3, offset), None)
            self.assertEqual(self.result(self.loader.init_section(section)), value)
        self.assertEqual(len(self.outbound.asked), 2)

    def test_part_of_a_film(self) -> None:
        """A server that knows no ranges sends the film, which begins with what is wanted."""
        self.serve(INIT, Reply(b"init" + bytes(MAX_INIT_BYTES), piece=1 << 20))
        section = InitSection(INIT, ByteRange(4, 0), None)
        self.assertEqual(self.result(self.loader.init_section(section)), b"init")

    def test_too_long(self) -> None:
        """F-SS-04: none is as long as a film, announced or not."""
        self.serve(INIT, Reply(bytes(MAX_INIT_BYTES + 1)))
        for extent in (None, ByteRange(MAX_INIT_BYTES + 1, 0)):
            error = self.problem(
                self.loader.init_section(InitSection(INIT, extent, None)), LoadError
            )
            self.assertIn("long", str(error))

    def test_encrypted(self) -> None:
        """C-AE-04: it is encrypted like a segment, and its key is loaded once for both."""
        key = Key(KEY, IV)
        self.serve(KEY, Reply(SECRET))
        self.serve(INIT, Reply(locked(CLEAR)))
        self.serve(SEGMENT, Reply(locked(TS)))
        section = InitSection(INIT, None, key)
        for _time in range(2):
            self.assertEqual(self.result(self.loader.init_section(section)), CLEAR)
        sink = Gathered()
        self.result(self.loader.segment(segment(key=key), sink))
        self.assertEqual(sink.value(), TS)
        self.assertEqual(sorted(self.outbound.urls()), sorted([KEY, INIT, SEGMENT]))

    def test_clear_after_all(self) -> None:
        """C-AE-04: FFmpeg's list has a key before the MAP, and yet the init section is clear."""
        self.serve(INIT, Reply(CLEAR))
        for iv in (IV, b""):
            section = InitSection(INIT, None, Key(KEY, iv))
            self.assertEqual(self.result(self.loader.init_section(section)), CLEAR)
        self.assertNotIn(KEY, self.outbound.urls())

    def test_looks_like_sound(self) -> None:
        """C-AE-04: what is encrypted may begin as packed audio does, by chance."""
        self.serve(KEY, Reply(SECRET))
        for beginning in (b"\xff\xf1\x50\x80", b"\xff\xfb\x90\x44", b"\x0b\x77", b"G", b"ID3"):
            iv = bytes(a ^ b for a, b in zip(CLEAR, _decrypted(beginning), strict=False))
            data = locked(CLEAR, iv=iv)
            self.assertTrue(data.startswith(beginning))
            self.serve(INIT, Reply(data))
            section = InitSection(INIT, None, Key(KEY, iv))
            self.assertEqual(self.result(self.loader.init_section(section)), CLEAR)

    def test_no_iv(self) -> None:
        """C-AE-04: an encrypted one needs an IV: no number is its own."""
        self.serve(KEY, Reply(SECRET))
        self.serve(INIT, Reply(locked(CLEAR)))
        error = self.problem(
            self.loader.init_section(InitSection(INIT, None, Key(KEY, b""))), LoadError
        )
        self.assertIn("no IV", str(error))

    def test_wrong_key(self) -> None:
        """A wrong key shows by the padding."""
        loader = self.make_loader(key=b"another key 1234")
        self.serve(INIT, Reply(locked(CLEAR)))
        section = InitSection(INIT, None, Key(KEY, IV))
        error = self.problem(loader.init_section(section), LoadError)
        self.assertIn(f"the init section, {INIT}: the key is wrong", str(error))


def _decrypted(beginning: bytes) -> bytes:
    """Return what a block that begins so is before it is mixed with the IV."""
    block = beginning + bytes(16 - len(beginning))
    return bytes(AES.new(SECRET, AES.MODE_ECB).decrypt(block))


class SegmentTests(LoaderCase):
    """Segments."""

    def load(self, what: MediaSegment, **options: Any) -> bytes:
        """Load one, and return it."""
        sink = Gathered()
        self.result(self.loader.segment(what, sink, **options))
        return sink.value()

    def test_clear(self) -> None:
        """It may take as long as it takes, if only something comes, and be very long."""
        self.serve(SEGMENT, Reply(TS, piece=10))
        counts: list[int] = []
        self.assertEqual(self.load(segment(), received=counts.append), TS)
        options = self.outbound.asked[0].options
        self.assertEqual(options["timeout_seconds"], math.inf)
        self.assertEqual(options["idle_seconds"], 30.0)
        self.assertEqual(options["limit_bytes"], MAX_SEGMENT_BYTES)
        self.assertEqual((sum(counts), max(counts)), (188, 10))

    def test_range(self) -> None:
        """RFC 9110 14.2: the last byte is named, not the one behind it."""
        what = segment(byte_range=ByteRange(3, 4))
        self.serve(SEGMENT, Reply(b"456", 206, {"content-range": "bytes 4-6/10"}))
        self.assertEqual(self.load(what), b"456")
        # A server that does not know it.
        self.serve(SEGMENT, Reply(b"0123456789"))
        self.assertEqual(self.load(what), b"456")
        for asked in self.outbound.asked:
            self.assertEqual(asked.all_fields()["Range"], "bytes=4-6")

    def test_range_goes_along(self) -> None:
        """The range is asked for wherever a redirect leads too."""
        self.serve(SEGMENT, Reply(b"456", 206))
        self.load(segment(byte_range=ByteRange(3, 4)))
        self.assertEqual(self.outbound.asked[0].options["shared_headers"]["Range"], "bytes=4-6")

    def test_206_unasked(self) -> None:
        """A part of what was wanted whole is not taken for it."""
        self.serve(SEGMENT, Reply(b"x", 206))
        error = self.problem(self.loader.segment(segment(), Gathered()), LoadError)
        self.assertIn("answers 206, which is not segment 7", str(error))

    def test_encrypted(self) -> None:
        """C-AE-01: with its own IV, and that which its number makes."""
        self.serve(KEY, Reply(SECRET))
        for iv in (IV, (7).to_bytes(16, "big")):
            self.serve(SEGMENT, Reply(locked(TS, iv=iv), piece=33))
            self.assertEqual(self.load(segment(key=Key(KEY, iv))), TS)
        self.assertEqual(self.outbound.urls().count(KEY), 1)

    def test_wrong_key(self) -> None:
        """A wrong key shows by the padding, and asking again is of no use."""
        self.serve(SEGMENT, Reply(locked(TS)))
        loader = self.make_loader(key=b"another key 1234")
        error = self.problem(loader.segment(segment(key=Key(KEY, IV)), Gathered()), LoadError)
        self.assertIn(f"segment 7, {SEGMENT}: the key is wrong", str(error))
        self.assertEqual((len(self.outbound.asked), self.lines), (1, []))

    def test_no_media(self) -> None:
        """What the check refuses is told with the name of the segment, once."""

        def refuse(_head: bytes, _is_all: bool) -> bool:
            raise PeerError("it looks like an HTML page", reference="RFC 8216 section 3")

        self.serve(SEGMENT, Reply(b"<html>"))
        error = self.problem(self.loader.segment(segment(), Gathered(), refuse), LoadError)
        self.assertEqual(str(error), f"segment 7, {SEGMENT}: it looks like an HTML page")
        self.assertEqual((len(self.outbound.asked), self.lines), (1, []))

    def test_sink_fails(self) -> None:
        """What a sink raises, such as a full disk, is the caller's, and not tried again."""

        class Full(Gathered):
            def write(self, data: bytes) -> None:
                raise OSError(28, "No space left on device")

        self.serve(SEGMENT, Reply(TS))
        error = self.problem(self.loader.segment(segment(), Full()), OSError)
        self.assertEqual(error.errno, 28)
        self.assertEqual(len(self.outbound.asked), 1)


class FieldTests(LoaderCase):
    """Header fields and cookies."""

    def test_private(self) -> None:
        """E-SR-08: what says who somebody is goes to one origin, whatever lists name."""
        loader = self.make_loader(
            fields={"Referer": "https://r/"},
            private_fields={"https://example.org": {"Authorization": "secret", "Cookie": "a=b"}},
        )
        for url, is_private in (
            ("https://example.org/1.ts", True),
            ("https://EXAMPLE.org:443/1.ts", True),
            ("http://example.org/1.ts", False),
            ("https://example.org:444/1.ts", False),
            ("https://example.org.evil.example/1.ts", False),
            ("https://example.org@evil.example/1.ts", False),
            ("https://evil.example/https://example.org/", False),
        ):
            self.serve(url, Reply(TS))
            self.result(loader.segment(segment(url), Gathered()))
            asked = self.outbound.asked[-1]
            self.assertEqual(asked.options["shared_headers"], {"Referer": "https://r/"})
            expected = {"Authorization": "secret", "Cookie": "a=b"} if is_private else {}
            self.assertEqual(asked.headers, expected, url)

    def test_cookies(self) -> None:
        """One jar for all that is asked, none where none is wanted."""
        jar: Any = object()
        self.serve(SEGMENT, Reply(TS))
        for cookies in (jar, None):
            loader = self.make_loader(cookies=cookies, idle_seconds=5.0)
            self.result(loader.segment(segment(), Gathered()))
            self.assertIs(self.outbound.asked[-1].options["cookies"], cookies)
            self.assertEqual(self.outbound.asked[-1].options["idle_seconds"], 5.0)

    def test_secrets(self) -> None:
        """Errors and reports show neither user, password nor query."""
        url = "https://me:secret1@example.org/a/1.ts?token=secret2#secret3"
        self.serve(url, Reply(b"", 503), Reply(b"", 404))
        waiting = self.patience(self.loader.segment(segment(url), Gathered()))
        error = self.failureResultOf(waiting, LoadError).value
        self.assertEqual(str(error), f"segment 7, {SEGMENT}: the server does not have it (404)")
        self.assertNotIn("secret", " ".join(self.lines))

    def test_long_address(self) -> None:
        """Only the end of a long path is shown, which tells more than its beginning."""
        url = f"https://example.org/{'x' * 5000}/1.ts"
        self.serve(url, Reply(b"", 404))
        message = str(self.problem(self.loader.segment(segment(url), Gathered()), LoadError))
        self.assertTrue(message.startswith("segment 7, https://example.org…"))
        self.assertIn("xxx/1.ts: ", message)
        self.assertLess(len(message), 250)


class KeptTests(LoaderCase):
    """What is kept of a stream that goes on for weeks."""

    def test_keys(self) -> None:
        """A new key for each segment is kept for a while, and the oldest is forgotten."""
        for number in range(MAX_KEPT + 10):
            self.serve(f"{KEY}{number}", Reply(SECRET))
            self.result(self.loader.key(Key(f"{KEY}{number}", IV)))
        count = len(self.outbound.asked)
        self.result(self.loader.key(Key(f"{KEY}{MAX_KEPT + 9}", IV)))
        self.result(self.loader.key(Key(f"{KEY}10", IV)))
        self.assertEqual(len(self.outbound.asked), count)
        self.result(self.loader.key(Key(f"{KEY}9", IV)))
        self.assertEqual(len(self.outbound.asked), count + 1)

    def test_wanted_lately(self) -> None:
        """The key of all segments is kept, however many others there are."""
        for number in range(2 * MAX_KEPT):
            self.serve(f"{KEY}{number}", Reply(SECRET))
            self.serve(KEY, Reply(SECRET))
            self.result(self.loader.key(Key(f"{KEY}{number}", IV)))
            self.result(self.loader.key(Key(KEY, IV)))
        self.assertEqual(self.outbound.urls().count(KEY), 1)

    def test_init_sections(self) -> None:
        """Init sections are kept as far as there is room for their bytes, and the last always."""
        large = CLEAR + bytes(1000)
        self.patch(loader, "MAX_KEPT_BYTES", 2000)
        for number in (1, 2, 3, 3, 2, 1):
            self.serve(f"{INIT}{number}", Reply(large))
            section = InitSection(f"{INIT}{number}", None, None)
            self.assertEqual(self.result(self.loader.init_section(section)), large)
        self.assertEqual([url[-1] for url in self.outbound.urls()], ["1", "2", "3", "2", "1"])

    def test_no_locks_left(self) -> None:
        """What keeps two from loading the same is gone with them, also when it cannot be had."""
        self.serve(KEY, None)
        first = self.start(self.loader.key(Key(KEY, IV)))
        second = self.start(self.loader.key(Key(KEY, IV)))
        self.assertEqual(len(self.outbound.asked), 1)
        second.cancel()
        self.failureResultOf(second)
        first.cancel()
        self.failureResultOf(first)
        self.serve(KEY, Reply(SECRET))
        self.assertEqual(self.result(self.loader.key(Key(KEY, IV))), SECRET)
        self.assertEqual(self.loader._locks, {})
