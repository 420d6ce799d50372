"""Tests of a server's challenges and of how it looks at answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ntvmedia.wire.rtsp.authentication import (
    NONCE_SECONDS,
    Checked,
    Outcome,
    Verifier,
    is_about,
)
from ntvmedia.wire.rtsp.challenges import Algorithm, authorization, choose_challenge

SECRET = bytes(range(32))
URL = "rtsp://h:8554/live/test"


def password_of(user: str) -> str | None:
    """Know one user."""
    return 'pa:ss, "w"' if user == "us" else None


def verifier(peer: str = "192.0.2.1", **options: Any) -> Verifier:
    """Make the verifier of one connection."""
    return Verifier("ntv", SECRET, peer, **options)


def answer(
    headers: list[str],
    *,
    user: str = "us",
    password: str = 'pa:ss, "w"',
    method: str = "DESCRIBE",
    url: str = URL,
    count: int = 1,
) -> str:
    """Answer what a server asks."""
    challenge = choose_challenge(headers)
    assert challenge is not None
    return authorization(challenge, user, password, method, url, count=count, cnonce="xyz")


def test_challenges() -> None:
    """D-RQ-03: Digest first, Basic listed too; either can be switched off."""
    sha, md5, basic = verifier().challenges(1000.0)
    assert sha.startswith('Digest realm="ntv", nonce="3e8-')
    assert sha.endswith(", algorithm=SHA-256")
    assert md5.startswith('Digest realm="ntv", nonce="3e8-')
    assert "algorithm" not in md5
    assert basic == 'Basic realm="ntv"'
    (only,) = verifier(algorithms=(Algorithm.MD5,), basic=False, qop=True).challenges(0, stale=True)
    assert only.endswith('", qop="auth", stale=true')
    assert verifier(algorithms=()).challenges(0) == [basic]


@pytest.mark.parametrize("qop", [False, True])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_accepted(index: int, qop: bool) -> None:
    """D-RQ-04: SHA-256, MD5 and Basic, with qop and without."""
    ours = verifier(qop=qop)
    header = answer([ours.challenges(1000.0)[index]])
    assert ours.verify(header, "DESCRIBE", URL, password_of, 1001.0) == (Outcome.ACCEPTED, "us")


@pytest.mark.parametrize("index", [0, 1, 2])
def test_wrong_password(index: int) -> None:
    """A wrong password and an unknown user are the same to the client."""
    ours = verifier()
    asked = [ours.challenges(1000.0)[index]]
    attempts: list[dict[str, Any]] = [
        {"password": "x"},
        {"user": "nobody"},
        {"user": "nobody", "password": "\0"},
    ]
    for options in attempts:
        header = answer(asked, **options)
        checked = ours.verify(header, "DESCRIBE", URL, password_of, 1000.0)
        assert checked == Checked(Outcome.WRONG, options.get("user", "us"))


def test_other_requests() -> None:
    """A digest is for one method, and one stream."""
    ours = verifier()
    header = answer(ours.challenges(0.0))
    assert ours.verify(header, "ANNOUNCE", URL, password_of, 0.0).outcome is Outcome.WRONG
    other = "rtsp://h:8554/live/test2"
    assert ours.verify(header, "DESCRIBE", other, password_of, 0.0).outcome is Outcome.WRONG


def test_stale() -> None:
    """RFC 7616 3.3: old, foreign and invented nonces are asked for again, not refused."""
    ours = verifier()
    header = answer(ours.challenges(1000.0))
    for now, outcome in (
        (1000.0 + NONCE_SECONDS, Outcome.ACCEPTED),
        (1000.0 + NONCE_SECONDS + 1, Outcome.STALE),
        (998.0, Outcome.STALE),
    ):
        assert ours.verify(header, "DESCRIBE", URL, password_of, now).outcome is outcome
    others = verifier("192.0.2.2")
    assert others.verify(header, "DESCRIBE", URL, password_of, 1000.0).outcome is Outcome.STALE
    invented = answer(['Digest realm="ntv", nonce="3e8-00000000000000000000000000000000"'])
    assert ours.verify(invented, "DESCRIBE", URL, password_of, 1000.0).outcome is Outcome.STALE


def test_used_again() -> None:
    """D-RQ-04: with qop an answer counts once; a larger nc goes on."""
    ours = verifier(qop=True)
    asked = ours.challenges(0.0)
    outcomes = []
    for count in (1, 2, 2, 1, 5):
        header = answer(asked, count=count)
        outcomes.append(ours.verify(header, "DESCRIBE", URL, password_of, 0.0).outcome)
    good, again = Outcome.ACCEPTED, Outcome.STALE
    assert outcomes == [good, good, again, again, good]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (("Digest ", ""), Outcome.WRONG),
        (("Digest ", "Bearer "), Outcome.WRONG),
        (("SHA-256", "SHA-512"), Outcome.WRONG),
        (("SHA-256", "MD5"), Outcome.WRONG),
        ((", algorithm=SHA-256", ""), Outcome.WRONG),
        (('realm="ntv"', 'realm="other"'), Outcome.WRONG),
        (("response=", "x="), Outcome.WRONG),
        (("nonce=", "x="), Outcome.STALE),
        (("uri=", "x="), Outcome.WRONG),
        (("username=", "x="), Outcome.WRONG),
        (("qop=auth", "qop=auth-int"), Outcome.WRONG),
        (("nc=00000001", "nc=0000000g"), Outcome.WRONG),
        (("nc=00000001", "nc="), Outcome.WRONG),
        (("cnonce=", "x="), Outcome.WRONG),
        (("Digest", "digest"), Outcome.ACCEPTED),
        (("algorithm=SHA-256", 'algorithm="sha-256"'), Outcome.ACCEPTED),
    ],
)
def test_changed(change: tuple[str, str], outcome: Outcome) -> None:
    """D-RQ-04: unknown algorithm, wrong realm, missing parts: 401 each, and no crash."""
    ours = verifier(qop=True)
    header = answer(ours.challenges(0.0))
    assert change[0] in header
    changed = header.replace(*change)
    assert ours.verify(changed, "DESCRIBE", URL, password_of, 0.0).outcome is outcome


def test_missing() -> None:
    """No answer at all is told from a wrong one."""
    assert verifier().verify("", "PLAY", URL, password_of, 0.0) == (Outcome.MISSING, "")
    two = "Basic QTpC, Basic QTpC"
    assert verifier().verify(two, "PLAY", URL, password_of, 0.0).outcome is Outcome.WRONG


def test_switched_off() -> None:
    """D-RQ-03: what is not offered is not taken either."""
    basic = answer(["Basic realm=a"])
    ours = verifier(basic=False, algorithms=(Algorithm.SHA_256,))
    assert ours.verify(basic, "DESCRIBE", URL, password_of, 0.0).outcome is Outcome.WRONG
    md5 = answer(verifier(algorithms=(Algorithm.MD5,)).challenges(0.0))
    assert ours.verify(md5, "DESCRIBE", URL, password_of, 0.0).outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        (URL, URL),
        ("*", URL),
        (URL + "/", URL),
        (URL, URL + "/trackID=0"),
        (URL + "/trackID=0", URL),
        (URL + "/streamid=0", URL + "?a=b/streamid=0"),
        (URL, URL + "?a=b/trackID=1"),
        (URL, URL + "?a=b"),
        ("/live/test", URL),
        ("live/test", URL),
        ("rtsp://other/live/test", URL),
        ("rtsp://h/", "rtsp://h/"),
    ],
)
def test_is_about(uri: str, url: str) -> None:
    """D-RQ-03: relative, "*", a slash, the query, the track: as clients have it."""
    assert is_about(uri, url)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("", URL), ("/", URL), ("rtsp://h", URL), (URL + "2", URL), ("/live2/test", URL), ("", ""),
        (URL, "*"),
    ],
)  # fmt: skip
def test_is_not_about(uri: str, url: str) -> None:
    """A digest for one stream is none for another."""
    assert not is_about(uri, url)


@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from(
            ("Digest ", "Basic ", 'realm="ntv"', ",", "nonce=", '"', "=", "\\", "nc=1", "qop=auth",
             "uri=*", "username=us", "algorithm=MD5", "response=")
        )
    ).map("".join)
)  # fmt: skip
def test_any_text(text: str) -> None:
    """D-RQ-04: whatever the header, it is not accepted, and nothing breaks."""
    checked = verifier().verify(text, "PLAY", URL, password_of, 0.0)
    assert checked.outcome is not Outcome.ACCEPTED
