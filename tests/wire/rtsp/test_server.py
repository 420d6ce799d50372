"""Tests of a server's session."""

from __future__ import annotations

import gc
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.rtsp.events import (
    AnnounceRequested,
    DescribeRequested,
    KeptAlive,
    PauseRequested,
    PlayRequested,
    RecordRequested,
    ServerEvent,
    SetupRequested,
    TornDown,
)
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import Interleaved, build_interleaved
from ntvmedia.wire.rtsp.ranges import FROM_START
from ntvmedia.wire.rtsp.server import MAX_WAITING, ServerSession
from ntvmedia.wire.rtsp.server_requests import METHODS, State
from ntvmedia.wire.rtsp.transport import Lower, Transport
from ntvmedia.wire.sdp import parse_sdp
from tests.wire.rtsp import traces
from tests.wire.rtsp.conversation import (
    DESCRIPTION,
    SESSION_ID,
    accept,
    answers,
    frames,
    no_answer,
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


def test_no_request_is_kept() -> None:
    """What a client says of itself in a request is not kept after the answer, but for its url."""
    session = server()
    talk(session, [setup(), request("PLAY", URL, SESSION, "X-Mark: of this test")])
    assert session.state is State.PLAYING
    assert not [x for x in gc.get_objects() if isinstance(x, Headers) and "x-mark" in x]


def test_ffmpeg_publishes() -> None:
    """D-RT-13: the recorded session of ffmpeg, from OPTIONS to TEARDOWN."""
    session = server()
    events = talk(session, traces.FFMPEG_PUBLISHES)
    kinds = [type(event) for event in events if not isinstance(event, Interleaved)]
    assert kinds == [
        KeptAlive,
        AnnounceRequested,
        SetupRequested,
        SetupRequested,
        RecordRequested,
        TornDown,
    ]
    announce, first, second = events[1:4]
    assert isinstance(announce, AnnounceRequested)
    assert announce.target == "/live/test?password=x"
    assert [media.kind for media in announce.description.media] == ["video", "audio"]
    assert isinstance(first, SetupRequested)
    assert isinstance(second, SetupRequested)
    assert (first.track, first.session_id, first.records) == (0, "", True)
    assert (second.track, second.session_id) == (1, SESSION_ID)
    assert second.target == "/live/test?password=x"
    assert [frame.channel for frame in frames(events)] == [3, 1, 0]
    responses = answers(session)
    assert [response.status for response in responses] == [200] * 6
    assert [response.headers.get("CSeq") for response in responses] == list("123456")
    # D-TR-11: 55 s are advertised, so that 60 s are enough.
    assert responses[2].headers.get("Session") == f"{SESSION_ID};timeout=55"
    assert (
        responses[3].headers.get("Transport") == "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record"
    )
    assert session.state is State.INIT
    assert not session.tracks
    assert not session.channels


def test_secrets_are_not_shown() -> None:
    """F-AC-03: no event shows the query of an address by accident."""
    events = talk(server(), traces.FFMPEG_PUBLISHES)
    assert "password" in str(
        [event.target for event in events if isinstance(event, SetupRequested)]
    )
    assert "password" not in repr(events)


def test_gstreamer_publishes() -> None:
    """D-RT-13: the recorded session of rtspclientsink, with mode=RECORD and a PAUSE at the end."""
    session = server()
    events = talk(session, traces.GSTREAMER_PUBLISHES)
    assert [type(event) for event in events] == [
        AnnounceRequested,
        SetupRequested,
        RecordRequested,
        PauseRequested,
        TornDown,
    ]
    assert [response.status for response in answers(session)] == [200] * 5


def test_gstreamer_plays() -> None:
    """D-PL-01: the recorded session of rtspsrc; RTP-Info names the address that it set up."""
    session = server()
    events = talk(session, traces.GSTREAMER_PLAYS)
    play = events[-1]
    assert isinstance(play, PlayRequested)
    assert play.range == FROM_START
    assert session.tracks == {
        0: Transport(Lower.UDP, client_port=(35704, 35705), server_port=(6970, 6971))
    }
    _options, describe, setup_, playing = answers(session)
    assert describe.headers.get("Content-Base") == "rtsp://127.0.0.1:9107/live/test/"
    assert describe.headers.get("Content-Type") == "application/sdp"
    assert parse_sdp(describe.body) == DESCRIPTION
    assert setup_.headers.get("Transport") == (
        "RTP/AVP;unicast;client_port=35704-35705;server_port=6970-6971"
    )
    assert playing.headers.get("Range") == "npt=now-"
    assert playing.headers.get("RTP-Info") == (
        "url=rtsp://127.0.0.1:9107/live/test/trackID=0;seq=100;rtptime=9000"
    )


def test_options() -> None:
    """D-RQ-01: OPTIONS is answered for any address, and for none, without anybody's leave."""
    session = server()
    data = [
        request("OPTIONS", url, "Session: unknown")
        for url in ("*", URL, "rtsp://x", "/", "rtsp://server/other/none")
    ]
    events = talk(session, data, no_answer)
    assert [type(event) for event in events] == [KeptAlive] * 5
    for response in answers(session):
        assert response.status == 200
        assert response.headers.get("Public") == ", ".join(METHODS)


def test_challenged() -> None:
    """D-RQ-02: after 401 the connection goes on, and is tried again; the tries are counted."""
    session = server()

    def challenge(session: ServerSession, event: ServerEvent) -> None:
        if isinstance(event, DescribeRequested):
            if event.request.headers.get("Authorization") == "right":
                session.accept_describe(DESCRIPTION)
            else:
                session.challenge(['Digest realm="a", nonce="b"', 'Basic realm="a"'])

    talk(session, [DESCRIBE, request("DESCRIBE", URL, "Authorization: right")], challenge)
    first, second = answers(session)
    assert first.status == 401
    assert first.headers.get_all("WWW-Authenticate") == (
        'Digest realm="a", nonce="b"',
        'Basic realm="a"',
    )
    assert second.status == 200
    assert session.challenges == 1


def test_frames() -> None:
    """D-TR-02: frames of unknown channels, and those before RECORD, are dropped and counted."""
    session = server()
    early, good, other = (build_interleaved(channel, b"x") for channel in (0, 1, 9))
    data = [early, ANNOUNCE, SETUP_RECORD, early, RECORD + good + other, PAUSE + good]
    assert frames(talk(session, data)) == [Interleaved(1, b"x")]
    assert session.dropped == 4


def test_frames_behind_record() -> None:
    """Media that comes before RECORD is answered is kept, in order, and delivered after it."""
    session = server()
    talk(session, [ANNOUNCE, SETUP_RECORD])
    session.receive_data(RECORD + build_interleaved(0, b"a") + build_interleaved(1, b"b"))
    assert [type(event) for event in session.events()] == [RecordRequested]
    assert session.awaits_answer
    assert list(session.events()) == []
    assert session.buffered == 10
    session.accept_record()
    assert list(session.events()) == [Interleaved(0, b"a"), Interleaved(1, b"b")]


def test_waiting_has_a_limit() -> None:
    """F4: who sends on and on while its request waits is cut off."""
    session = server()
    session.receive_data(DESCRIBE + bytes(MAX_WAITING))
    assert len(list(zip(session.events(), "a", strict=False))) == 1
    assert list(session.events()) == []
    session.receive_data(b"a")
    with pytest.raises(LimitExceeded):
        list(session.events())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01", 400),
        (b"A * RTSP/1.0\r\nContent-Length: 70000\r\n\r\n", 413),
    ],
)
def test_no_rtsp(data: bytes, status: int) -> None:
    """What is no RTSP is told so, once, and the session is spent."""
    session = server()
    session.receive_data(request("OPTIONS", "*") + data)
    with pytest.raises(PeerError):
        list(session.events())
    options, refused = answers(session)
    assert options.status == 200
    assert refused.status == status
    assert "CSeq" not in refused.headers
    with pytest.raises(UsageError):
        list(session.events())
    with pytest.raises(UsageError):
        session.refuse(404)


