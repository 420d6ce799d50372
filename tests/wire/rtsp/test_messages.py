"""Tests of messages and their reader."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import (
    MAX_BODY,
    MAX_FRAME,
    MAX_HEAD,
    MAX_HEADERS,
    Interleaved,
    Message,
    Reader,
    Request,
    Response,
    build_interleaved,
    build_request,
    build_response,
    reason_of,
)
from tests.wire.rtsp import traces

# RFC 2326 section 10.2, with the body of its length left out.
RFC_RESPONSE: Final = (
    b"RTSP/1.0 200 OK\r\nCSeq: 312\r\nDate: 23 Jan 1997 15:35:06 GMT\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 4\r\n\r\nv=0\n"
)


def read(*pieces: bytes) -> list[Message | str]:
    """Read pieces, and return the messages and the text of the error that ended it."""
    reader, found = Reader(), list[Message | str]()
    try:
        for piece in pieces:
            reader.receive_data(piece)
            found += reader.messages()
    except PeerError as error:
        found.append(str(error))
    return found


def one(data: bytes) -> Message | str:
    """Read what is one message."""
    (message,) = read(data)
    return message


def test_request() -> None:
    """RFC 2326 10.4: a SETUP, as FFmpeg writes it."""
    message = one(traces.FFMPEG_SETUP_1)
    assert isinstance(message, Request)
    assert message.method == "SETUP"
    assert message.url == "rtsp://127.0.0.1:9101/live/test?password=x/streamid=1"
    assert message.version == "RTSP/1.0"
    assert message.headers.get("cseq") == "4"
    assert message.headers.get("SESSION") == "12345678"
    assert "Range" not in message.headers
    assert message.body == b""


def test_body() -> None:
    """The body is what Content-Length says, and that header is not among the others."""
    message = one(traces.FFMPEG_ANNOUNCE)
    assert isinstance(message, Request)
    assert message.body == traces.FFMPEG_SDP
    assert [name for name, _value in message.headers] == ["Content-Type", "CSeq", "User-Agent"]


def test_response() -> None:
    """RFC 2326 10.2: a response with a body."""
    headers = Headers(
        [
            ("CSeq", "312"),
            ("Date", "23 Jan 1997 15:35:06 GMT"),
            ("Content-Type", "application/sdp"),
        ]
    )
    assert one(RFC_RESPONSE) == Response(200, "OK", headers, b"v=0\n")


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("RTSP/1.0 200", 200, ""),
        ("RTSP/1.0 200 ", 200, ""),
        ("RTSP/1.0  299  All is  well ", 299, "All is  well"),
        ("RTSP/1.1 454 Session Not Found", 454, "Session Not Found"),
        ("rtsp/1.0 200 OK", 200, "OK"),
    ],
)
def test_status_lines(line: str, status: int, reason: str) -> None:
    """D-RQ-08: a status without text, and one that nobody knows."""
    message = one(f"{line}\r\nCSeq: 1\r\n\r\n".encode())
    assert message == Response(status, reason, Headers([("CSeq", "1")]))


def test_line_feeds_alone() -> None:
    """D1: lines that end in LF alone, also mixed with CR LF."""
    expected = Request("OPTIONS", "*", Headers([("CSeq", "7")]))
    for text in ("OPTIONS * RTSP/1.0\nCSeq: 7\n\n", "OPTIONS * RTSP/1.0\r\nCSeq: 7\n\r\n"):
        assert one(text.encode()) == expected


def test_empty_lines_between() -> None:
    """Empty lines between messages and frames are passed over (RFC 2068 section 4.1)."""
    options = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    found = read(b"\r\n\n" + options + b"\r\n\r\n$\x02\0\x01a\r\n" + options + b"\r\n")
    assert [type(message) for message in found] == [Request, Interleaved, Request]


def test_odd_headers() -> None:
    """Folded lines, spaces around the colon, lines that are no header, several of one name."""
    text = (
        b"PLAY rtsp://h/a b RTSP/1.0\r\nA : 1\r\nB: 2\r\n\tand 3\r\nnonsense\r\nb:4\r\n: 5\r\n\r\n"
    )
    message = one(text)
    assert isinstance(message, Request)
    assert message.url == "rtsp://h/a b"
    assert list(message.headers) == [("A", "1"), ("B", "2 and 3"), ("b", "4")]
    assert message.headers.get_all("B") == ("2 and 3", "4")


def test_interleaved() -> None:
    """D-TR-02: frames before, between and after requests; of no bytes, and of 65,535."""
    big = bytes(range(256)) * 256
    data = b"".join(
        (
            build_interleaved(0, b""),
            build_interleaved(255, big[:MAX_FRAME]),
            traces.FFMPEG_RECORD,
            traces.FFMPEG_FRAMES,
            traces.FFMPEG_TEARDOWN,
        )
    )
    found = read(data)
    assert found[:2] == [Interleaved(0, b""), Interleaved(255, big[:MAX_FRAME])]
    assert [message.channel for message in found[3:6] if isinstance(message, Interleaved)] == [
        3,
        1,
        0,
    ]
    assert [type(message) for message in found].count(Request) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",  # TLS where none is spoken
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS\r\n\r\n",
        b"OPTIONS RTSP/1.0\r\n\r\n",
        b"OPT(IONS * RTSP/1.0\r\n\r\n",
        b"RTSP/1.0\r\n\r\n",
        b"RTSP/1.0 99 Low\r\n\r\n",
        b"RTSP/1.0 2OO OK\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nA: \0\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nA: b\rc\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: 0x10\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nContent-Length: \u0661\r\n\r\n".encode(),
        b"OPTIONS * RTSP/1.0\r\nContent-Length:\r\n\r\n",
    ],
)
def test_wrong(data: bytes) -> None:
    """What is no message is a peer's error, at its place, and the reader is spent."""
    reader = Reader()
    reader.receive_data(b"$\0\0\x01a\r\n" + data)
    assert reader.next_message() == Interleaved(0, b"a")
    with pytest.raises(PeerError) as caught:
        reader.next_message()
    assert caught.value.offset == 7
    with pytest.raises(UsageError):
        reader.next_message()


