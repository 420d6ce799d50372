"""Tests of what a server makes of requests: states, sessions, transports, refusals."""

from __future__ import annotations

from typing import Final

import pytest

from ntvmedia.wire.rtsp.events import (
    PlayRequested,
    SetupRequested,
    TornDown,
)
from ntvmedia.wire.rtsp.server_requests import State
from ntvmedia.wire.rtsp.transport import Lower, Transport
from tests.wire.rtsp.conversation import (
    SESSION_ID,
    answers,
    request,
    server,
    setup,
    statuses,
    talk,
)

URL: Final = "rtsp://server:8554/live/test"
SESSION: Final = f"Session: {SESSION_ID}"
DESCRIBE: Final = request("DESCRIBE")
PLAY: Final = request("PLAY", URL, SESSION)
RECORD: Final = request("RECORD", URL, SESSION)
PAUSE: Final = request("PAUSE", URL, SESSION)
TEARDOWN: Final = request("TEARDOWN", URL, SESSION)
ANNOUNCE: Final = request(
    "ANNOUNCE",
    URL,
    "Content-Type: application/sdp",
    body=b"m=video 0 RTP/AVP 96\r\na=control:v\r\n",
)
SETUP_RECORD: Final = request(
    "SETUP", f"{URL}/v", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"
)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("DESCRIBE", URL, "CSeq: 1").replace(b"RTSP/1.0", b"RTSP/2.0"), 505),
        (b"OPTIONS * RTSP/1.0\r\n\r\n", 400),
        (request("DESCRIBE", "*"), 400),
        (request("DESCRIBE", "rtsp://server"), 400),
        (request("DESCRIBE", URL, "Accept: text/html"), 406),
        (request("DESCRIBE", URL, "Require: www.onvif.org/ver20/backchannel"), 551),
        (request("REDIRECT"), 501),
        (request("describe"), 501),
        # D-RQ-09
        (request("SET_PARAMETER"), 200),
        (request("SET_PARAMETER", URL, body=b"a: b\r\n"), 451),
        (request("GET_PARAMETER", URL, body=b"\r\n"), 200),
        (request("GET_PARAMETER", URL, "Session: unknown"), 454),
        (request("ANNOUNCE"), 400),
        (request("ANNOUNCE", URL, "Content-Type: text/plain", body=b"v=0\r\n"), 415),
        (request("ANNOUNCE", URL, "Content-Type: application/sdp", body=b"v=0\r\n"), 400),
        (request("ANNOUNCE", URL, "Content-Type: application/sdp", body=b"junk"), 400),
        (request("ANNOUNCE", URL, "Content-Type: application/sdp", body=b"m=x\n"), 400),
        # D-RQ-10
        (request("PLAY"), 455),
        (request("PAUSE"), 455),
        (request("RECORD"), 455),
        (setup(7), 404),
        (setup(0, transport="RTP/AVP/TCP;interleaved=0-1;mode=record"), 455),
        # D-RQ-11
        (PLAY, 454),
        (setup(0, "Session: my-own"), 454),
        (request("PLAY", URL, "Session: a b"), 400),
        (request("TEARDOWN"), 200),
        (TEARDOWN, 454),
        # D-TR-06
        (setup(0, transport="RTP/AVP;unicast;client_port=0-0"), 461),
        (setup(0, transport="RTP/AVP;unicast;client_port=65535-65536"), 461),
        (setup(0, transport="RTP/AVP;unicast"), 461),
        (setup(0, transport="RTP/AVP;multicast"), 461),
        (setup(0, transport="RTP/SAVP/TCP;interleaved=0-1"), 461),
        (setup(0, transport="RAW/RAW/UDP"), 461),
        (setup(0, transport=""), 400),
        (request("SETUP", f"{URL}/trackID=0"), 400),
        (setup(0, transport=",".join(["RTP/AVP"] * 17)), 400),
    ],
)
def test_refused(data: bytes, status: int) -> None:
    """D-RQ-09, D-RQ-10, D-RQ-11, D-TR-06: the right status, and nothing is left behind."""
    session = server()
    assert statuses(session, data) == [status]
    assert session.state is State.INIT
    assert not session.tracks
    assert not session.channels
    assert statuses(session, DESCRIBE) == [200]


def test_unsupported_is_named() -> None:
    """RFC 2326 12.32: what is not supported is named."""
    session = server()
    talk(session, [request("SETUP", URL, "Require: a", "Proxy-Require: b")])
    (response,) = answers(session)
    assert response.headers.get_all("Unsupported") == ("a", "b")


def test_allowed_is_named() -> None:
    """RFC 2326 11.3.6: 455 says what is valid."""
    session = server()
    talk(session, [request("PLAY")])
    (response,) = answers(session)
    assert response.headers.get("Allow") == (
        "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
    )


