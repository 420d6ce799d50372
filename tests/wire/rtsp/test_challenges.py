"""Tests of challenges and answers."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, strategies as st

from ntvmedia.wire.rtsp.challenges import (
    MAX_HEADER,
    Algorithm,
    Challenge,
    authorization,
    choose_challenge,
    parse_basic,
    parse_challenges,
)

# RFC 7616 section 3.9.1.
RFC_REALM = "http-auth@example.org"
RFC_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
RFC_HEADERS = [
    f'Digest realm="{RFC_REALM}", qop="auth, auth-int", algorithm={name}, nonce="{RFC_NONCE}", '
    f'opaque="{RFC_OPAQUE}"'
    for name in ("SHA-256", "MD5")
]
RFC_RESPONSES = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


@pytest.mark.parametrize("name", RFC_RESPONSES)
def test_rfc_example(name: str) -> None:
    """RFC 7616 3.9.1: both answers of the example."""
    (header,) = (header for header in RFC_HEADERS if f"algorithm={name}," in header)
    challenge = choose_challenge([header])
    assert challenge is not None
    answer = authorization(
        challenge, "Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce=RFC_CNONCE
    )
    assert answer == (
        f'Digest username="Mufasa", realm="{RFC_REALM}", nonce="{RFC_NONCE}", '
        f'uri="/dir/index.html", response="{RFC_RESPONSES[name]}", algorithm={name}, '
        f'opaque="{RFC_OPAQUE}", qop=auth, nc=00000001, cnonce="{RFC_CNONCE}"'
    )


def test_without_qop() -> None:
    """RFC 2069 2.1.2, as ffmpeg 9 and GStreamer 1.22 answer it (recorded)."""
    challenge = choose_challenge(['Digest realm="ntv", nonce="abc"'])
    assert challenge is not None
    url = "rtsp://127.0.0.1:9104/live/test?a=b"
    assert authorization(challenge, "us", "pa", "DESCRIBE", url) == (
        'Digest username="us", realm="ntv", nonce="abc", '
        'uri="rtsp://127.0.0.1:9104/live/test?a=b", response="e2c6da041360c70caa6efaf80e450979"'
    )
    gstreamer = authorization(challenge, "us", "pa", "DESCRIBE", "rtsp://127.0.0.1:9108/live/test")
    assert 'response="bdf406e05865a2e731f58b68369630ad"' in gstreamer


def test_counted() -> None:
    """RFC 7616 3.4: nc counts the requests of one nonce, as ffmpeg 5.1 does (recorded)."""
    challenge = choose_challenge(
        ['Digest realm="ntv", nonce="abc", opaque="op", qop="auth", algorithm=MD5, stale=FALSE']
    )
    assert challenge is not None
    assert not challenge.is_stale
    answer = authorization(
        challenge,
        "us",
        "pa",
        "SETUP",
        "rtsp://127.0.0.1:9105/live/test/trackID=0",
        count=2,
        cnonce="a157ea55935f88d7",
    )
    assert 'response="03001616b0f4b832ed5b6ba40aacd314"' in answer
    assert "nc=00000002" in answer


@pytest.mark.parametrize(
    ("headers", "scheme", "algorithm"),
    [
        (RFC_HEADERS, "digest", Algorithm.SHA_256),
        (['Basic realm="a"', 'Digest realm="a", nonce="b"'], "digest", Algorithm.MD5),
        (['Basic realm="a", Digest nonce="b", algorithm=sha-256'], "digest", Algorithm.SHA_256),
        (['Digest nonce="b", algorithm=SHA-512-256', "Basic"], "basic", Algorithm.MD5),
        (['Digest nonce="b", qop="auth-int"', "BASIC realm=a"], "basic", Algorithm.MD5),
        (['Digest realm="a"', "Basic x"], "basic", Algorithm.MD5),
    ],
)
def test_choice(headers: list[str], scheme: str, algorithm: Algorithm) -> None:
    """D-RQ-03, D-RQ-04: the strongest that is known, whatever the order; Basic at last."""
    challenge = choose_challenge(headers)
    assert challenge is not None
    assert challenge.scheme == scheme
    assert challenge.algorithm is algorithm


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["Negotiate"],
        ["Digest"],
        ['realm="a", nonce="b"'],
        ['Digest nonce="b", algorithm=MD5-sess'],
        ['Digest nonce="b' + "b" * MAX_HEADER + '"'],
    ],
)
def test_no_choice(headers: list[str]) -> None:
    """D-RQ-04: what nobody can answer is no crash."""
    assert choose_challenge(headers) is None


def test_basic_switched_off() -> None:
    """A client that shows its password to nobody has no answer to Basic."""
    assert choose_challenge(["Basic realm=a"], basic=False) is None


def test_quoted_commas() -> None:
    """D-RQ-04: a comma in quotation marks ends nothing."""
    assert parse_challenges([r'Digest realm="a, \"b\" c",nonce=d , Basic realm=e']) == [
        Challenge("digest", {"realm": 'a, "b" c', "nonce": "d"}),
        Challenge("basic", {"realm": "e"}),
    ]


def test_basic() -> None:
    """RFC 7617 2: the example, the one of 2.1 in UTF-8, and a client with latin-1."""
    challenge = Challenge("basic", {})
    answer = authorization(challenge, "Aladdin", "open sesame", "PLAY", "*")
    assert answer == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert parse_basic(answer) == ("Aladdin", "open sesame")
    assert parse_basic("basic dGVzdDoxMjPCow==") == ("test", "123\u00a3")
    latin = base64.b64encode("t\u00e4:p\u00e4".encode("latin-1")).decode()
    assert parse_basic(f"Basic  {latin}") == ("t\u00e4", "p\u00e4")


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic x", "Basic \u00e4", "Basic QWxh", "Digest QTpC", "Basic " + "A" * 5000],
)
def test_wrong_basic(header: str) -> None:
    """What is no user with a password is None."""
    assert parse_basic(header) is None


@given(st.text(), st.text(st.characters(exclude_categories=["Cs"]), max_size=9))
def test_any_text(text: str, password: str) -> None:
    """D-RQ-04: whatever a server says, a client has an answer or none, on one line."""
    parse_basic(text)
    challenge = choose_challenge([text, "Digest nonce=1," + text])
    if challenge is not None and "\n" not in text and "\r" not in text:
        answer = authorization(challenge, "user", password, "PLAY", "rtsp://h/a", cnonce="c")
        assert "\n" not in answer
