"""RTSP as fuzz targets: messages, sessions of both ends, header values, descriptions, tunnels."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtsp.authentication import Outcome, Verifier
from ntvmedia.wire.rtsp.challenges import authorization, choose_challenge
from ntvmedia.wire.rtsp.client import ClientSession
from ntvmedia.wire.rtsp.events import Announced, ClientEvent, Described, Ready
from ntvmedia.wire.rtsp.messages import (
    MAX_BODY,
    MAX_FRAME,
    MAX_HEAD,
    Reader,
    Request,
    Response,
    build_interleaved,
    build_request,
    build_response,
)
from ntvmedia.wire.rtsp.ranges import Unit, format_range, parse_range
from ntvmedia.wire.rtsp.rtp_info import format_rtp_info, parse_rtp_info
from ntvmedia.wire.rtsp.session_fields import format_session, parse_session
from ntvmedia.wire.rtsp.transport import Lower, Transport, format_transport, parse_transport
from ntvmedia.wire.rtsp.tunnel import TunnelDecoder, parse_cookie
from ntvmedia.wire.rtsp.urls import base_of, parse_url, resolve_control, same_track, split_control
from ntvmedia.wire.sdp import build_sdp, parse_sdp
from tests.fuzz.targets import Target, both_ways
from tests.wire.rtsp import traces
from tests.wire.rtsp.conversation import DESCRIPTION, accept, no_answer, server, setup
from tests.wire.test_sdp import CAMERA, RFC_EXAMPLE

_CHANNELS: Final = Transport(Lower.TCP, interleaved=(0, 1))

# What a server answers to a client that plays, one after the other.
_ANSWERS: Final = (
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, GET_PARAMETER\r\n\r\n",
    b"RTSP/1.0 401 No\r\nCSeq: 2\r\nWWW-Authenticate: Basic realm=a\r\n"
    b'WWW-Authenticate: Digest realm="a", nonce="b", qop="auth"\r\n\r\n',
    b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Base: rtsp://h/a/\r\nContent-Length: %d\r\n\r\n"
    % len(CAMERA)
    + CAMERA,
    b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n"
    b"Session: a;timeout=2\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nCSeq: 5\r\nRange: npt=0-\r\nRTP-Info: url=a;seq=1;rtptime=2\r\n\r\n",
    build_interleaved(0, bytes(100)),
    b"REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nLocation: rtsp://h/b\r\n\r\n",
    b"RTSP/1.0 302 Moved\r\nCSeq: 2\r\nLocation: rtsp://h/b\r\n\r\n",
)

_FIELDS: Final = (
    "RTP/AVP;unicast;client_port=5000-5001;ssrc=1A;mode=record,RTP/AVP/TCP;interleaved=0-1",
    'RTP/AVP;multicast;destination=239.0.0.1;port=1-2;ttl=5;mode="PLAY"',
    "npt=1:02:03.5-now;time=19970123T143720Z",
    "clock=19961108T142300.25Z-19961108T143520Z",
    "smpte-25=10:07:00-10:07:33:05.01",
    "url=rtsp://h/a/trackID=0;seq=1;rtptime=2,url=rtsp://h/a/trackID=1;seq=3",
    "12345678;timeout=55",
    "rtsp://us:pa@[::1]:8554/live/test?a=b/trackID=1",
    'Digest username="us", realm="ntv", nonce="3e8-0", uri="*", response="0", qop=auth, nc=1',
    'Digest realm="a\\"b", nonce="c", qop="auth,auth-int", algorithm=SHA-256, Basic realm=d',
    "Basic dXM6cGE=",
)


def _messages(data: bytes) -> None:
    """Read messages, and write them again."""

    def read(pieces: Iterable[bytes]) -> object:
        reader, found = Reader(), list[object]()
        try:
            for piece in pieces:
                reader.receive_data(piece)
                found += reader.messages()
                assert reader.buffered <= max(MAX_HEAD + MAX_BODY, MAX_FRAME) + 4 + len(piece)
        except PeerError as error:
            found.append(str(error))
        return found

    both_ways(data, read)
    reader = Reader()
    reader.receive_data(data)
    with suppress(PeerError):
        for message in reader.messages():
            again = Reader()
            # Tolerance goes one way: an address with a space in it is read, and never written.
            with suppress(UsageError):
                if isinstance(message, Request):
                    again.receive_data(build_request(message))
                elif isinstance(message, Response):
                    again.receive_data(build_response(message))
                else:
                    again.receive_data(build_interleaved(*message))
                assert again.next_message() == message


def _server(
    prefix: bytes, answer: Callable[[Any, Any], None], **options: Any
) -> Callable[[bytes], None]:
    """Return what talks to a server that has heard `prefix`."""

    def read(pieces: Iterable[bytes]) -> object:
        session, found = server(**options), list[object]()
        try:
            for piece in (prefix, *pieces):
                session.receive_data(piece)
                while True:
                    count = len(found)
                    for event in session.events():
                        found.append(event)
                        answer(session, event)
                    if len(found) == count:
                        break
        except PeerError as error:
            found.append(str(error))
        assert len(session.channels) <= 2 * len(session.tracks) <= 64
        return found, session.data_to_send(), session.state

    return lambda data: both_ways(data, read)


def _client(*, publishing: bool) -> Callable[[bytes], None]:
    """Return what answers a client that wants every track over TCP."""

    def owner(session: ClientSession, event: ClientEvent) -> None:
        match event:
            case Announced():
                session.set_up({0: _CHANNELS})
            case Described():
                session.set_up({track.index: _CHANNELS for track in event.tracks[:1]})
            case Ready():
                (session.record if publishing else session.play)()

    def read(pieces: Iterable[bytes]) -> object:
        description = DESCRIPTION if publishing else None
        session = ClientSession("rtsps://us:pa@h/a", bytes(8), description=description)
        found = list[object]()
        try:
            for piece in pieces:
                session.receive_data(piece)
                for event in session.events():
                    found.append(event)
                    owner(session, event)
            session.handle_timeout(3.0)
        except PeerError as error:
            found.append(str(error))
        return found, session.data_to_send()

    return lambda data: both_ways(data, read)


def _fields(data: bytes) -> None:
    """Read a value of a header, and write what it says."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(PeerError):
        for transport in parse_transport(text):
            assert parse_transport(format_transport(transport)) == [transport]
    with suppress(PeerError):
        wanted = parse_range(text)
        again = parse_range(format_range(wanted))
        assert again == wanted or wanted.unit is Unit.SMPTE
    with suppress(PeerError, UsageError):
        tracks = parse_rtp_info(text)
        assert parse_rtp_info(format_rtp_info(tracks)) == tracks
    with suppress(PeerError):
        session = parse_session(text)
        assert parse_session(format_session(session)) == session
    with suppress(PeerError):
        url = parse_url(text)
        assert parse_url(str(url)) == url._replace(user="", password="")
    base_of(text, "rtsp://h")
    same_track(text, resolve_control(text, text), text)
    assert not split_control(text)[0].endswith("/")
    verifier = Verifier("ntv", b"secret", "peer")
    found = verifier.verify(text, "PLAY", "rtsp://h/a", {"us": "password"}.get, 1000.0)
    assert found.outcome is not Outcome.ACCEPTED
    challenge = choose_challenge([text])
    if challenge is not None:
        with suppress(UsageError):
            assert "\n" not in authorization(challenge, "us", "pa", "PLAY", "rtsp://h/a")
    with suppress(PeerError):
        assert parse_cookie(text).isascii()


