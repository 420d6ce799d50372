"""Tests of ntvmedia.clients.hls.intake."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad
from hypothesis import given, strategies as st

from ntvmedia.clients.hls.intake import Check, Enough, Gathered, Intake, WrongLength
from ntvmedia.errors import PeerError
from ntvmedia.formats.m3u8 import ByteRange
from ntvmedia.outbound.exchange import Answer
from ntvmedia.wire.hls.decryption import Decrypter
from tests.clients.hls.fakes import pieces

KEY, IV = b"k" * 16, b"i" * 16
FILE = bytes(range(256)) * 4


class Taken:
    """What came of a body, through an intake.

    Attributes:
        sink: What it gave.
        is_enough: It wanted no more of a longer one.
        count: What its end returned.
    """

    def __init__(
        self,
        body: list[bytes],
        *,
        byte_range: ByteRange | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        key: bytes = b"",
        check: Check | None = None,
    ) -> None:
        self.sink = Gathered()
        self.sink.write(b"of a try before")
        decrypter = Decrypter(key, IV) if key else None
        intake = Intake(self.sink, byte_range, decrypter, check)
        take = intake.accept(Answer(status, headers or {}, b"", "https://example.org/"))
        self.is_enough = False
        try:
            for data in body:
                take(data)
        except Enough:
            self.is_enough = True
        self.count = intake.end()

    @property
    def value(self) -> bytes:
        """What the sink has."""
        return self.sink.value()


def encrypted(data: bytes) -> bytes:
    """Encrypt with our key."""
    return bytes(AES.new(KEY, AES.MODE_CBC, IV).encrypt(pad(data, 16)))


# Whole bodies


def test_whole() -> None:
    """All of it, and nothing of the try before."""
    taken = Taken([b"ab", b"c"])
    assert (taken.value, taken.is_enough, taken.count) == (b"abc", False, 3)


@pytest.mark.parametrize("status", [201, 204, 206, 304, 403, 404, 416, 500])
def test_another_status(status: int) -> None:
    """The body of another answer is not for the sink, and not waited for."""
    sink = Gathered()
    take = Intake(sink, None, None, None).accept(Answer(status, {}, b""))
    with pytest.raises(Enough):
        take(b"an error page")
    assert sink.value() == b""


@pytest.mark.parametrize("key", [b"", KEY])
def test_empty(key: bytes) -> None:
    """A body without a byte is no segment, no key, no playlist: something went wrong there."""
    with pytest.raises(WrongLength, match="the answer is empty"):
        Taken([], key=key)


# Parts


@given(
    st.integers(0, 1000),
    st.integers(1, 300),
    st.lists(st.integers(0, 1300), max_size=5),
    st.sampled_from(["range", "all", "range without a field", "longer"]),
)
def test_range(offset: int, length: int, cuts: list[int], how: str) -> None:
    """The wanted part, of a server that knows ranges or not, however it comes in pieces."""
    wanted = FILE[offset : offset + length]
    body = {"all": FILE, "longer": FILE[offset:]}.get(how, wanted)
    headers = {"content-range": f"bytes {offset}-{offset + length - 1}/*"}
    taken = None
    try:
        taken = Taken(
            pieces(body, cuts),
            byte_range=ByteRange(length, offset),
            headers={} if how == "range without a field" else headers,
            status=200 if how == "all" else 206,
        )
    except WrongLength as error:
        assert len(wanted) < length
        if wanted:
            assert str(error) == f"{len(wanted):,} bytes came instead of {length:,}"
    if taken is not None:
        assert len(wanted) == length
        assert (taken.value, taken.count) == (wanted, length)
        # Nobody waits for a body of which all that is wanted is there.
        longer = len(body) > (offset + length if how == "all" else length)
        assert taken.is_enough >= longer


def test_range_at_the_end_of_a_piece() -> None:
    """Of a server that sends all, the rest is not waited for, not even a piece of it."""
    taken = Taken([FILE[:5], FILE[5:10]], byte_range=ByteRange(6, 4))
    assert (taken.value, taken.is_enough) == (FILE[4:10], True)


def test_another_range() -> None:
    """A server, or a cache, that gives another part is asked again; it is never mixed up."""
    for field in ("bytes 0-9/100", "bytes 11-20/100", "bytes 100-109/110"):
        with pytest.raises(WrongLength, match="instead of 10"):
            Taken([b"x" * 10], byte_range=ByteRange(10, 10), status=206,
                  headers={"content-range": field})  # fmt: skip


def test_another_range_is_told() -> None:
    """Both places stand in the message."""
    with pytest.raises(WrongLength) as caught:
        Taken([], byte_range=ByteRange(5, 1234567), status=206,
              headers={"content-range": "bytes 0-4/5"})  # fmt: skip
    assert str(caught.value) == "bytes from 0 came instead of 1,234,567"


@pytest.mark.parametrize("field", ["", "bytes */100", "items 3-4/5", "bytes=3-4/5", "bytes x-y/z"])
def test_strange_range_field(field: str) -> None:
    """What the field says is only believed where it can be read."""
    taken = Taken(
        [b"0123456789"],
        byte_range=ByteRange(10, 10),
        status=206,
        headers={"content-range": field},
    )
    assert taken.value == b"0123456789"


@pytest.mark.parametrize("count", [0, 1, 9])
def test_short_range(count: int) -> None:
    """Less than was asked for is not taken for the part."""
    with pytest.raises(WrongLength, match=f"{count} bytes came instead of 10"):
        Taken([b"x" * count], byte_range=ByteRange(10, 0), status=206)


def test_short_file() -> None:
    """A file without ranges ends before the part does, or before it begins."""
    with pytest.raises(WrongLength, match="3 bytes came instead of 10"):
        Taken([b"x" * 103], byte_range=ByteRange(10, 100))
    with pytest.raises(WrongLength, match="0 bytes came instead of 10"):
        Taken([b"x" * 50], byte_range=ByteRange(10, 100))


# Encrypted bodies


@given(st.binary(max_size=100), st.lists(st.integers(0, 120), max_size=5))
def test_encrypted(data: bytes, cuts: list[int]) -> None:
    """C-AE-01: decrypted as it comes, however it is cut."""
    locked = encrypted(data)
    taken = Taken(pieces(locked, cuts), key=KEY)
    assert (taken.value, taken.count) == (data, len(locked))


@given(st.binary(max_size=100), st.booleans(), st.lists(st.integers(0, 300), max_size=4))
def test_encrypted_range(data: bytes, knows_ranges: bool, cuts: list[int]) -> None:
    """A part of a file is encrypted by itself."""
    locked = encrypted(data)
    body = locked if knows_ranges else b"before" + locked + b"behind"
    taken = Taken(
        pieces(body, cuts),
        byte_range=ByteRange(len(locked), 6),
        status=206 if knows_ranges else 200,
        key=KEY,
    )
    assert taken.value == data


def test_wrong_key() -> None:
    """A wrong key is told as that."""
    with pytest.raises(PeerError, match="key is wrong"):
        Taken([encrypted(b"G" * 100)], key=b"x" * 16)


def test_encrypted_and_cut_off() -> None:
    """What has no whole blocks was cut off on its way, and may come whole the next time."""
    with pytest.raises(WrongLength, match="111 bytes came, which is no multiple of 16"):
        Taken([encrypted(b"G" * 100)[:-1]], key=KEY)


# What a check says


class Checked:
    """A check that knows after some bytes.

    Attributes:
        seen: What it was shown.
    """

    def __init__(self, enough: int, *, good: bool = True) -> None:
        self.seen: list[tuple[bytes, bool]] = []
        self._enough = enough
        self._good = good

    def __call__(self, head: bytes, is_all: bool) -> bool:
        self.seen.append((head, is_all))
        if not self._good and (is_all or len(head) >= self._enough):
            raise PeerError("it is no media", reference="RFC 8216 section 3")
        return len(head) >= self._enough


def test_check() -> None:
    """The sink has nothing before the check is content, then all of it, and each byte once."""
    check = Checked(4)
    taken = Taken([b"ab", b"c", b"de", b"fg"], check=check)
    assert taken.value == b"abcdefg"
    assert check.seen == [(b"ab", False), (b"abc", False), (b"abcde", False)]


def test_check_at_the_end() -> None:
    """A segment that is shorter than what a check would like to see."""
    check = Checked(100)
    taken = Taken([b"ab", b"c"], check=check)
    assert taken.value == b"abc"
    assert check.seen[-1] == (b"abc", True)


def test_check_refuses() -> None:
    """What is no media is not written; nobody waits for the rest of it."""
    for enough, body in ((4, [b"<html>", b"more"]), (100, [b"<html>"])):
        sink = Gathered()
        intake = Intake(sink, None, None, Checked(enough, good=False))
        take = intake.accept(Answer(200, {}, b""))
        with pytest.raises(PeerError, match="no media"):
            for data in body:
                take(data)
            intake.end()
        assert sink.value() == b""


@given(st.binary(min_size=1, max_size=60), st.integers(1, 80), st.lists(st.integers(0, 80)))
def test_check_of_what_is_decrypted(data: bytes, enough: int, cuts: list[int]) -> None:
    """It is shown what comes out, and the last block is part of that."""
    check = Checked(enough)
    taken = Taken(pieces(encrypted(data), cuts), key=KEY, check=check)
    assert taken.value == data
    heads = [head for head, _is_all in check.seen]
    assert all(data.startswith(head) for head in heads)
    assert heads == sorted(heads, key=len)
