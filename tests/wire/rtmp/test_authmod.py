"""Tests of ntvmedia.wire.rtmp.authmod: user and password of encoders.

The golden values were computed by `openssl dgst` and `base64`, one after the other.
"""

from __future__ import annotations

import hashlib
import re
import string
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from ntvmedia.wire.rtmp.authmod import (
    AUTH_FAILED,
    MAX_USER_LENGTH,
    NEED_AUTH,
    NO_SUCH_USER,
    OPAQUE_SECONDS,
    Credentials,
    Verifier,
    answer,
    parse_credentials,
    response_of,
    with_credentials,
    without_credentials,
)
from ntvmedia.wire.rtmp.commands import MAX_DESCRIPTION

SECRET = bytes(range(16))
PEER = "192.0.2.1"
OPAQUE = "3e8-93248d57b70961fb2344bb8b508e835d"
SALT = "cd1bc237bb742f14"
RIGHT = Credentials("ann", "deadbeef", "EBCy96+XfCl2sxJGU6WpDQ==", OPAQUE)

REJECT = "[ AccessManager.Reject ] : [ authmod=adobe ] : "


def verifier(peer: str = PEER, secret: bytes = SECRET) -> Verifier:
    """Make a server's side."""
    return Verifier(secret, peer)


@dataclass
class Encoder:
    """A client of its own making, that does as librtmp or FFmpeg do.

    Attributes:
        user: As typed.
        password: Likewise.
        is_ffmpeg: Begin the query anew each time, with the user as the server spells it.
        query: What stands behind its app.
        refused: The last word of a server that it does not go on after.
    """

    user: str
    password: str
    is_ffmpeg: bool = False
    query: str = ""
    refused: str = field(default="", init=False)

    def connect(self, server: Verifier, now: float = 1000.0) -> Credentials:
        """Connect until it is accepted, or has to give up."""
        for _connection in range(3):
            found = parse_credentials("live" + self.query)
            description = server.refusal(found, now)
            if not description:
                assert found is not None
                return found
            self.told(description)
        raise AssertionError("refused three times")

    def told(self, description: str) -> None:
        """Answer a refusal."""
        assert "authmod=adobe" in description
        if "code=403 need auth" in description:
            self.query = f"?authmod=adobe&user={self.user}"
            return
        assert "?reason=needauth" in description, description
        said = dict(re.findall("[?&]([a-z]+)=([^&]*)", description))
        inner = hashlib.md5(f"{said['user']}{said['salt']}{self.password}".encode()).digest()
        joined = b64encode(inner).decode() + said["opaque"] + "0badcafe"
        response = b64encode(hashlib.md5(joined.encode()).digest()).decode()
        answer = f"&challenge=0badcafe&response={response}&opaque={said['opaque']}"
        if self.is_ffmpeg:
            self.query = f"?authmod=adobe&user={said['user']}{answer}"
        else:
            self.query += answer


def test_need_auth() -> None:
    """A-UR-10: who brings nothing is told to, in the words that clients look for."""
    assert verifier().refusal(None, 1000.0) == (
        "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
    )


def test_challenge() -> None:
    """A-UR-10: who brings a user is asked for the rest; the opaque comes last, for librtmp."""
    asked = Credentials("ann", "", "", "")
    assert verifier().refusal(asked, 1000.9) == (
        f"{REJECT}?reason=needauth&user=ann&salt={SALT}&challenge={OPAQUE}&opaque={OPAQUE}"
    )


def test_response() -> None:
    """A golden answer."""
    assert (
        response_of(
            "ann",
            "0123456789abcdef",
            "geheim",
            "5f5e100-000102030405060708090a0b0c0d0e0f",
            "deadbeef",
        )
        == "elv47vwELwTZG7AntNgbwQ=="
    )


def test_accepted() -> None:
    """A-UR-10: an answer is accepted whatever it says; the password is proved by it, or not."""
    for credentials in (RIGHT, RIGHT._replace(response="x")):
        assert verifier().refusal(credentials, 1001.0) == ""
    assert verifier().proves(RIGHT, "geheim")
    for password in ("Geheim", "", "geheim "):
        assert not verifier().proves(RIGHT, password)
    for changed in (
        {"user": "bob"},
        {"challenge": "deadbee0"},
        {"response": "EBCy96+XfCl2sxJGU6WpDA=="},
        {"response": ""},
        {"response": "\ud800é"},
        {"opaque": OPAQUE[:-1] + "e"},
        {"opaque": ""},
    ):
        assert not verifier().proves(RIGHT._replace(**changed), "geheim"), changed