def test_misuse() -> None:
    """Answers go to requests of their kind."""
    session = server()
    with pytest.raises(UsageError):
        session.refuse(404)
    talk(session, [setup(0)], no_answer)
    with pytest.raises(UsageError):
        session.accept_announce()
    with pytest.raises(UsageError):
        session.accept_setup(Transport(Lower.TCP, interleaved=(0, 1)))
    with pytest.raises(UsageError):
        session.accept_setup(Transport(Lower.UDP, source="a;b"), SESSION_ID)
    session.accept_setup(Transport(Lower.TCP, interleaved=(0, 1)), SESSION_ID)
    assert session.state is State.READY
    assert session.session_id == SESSION_ID


def test_nothing_is_kept() -> None:
    """D-RQ-16: 10,000 refused requests leave nothing behind."""
    session = server()
    piece = b"".join(request("DESCRIBE", f"rtsp://h/live/{number}") for number in range(100))
    for _ in range(100):
        found = statuses(session, piece, answer=lambda session, _event: session.refuse(404))
        assert found == [404] * 100
    assert session.buffered == 0
    assert session.data_to_send() == b""


def test_answers_to_us() -> None:
    """Answers of a client mean nothing: nothing was asked."""
    session = server()
    assert talk(session, [b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", DESCRIBE])
    assert len(answers(session)) == 1


def test_address_in_rtp_info() -> None:
    """D-PL-01: an address that would end its entry does not."""
    session = server()
    odd = request("SETUP", f"{URL}?a;b,c/trackID=0", "Transport: RTP/AVP/TCP")
    assert statuses(session, odd) == [200]
    talk(session, [request("PLAY")])
    assert answers(session)[0].headers.get("RTP-Info") == (
        f"url={URL}?a%3Bb%2Cc/trackID=0;seq=100;rtptime=9000"
    )


SCRIPT: Final = (
    *traces.FFMPEG_PUBLISHES,
    *traces.GSTREAMER_PLAYS,
    PAUSE,
    TEARDOWN,
    PLAY,
    build_interleaved(0, bytes(300)),
)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(SCRIPT), max_size=9), st.binary(max_size=20), st.data())
def test_cuts_do_not_matter(script: list[bytes], junk: bytes, data: st.DataObject) -> None:
    """D-TR-02: the same events, answers and error, however the bytes are cut."""
    stream = b"".join(script) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]

    def heard(pieces: list[bytes]) -> object:
        session = server()
        found: list[object] = []
        try:
            for piece in pieces:
                session.receive_data(piece)
                while True:
                    count = len(found)
                    for event in session.events():
                        found.append(event)
                        accept(session, event)
                    if len(found) == count:
                        break
        except PeerError as error:
            found.append(str(error))
        return found, session.data_to_send(), session.dropped

    assert heard([stream[a:b] for a, b in pairwise(places)]) == heard([stream])
