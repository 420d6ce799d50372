"""Tests of RTSP in HTTP."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError, Refused
from ntvmedia.wire.rtsp.tunnel import MAX_COOKIE, TunnelDecoder, Tunnels, parse_cookie
from tests.wire.rtsp import traces

# RFC 4648 section 10.
VECTORS = {
    b"": b"",
    b"Zg==": b"f",
    b"Zm8=": b"fo",
    b"Zm9v": b"foo",
    b"Zm9vYg==": b"foob",
    b"Zm9vYmE=": b"fooba",
    b"Zm9vYmFy": b"foobar",
}


def decode(*pieces: bytes) -> tuple[bytes, str]:
    """Decode pieces; return what came out, and the error that ended it."""
    decoder = TunnelDecoder()
    found = b"".join([decoder.decode(piece) for piece in pieces])
    return found, str(decoder.error or "")


@pytest.mark.parametrize("text", VECTORS)
def test_vectors(text: bytes) -> None:
    """RFC 4648 10: the test vectors, also with white space in them, and one after the other."""
    assert decode(text) == (VECTORS[text], "")
    assert decode(b"\r\n ".join(text[at : at + 1] for at in range(len(text)))) == (
        VECTORS[text],
        "",
    )
    assert decode(text + text + b"\n") == (VECTORS[text] * 2, "")


def test_requests() -> None:
    """Each request is encoded by itself, so that padding stands in the middle."""
    requests = traces.GSTREAMER_PLAYS
    body = b"".join(map(base64.b64encode, requests))
    assert b"=" in body[:-4]
    assert decode(body) == (b"".join(requests), "")


@pytest.mark.parametrize(
    ("text", "good", "offset"),
    [
        (b"Zm9v!AAA", b"foo", 4),
        (b"Zm9vYg=A", b"foo", 4),
        (b"====", b"", 0),
        (b"A===", b"", 0),
        (b"Zg==Zm8=Z=8=Zm9v", b"ffo", 8),
        (b"Zm9vOPTIONS * RTSP/1.0\r\n", b"foo" + base64.b64decode(b"OPTI"), 8),
        (b"$\0\0\x01a", b"", 0),
    ],
)
def test_bad_base64(text: bytes, good: bytes, offset: int) -> None:
    """D-TR-14: what is not base64 ends it, after what is; for every cut the same."""
    expected = (good, f"a tunnel's body is not base64 at byte {offset} [Apple's RTSP over HTTP]")
    assert decode(text) == expected
    assert decode(*(text[at : at + 1] for at in range(len(text)))) == expected
    assert decode(text, b"Zm9v") == expected


@given(
    st.lists(st.binary(max_size=40), max_size=5),
    st.sampled_from((b"", b"!", b"Zm=9", b"=", b"Z")),
    st.data(),
)
def test_cuts_do_not_matter(messages: list[bytes], junk: bytes, data: st.DataObject) -> None:
    """D-TR-14: any split of a body gives the same bytes, and the same error."""
    body = b"".join(map(base64.b64encode, messages))
    stream = body + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]
    whole = decode(stream)
    assert whole[0] == b"".join(messages)
    assert decode(*(stream[a:b] for a, b in pairwise(places))) == whole


def test_linear() -> None:
    """Nothing but padding takes time in proportion (F-RE-08)."""
    assert decode(b"Zg==" * 100_000) == (b"f" * 100_000, "")


@pytest.mark.parametrize("text", ["40c8778761e1a371", " sffeykpkfuraenbobseybbc ", "a+/=;"])
def test_cookies(text: str) -> None:
    """The cookies of FFmpeg and GStreamer, as recorded, and an odd one."""
    assert parse_cookie(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a\0", "\u00e4", "a" * (MAX_COOKIE + 1), "a" * 10240]
)
def test_bad_cookies(text: str) -> None:
    """D-TR-14: no cookie, and one of 10 KB."""
    with pytest.raises(PeerError):
        parse_cookie(text)


def test_pairs() -> None:
    """D-TR-14: GET and POST meet; a POST that is used up is followed by another."""
    tunnels = Tunnels[str]()
    tunnels.open("a", "first")
    tunnels.open("b", "second")
    assert tunnels.attach("a") == "first"
    assert tunnels.attach("b") == "second"
    tunnels.detach("a")
    assert tunnels.attach("a") == "first"
    tunnels.close("a")
    tunnels.close("b")
    tunnels.detach("b")
    assert len(tunnels) == 0
    tunnels.open("a", "third")
    assert tunnels.attach("a") == "third"


def test_abuse() -> None:
    """D-TR-14: a second GET, a POST without GET, two POSTs at once."""
    tunnels = Tunnels[str]()
    with pytest.raises(Refused):
        tunnels.attach("a")
    tunnels.open("a", "first")
    with pytest.raises(Refused):
        tunnels.open("a", "second")
    tunnels.attach("a")
    with pytest.raises(Refused):
        tunnels.attach("a")
    assert len(tunnels) == 1
