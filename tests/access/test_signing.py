"""Tests of ntvmedia.access.signing: signed addresses."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, strategies as st

from ntvmedia.access.signing import SIGNATURE_LENGTH, problem_of, signature, signed_query
from ntvmedia.media import StreamKey
from ntvmedia.media.names import parse_path, parse_rtmp

KEY = bytes(range(32))
STREAM = StreamKey("liveshow", "test")
NOW = 1_767_225_600
WRONG = "the signature of the address is wrong"
MISSING = "the address is not signed"
EXPIRED = "the signed address has expired"


@pytest.mark.parametrize(
    ("stream", "expires", "sign"),
    [
        (STREAM, 1767225600, "9kE1LY9_Wotd65L1v-v1WEYJXOa59gbI-M92-dDAzQs"),
        (StreamKey("演播室", "été"), 1, "gD-8CPmdXH-jVCs9AlNePlMt4Fr3W3gHUklOvfthJSE"),
        (StreamKey("a", "b"), 99999999999, "KTKzJl6ohCdGIrjuDRUYkffi0sfjYubVSxUmGPGzKzs"),
    ],
)
def test_vectors(stream: StreamKey, expires: int, sign: str) -> None:
    r"""Made by OpenSSL 3.

    printf 'play\n/liveshow/test\n1767225600' | openssl dgst -sha256 -mac HMAC
    -macopt hexkey:000102..1e1f -binary | base64 | tr '+/' '-_' | tr -d =
    """
    assert signature(KEY, stream, expires) == sign
    assert signed_query(KEY, stream, expires) == f"expires={expires}&sign={sign}"


def check(query: str, now: float = NOW, stream: StreamKey = STREAM) -> str:
    """Check the address of a stream, with a query as a player sends it."""
    return problem_of(KEY, stream, parse_path(f"/a/b?{query}").query, now)


def test_expiry() -> None:
    """F-AC-08: it plays until the second that it names, and not in it, on the server's clock."""
    query = signed_query(KEY, STREAM, NOW + 10)
    for now, problem in (
        (0, ""),
        (NOW, ""),
        (NOW + 9.999, ""),
        (NOW + 10, EXPIRED),
        (NOW + 11, EXPIRED),
        (NOW + 1e9, EXPIRED),
    ):
        assert check(query, now) == problem


def test_other_streams() -> None:
    """F-AC-08: it is worth nothing for another stream."""
    query = signed_query(KEY, STREAM, NOW + 10)
    for stream in (
        StreamKey("liveshow", "test2"),
        StreamKey("liveshow", "Test"),
        StreamKey("liveshowx", "test"),
        StreamKey("test", "liveshow"),
    ):
        assert check(query, stream=stream) == WRONG


def test_later_expiry() -> None:
    """F-AC-08: the moment cannot be changed, nor written in another way."""
    expires = NOW + 10
    sign = signature(KEY, STREAM, expires)
    for other in (
        f"{expires + 1}",
        f"0{expires}",
        f"%2B{expires}",
        f"+{expires}",
        f"{expires}+",
        f"{expires}.0",
        f"{expires}%00",
        f"-{expires}",
        f"{expires:x}",
        "1e10",
        "9" * 12,
        "9" * 3000,
        "%D9%A1%D9%A7",  # Arabic-Indic digits
        "x",
    ):
        assert check(f"expires={other}&sign={sign}") == WRONG, other


def test_missing() -> None:
    """Without one of the two it is not signed."""
    sign = signature(KEY, STREAM, NOW + 10)
    for query in ("", "expires=1", f"sign={sign}", f"expires=&sign={sign}", "expires=1&sign="):
        assert check(query) == MISSING


def test_wrong_signatures() -> None:
    """F-AC-08: truncated, longer, padded, in other alphabets, not ASCII, very long."""
    good = signature(KEY, STREAM, NOW + 10)
    last = chr(ord(good[-1]) + 1)  # other bits after the end: the same 32 bytes
    for sign in (
        good[:-1],
        good[1:],
        good + "A",
        good + "%3D",
        f"+{good}",
        good[:-1] + last,
        good.swapcase(),
        "A" * SIGNATURE_LENGTH,
        "%C3%A9" * SIGNATURE_LENGTH,
        "%ff" * SIGNATURE_LENGTH,
        "0" * 64,
        "A" * 3000,
    ):
        assert check(f"expires={NOW + 10}&sign={sign}") == WRONG, sign
    assert check(f"expires={NOW + 10}&sign={good}") == ""


def test_other_key() -> None:
    """A signature by another key is none, and neither is one without a key."""
    for key in (b"", bytes(32), KEY[::-1]):
        assert check(signed_query(key, STREAM, NOW + 10)) == WRONG


def test_repeated() -> None:
    """F-AC-08: of a parameter given twice the last is what is checked, on every protocol.

    So none that is put behind a good address makes it play longer.
    """
    good = signed_query(KEY, STREAM, NOW + 10)
    assert check(f"{good}&expires={NOW + 99}") == WRONG
    assert check(f"{good}&sign={'A' * 43}") == WRONG
    assert check(f"expires={NOW + 99}&sign=x&{good}") == ""
    address = parse_rtmp(f"liveshow?{good}", f"test?expires={NOW + 99}")
    assert problem_of(KEY, STREAM, address.query, NOW) == WRONG


NAMES = st.text("abé中-_1", min_size=1, max_size=8)
KEYS = st.builds(StreamKey, NAMES, NAMES)
MOMENTS = st.integers(1, 99_999_999_999)


@given(KEYS, MOMENTS, KEYS, MOMENTS)
def test_one_right(stream: StreamKey, expires: int, other: StreamKey, later: int) -> None:
    """A signature is good for one stream and one moment, and survives its way in an address."""
    query = signed_query(KEY, stream, expires)
    assert check(query, expires - 1, stream) == ""
    assert check(query, expires, stream) == EXPIRED
    assume((stream, expires) != (other, later))
    sign = signature(KEY, stream, expires)
    assert check(f"expires={later}&sign={sign}", 0, other) == WRONG


@given(st.dictionaries(st.sampled_from(["expires", "sign"]), st.text(max_size=50)))
def test_junk(query: dict[str, str]) -> None:
    """Whatever is sent is refused, and raises nothing."""
    assert problem_of(KEY, STREAM, query, NOW) in (MISSING, WRONG)
