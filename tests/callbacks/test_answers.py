"""Tests of ntvmedia.callbacks.answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from ntvmedia.callbacks.answers import MAX_ANSWER_BYTES, Opinion, read_answer
from ntvmedia.media import StreamKey

KEY = StreamKey("liveshow", "one")


@pytest.mark.parametrize("body", [b"0", b"0\n", b" 0\r\n", b'{"code":0}', b'{"code":"0"}'])
def test_srs_yes(body: bytes) -> None:
    """F-IN-09: what SRS takes for a yes is one here, the string and the number."""
    assert read_answer("srs", 200, body, KEY) == Opinion(True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1",
        b"00",
        b"-0x",
        b"0.0",
        b'"0"',
        b"false",
        b"null",
        b"[]",
        b"[0]",
        b"OK",
        b"<html>0</html>",
        b'{"code":1}',
        b'{"code":"1"}',
        b'{"code":false}',
        b'{"code":0.0}',
        b'{"code":null}',
        b'{"code":[0]}',
        b"{}",
        b'{"allow":true}',
        b'{"code":0',
        b"\xff0",
        b"[" * 60_000,
        b"9" * 60_000,
    ],
)
def test_srs_no(body: bytes) -> None:
    """F-IN-09: whatever else it says is a refusal, a page of HTML for one."""
    opinion = read_answer("srs", 200, body, KEY)
    assert opinion is not None
    assert not opinion.allowed
    assert opinion.reason


@pytest.mark.parametrize("status", [201, 204, 302, 400, 403, 404])
def test_srs_status(status: int) -> None:
    """SRS says yes with status 200 only."""
    opinion = read_answer("srs", status, b"0", KEY)
    assert opinion is not None
    assert not opinion.allowed


@pytest.mark.parametrize("dialect", ["srs", "ntvmedia"])
@pytest.mark.parametrize("status", [500, 502, 503, 599, 408, 429])
def test_later(dialect: str, status: int) -> None:
    """A server that says that it cannot answer has not answered."""
    assert read_answer(dialect, status, b'{"allow":true,"code":0}', KEY) is None


@pytest.mark.parametrize(
    ("status", "body"), [(200, b""), (204, b""), (200, b" \n"), (299, b'{"allow": true}')]
)
def test_own_yes(status: int, body: bytes) -> None:
    """A good status without words is a yes."""
    assert read_answer("ntvmedia", status, body, KEY) == Opinion(True)


@pytest.mark.parametrize(
    "body",
    [
        b"0",
        b"true",
        b"OK",
        b"<html></html>",
        b"{}",
        b'{"allow":1}',
        b'{"allow":"true"}',
        b'{"allow":null}',
        b'{"code":0}',
        b'{"allow":true,"lifetime":-1}',
        b'{"allow":true,"lifetime":NaN}',
        b'{"allow":true,"lifetime":Infinity}',
        b'{"allow":true,"lifetime":1e300}',
        b'{"allow":true,"lifetime":' + b"9" * 400 + b"}",
        b'{"allow":true,"lifetime":true}',
        b'{"allow":true,"lifetime":"5"}',
        b'{"allow":true,"stream":"other/two"}',
        b'{"allow":true,"stream":"../two"}',
        b'{"allow":true,"stream":""}',
        b'{"allow":true,"stream":7}',
        b'{"allow":true,"redirect":"javascript:alert(1)"}',
        b'{"allow":true,"redirect":"https://a.example/\\r\\nSet-Cookie: a"}',
        b'{"allow":true,"redirect":"https://a.example/<x>"}',
        b'{"allow":true,"redirect":7}',
        b'{"redirect":""}',
        b'{"redirect":"https://a.example/' + b"x" * 1000 + b'"}',
    ],
)
def test_own_not_understood(body: bytes) -> None:
    """F-IN-09: an answer that says anything else refuses."""
    opinion = read_answer("ntvmedia", 200, body, KEY)
    assert opinion is not None
    assert not opinion.allowed
    assert not opinion.redirect


def test_own_refusals() -> None:
    """A refusal has its reason, on one line and not longer than a line (F-IN-06)."""
    for status, said in ((200, {"allow": False}), (403, {}), (401, {"allow": True})):
        opinion = read_answer("ntvmedia", status, json.dumps(said).encode(), KEY)
        assert opinion == Opinion(False, "the authorization server refused")
    body = {"allow": False, "reason": "not\r\n paid\x00 \N{RIGHT-TO-LEFT OVERRIDE}yet" + "x" * 500}
    opinion = read_answer("ntvmedia", 403, json.dumps(body).encode(), KEY)
    assert opinion is not None
    assert opinion.reason.startswith("not paid yetx")
    assert len(opinion.reason) <= 200
    assert opinion.reason.isprintable()
    opinion = read_answer("ntvmedia", 404, b"<html>", KEY)
    assert opinion == Opinion(False, "the authorization server answered with status 404")


def test_own_orders() -> None:
    """A yes may come with another name, an end, or another place."""
    body = b'{"allow":true,"stream":"two","lifetime":60,"more":[1]}'
    opinion = read_answer("ntvmedia", 200, body, KEY)
    assert opinion == Opinion(True, lifetime=60.0, rename=StreamKey("liveshow", "two"))
    # The same name is no other one.
    assert read_answer("ntvmedia", 200, b'{"allow":true,"stream":"one"}', KEY) == Opinion(True)
    url = "rtmp://edge.example:1936/liveshow/one?a=b&c=%20"
    opinion = read_answer("ntvmedia", 200, json.dumps({"redirect": url}).encode(), KEY)
    assert opinion is not None
    assert (opinion.allowed, opinion.redirect) == (False, url)
    # A refusal is one wherever it sends to.
    body = json.dumps({"allow": False, "redirect": url}).encode()
    opinion = read_answer("ntvmedia", 200, body, KEY)
    assert opinion is not None
    assert not opinion.redirect


@given(
    st.sampled_from(["srs", "ntvmedia"]),
    st.sampled_from([200, 204, 301, 403, 500]),
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda x: st.dictionaries(
                st.sampled_from(["allow", "code", "reason", "stream", "lifetime", "redirect"]), x
            ),
            max_leaves=6,
        ).map(lambda x: json.dumps(x).encode()),
    ),
)
def test_any_answer(dialect: str, status: int, body: bytes) -> None:
    """Whatever is answered, there is an opinion or none, and never an exception."""
    opinion = read_answer(dialect, status, body, KEY)
    if opinion is None:
        assert status >= 500
    else:
        assert opinion.allowed or (opinion.reason and opinion.reason.isprintable())
        assert opinion.lifetime >= 0


def test_longest_answer() -> None:
    """The longest answer that is taken is read in no time."""
    body = b'{"code":0,"x":' + b"[" * (MAX_ANSWER_BYTES - 20)
    opinion = read_answer("srs", 200, body, KEY)
    assert opinion is not None
    assert not opinion.allowed