def test_client() -> None:
    """Our own client's side: a name, then an answer, then nothing more; against golden values."""
    assert answer(NEED_AUTH, "", "ann", "geheim", "deadbeef") == "authmod=adobe&user=ann"
    asked = verifier().refusal(Credentials("ann", "", "", ""), 1000.0)
    brought = answer(asked, "authmod=adobe&user=ann", "ann", "geheim", "deadbeef")
    assert brought == (
        f"authmod=adobe&user=ann&challenge=deadbeef&response={RIGHT.response}&opaque={OPAQUE}"
    )
    for app in ("live", "live?a=1"):
        text = with_credentials(app, brought)
        assert parse_credentials(text) == RIGHT
        assert without_credentials(text) == app
        assert with_credentials(app, "") == app
    # Without an opaque the server's challenge is hashed in its place, and nothing is given back.
    other = f"{REJECT}?reason=needauth&user=ann&salt={SALT}&challenge={OPAQUE}"
    assert (
        answer(other, "authmod=adobe&user=ann", "ann", "geheim", "deadbeef")
        == (brought.partition("&opaque")[0])
    )
    for said in (asked, NEED_AUTH, AUTH_FAILED, NO_SUCH_USER):
        assert answer(said, brought, "ann", "geheim", "deadbeef") == ""
    for said in (AUTH_FAILED, NO_SUCH_USER, "", "[ code=403 need auth; authmod=llnw ]", "x" * 5000):
        assert answer(said, "", "ann", "geheim", "deadbeef") == ""
    assert answer(NEED_AUTH, "", "", "", "deadbeef") == ""


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_client_against_server(user: str, password: str) -> None:
    """Whatever name and password are: at most two questions, and the password is proved."""
    brought = description = ""
    for _connection in range(3):
        found = parse_credentials(with_credentials("live", brought))
        description = verifier().refusal(found, 1000.0)
        if not description:
            assert found is not None
            assert verifier().proves(found, password)
            assert not verifier().proves(found, password + "x")
            return
        brought = answer(description, brought, user, password, "0badcafe")
        if not brought:
            break
    assert description == NO_SUCH_USER
    assert len(quote(user, safe="%@+", errors="surrogatepass")) > MAX_USER_LENGTH


@given(st.text(max_size=100) | st.text("?&=adobeauthmodreason ", max_size=100), st.booleans())
def test_client_is_told_anything(text: str, is_asked: bool) -> None:
    """Whatever a server says, there is an answer or none, and never a password."""
    said = f"authmod=adobe ?reason=needauth&{text}" if is_asked else text
    assert "geheim" not in answer(said, "", "ann", "geheim", "deadbeef")


def test_only_here_and_now() -> None:
    """An opaque holds for a minute, for its peer and user, and for this server."""
    assert verifier().refusal(RIGHT, 1000.0 + OPAQUE_SECONDS) == ""
    for now in (1000.0 + OPAQUE_SECONDS + 0.1, 998.0):
        assert verifier().refusal(RIGHT, now).startswith(f"{REJECT}?reason=needauth&user=ann&")
    for other in (verifier("192.0.2.2"), verifier(secret=bytes(16))):
        assert other.refusal(RIGHT, 1000.0) == AUTH_FAILED
        assert not other.proves(RIGHT, "geheim")
    for changed in (
        {"user": "bob"},
        {"opaque": "3e9" + OPAQUE[3:]},
        {"opaque": "03e8" + OPAQUE[3:]},
        {"opaque": OPAQUE.upper()},
        {"opaque": ""},
        {"opaque": "-"},
        {"opaque": "f" * 4000},
    ):
        assert verifier().refusal(RIGHT._replace(**changed), 1000.0) == AUTH_FAILED, changed


