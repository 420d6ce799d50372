"""Tests of a client's session, against a server's of this program and against scripted ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtsp.authentication import Outcome, Verifier
from ntvmedia.wire.rtsp.client import ClientSession, KeepAlive
from ntvmedia.wire.rtsp.client_answers import MAX_HOPS
from ntvmedia.wire.rtsp.events import (
    Announced,
    ClientEvent,
    Described,
    DescribeRequested,
    Ended,
    Playing,
    Ready,
    Recording,
    Redirected,
    Rejected,
    ServerEvent,
    SetupRequested,
    TornDown,
    TrackReady,
    TransportRefused,
)
from ntvmedia.wire.rtsp.messages import (
    Interleaved,
    Reader,
    Request,
    Response,
    build_interleaved,
)
from ntvmedia.wire.rtsp.ranges import FROM_NOW
from ntvmedia.wire.rtsp.rtp_info import TrackInfo
from ntvmedia.wire.rtsp.server import ServerSession
from ntvmedia.wire.rtsp.transport import Lower, Transport
from ntvmedia.wire.sdp import Attribute, MediaDescription, SessionDescription
from tests.wire.rtsp.conversation import DESCRIPTION, accept, server, talk

URL: Final = "rtsp://server:8554/live/test"
RANDOM: Final = bytes(range(8))

TCP: Final = {
    0: Transport(Lower.TCP, interleaved=(0, 1)),
    1: Transport(Lower.TCP, interleaved=(2, 3)),
}
UDP: Final = {
    0: Transport(Lower.UDP, client_port=(5000, 5001)),
    1: Transport(Lower.UDP, client_port=(5002, 5003)),
}
OWN: Final = SessionDescription(
    (
        MediaDescription("video", ("96",), attributes=(Attribute("control", "v"),)),
        MediaDescription("audio", ("8",), attributes=(Attribute("control", "a"),)),
    )
)

Owner = Callable[[ClientSession, ClientEvent], None]


def client(url: str = URL, **options: Any) -> ClientSession:
    """Make a session."""
    return ClientSession(url, RANDOM, **options)


def follow(tracks: dict[int, Transport]) -> Owner:
    """Return an owner who plays or publishes these tracks."""

    def owner(session: ClientSession, event: ClientEvent) -> None:
        match event:
            case Described():
                session.set_up(tracks)
            case Announced():
                session.set_up(tracks)
            case Ready():
                (session.record if session.publishes else session.play)()

    return owner


def converse(
    ours: ClientSession,
    theirs: ServerSession,
    owner: Owner,
    answer: Callable[[ServerSession, Any], None] = accept,
) -> tuple[list[ClientEvent], list[ServerEvent]]:
    """Let both ends talk until neither says anything more."""
    of_client: list[ClientEvent] = []
    of_server: list[ServerEvent] = []
    while True:
        sent = ours.data_to_send()
        of_server += talk(theirs, [sent], answer)
        reply = theirs.data_to_send()
        ours.receive_data(reply)
        for event in ours.events():
            of_client.append(event)
            owner(ours, event)
        if not sent and not reply:
            return of_client, of_server


def said(session: ClientSession) -> list[Request]:
    """Return the requests that a client has sent."""
    reader = Reader()
    reader.receive_data(session.data_to_send())
    return [message for message in reader.messages() if isinstance(message, Request)]


def answered(
    session: ClientSession, text: str = "200 OK", *fields: str, body: bytes = b""
) -> list[ClientEvent]:
    """Answer the last request of a client, and return its events."""
    number = said(session)[-1].headers.get("CSeq")
    lines = [f"RTSP/1.0 {text}", f"CSeq: {number}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    session.receive_data("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)
    return list(session.events())


def describe(*fields: str, body: bytes, url: str = URL) -> tuple[ClientSession, Described]:
    """Let a client ask for a stream, and give it a description."""
    session = client(url)
    assert answered(session) == []
    (event,) = answered(session, "200 OK", *fields, body=body)
    assert isinstance(event, Described)
    return session, event


def playing(*fields: str, **options: Any) -> ClientSession:
    """Return a client that plays one track over TCP."""
    session = client(**options)
    answered(session, "200 OK", *fields)
    answered(session, body=b"m=video 0 RTP/AVP 96\r\na=control:v\r\n")
    session.set_up({0: TCP[0]})
    answered(session, "200 OK", "Session: abc;timeout=10")
    session.play()
    assert isinstance(answered(session)[0], Playing)
    return session


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


@pytest.mark.parametrize("offered", [slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 3)])
@pytest.mark.parametrize("qop", [False, True])
def test_authenticates(offered: slice, qop: bool) -> None:
    """D-RQ-03: SHA-256, MD5 and Basic, as they are asked for; every request is answered for."""
    verifier = Verifier("ntv", b"secret", "peer", qop=qop)
    seen = []

    def answer(session: ServerSession, event: Any) -> None:
        request = event.request
        header = request.headers.get("Authorization")
        users = {"us er": "p:a%"}
        checked = verifier.verify(header, request.method, request.url, users.get, 0.0)
        seen.append(checked.outcome)
        if checked.outcome is Outcome.ACCEPTED:
            accept(session, event)
        else:
            session.challenge(verifier.challenges(0.0)[offered])

    ours = client("rtsp://us%20er:p%3Aa%25@server:8554/live/test")

    def only_asked(session: ServerSession, event: Any) -> None:
        if session.awaits_answer:
            answer(session, event)

    of_client, _of_server = converse(ours, server(), follow(TCP), only_asked)
    assert isinstance(of_client[-1], Playing)
    assert seen == [Outcome.MISSING] + [Outcome.ACCEPTED] * 4


def test_wrong_password() -> None:
    """D-RQ-02: a password that is refused is not tried for ever, and said to be wrong."""
    tries = []

    def answer(session: ServerSession, event: Any) -> None:
        if isinstance(event, DescribeRequested):
            tries.append(event.request.headers.get("Authorization"))
            session.challenge([f'Digest realm="a", nonce="{len(tries)}"'])

    ours = client(user="us", password="wrong")
    (rejected,), _of_server = converse(ours, server(), follow(TCP), answer)
    assert isinstance(rejected, Rejected)
    assert rejected.status == 401
    assert "password" in rejected.description
    assert [bool(header) for header in tries] == [False, True]


@pytest.mark.parametrize(
    "header", ['Digest realm="a", nonce="b", algorithm=SHA-512-256', "Negotiate", "Basic realm=a"]
)
def test_no_password(header: str) -> None:
    """D-RQ-04: who cannot answer says so."""
    session = client(user="us", password="pa", basic=False)
    answered(session)
    (event,) = answered(session, "401", f"WWW-Authenticate: {header}")
    assert isinstance(event, Rejected)
    session = client()
    answered(session)
    (event,) = answered(session, "401", 'WWW-Authenticate: Digest realm="a", nonce="b"')
    assert isinstance(event, Rejected)


def test_stale_nonce() -> None:
    """RFC 7616 3.3: a nonce that was too old is replaced, once or twice, not the password."""
    session = client(user="us", password="pa")
    nonce = 'WWW-Authenticate: Digest realm="a", nonce="%d", stale=true'
    assert answered(session, "401", nonce % 0) == []
    for number, status in ((1, "401"), (2, "401")):
        assert answered(session, status, nonce % number) == []
    (request,) = said(session)
    assert 'nonce="2"' in request.headers.get("Authorization")
    session.receive_data(b"RTSP/1.0 200\r\nCSeq: 3\r\n\r\n")
    assert list(session.events()) == []


@pytest.mark.parametrize(
    "line", ["RTSP/1.0 200", "RTSP/1.0 200 ", "RTSP/1.0 250 Low on Storage Space", "RTSP/1.0 299"]
)
def test_accepted_statuses(line: str) -> None:
    """D-RQ-08: a status without text, and any 2xx; an answer without a number is to the oldest."""
    session = client()
    said(session)
    session.receive_data(f"{line}\n\n".encode())
    assert list(session.events()) == []
    assert [request.method for request in said(session)] == ["DESCRIBE"]


def test_answers_that_are_none() -> None:
    """Answers to what was never asked, and those that say to wait, change nothing."""
    session = client()
    session.receive_data(
        b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\nRTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n"
        b"RTSP/1.0 200 OK\r\nCSeq: x\r\n\r\n"
    )
    assert list(session.events()) == []
    assert [request.method for request in said(session)] == ["OPTIONS"]


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
    ("fields", "session_control", "control", "track", "whole"),
    [
        (["Content-Base: rtsp://c/s/"], "*", "trackID=1", "rtsp://c/s/trackID=1", "rtsp://c/s/"),
        (["Content-Base: rtsp://c/s"], "", "trackID=1", "rtsp://c/s/trackID=1", "rtsp://c/s"),
        (["Content-Location: rtsp://l/s/"], "*", "t", "rtsp://l/s/t", "rtsp://l/s/"),
        (["Content-Base: /s/"], "*", "t", "rtsp://server:8554/s/t", "rtsp://server:8554/s/"),
        (["Content-Base: server/s/"], "*", "t", f"{URL}/t", URL),
        ([], "", "t", f"{URL}/t", URL),
        ([], "*", "*", URL, URL),
        ([], "rtsp://x/y", "rtsp://x/y/z?q", "rtsp://x/y/z?q", "rtsp://x/y"),
        ([], "", "/abs/t", "rtsp://server:8554/abs/t", URL),
        (
            ["Content-Base: rtsp://c/s?user=x/"],
            "",
            "t",
            "rtsp://c/s?user=x/t",
            "rtsp://c/s?user=x/",
        ),
        ([], "a b", "t\x01 1", f"{URL}/t%01%201", f"{URL}/a%20b"),
        (["Content-Base: rtsp://us:pa@c/s/"], "", "t", "rtsp://c/s/t", "rtsp://c/s/"),
    ],
)
def test_addresses(
    fields: list[str], session_control: str, control: str, track: str, whole: str
) -> None:
    """D-RQ-12: every form of base and control."""
    body = f"a=control:{session_control}\r\nm=video 0 RTP/AVP 96\r\na=control:{control}\r\n"
    session, described = describe(*fields, body=body.encode())
    assert described.tracks[0].url == track
    session.set_up({0: TCP[0]})
    (setup,) = said(session)
    assert setup.url == track
    session.receive_data(b"RTSP/1.0 200\r\nCSeq: 3\r\nSession: abc\r\n\r\n")
    assert Ready() in list(session.events())
    session.play()
    (play,) = said(session)
    assert play.url == whole
    assert play.headers.get("Session") == "abc"
    assert play.headers.get("Range") == "npt=0.000-"


def test_back_channel() -> None:
    """D-RQ-14: what the camera wants to hear is told apart, and set up only if asked for."""
    _session, described = describe(
        body=b"m=video 0 RTP/AVP 96\r\na=recvonly\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n"
    )
    assert [track.is_back_channel for track in described.tracks] == [False, True]


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"junk"])
def test_nothing_described(body: bytes) -> None:
    """A description without media is the server's error."""
    session = client()
    answered(session)
    with pytest.raises(PeerError):
        answered(session, body=body)
    with pytest.raises(UsageError):
        list(session.events())


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
    (setup,) = said(session)
    assert "Session" not in setup.headers


