"""Tests of ntvmedia.outbound.fields: which header fields are sent, and how."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from twisted.web.http_headers import Headers

from ntvmedia import __version__
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.fields import answer_fields, check_fields, is_compressed, request_fields


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\x1b", "\x7f", "\u0100", "\u4e2d", "\r\nX: y"])
def test_value(bad: str) -> None:
    """What would end a line, or cannot be sent, is refused; the message does not show it."""
    with pytest.raises(OutboundError) as caught:
        check_fields({"X-A": f"secret{bad}secret"})
    assert str(caught.value) == "the header field X-A has a character that is not allowed"
    assert caught.value.is_permanent


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a:", "a\r\nb", "a\nb", "a\0", "\u00e9", "Content-Length", "transfer-encoding"],
)
def test_name(name: str) -> None:
    """A name is a token (RFC 9110 5.6.2), and none that says where the request ends."""
    with pytest.raises(OutboundError, match="a name that is not sent"):
        check_fields({name: "x"})


def test_good() -> None:
    """All that RFC 9110 5.5 has in a value is taken."""
    check_fields({"X-A": "a\tb \u00e9 ~", "Cookie": "a=b; c=d", "x!#$%&'*+-.^_`|~0": ""})


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=8), max_size=3))
def test_nothing_else_is_sent(fields: dict[str, str]) -> None:
    """What passes is as many lines as there are fields, and is Latin-1."""
    try:
        check_fields(fields)
    except OutboundError:
        return
    for name, value in fields.items():
        line = f"{name}: {value}".encode("latin-1")
        assert line.splitlines() == [line]
        assert b"\0" not in line


def test_groups() -> None:
    """A later group has the last word, whatever the case of a name; nothing is compressed."""
    fields = request_fields(
        {"user-agent": "theirs", "X-A": "1", "Accept-Encoding": "gzip"}, {"x-a": "2"}
    )
    assert fields.getRawHeaders("User-Agent") == ["theirs"]
    assert fields.getRawHeaders("X-A") == ["2"]
    assert fields.getRawHeaders("Accept-Encoding") == ["identity"]
    assert request_fields().getRawHeaders("User-Agent") == [f"ntvmedia/{__version__}"]


def test_latin_1() -> None:
    """A character above ASCII is one byte."""
    assert request_fields({"X-A": "\u00e9"}).getRawHeaders(b"x-a") == [b"\xe9"]


def test_answer() -> None:
    """Names are in lower case; several fields of a name are one."""
    headers = Headers({b"X-A": [b"1", b"2"], b"ETag": [b"\xff"]})
    assert answer_fields(headers) == {"x-a": "1, 2", "etag": "\xff"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], False), ([b""], False), ([b" Identity "], False), ([b"gzip"], True), ([b"br"], True)],
)
def test_compressed(values: list[bytes], expected: bool) -> None:
    """Only the identity is not."""
    headers = Headers({b"Content-Encoding": values} if values else {})
    assert is_compressed(headers) is expected


def test_length() -> None:
    """A length is a field where it is known."""
    assert answer_fields(Headers({}), 5) == {"content-length": "5"}
    assert answer_fields(Headers({}), "unknown") == {}