@pytest.mark.parametrize("is_ffmpeg", [False, True])
@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ann", "geheim"),
        ("Ann Ü.", "pass wörd"),
        ("a%20b", "%&?="),
        ("a=b+c/d@e", "=" * 128),
        ("[ x ] : ", "x"),
    ],
)
def test_round_trip(user: str, password: str, is_ffmpeg: bool) -> None:
    """A-UR-10: a client of its own making, by either habit, gets through with its password."""
    for asked in ("", "?x=1"):
        encoder = Encoder(user, password, is_ffmpeg, asked)
        credentials = encoder.connect(verifier())
        assert verifier().proves(credentials, password)
        assert not verifier().proves(credentials, password + "x")


def test_late_answer() -> None:
    """A second answer of librtmp's is appended to the first, which came too late."""
    encoder = Encoder("ann", "geheim")
    server = verifier()
    encoder.told(server.refusal(None, 0.0))
    encoder.told(server.refusal(parse_credentials("live" + encoder.query), 0.0))
    credentials = encoder.connect(server, 500.0)
    assert encoder.query.count("opaque=") == 2
    assert server.proves(credentials, "geheim")


def test_percent_encoded_password() -> None:
    """FFmpeg hashes what stands in its address, where a password has to be encoded."""
    credentials = Encoder("ann", "new%20one%2F%40", is_ffmpeg=True).connect(verifier())
    assert verifier().proves(credentials, "new one/@")
    assert not verifier().proves(credentials, "new one/")


@pytest.mark.parametrize("user", ["", "a\nb", "a\0", "\ud800", "\u200b", "x" * 129, "ü" * 100])
def test_no_user(user: str) -> None:
    """What can be no name is refused for good."""
    for response in ("", "x"):
        credentials = Credentials(user, "c", response, OPAQUE)
        assert verifier().refusal(credentials, 1000.0) == NO_SUCH_USER


def test_sizes() -> None:
    """FFmpeg takes 255 bytes with its longest name of 49; nothing is ever cut off by us."""
    for length, most in ((49, 255), (MAX_USER_LENGTH, MAX_DESCRIPTION)):
        credentials = Credentials("x" * length, "", "", "")
        assert len(verifier("2001:db8::1").refusal(credentials, 1e10)) <= most
    longest = Credentials("ü" * 42, "", "", "")
    assert len(verifier().refusal(longest, 1e13)) <= MAX_DESCRIPTION


@pytest.mark.parametrize(
    ("text", "found", "rest"),
    [
        ("live", None, "live"),
        ("live?user=u&response=r", None, "live?user=u&response=r"),
        ("live?authmod=llnw&user=u", None, "live?authmod=llnw&user=u"),
        ("authmod=adobe&user=u", None, "authmod=adobe&user=u"),
        ("live?authmod=adobe", ("", "", "", ""), "live"),
        ("live?authmod=adobe&user=u", ("u", "", "", ""), "live"),
        ("live?x=1&authmod=adobe&user=u&y=2", ("u", "", "", ""), "live?x=1&y=2"),
        ("live?x=1?authmod=adobe&user=u", ("u", "", "", ""), "live?x=1"),
        (
            "rtmp://h/live?authmod=adobe&user=u&challenge=/x+=&response=a/b==&opaque=o",
            ("u", "/x+=", "a/b==", "o"),
            "rtmp://h/live",
        ),
    ],
)
def test_parse(text: str, found: tuple[str, ...] | None, rest: str) -> None:
    """A-UR-10: what belongs to the answer is found, and taken out; base64 stays as it is."""
    assert parse_credentials(text) == found
    assert without_credentials(text) == rest


def test_long_text() -> None:
    """What no address is as long as is not looked into."""
    text = "live?authmod=adobe&user=" + "x" * 4096
    assert parse_credentials(text) is None
    assert without_credentials(text) == text


@given(st.text(alphabet=string.printable + "\ud800é", max_size=80))
def test_anything(text: str) -> None:
    """No text makes trouble, and none gets through."""
    for whole in (text, "live?authmod=adobe&" + text, "live?authmod=adobe&user=u&response=" + text):
        rest = without_credentials(whole)
        assert parse_credentials(rest) is None or rest == whole
        found = parse_credentials(whole)
        description = verifier().refusal(found, 1000.0)
        assert description
        assert found is not None or description == NEED_AUTH
        assert found is None or not verifier().proves(found, "geheim")
