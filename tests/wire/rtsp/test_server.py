"""Tests of a server's session."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

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
from ntvmedia.wire.rtsp.messages import Interleaved, build_interleaved
from ntvmedia.wire.rtsp.ranges import Range, Unit
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
    assert play.range == Range(Unit.NPT, parse_zero())
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


def parse_zero() -> Any:
    """Return the beginning, as ranges have it."""
    return Range(Unit.NPT, 0).start  # type: ignore[arg-type]  # equal to Fraction(0)


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
        found: list[str] = []
        try:
            for piece in pieces:
                session.receive_data(piece)
                while True:
                    count = len(found)
                    for event in session.events():
                        found.append(repr(event))
                        accept(session, event)
                    if len(found) == count:
                        break
        except PeerError as error:
            found.append(str(error))
        return found, session.data_to_send(), session.dropped

    assert heard([stream[a:b] for a, b in pairwise(places)]) == heard([stream])
