"""Tests of what a client makes of a server's answers."""

from __future__ import annotations

import pytest

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtsp.client_answers import MAX_HOPS
from ntvmedia.wire.rtsp.events import (
    Playing,
    Ready,
    Redirected,
    Rejected,
    TrackReady,
)
from ntvmedia.wire.rtsp.transport import Lower, Transport
from tests.wire.rtsp.client_talk import (
    TCP,
    UDP,
    URL,
    answered,
    client,
    describe,
    said,
)


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