def test_limits() -> None:
    """F4: a head, its headers and a body are taken up to their limits, and not beyond."""
    start = b"OPTIONS * RTSP/1.0\r\nA: "
    room = MAX_HEAD - len(start) - 4
    assert isinstance(one(start + b"a" * room + b"\r\n\r\n"), Request)
    for end in (b"", b"\r\n\r\n"):
        reader = Reader()
        reader.receive_data(start + b"a" * (room + 1 + (4 - len(end))) + end)
        with pytest.raises(LimitExceeded) as caught:
            reader.next_message()
        assert caught.value.limit == MAX_HEAD
    many = b"".join(b"a: %d\r\n" % number for number in range(MAX_HEADERS))
    assert isinstance(one(b"A * RTSP/1.0\r\n" + many + b"\r\n"), Request)
    reader = Reader()
    reader.receive_data(b"A * RTSP/1.0\r\n" + many + b"a: 1\r\n\r\n")
    with pytest.raises(LimitExceeded) as caught:
        reader.next_message()
    assert caught.value.limit == MAX_HEADERS
    head = b"A * RTSP/1.0\r\nContent-Length: %d\r\n\r\n"
    assert isinstance(one(head % MAX_BODY + bytes(MAX_BODY)), Request)
    reader = Reader()
    reader.receive_data(head % (MAX_BODY + 1))
    with pytest.raises(LimitExceeded) as caught:
        reader.next_message()
    assert caught.value.limit == MAX_BODY


def test_buffered() -> None:
    """What is held is what was not read yet."""
    reader = Reader()
    reader.receive_data(traces.FFMPEG_FRAMES + b"$\0")
    assert reader.buffered == len(traces.FFMPEG_FRAMES) + 2
    assert len(list(reader.messages())) == 3
    assert reader.buffered == 2


