"""Whatever a client says, in whatever order and pieces: no traceback, and nothing stays."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import patch

from hypothesis import given, settings, strategies as st
from twisted.logger import LogEvent, globalLogPublisher

from ntvmedia.endpoints.rtsp import senders
from ntvmedia.wire.rtsp.messages import build_interleaved
from tests.endpoints.rtsp.server import HOST, TCP, URL, WALL_CLOCK, Peer, Server, media

METHODS = (
    "OPTIONS",
    "DESCRIBE",
    "ANNOUNCE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "RECORD",
    "TEARDOWN",
    "GET_PARAMETER",
    "SET_PARAMETER",
    "REDIRECT",
)

SDP = (
    "v=0\r\no=- 0 0 IN IP4 0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=control:trackID=0\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n"
)

addresses = st.sampled_from(
    [
        URL,
        f"{URL}/",
        f"{URL}/trackID=0",
        f"{URL}/trackID=1",
        f"{URL}?audio=1",
        f"{HOST}/liveshow/mine",
        f"{HOST}/liveshow/mine/trackID=0",
        f"{HOST}/liveshow/mine/trackID=1",
        f"{HOST}/nowhere/x",
        "*",
        "/liveshow/test",
        "rtsp://",
    ]
)
transports = st.sampled_from(
    [
        TCP + "0-1",
        TCP + "2-3",
        TCP + "2-3;mode=record",
        TCP + "0-1;mode=record",
        "RTP/AVP/TCP;unicast",
        "RTP/SAVP;unicast",
        "nonsense",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that makes sense, more or less."""
    method = draw(st.sampled_from(METHODS))
    lines = [f"{method} {draw(addresses)} RTSP/1.0", "CSeq: 1"]
    body = ""
    if method == "SETUP":
        lines.append(f"Transport: {draw(transports)}")
    if method == "ANNOUNCE":
        body = draw(st.sampled_from(["", SDP, SDP, "v=0\r\n"]))
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
    if draw(st.booleans()):
        lines.append(f"Range: {draw(st.sampled_from(['npt=now-', 'npt=0-', 'clock=', 'x']))}")
    if draw(st.integers(0, 9)) == 0:
        lines.append("Session: 1234")
    return "\r\n".join([*lines, "", body]).encode()


frames = st.builds(
    build_interleaved,
    st.integers(0, 5),
    st.one_of(
        st.binary(max_size=40),
        st.binary(min_size=10, max_size=40).map(lambda data: b"\x80\x60" + data),
        st.binary(min_size=26, max_size=60).map(lambda data: b"\x80\xc8\x00\x06" + data),
    ),
)


def request(method: str, url: str, *fields: str, body: str = "") -> bytes:
    """Write one that makes sense."""
    return "\r\n".join([f"{method} {url} RTSP/1.0", "CSeq: 1", *fields, "", body]).encode()


PLAYING = b"".join(
    (
        request("DESCRIBE", URL),
        request("SETUP", f"{URL}/trackID=0", f"Transport: {TCP}0-1"),
        request("PLAY", URL),
    )
)
MINE = f"{HOST}/liveshow/mine"
RECORDING = b"".join(
    (
        request("ANNOUNCE", MINE, f"Content-Length: {len(SDP)}", body=SDP),
        request("SETUP", f"{MINE}/trackID=0", f"Transport: {TCP}0-1;mode=record"),
        request("SETUP", f"{MINE}/trackID=1", f"Transport: {TCP}2-3;mode=record"),
        request("RECORD", MINE),
    )
)

# From nothing, or from where media flows.
begins = st.sampled_from([b"", PLAYING, RECORDING])
talk = st.tuples(
    begins, st.lists(st.one_of(requests(), requests(), frames), max_size=14).map(b"".join)
).map(b"".join)


def test_begins() -> None:
    """Media does flow there."""
    server = Server()
    server.source()
    for data in (PLAYING, RECORDING):
        flow(server, server.peer(), data, [])
    assert server.kinds() == ["PublishStarted", "PlayStarted", "PublishStarted"]


def flow(server: Server, peer: Peer, data: bytes, cuts: list[int]) -> bytes:
    """Let a peer say something in pieces, and return what it is answered at once."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in pairwise(places):
        if not peer.transport.disconnecting and not peer.transport.disconnected:
            peer.protocol.dataReceived(data[start:stop])
    said: bytes = peer.transport.value()
    return said


@settings(max_examples=30)
@given(talk, st.lists(st.integers(0, 4000), max_size=4), st.booleans())
def test_nothing_stays(data: bytes, cuts: list[int], hangs_up: bool) -> None:
    """F-RE-09: no bug is met, and when it is over there is no viewer, stream or timer of it."""
    failures: list[LogEvent] = []

    def observer(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    globalLogPublisher.addObserver(observer)  # type: ignore[arg-type]
    try:
        server = Server()
        source = server.source()
        peer, other = server.peer(), server.player()
        flow(server, peer, data, cuts)
        source.send(*media(2200, 2400))
        if hangs_up:
            peer.lose()
        else:
            server.wait(1)
            done = server.factory.connections.close("server is stopping")
            peer.lose()
            other.lose()
            assert done.called
        server.wait(80)
        if hangs_up:
            other.lose()
        assert server.hub.viewers == server.hub.waiting == 0
        assert server.hub.streams == {}
        assert len(server.factory.connections) == 0
        assert server.pending() == []
        kinds = server.kinds()
        assert kinds.count("PublishStarted") == kinds.count("PublishEnded")
        assert kinds.count("PlayStarted") == kinds.count("PlayEnded")
    finally:
        globalLogPublisher.removeObserver(observer)  # type: ignore[arg-type]
    assert failures == []


@settings(max_examples=30)
@given(talk, st.lists(st.integers(0, 4000), max_size=4))
def test_cuts_do_not_matter(data: bytes, cuts: list[int]) -> None:
    """The same is answered, however what is said is cut."""
    said = []
    clock = SimpleNamespace(time=lambda: WALL_CLOCK)
    with patch.object(senders, "time", clock):  # which stands in reports
        for places in ([], cuts):
            server = Server()
            server.source()
            said.append(flow(server, server.peer(), data, places))
    assert said[0] == said[1]
