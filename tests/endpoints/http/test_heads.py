"""Tests of ntvmedia.endpoints.http.heads."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.endpoints.http.heads import (
    CHUNKED,
    MAX_HEADERS,
    MAX_KNOWN_HEADS,
    MAX_TARGET_BYTES,
    BadRequest,
    HeadParser,
)

HOST = b"Host: example.org\r\n"

SMUGGLING = {
    "CL and TE": b"POST / HTTP/1.1\r\n%bContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "TE and CL": b"POST / HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two CLs": b"POST / HTTP/1.1\r\n%bContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two equal CLs": b"POST / HTTP/1.1\r\n%bContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "list of CLs": b"POST / HTTP/1.1\r\n%bContent-Length: 5, 5\r\n\r\n",
    "+4": b"POST / HTTP/1.1\r\n%bContent-Length: +4\r\n\r\n",
    "0x4": b"POST / HTTP/1.1\r\n%bContent-Length: 0x4\r\n\r\n",
    "-1": b"POST / HTTP/1.1\r\n%bContent-Length: -1\r\n\r\n",
    "1_0": b"POST / HTTP/1.1\r\n%bContent-Length: 1_0\r\n\r\n",
    "blank inside": b"POST / HTTP/1.1\r\n%bContent-Length: 4 4\r\n\r\n",
    "empty CL": b"POST / HTTP/1.1\r\n%bContent-Length: \r\n\r\n",
    "huge CL": b"POST / HTTP/1.1\r\n%bContent-Length: 9999999999999999999\r\n\r\n",
    "xchunked": b"POST / HTTP/1.1\r\n%bTransfer-Encoding: xchunked\r\n\r\n",
    "identity, chunked": b"POST / HTTP/1.1\r\n%bTransfer-Encoding: identity, chunked\r\n\r\n",
    "identity": b"POST / HTTP/1.1\r\n%bTransfer-Encoding: identity\r\n\r\n",
    "gzip, chunked": b"POST / HTTP/1.1\r\n%bTransfer-Encoding: gzip, chunked\r\n\r\n",
    "two TEs": b"POST / HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
    "VT before chunked": b"POST / HTTP/1.1\r\n%bTransfer-Encoding: \x0bchunked\r\n\r\n",
    "TE in HTTP/1.0": b"POST / HTTP/1.0\r\n%bTransfer-Encoding: chunked\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\n%bA : b\r\n\r\n",
    "space before colon of TE": b"POST / HTTP/1.1\r\n%bTransfer-Encoding : chunked\r\n\r\n",
    "tab before colon": b"GET / HTTP/1.1\r\n%bA\t: b\r\n\r\n",
    "NUL in target": b"GET /a\0b HTTP/1.1\r\n%b\r\n",
    "NUL in value": b"GET / HTTP/1.1\r\n%bA: b\0c\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\n%bA: b\r\n c\r\n\r\n",
    "obs-fold by tab": b"GET / HTTP/1.1\r\n%bA: b\r\n\tc\r\n\r\n",
    "fold at once": b"GET / HTTP/1.1\r\n %b\r\n",
    "bare LF behind the first line": b"GET / HTTP/1.1\n%b\r\n",
    "bare LF behind a field": b"GET / HTTP/1.1\r\n%bA: b\nC: d\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\n%bA: b\rC: d\r\n\r\n",
    "duplicate Host": b"GET / HTTP/1.1\r\n%bHost: example.org\r\n\r\n",
    "duplicate Host, other case": b"GET / HTTP/1.1\r\n%bhOST: example.com\r\n\r\n",
    "absolute form": b"GET http://example.org/ HTTP/1.1\r\n%b\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\n%b\r\n",
    "CONNECT": b"CONNECT example.org:80 HTTP/1.1\r\n%b\r\n",
    "CONNECT of a path": b"CONNECT / HTTP/1.1\r\n%b\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\n%b\r\n",
    "blank in target": b"GET /a b HTTP/1.1\r\n%b\r\n",
    "two blanks": b"GET  / HTTP/1.1\r\n%b\r\n",
    "two blanks before version": b"GET /  HTTP/1.1\r\n%b\r\n",
    "8 bits in target": b"GET /\xe4 HTTP/1.1\r\n%b\r\n",
    "HTTP/0.9": b"GET /\r\n%b\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n%b\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n%b\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\n",
    "RTSP": b"GET / RTSP/1.0\r\n%b\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\n%b\r\n",
    "method in lower case": b"get / HTTP/1.1\r\n%b\r\n",
    "no colon": b"GET / HTTP/1.1\r\n%bA\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n%b: b\r\n\r\n",
    "8 bits in name": b"GET / HTTP/1.1\r\n%b\xe4: b\r\n\r\n",
    "only line ends": b"\r\n\r\n",
    "line end before": b"\r\nGET / HTTP/1.1\r\n%b\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling(name: str) -> None:
    """F-RE-06: what two readers could understand in two ways is refused with 400."""
    data = SMUGGLING[name].replace(b"%b", HOST)
    parser = HeadParser()
    with pytest.raises(BadRequest) as caught:
        parser.parse(data)
    assert caught.value.status == 400
    # And it leaves no trace in the parser.
    assert parser.parse(b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n").target == b"/next"


@pytest.mark.parametrize(
    "value", [b"a b", b"a,b c", b"a/b", b"a@b", b"a\tb", b"<a>", b"a\\b", b'"a"']
)
def test_bad_host(value: bytes) -> None:
    """F-RE-06: a Host that is no host is refused, as RFC 9112 3.2 demands."""
    with pytest.raises(BadRequest) as caught:
        HeadParser().parse(b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
    assert caught.value.status == 400


def test_missing_host() -> None:
    """F-RE-06: HTTP/1.1 has a Host, HTTP/1.0 may have none."""
    with pytest.raises(BadRequest) as caught:
        HeadParser().parse(b"GET / HTTP/1.1\r\n\r\n")
    assert caught.value.status == 400
    assert HeadParser().parse(b"GET / HTTP/1.0\r\n\r\n").minor == 0


def test_plain() -> None:
    """A usual head, field by field."""
    head = HeadParser().parse(
        b"GET /a/b.flv?c=%2F HTTP/1.1\r\nHost: [::1]:8080 \r\nX-A:\r\nX-B: \tb c \t\r\n\r\n"
    )
    assert (head.method, head.target, head.minor) == (b"GET", b"/a/b.flv?c=%2F", 1)
    assert head.headers[1] == (b"x-a", b"")
    assert head.header(b"x-b") == "b c"
    assert head.header(b"x-c") is None
    assert (head.body_length, head.keep_alive, head.expects_continue) == (0, True, False)
    assert head.is_plain_get


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive, CLOSE", False),
        (b"1.1", b"Upgrade, HTTP2-Settings", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_keep_alive(version: bytes, connection: bytes | None, keeps: bool) -> None:
    """RFC 9112 9.3: who may send another request on the connection."""
    field = b"" if connection is None else b"Connection: " + connection + b"\r\n"
    data = b"GET / HTTP/" + version + b"\r\n" + HOST + field + b"\r\n"
    parser = HeadParser()
    assert parser.parse(data).keep_alive is keeps
    # The parser is good for the next connection, whatever this one wanted.
    assert parser.parse(b"GET /n HTTP/1.1\r\n" + HOST + b"\r\n").target == b"/n"


@pytest.mark.parametrize(
    "upgrade", [b"websocket", b"h2c"], ids=["websocket", "h2c as curl --http2 sends it"]
)
def test_upgrade_is_an_offer(upgrade: bytes) -> None:
    """A request that offers to upgrade is a request as any other."""
    data = b"GET / HTTP/1.1\r\n%bConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (HOST, upgrade)
    parser = HeadParser()
    assert parser.parse(data).target == b"/"
    assert parser.parse(data.replace(b"GET /", b"GET /b")).target == b"/b"


def test_bodies() -> None:
    """The two ways to announce a body; in any case, and with blanks around."""
    parser = HeadParser()
    start = b"POST / HTTP/1.1\r\n" + HOST
    assert parser.parse(start + b"Content-Length: 12 \r\n\r\n").body_length == 12
    assert parser.parse(start + b"CONTENT-LENGTH:0\r\n\r\n").body_length == 0
    assert parser.parse(start + b"Transfer-Encoding: \tChunked \r\n\r\n").body_length == CHUNKED


def test_expect() -> None:
    """RFC 9110 10.1.1: one expectation is known; HTTP/1.0 has none; others get 417."""
    parser = HeadParser()
    fields = HOST + b"Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"
    assert parser.parse(b"PUT / HTTP/1.1\r\n" + fields).expects_continue
    assert not parser.parse(b"PUT / HTTP/1.0\r\n" + fields).expects_continue
    with pytest.raises(BadRequest) as caught:
        parser.parse(b"PUT / HTTP/1.1\r\n" + fields.replace(b"100", b"102"))
    assert caught.value.status == 417


def test_limits() -> None:
    """As many fields and as long a target as are allowed, and one more."""
    parser = HeadParser()
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEADERS - 1))
    assert parser.parse(b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n").target == b"/"
    with pytest.raises(BadRequest) as caught:
        parser.parse(b"GET / HTTP/1.1\r\n" + HOST + fields + b"Z: y\r\n\r\n")
    assert caught.value.status == 431
    target = b"/" + b"a" * (MAX_TARGET_BYTES - 1)
    assert parser.parse(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, HOST)).target == target
    with pytest.raises(BadRequest) as caught:
        parser.parse(b"GET %ba HTTP/1.1\r\n%b\r\n" % (target, HOST))
    assert caught.value.status == 414


@given(
    st.sampled_from([b"/", b"/a/b.ts", b"/a//b", b"/~x/..", b"/a?b=c", b"/a#b", b"//", b"*", b"a"]),
    st.sampled_from(
        [
            b"",
            b"Connection: close\r\n",
            b"Range: bytes=0-\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
        ]
    ),
)
def test_what_was_remembered_is_what_is_read(target: bytes, fields: bytes) -> None:
    """A head for another target is the same as one that was read itself."""
    data = b"GET %b HTTP/1.1\r\n%b%b\r\n" % (target, HOST, fields)
    fresh, knowing = HeadParser(), HeadParser()
    knowing.parse(b"GET /other HTTP/1.1\r\n%b%b\r\n" % (HOST, fields))

    def read(parser: HeadParser) -> object:
        try:
            head = parser.parse(data)
        except BadRequest as error:
            return error.status
        return [getattr(head, name) for name in head.__slots__]

    assert read(knowing) == read(fresh)


def test_memory_is_bounded() -> None:
    """Heads are remembered, but never more than so many; a bad one never."""
    parser = HeadParser()
    heads = [
        b"GET /%d HTTP/1.1\r\n%bX: %d\r\n\r\n" % (number, HOST, number)
        for number in range(MAX_KNOWN_HEADS + 1)
    ]
    first = parser.parse(heads[0])
    assert parser.parse(heads[0]).headers is first.headers
    for data in heads:
        assert parser.parse(data).target == data.split()[1]
    assert parser.parse(heads[0]).headers is not first.headers
    bad = b"GET / HTTP/1.1\r\n\r\n"
    for _turn in range(2):
        with pytest.raises(BadRequest):
            parser.parse(bad)


@given(
    st.binary(max_size=200) | st.sampled_from([x.replace(b"%b", HOST) for x in SMUGGLING.values()])
)
def test_only_documented_errors(data: bytes) -> None:
    """Whatever the bytes, there is a head with a path, or a `BadRequest`."""
    parser = HeadParser()
    try:
        assert parser.parse(data + b"\r\n\r\n").target.startswith(b"/")
    except BadRequest as error:
        assert error.status in (400, 414, 417, 431)
    assert parser.parse(b"GET /n HTTP/1.1\r\n" + HOST + b"\r\n").target == b"/n"