def test_order_of_playing() -> None:
    """D-RQ-10: what is valid while a client plays, and what is not."""
    session = server()
    data = [
        (DESCRIBE, 200),
        (setup(0), 200),
        (setup(0, SESSION), 455),
        (setup(1, SESSION, transport="RTP/AVP/TCP;interleaved=2-3"), 200),
        (ANNOUNCE, 455),
        (RECORD, 455),
        (PAUSE, 200),
        (PLAY, 200),
        (request("PLAY", URL, SESSION, "CSeq: 9"), 200),
        (setup(2, SESSION), 455),
        (request("PAUSE", URL, f"{SESSION};timeout=60"), 200),
        (request("PLAY"), 200),
        (request("GET_PARAMETER", URL, SESSION), 200),
        (TEARDOWN, 200),
        (request("PLAY", "rtsp://server/live/test", SESSION), 454),
    ]
    sent = [piece for piece, _status in data]
    assert statuses(session, *sent) == [status for _piece, status in data]


def test_order_of_recording() -> None:
    """D-RQ-10: what is valid while a client publishes, and what is not."""
    session = server()
    data = [
        (ANNOUNCE, 200),
        (request("PLAY"), 455),
        (request("RECORD"), 455),
        (request("SETUP", f"{URL}/w", "Transport: RTP/AVP/TCP"), 404),
        (SETUP_RECORD, 200),
        (request("SETUP", f"{URL}/v", SESSION, "Transport: RTP/AVP/TCP"), 455),
        (request("PLAY", URL), 455),
        (RECORD, 200),
        (request("RECORD", URL), 200),
        (request("ANNOUNCE", URL, SESSION, "CSeq: 5"), 455),
        (PAUSE, 200),
        (request("RECORD", URL, "Range: npt=now-"), 200),
        (TEARDOWN, 200),
        (ANNOUNCE.replace(b"CSeq: 1", b"CSeq: 2"), 200),
    ]
    sent = [piece for piece, _status in data]
    assert statuses(session, *sent) == [status for _piece, status in data]


def test_teardown_before_setup() -> None:
    """A publisher may go as soon as it announced; the owner is told."""
    session = server()
    assert talk(session, [ANNOUNCE, request("TEARDOWN")])[1:] == [TornDown("")]
    assert session.state is State.INIT


def test_another_stream() -> None:
    """RFC 2326 10.4: tracks of two streams are not one session (459)."""
    session = server()
    other = request(
        "SETUP", "rtsp://server/live/other/trackID=1", SESSION, "Transport: RTP/AVP/TCP"
    )
    assert statuses(session, setup(0), other) == [200, 459]


def test_the_streams_own_address() -> None:
    """RFC 2326 11.3.10: a SETUP without a track is the owner's to accept, or to refuse (459)."""
    session = server()
    whole = request("SETUP", URL, "Transport: RTP/AVP/TCP")
    (event,) = talk(session, [whole], lambda session, _event: session.refuse(459))
    assert isinstance(event, SetupRequested)
    assert event.track is None
    assert statuses(session, whole) == [459, 200]
    assert list(session.tracks) == [0]


@pytest.mark.parametrize(
    ("url", "tracks"),
    [
        # ffmpeg and GStreamer with the base that they get, and as others have it
        ("rtsp://server:8554/live/test/trackID=1", 1),
        ("rtsp://server:8554/live/test?a=b/trackID=1", 1),
        ("rtsp://server:8554/live/test/trackID=1?a=b", 1),
        ("/live/test/trackID=1", 1),
    ],
)
def test_query_is_kept(url: str, tracks: int) -> None:
    """D-RQ-12: the query of DESCRIBE, with its signature, is not lost with the base."""
    session = server()
    describe = request("DESCRIBE", f"{URL}?a=b")
    data = [describe, request("SETUP", url, "Transport: RTP/AVP/TCP")]
    event = talk(session, data)[-1]
    assert isinstance(event, SetupRequested)
    assert (event.target, event.track) == ("/live/test?a=b", tracks)
    assert answers(session)[0].headers.get("Content-Base") == f"{URL}/"


def test_query_of_another_stream() -> None:
    """The query of one stream opens no other."""
    session = server()
    other = request("SETUP", "rtsp://server/live/other/trackID=0", "Transport: RTP/AVP/TCP")
    event = talk(session, [request("DESCRIBE", f"{URL}?a=b"), other])[-1]
    assert isinstance(event, SetupRequested)
    assert event.target == "/live/other"


def test_publisher_describes() -> None:
    """Looking at a stream does not make a publisher's own tracks unknown."""
    session = server()
    assert statuses(session, ANNOUNCE, DESCRIBE, SETUP_RECORD) == [200, 200, 200]


def test_announced_without_controls() -> None:
    """D-RQ-12: tracks of one address are set up in turn; of none, by their number too."""
    announce = request("ANNOUNCE", URL, body=b"m=video 0 RTP/AVP 96\r\nm=audio 0 RTP/AVP 8\r\n")
    transport = "Transport: RTP/AVP/TCP;unicast;mode=record"
    whole = request("SETUP", URL, transport)
    for tracks in ([whole] * 3, [setup(0), setup(1), setup(2)]):
        session = server()
        expected = [200, 200, 200, 455 if tracks[0] is whole else 404]
        assert statuses(session, announce, *tracks) == expected
        assert list(session.tracks) == [0, 1]


