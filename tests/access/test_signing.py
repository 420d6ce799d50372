"""Tests of ntvmedia.access.signing: signed addresses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from ntvmedia.access import signing
from ntvmedia.access.signing import SIGNATURE_LENGTH, Signed, signature, signed_query
from ntvmedia.media import StreamKey
from ntvmedia.media.names import parse_path, parse_rtmp

KEY = bytes(range(32))
STREAM = StreamKey("liveshow", "test")
NOW = 1_767_225_600
WRONG = "the signature of the address is wrong"
MISSING = "the address is not signed"
EXPIRED = "the signed address has expired"
ELSEWHERE = "the signed address is for somebody else's IP address"


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


KEYS = {"": KEY, "k1": bytes(32), "of_tv": KEY[::-1]}


def key_of(id: str, application: str) -> bytes:
    """Return a key; one of them is for one application."""
    return b"" if id == "of_tv" and application != "tv" else KEYS.get(id, b"")


def signed(
    query: str, now: float | None = NOW, stream: StreamKey = STREAM, peer: str = "192.0.2.7:5"
) -> Signed:
    """Check the address of a stream, with a query as a player sends it."""
    return signing.check(key_of, stream, parse_path(f"/a/b?{query}").query, peer, now)


def check(
    query: str, now: float | None = NOW, stream: StreamKey = STREAM, peer: str = "192.0.2.7:5"
) -> str:
    """Say what is wrong with an address."""
    return signed(query, now, stream, peer).problem


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
    assert signing.check(key_of, STREAM, address.query, "", NOW).problem == WRONG


NAMES = st.text("abé中-_1", min_size=1, max_size=8)
STREAMS = st.builds(StreamKey, NAMES, NAMES)
MOMENTS = st.integers(1, 99_999_999_999)


@given(STREAMS, MOMENTS, STREAMS, MOMENTS)
def test_one_right(stream: StreamKey, expires: int, other: StreamKey, later: int) -> None:
    """A signature is good for one stream and one moment, and survives its way in an address."""
    query = signed_query(KEY, stream, expires)
    assert check(query, expires - 1, stream) == ""
    assert check(query, expires, stream) == EXPIRED
    assume((stream, expires) != (other, later))
    sign = signature(KEY, stream, expires)
    assert check(f"expires={later}&sign={sign}", 0, other) == WRONG


FIELDS = ["expires", "sign", "ip", "viewers", "kid"]


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=50)), st.text(max_size=30))
def test_junk(query: dict[str, str], peer: str) -> None:
    """Whatever is sent is refused, and raises nothing."""
    assert signing.check(key_of, STREAM, query, peer, NOW).problem in (MISSING, WRONG)


@pytest.mark.parametrize(
    ("options", "query", "sign"),
    [
        ({"ip": "192.0.2.7"}, "&ip=192.0.2.7", "V5DF6urIQkLMz1hXFulxuLJmRgsWBteNqQSETH22bP0"),
        (
            {"ip": "2001:db8::/64", "viewers": 3},
            "&ip=2001:db8::%2F64&viewers=3",
            "1ZsLst_QLclF8yKapSoBpT2S7KAOud3i3_pO6Tz6YhE",
        ),
        ({"key_id": "k1"}, "&kid=k1", "AHrr7cuZthc12mCKv9JGjXMiXonG1YkXuRCYLdoLTiE"),
    ],
    ids=["ip", "network-viewers", "kid"],
)
def test_vectors_with_options(options: dict[str, Any], query: str, sign: str) -> None:
    r"""Made by OpenSSL 3, as those above: each option is a line more. The key k1 is 32 zeros.

    printf 'play\n/liveshow/test\n1767225600\nip=192.0.2.7' | openssl dgst ...
    """
    key = KEYS[options.get("key_id", "")]
    assert signature(key, STREAM, NOW, **options) == sign
    assert signed_query(key, STREAM, NOW, **options) == f"expires={NOW}&sign={sign}{query}"


def test_ip() -> None:
    """F-AC-08: an address for one IP address or network plays from there only."""
    for ip, good, bad in (
        ("192.0.2.7", ["192.0.2.7:1", "[::ffff:192.0.2.7]:1", "192.0.2.7"], ["192.0.2.8:1", ""]),
        ("192.0.2.0/24", ["192.0.2.255:1"], ["192.0.3.0:1", "[2001:db8::1]:1"]),
        ("2001:db8::/64", ["[2001:db8::ffff]:1"], ["[2001:db8:0:1::]:1", "192.0.2.7:1"]),
        ("::ffff:192.0.2.7", ["192.0.2.7:1"], ["192.0.2.8:1"]),
    ):
        query = signed_query(KEY, STREAM, NOW + 10, ip=ip)
        for peer in good:
            assert check(query, peer=peer) == "", (ip, peer)
        for peer in bad:
            assert check(query, peer=peer) == ELSEWHERE, (ip, peer)
        # It cannot be taken out, emptied or exchanged.
        for other in (f"expires={NOW + 10}&sign={query.split('sign=')[1][:43]}", f"{query}&ip="):
            assert check(other, peer=good[0]) == WRONG
        assert check(f"{query}&ip=192.0.2.9", peer="192.0.2.9:1") == WRONG


def test_ip_that_is_none() -> None:
    """What was signed for no address at all plays from nowhere, and raises nothing."""
    for ip in ("192.0.2", "192.0.2.1/8", "1.2.3.4.5", "10.0.0.0/99"):
        assert check(signed_query(KEY, STREAM, NOW + 10, ip=ip), peer="192.0.2.1:1") == ELSEWHERE
    for ip in ("all", "example.org", "1.2.3.4\nviewers=5", "fe80::1%25eth0"):
        assert check(signed_query(KEY, STREAM, NOW + 10, ip=ip)) == WRONG


def test_viewers() -> None:
    """The number of viewers is signed, and what they are counted by is the address."""
    query = signed_query(KEY, STREAM, NOW + 10, viewers=2)
    found = signed(query)
    assert (found.problem, found.expires, found.viewers) == ("", NOW + 10, 2)
    assert found.ticket == f"sign:{query.split('sign=')[1][:43]}"
    assert signed(signed_query(KEY, STREAM, NOW + 10)).ticket == ""
    for other in ("3", "0", "02", "-1", "", "2.0", "9999999999", "\u0662"):
        assert check(f"{query}&viewers={other}") == WRONG, other


def test_key_ids() -> None:
    """F-AC-08: an address says which key it is signed with; one of another key is wrong."""
    good = signed_query(bytes(32), STREAM, NOW + 10, key_id="k1")
    assert check(good) == ""
    for kid in ("", "k2", "of_tv", "k1%00", "K1", "x" * 33, "../k1"):
        assert check(f"{good}&kid={kid}") == WRONG, kid
    bound = signed_query(KEY[::-1], StreamKey("tv", "x"), NOW + 10, key_id="of_tv")
    assert check(bound, stream=StreamKey("tv", "x")) == ""
    bound = signed_query(KEY[::-1], STREAM, NOW + 10, key_id="of_tv")
    assert check(bound) == WRONG


def test_no_such_key() -> None:
    """F-RE-15: a key that there is not is no key of zeros, and not that of another id."""
    for key in (bytes(32), KEY, b""):
        assert check(signed_query(key, STREAM, NOW + 10, key_id="gone")) == WRONG


def test_after_the_start() -> None:
    """F-AC-09: where the moment does not count any more, all else does."""
    query = signed_query(KEY, STREAM, NOW - 10, ip="192.0.2.7")
    assert check(query) == EXPIRED
    assert check(query, None) == ""
    assert check(query, None, peer="192.0.2.8:1") == ELSEWHERE
    assert check(f"{query}&expires={NOW}", None) == WRONG