def test_byte_by_byte() -> None:
    """A long body and a long head take time in proportion, however they come (F-RE-08)."""
    start = b"A * RTSP/1.0\r\n" + b"a: b\r\n" * 90 + b"c: " + b"d" * 14000 + b"\r\n"
    data = start + b"Content-Length: 60000\r\n\r\n" + bytes(60000)
    (message,) = read(*(data[at : at + 1] for at in range(len(data))))
    assert isinstance(message, Request)
    assert len(message.body) == 60000


tokens = st.text(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.!", min_size=1, max_size=12
)
values = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters="".join(map(chr, (*range(32), 127)))
    ),
    max_size=30,
).map(lambda text: text.strip(" "))
headers = st.lists(
    st.tuples(tokens.filter(lambda name: name.lower() != "content-length"), values), max_size=5
).map(Headers)
urls = st.text("abcdef/:?=&%.@*", min_size=1, max_size=20)
requests = st.builds(
    Request,
    tokens.filter(lambda name: name[0].isalpha()),
    urls,
    headers,
    st.binary(max_size=40),
    st.sampled_from(("RTSP/1.0", "RTSP/2.0")),
)
responses = st.builds(Response, st.integers(100, 999), values, headers, st.binary(max_size=40))
frames = st.builds(Interleaved, st.integers(0, 255), st.binary(max_size=40))


def built(message: Message) -> bytes:
    """Write any message."""
    if isinstance(message, Request):
        return build_request(message)
    if isinstance(message, Response):
        return build_response(message)
    return build_interleaved(*message)


@settings(max_examples=60)
@given(
    st.lists(st.one_of(requests, responses, frames), max_size=4), st.binary(max_size=30), st.data()
)
def test_cuts_do_not_matter(good: list[Message], junk: bytes, data: st.DataObject) -> None:
    """D-TR-02: the same messages and the same error, however a stream is cut."""
    stream = b"".join(map(built, good)) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    places = [0, *sorted(cuts), len(stream)]
    whole = read(stream)
    assert whole[: len(good)] == good
    assert read(*(stream[a:b] for a, b in pairwise(places))) == whole


@pytest.mark.parametrize("bad", ["a\r\nb", "a\nb", "a\0"])
def test_unwritable(bad: str) -> None:
    """F-IN-05: nothing that we write ends a line early."""
    with pytest.raises(UsageError):
        build_request(Request("A", "*", Headers([("a", bad)])))
    with pytest.raises(UsageError):
        build_request(Request("A", bad, Headers()))
    with pytest.raises(UsageError):
        build_response(Response(200, bad, Headers()))
    with pytest.raises(UsageError):
        build_response(Response(200, "", Headers([(bad, "")])))


def test_misuse() -> None:
    """What cannot be on the wire is the caller's mistake."""
    for status in (99, 1000):
        with pytest.raises(UsageError):
            build_response(Response(status, "", Headers()))
    with pytest.raises(UsageError):
        build_request(Request("A B", "*", Headers()))
    with pytest.raises(UsageError):
        build_request(Request("A", "*", Headers([("content-length", "0")])))
    with pytest.raises(UsageError):
        build_interleaved(256, b"")
    with pytest.raises(UsageError):
        build_interleaved(0, bytes(MAX_FRAME + 1))


def test_reasons() -> None:
    """RFC 2326 7.1.1: its own statuses, those of HTTP, and none for others."""
    assert reason_of(454) == "Session Not Found"
    assert reason_of(451) == "Parameter Not Understood"
    assert reason_of(401) == "Unauthorized"
    assert reason_of(299) == ""


def test_headers_show_nothing() -> None:
    """F-AC-03: no log shows a password by accident."""
    shown = repr(one(traces.FFMPEG_DIGEST))
    assert "Authorization" in shown
    assert "e2c6da" not in shown


def test_headers_are_alike() -> None:
    """Names are the same in either case, values are not, and other things are no headers."""
    assert Headers([("A", "b")]) == Headers([("a", "b")])
    assert Headers([("A", "b")]) != Headers([("a", "B")])
    assert Headers() != []
    assert len(Headers([("a", "b"), ("a", "c")])) == 2
