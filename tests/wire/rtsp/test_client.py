"""Tests of a client's session, against a server's of this program and against scripted ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtsp.client import ClientSession, KeepAlive
from ntvmedia.wire.rtsp.events import (
    Announced,
    ClientEvent,
    Described,
    Ended,
    Playing,
    Ready,
    Recording,
    Redirected,
    Rejected,
    SetupRequested,
    TornDown,
    TrackReady,
    TransportRefused,
)
from ntvmedia.wire.rtsp.messages import (
    Interleaved,
    Reader,
    Response,
    build_interleaved,
)
from ntvmedia.wire.rtsp.ranges import FROM_NOW
from ntvmedia.wire.rtsp.rtp_info import TrackInfo
from ntvmedia.wire.rtsp.transport import Transport
from tests.wire.rtsp.client_talk import (
    OWN,
    TCP,
    UDP,
    URL,
    answered,
    client,
    converse,
    describe,
    follow,
    playing,
    said,
)
from tests.wire.rtsp.conversation import DESCRIPTION, server, talk


@pytest.mark.parametrize(
    ("tracks", "carried"),
    [
        (TCP, TCP),
        (UDP, {i: t._replace(server_port=(6970, 6971)) for i, t in UDP.items()}),
        ({1: TCP[0]}, {1: TCP[0]}),
    ],
)
def test_plays(tracks: dict[int, Transport], carried: dict[int, Transport]) -> None:
    """D-PL-01: from OPTIONS to PLAY with our own server, over TCP and UDP, also of one track."""
    ours, theirs = client(f"{URL}?a=b"), server()
    of_client, of_server = converse(ours, theirs, follow(tracks))
    described = of_client[0]
    assert isinstance(described, Described)
    assert described.description == DESCRIPTION
    assert [track.url for track in described.tracks] == [f"{URL}/trackID=0", f"{URL}/trackID=1"]
    assert of_client[1:-2] == [TrackReady(*track) for track in carried.items()]
    starts = {
        0: TrackInfo(f"{URL}/trackID=0", 100, 9000),
        1: TrackInfo(f"{URL}/trackID=1", 200, 8000),
    }
    assert of_client[-2:] == [Ready(), Playing(FROM_NOW, {i: starts[i] for i in carried})]
    asked = [event for event in of_server if isinstance(event, SetupRequested)]
    assert {event.target for event in asked} == {"/live/test?a=b"}
    assert ours.tracks == carried


def test_publishes() -> None:
    """D-RT-13: from OPTIONS to RECORD, media, and TEARDOWN."""
    ours, theirs = client(f"{URL}?password=x", description=OWN), server()
    of_client, of_server = converse(ours, theirs, follow(TCP))
    assert [type(event) for event in of_client] == [
        Announced,
        TrackReady,
        TrackReady,
        Ready,
        Recording,
    ]
    assert [event.track for event in of_server if isinstance(event, SetupRequested)] == [0, 1]
    assert ours.channels == theirs.channels
    frame = build_interleaved(2, b"media")
    assert talk(theirs, [frame]) == [Interleaved(2, b"media")]
    ours.leave()
    _of_client, of_server = converse(ours, theirs, follow(TCP))
    assert of_server == [TornDown("12345678")]


@pytest.mark.parametrize("status", ["404", "405", "454", "500", "501"])
def test_options_refused(status: str) -> None:
    """A server that has no OPTIONS may still have the stream."""
    session = client()
    assert answered(session, status) == []
    assert [request.method for request in said(session)] == ["DESCRIBE"]


def test_rejected() -> None:
    """What the server refuses is said in its words, or in those of RFC 2326."""
    session = client()
    answered(session)
    assert answered(session, "404 No such stream") == [
        Rejected(404, "DESCRIBE refused: No such stream (404)")
    ]
    assert list(session.events()) == []
    session = client(description=OWN)
    answered(session)
    assert answered(session, "453") == [
        Rejected(453, "ANNOUNCE refused: Not Enough Bandwidth (453)")
    ]


@pytest.mark.parametrize(
    "reason",
    ["No such stream cam", "rtsp://h/?key=x", "token=abc", "x" * 200, "live is not here"],
)
def test_rejected_in_quotes(reason: str) -> None:
    """F-AC-03: words that quote the address are not given on, as there may be a key in it."""
    session = client("rtsp://192.0.2.1/live/cam?key=secret")
    answered(session)
    assert answered(session, f"404 {reason}") == [
        Rejected(404, "DESCRIBE refused: Not Found (404)")
    ]


def test_tcp_instead() -> None:
    """D-TR-04: where UDP is refused the owner asks for TCP, and gets on."""
    tried = []

    def owner(session: ClientSession, event: ClientEvent) -> None:
        if isinstance(event, Described):
            session.set_up(UDP)
        elif isinstance(event, TransportRefused):
            tried.append(event.index)
            session.set_up(TCP)
        elif isinstance(event, Ready):
            session.play()

    of_client, _of_server = converse(client(), server(udp=False), owner)
    assert isinstance(of_client[-1], Playing)
    assert tried == [0]


def test_second_track_refused() -> None:
    """What was set up before a refusal is torn down: tracks are carried alike."""
    session, _described = describe(body=b"m=video 0 RTP/AVP 96\nm=audio 0 RTP/AVP 0\n")
    session.set_up(UDP)
    assert answered(session, "200", "Session: abc", "Transport: RTP/AVP") == [TrackReady(0, UDP[0])]
    assert answered(session, "461") == [TransportRefused(1)]
    (teardown,) = said(session)
    assert (teardown.method, teardown.headers.get("Session")) == ("TEARDOWN", "abc")
    assert not session.tracks
    session.set_up(TCP)
    session.receive_data(b"RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n")
    assert list(session.events()) == []
    (setup,) = said(session)
    assert "Session" not in setup.headers


@pytest.mark.parametrize(
    ("public", "keepalive", "method"),
    [
        ("Public: OPTIONS, GET_PARAMETER", KeepAlive.AUTO, "GET_PARAMETER"),
        ("Public: OPTIONS", KeepAlive.AUTO, "OPTIONS"),
        ("X: y", KeepAlive.AUTO, "OPTIONS"),
        ("Public: OPTIONS", KeepAlive.GET_PARAMETER, "GET_PARAMETER"),
        ("Public: GET_PARAMETER", KeepAlive.SET_PARAMETER, "SET_PARAMETER"),
    ],
)
def test_kept_alive(public: str, keepalive: KeepAlive, method: str) -> None:
    """D-TR-12: by what the camera lists, or what the operator says, at 0.8 of its timeout."""
    session = playing(public, keepalive=keepalive)
    session.handle_timeout(7.9)
    assert said(session) == []
    session.handle_timeout(8.0)
    (request,) = said(session)
    assert request.method == method
    assert request.headers.get("Session") == "abc"
    assert session.next_timeout() == 9.0


def test_kept_alive_refused() -> None:
    """D-TR-12: a method that is listed and refused is not used again; 454 is the end."""
    session = playing("Public: GET_PARAMETER", keepalive_seconds=5.0)
    session.handle_timeout(5.0)
    assert answered(session, "501") == []
    session.handle_timeout(10.0)
    (event,) = answered(session, "454")
    assert isinstance(event, Ended)
    session.handle_timeout(100.0)
    assert said(session) == []


def test_asked_by_the_server() -> None:
    """RFC 2326 10: what a server may ask of its client is answered."""
    session = playing()
    asked = ("OPTIONS *", "GET_PARAMETER *", "SET_PARAMETER *", "ANNOUNCE *", "FOO *")
    for number, line in enumerate(asked):
        session.receive_data(f"{line} RTSP/1.0\r\nCSeq: {number}\r\n\r\n".encode())
    assert list(session.events()) == []
    reader = Reader()
    reader.receive_data(session.data_to_send())
    replies = [message for message in reader.messages() if isinstance(message, Response)]
    assert [reply.status for reply in replies] == [200, 200, 200, 501, 501]
    assert [reply.headers.get("CSeq") for reply in replies] == list("01234")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\n\r\n", Ended),
        ("REDIRECT * RTSP/1.0\r\nCSeq: 1\r\n\r\n", Ended),
        ("REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nLocation: rtsp://h/b\r\n\r\n", Redirected),
        ("REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nLocation: http://h/b\r\n\r\n", Rejected),
    ],
)
def test_ended_by_the_server(text: str, kind: type[ClientEvent]) -> None:
    """RFC 2326 10.7, 10.10: a server that ends it, or sends its client away (D-RQ-15)."""
    session = playing()
    session.receive_data(text.encode() + build_interleaved(0, b"x"))
    (event,) = session.events()
    assert isinstance(event, kind)
    assert list(session.events()) == []


def test_frames() -> None:
    """D-TR-02: media between answers; what belongs to nothing is dropped and counted."""
    session = playing()
    session.receive_data(build_interleaved(0, b"a") + build_interleaved(7, b"b"))
    assert list(session.events()) == [Interleaved(0, b"a")]
    assert session.dropped == 1
    session.play(None)
    session.receive_data(build_interleaved(1, b"c") + b"$\0")
    assert list(session.events()) == [Interleaved(1, b"c")]
    assert session.buffered == 2


def test_leave() -> None:
    """TEARDOWN is said where there is a session, and nothing is heard after it."""
    session = playing()
    session.leave()
    assert [request.method for request in said(session)] == ["TEARDOWN"]
    session.receive_data(b"RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n$\0\0\0")
    assert list(session.events()) == []
    session.leave()
    assert said(session) == []
    early = client()
    early.leave()
    assert [request.method for request in said(early)] == ["OPTIONS"]


def test_misuse() -> None:
    """What an owner may not do yet."""
    session = client()
    with pytest.raises(UsageError):
        session.set_up(TCP)
    with pytest.raises(UsageError):
        session.play()
    session, _described = describe(body=b"m=video 0 RTP/AVP 96\n")
    for tracks in ({}, TCP):
        with pytest.raises(UsageError):
            session.set_up(tracks)
    session.set_up({0: TCP[0]})
    answered(session)
    with pytest.raises(UsageError):
        session.record()
    with pytest.raises(PeerError):
        client("http://h/a")


ANSWERS: Final = (
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 22\r\n\r\nm=video 0 RTP/AVP 96\r\n",
    b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\nSession: a\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nRTP-Info: url=a;seq=1\r\n\r\n",
    b'RTSP/1.0 401\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm="a", nonce="b"\r\n\r\n',
    b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    build_interleaved(0, bytes(200)),
)


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(ANSWERS), max_size=4), st.booleans(), st.binary(max_size=9), st.data()
)
def test_cuts_do_not_matter(
    script: list[bytes], good: bool, junk: bytes, data: st.DataObject
) -> None:
    """D-TR-02: the same events, requests and error, however the bytes are cut."""
    stream = b"".join([*(ANSWERS[:4] if good else ()), *script]) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]

    def heard(pieces: list[bytes]) -> object:
        session, owner = client(user="us", password="pa"), follow({0: TCP[0]})
        found: list[object] = []
        try:
            for piece in pieces:
                session.receive_data(piece)
                for event in session.events():
                    found.append(event)
                    owner(session, event)
        except PeerError as error:
            found.append(str(error))
        return found, session.data_to_send(), session.dropped

    assert heard([stream[a:b] for a, b in pairwise(places)]) == heard([stream])