def _sdp(data: bytes) -> None:
    """Read a description, and write what it says."""
    with suppress(PeerError):
        description = parse_sdp(data)
        for media in description.media:
            for payload_type in media.payload_types:
                rtpmap = media.rtpmap(payload_type)
                assert rtpmap is None or rtpmap.clock_rate > 0
                media.fmtp(payload_type)
            description.direction(media)
            assert 0 <= media.framerate < 1000
        with suppress(UsageError):
            assert parse_sdp(build_sdp(description)) == description


def _tunnel(data: bytes) -> None:
    """Decode the body of a POST."""

    def read(pieces: Iterable[bytes]) -> object:
        decoder = TunnelDecoder()
        found = b"".join([decoder.decode(piece) for piece in pieces])
        return found, str(decoder.error)

    both_ways(data, read)


_PUBLISHED: Final = b"".join(traces.FFMPEG_PUBLISHES[1:5])
_PLAYED: Final = b"".join(traces.GSTREAMER_PLAYS)
_TALK: Final = (
    b"".join(traces.FFMPEG_PUBLISHES),
    b"".join(traces.GSTREAMER_PUBLISHES),
    _PLAYED + traces.GSTREAMER_LEAVES,
    traces.FFMPEG_DIGEST + traces.FFMPEG_DIGEST_QOP,
    setup(0) + setup(1, transport="RTP/AVP/TCP;interleaved=4-5") + traces.GSTREAMER_PLAY,
)

RTSP_TARGETS: Final[dict[str, Target]] = {
    "rtsp-messages": Target(_messages, (*_TALK, b"".join(_ANSWERS), traces.FFMPEG_FRAMES)),
    "rtsp-server": Target(_server(b"", accept, multicast=True), _TALK),
    "rtsp-server-waiting": Target(_server(_PUBLISHED[:200], no_answer), _TALK),
    "rtsp-publishing": Target(
        _server(_PUBLISHED, accept), (traces.FFMPEG_FRAMES + traces.FFMPEG_TEARDOWN, *_TALK)
    ),
    "rtsp-playing": Target(_server(_PLAYED, accept, udp=True), (traces.GSTREAMER_LEAVES, *_TALK)),
    "rtsp-client": Target(_client(publishing=False), (b"".join(_ANSWERS), *_ANSWERS)),
    "rtsp-client-publishing": Target(
        _client(publishing=True), (b"".join(_ANSWERS), b"".join(_ANSWERS[:1] + _ANSWERS[3:]))
    ),
    "rtsp-fields": Target(_fields, tuple(text.encode() for text in _FIELDS)),
    "rtsp-tunnel": Target(
        _tunnel,
        (b"\r\n".join(map(base64.b64encode, traces.GSTREAMER_PLAYS)), base64.b64encode(_PLAYED)),
    ),
    "sdp": Target(_sdp, (RFC_EXAMPLE, CAMERA, traces.FFMPEG_SDP, traces.GSTREAMER_SDP)),
}