@pytest.mark.parametrize(
    ("asked", "text", "settled"),
    [
        (TCP[0], "", TCP[0]),
        (TCP[0], "RTP/AVP/TCP;unicast", TCP[0]),
        (
            TCP[0],
            "RTP/AVP/TCP;interleaved=8-9;ssrc=1A",
            Transport(Lower.TCP, interleaved=(8, 9), ssrc=26),
        ),
        # rtsplib: a server that was asked for UDP may answer TCP
        (UDP[0], "RTP/AVP/TCP;interleaved=4-5", Transport(Lower.TCP, interleaved=(4, 5))),
        (
            UDP[0],
            "RTP/AVP/UDP;unicast;client_port=1-2;server_port=3-4;source=192.0.2.1",
            UDP[0]._replace(server_port=(3, 4), source="192.0.2.1"),
        ),
        (
            UDP[0],
            "RTP/AVP;multicast;destination=239.0.0.1;port=7-8;ttl=2",
            UDP[0]._replace(is_multicast=True, destination="239.0.0.1", port=(7, 8), ttl=2),
        ),
    ],
)
def test_settled(asked: Transport, text: str, settled: Transport) -> None:
    """RFC 2326 12.39: the server has the last word on how a track is carried."""
    session, _described = describe(body=b"m=video 0 RTP/AVP 96\n")
    session.set_up({0: asked})
    ready, _all = answered(session, "200", f"Transport: {text}", "Session: a")
    assert ready == TrackReady(0, settled)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (TCP, "RTP/AVP;client_port=1-2"),
        (TCP, "RAW"),
        (UDP, "RTP/AVP/TCP"),
        (UDP, "RTP/AVP;multicast"),
        (TCP, "RTP/AVP/TCP;interleaved=3-3"),
    ],
)
def test_unsettled(asked: dict[int, Transport], text: str) -> None:
    """What cannot work is the server's error."""
    session, _described = describe(body=b"m=video 0 RTP/AVP 96\n")
    session.set_up({0: asked[0]})
    with pytest.raises(PeerError):
        answered(session, "200", f"Transport: {text}", "Session: a")


