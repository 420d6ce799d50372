"""Tests of ntvmedia.endpoints.http.hls.keys: keys of our own, and their names."""

from __future__ import annotations

import hashlib
import hmac
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hypothesis import given, strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access.keys import HLS_KEY_FILE
from ntvmedia.config import Settings
from ntvmedia.endpoints.http.hls.keys import Key, KeySource
from ntvmedia.errors import ConfigError
from ntvmedia.media import StreamKey

STREAM = StreamKey("liveshow", "test")
OTHER = StreamKey("liveshow", "test2")
NUMBER = 1_767_323_045

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.é中", min_size=1, max_size=20)
streams = st.builds(StreamKey, names, names)
numbers = st.integers(0, 10**19 - 1)


class Host:
    """As much of a server as its keys need."""

    def __init__(self, data: Path, seed: int = 1) -> None:
        self.settings = Settings(data=data)
        self.random = random.Random(seed).randbytes
        self.reactor = Clock()


class KeyCase(SynchronousTestCase):
    """A data folder, and the keys of a server that has it."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        self.keys = self.start()

    def start(self, seed: int = 1) -> KeySource:
        """Start a server."""
        keys = KeySource(cast(Any, Host(self.data, seed)))
        keys.privilegedStartService()
        keys.startService()
        self.addCleanup(keys.stopService)
        return keys

    def make(self, stream: StreamKey = STREAM, number: int = NUMBER, **options: Any) -> Key:
        """Return a key of our own."""
        keys: KeySource = options.get("keys", self.keys)
        return self.successResultOf(keys.make(stream, number, ""))

    def find(self, name: str, stream: StreamKey = STREAM) -> Key | None:
        """Return what is found under a name."""
        return self.successResultOf(self.keys.find(stream, name, ""))


class OwnKeyTests(KeyCase):
    """Keys that are derived from the server's secret."""

    def test_value(self) -> None:
        """A key is what the description says: an HMAC over parts with their lengths."""
        master = bytes.fromhex((self.data / HLS_KEY_FILE).read_text("ascii"))

        def derived(purpose: bytes) -> bytes:
            parts = (purpose, b"liveshow", b"test", b"1767323045")
            text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
            return hmac.new(master, text, hashlib.sha256).digest()

        tag = derived(b"name ours")[:8].hex()
        self.assertEqual(self.make(), Key(f"1767323045-{tag}.key", derived(b"key")[:16]))

    def test_start_makes_the_secret(self) -> None:
        """It is there before the first key is asked for, and nobody else may read it."""
        self.assertEqual((self.data / HLS_KEY_FILE).stat().st_mode & 0o777, 0o600)

    def test_restart(self) -> None:
        """A server that starts again with its data folder has the same keys."""
        key = self.make()
        again = self.start(seed=2)
        self.assertEqual(self.make(keys=again), key)
        self.assertEqual(self.successResultOf(again.find(STREAM, key.name, "")), key)

    def test_other_server(self) -> None:
        """A server with another secret has other keys, and does not know these."""
        key = self.make()
        (self.data / HLS_KEY_FILE).unlink()
        other = self.start(seed=2)
        self.assertNotEqual(self.make(keys=other).value, key.value)
        self.assertIsNone(self.successResultOf(other.find(STREAM, key.name, "")))

    def test_forged(self) -> None:
        """A name that was never given out is none: another number, tag, stream or spelling."""
        name = self.make().name
        number, tag = name.removesuffix(".key").split("-")
        wrong = f"{int(tag[0], 16) ^ 1:x}{tag[1:]}"
        for forged in (
            f"{NUMBER + 1}-{tag}.key",
            f"{number}-{wrong}.key",
            f"{number}-{tag.upper()}.key" if tag.upper() != tag else f"{number}-{tag}x.key",
            f"0{number}-{tag}.key",
            f"+{number}-{tag}.key",
            f"{number}-{tag}",
            f"{number}-{tag}.key ",
            f"{number}-{tag}.key\n",
            f"{number}-{tag[:-1]}.key",
            f"{'9' * 5000}-{tag}.key",
            f"\u0661-{tag}.key",
            f"../{name}",
            ".key",
            "",
        ):
            self.assertIsNone(self.find(forged), forged)
        self.assertIsNone(self.find(name, OTHER))
        self.assertIsNotNone(self.find(name))

    def test_broken_secret(self) -> None:
        """A secret that is none ends the start, with the file's name in the line."""
        (self.data / HLS_KEY_FILE).write_text("nonsense")
        with self.assertRaisesRegex(ConfigError, "keys/hls: no key"):
            self.start()

    def test_not_started(self) -> None:
        """Keys that nobody started have their secret when the first one is asked for."""
        path = self.data / "later"
        keys = KeySource(cast(Any, Host(path)))
        self.failureResultOf(keys.make(STREAM, 1, ""), ConfigError)
        path.mkdir()
        self.assertEqual(len(self.make(keys=keys).value), 16)
        self.assertTrue((path / HLS_KEY_FILE).exists())

    @given(st.lists(st.tuples(streams, numbers), unique=True, max_size=4))
    def test_all_differ(self, wanted: list[tuple[StreamKey, int]]) -> None:
        """No two streams or numbers share a key or a name, however their parts are cut."""
        made = {which: self.make(*which) for which in wanted}
        self.assertEqual(len({key.value for key in made.values()}), len(wanted))
        self.assertEqual(len({key.name for key in made.values()}), len(wanted))
        for (stream, _number), key in made.items():
            self.assertEqual(self.find(key.name, stream), key)

    def test_parts_are_not_run_together(self) -> None:
        """What moves from one part into the next is another stream."""
        one = self.make(StreamKey("ab", "c"), 1)
        self.assertNotEqual(self.make(StreamKey("a", "bc"), 1).value, one.value)
        self.assertNotEqual(self.make(StreamKey("ab", "c1"), 1).value, one.value)