@pytest.mark.parametrize(
    ("first", "second", "channels"),
    [
        ("0-1", "2-3", {0: (0, False), 1: (0, True), 2: (1, False), 3: (1, True)}),
        ("2-3", "0-1", {2: (0, False), 3: (0, True), 0: (1, False), 1: (1, True)}),
        ("0-1", "0-1", {0: (0, False), 1: (0, True), 2: (1, False), 3: (1, True)}),
        ("0-1", "1-2", {0: (0, False), 1: (0, True), 2: (1, False), 3: (1, True)}),
        ("5", "4-4", {5: (0, False), 6: (0, True), 0: (1, False), 1: (1, True)}),
        ("254-255", "255", {254: (0, False), 255: (0, True), 0: (1, False), 1: (1, True)}),
    ],
)
def test_channels(first: str, second: str, channels: dict[int, tuple[int, bool]]) -> None:
    """D-TR-01: the client's channels where they are free, others where they are not."""
    session = server()
    data = [
        setup(index, transport=f"RTP/AVP/TCP;unicast;interleaved={wanted}")
        for index, wanted in enumerate((first, second))
    ]
    assert statuses(session, *data) == [200, 200]
    assert session.channels == channels


def test_channels_missing() -> None:
    """D-TR-01: who names none is given the first free ones, and told so."""
    session = server()
    talk(session, [setup(0, transport="RTP/AVP/TCP"), setup(1, transport="RTP/AVP/TCP;x")])
    assert [response.headers.get("Transport") for response in answers(session)] == [
        "RTP/AVP/TCP;unicast;interleaved=0-1",
        "RTP/AVP/TCP;unicast;interleaved=2-3",
    ]


def test_tls() -> None:
    """D-TR-03: over TLS or in a tunnel UDP is refused, TCP taken, also from a list."""
    session = server(udp=False, multicast=True)
    udp, tcp = "RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP/TCP;unicast"
    assert statuses(session, setup(0, transport=udp)) == [461]
    assert statuses(session, setup(0, transport="RTP/AVP;multicast")) == [461]
    assert statuses(session, setup(0, transport=f"{udp},{tcp}")) == [200]
    assert session.tracks[0].lower is Lower.TCP


def test_all_tracks_alike() -> None:
    """A session's tracks are carried in one way: another is refused (461)."""
    udp = setup(1, transport="RTP/AVP;unicast;client_port=5000-5001")
    assert statuses(server(), setup(0), udp) == [200, 461]
    both = setup(1, transport="RTP/AVP;client_port=5000-5001,RTP/AVP/TCP")
    assert statuses(server(), setup(0), both) == [200, 200]


def test_multicast() -> None:
    """RFC 2326 12.39: a group, where the owner has one, and never for what is published."""
    session = server(multicast=True)
    talk(session, [setup(0, transport="RTP/AVP;multicast;destination=10.0.0.1;port=1-2")])
    assert answers(session)[0].headers.get("Transport") == (
        "RTP/AVP;multicast;destination=239.0.0.1;port=5000-5001;ttl=1"
    )
    wanted = SETUP_RECORD.replace(b"TCP;unicast", b"UDP;multicast")
    assert statuses(server(multicast=True), ANNOUNCE, wanted) == [200, 461]


def test_destination_is_ignored() -> None:
    """D-TR-06: nobody is sent to where a client points."""
    session = server()
    wanted = "RTP/AVP;unicast;destination=198.51.100.1;client_port=5000-5001;ttl=5;ssrc=1"
    (event,) = talk(session, [setup(0, transport=wanted)])
    assert isinstance(event, SetupRequested)
    assert event.offers == (Transport(Lower.UDP, client_port=(5000, 5001)),)


@pytest.mark.parametrize(
    ("text", "status"),
    [("npt=now-", 200), ("npt=-", 200), ("clock=20260102T030405Z-", 200), ("garbage", 457),
     ("npt=5-x", 457), ("", 200)],
)  # fmt: skip
def test_range(text: str, status: int) -> None:
    """D-PL-02: a range is understood or refused with 457; the session stays as it was."""
    session = server()
    assert statuses(session, setup(0), request("PLAY", URL, f"Range: {text}")) == [200, status]
    assert session.state is (State.PLAYING if status == 200 else State.READY)


@pytest.mark.parametrize(
    ("text", "scale"), [("2", 2.0), ("-1.5", -1.5), ("x", 1.0), ("0", 1.0), ("nan", 1.0),
                        ("inf", 1.0), ("1e999", 1.0)],
)  # fmt: skip
def test_scale(text: str, scale: float) -> None:
    """D-PL-03: a scale is told to the owner, and the real one to the client."""
    session = server()
    event = talk(session, [setup(0), request("PLAY", URL, f"Scale: {text}")])[-1]
    assert isinstance(event, PlayRequested)
    assert event.scale == scale
    assert answers(session)[-1].headers.get("Scale") == "1"