def test_same_channels() -> None:
    """D-TR-01: a server that gives two tracks the same channels cannot be understood."""
    session, _described = describe(body=b"m=video 0 RTP/AVP 96\nm=audio 0 RTP/AVP 0\n")
    session.set_up(TCP)
    answered(session, "200", "Transport: RTP/AVP/TCP;interleaved=0-1", "Session: a")
    with pytest.raises(PeerError):
        answered(session, "200", "Transport: RTP/AVP/TCP;interleaved=0-1")


@pytest.mark.parametrize(
    ("url", "location", "to"),
    [
        (URL, "rtsp://other/a?b", "rtsp://other/a?b"),
        (URL, "rtsps://other/a", "rtsps://other/a"),
        (URL, "/a", "rtsp://server:8554/a"),
        ("rtsps://h/a", "rtsps://h2/a", "rtsps://h2/a"),
        ("rtsps://h/a", "rtsp://h/a", None),
        (URL, "http://169.254.169.254/", None),
        (URL, "rtspu://h/a", None),
        (URL, "", None),
    ],
)
@pytest.mark.parametrize("status", ["301", "302", "307"])
def test_redirected(url: str, location: str, to: str | None, status: str) -> None:
    """D-RQ-15: only RTSP, and never from TLS to where there is none."""
    session = client(url)
    answered(session)
    (event,) = answered(session, status, f"Location: {location}")
    if to is None:
        assert isinstance(event, Rejected)
    else:
        assert event == Redirected(to, 1)


