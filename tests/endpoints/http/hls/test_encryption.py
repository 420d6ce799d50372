"""Which key a segment has, and how it is encrypted."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints.http.hls.encryption import Encryption, encrypt
from ntvmedia.endpoints.http.hls.keys import Key
from ntvmedia.formats import m3u8
from ntvmedia.media import StreamKey
from tests.hls.resources import decrypt
from tests.hls.rig import KEY

TEMPLATE = "https://keys.example/{application}/{stream}/{key}"
OTHER_TEMPLATE = "https://other.example/{key}"


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