def test_redirected_too_often() -> None:
    """D-RQ-15: five times at most, so that a loop ends."""
    hops = 0
    while True:
        session = client(hops=hops)
        answered(session)
        (event,) = answered(session, "302", f"Location: {URL}")
        if isinstance(event, Rejected):
            break
        assert isinstance(event, Redirected)
        hops = event.hops
    assert hops == MAX_HOPS == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("url=rtsp://server:8554/live/test/v;seq=5;rtptime=6", (5, 6)),
        ("url=/live/test/v;seq=5", (5, -1)),
        ("url=v/;rtptime=7", (-1, 7)),
        ("url=rtsp://10.0.0.1/other;seq=8", (8, -1)),
        ("", None),
        ("url=x,url=y", None),
    ],
)
def test_rtp_info(text: str, expected: tuple[int, int] | None) -> None:
    """D-PL-01: which track each entry is about, by its address or else by the order."""
    session, _described = describe(body=b"m=video 0 RTP/AVP 96\r\na=control:v\r\n")
    session.set_up({0: TCP[0]})
    answered(session)
    session.play(None)
    (event,) = answered(session, "200", f"RTP-Info: {text}", "Range: nonsense")
    assert isinstance(event, Playing)
    assert event.range is None
    assert {i: info[1:] for i, info in event.tracks.items()} == (
        {} if expected is None else {0: expected}
    )


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


def test_kept_alive_unanswered() -> None:
    """Cameras that never answer a sign of life are not cut off for it."""
    session = playing("Public: GET_PARAMETER")
    for now in range(1, 1000):
        session.handle_timeout(float(now))
    assert len(said(session)) == 124


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


def test_no_answer() -> None:
    """A server that does not answer is given up, and what it was asked is said."""
    session = client()
    session.handle_timeout(9.9)
    with pytest.raises(PeerError, match="OPTIONS"):
        session.handle_timeout(10.0)
    with pytest.raises(UsageError):
        session.handle_timeout(11.0)
    session = client(answer_seconds=2.0)
    answered(session)
    with pytest.raises(PeerError, match="DESCRIBE"):
        session.handle_timeout(2.0)


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
    session.receive_data(build_interleaved(1, b"c"))
    assert list(session.events()) == [Interleaved(1, b"c")]


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


def test_password_stays_here() -> None:
    """F-AC-03: the password of an address is in no request but as an answer."""
    session = client("rtsp://us:secret@h/a")
    assert b"secret" not in session.data_to_send()


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
        found: list[str] = []
        try:
            for piece in pieces:
                session.receive_data(piece)
                for event in session.events():
                    found.append(repr(event))
                    owner(session, event)
        except PeerError as error:
            found.append(str(error))
        return found, session.data_to_send(), session.dropped

    assert heard([stream[a:b] for a, b in pairwise(places)]) == heard([stream])
