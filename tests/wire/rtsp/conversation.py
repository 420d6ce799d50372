"""A server's session, talked to: for the tests of both ends, and the fuzz targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from ntvmedia.wire.rtsp.events import (
    AnnounceRequested,
    DescribeRequested,
    PauseRequested,
    PlayRequested,
    RecordRequested,
    ServerEvent,
    SetupRequested,
)
from ntvmedia.wire.rtsp.messages import Interleaved, Reader, Response
from ntvmedia.wire.rtsp.ranges import FROM_NOW
from ntvmedia.wire.rtsp.server import ServerSession
from ntvmedia.wire.rtsp.transport import Lower
from ntvmedia.wire.rtsp.urls import track_control
from ntvmedia.wire.sdp import Attribute, MediaDescription, RTPMap, SessionDescription

AUTHORITY: Final = "rtsp://server:8554"
SESSION_ID: Final = "12345678"

VIDEO: Final = MediaDescription.of_rtp(
    "video", 96, RTPMap("H264", 90000), {"packetization-mode": "1"}, track_control(0)
)
AUDIO: Final = MediaDescription.of_rtp("audio", 8, RTPMap("PCMA", 8000), {}, track_control(1))
DESCRIPTION: Final = SessionDescription((VIDEO, AUDIO), attributes=(Attribute("control", "*"),))

STARTS: Final = {0: (100, 9000), 1: (200, 8000)}

Answerer = Callable[[ServerSession, Any], None]


def server(**options: Any) -> ServerSession:
    """Make a session."""
    return ServerSession(AUTHORITY, **options)


def accept(session: ServerSession, event: ServerEvent) -> None:
    """Accept every request, as a server of one stream with two tracks."""
    match event:
        case DescribeRequested():
            session.accept_describe(DESCRIPTION)
        case AnnounceRequested():
            session.accept_announce()
        case SetupRequested():
            transport = event.offers[0]
            if transport.is_multicast:
                transport = transport._replace(destination="239.0.0.1", port=(5000, 5001), ttl=1)
            elif transport.lower is Lower.UDP:
                transport = transport._replace(server_port=(6970, 6971))
            if event.track is None or event.track < 2 or event.records:
                session.accept_setup(transport, SESSION_ID)
            else:
                session.refuse(404)
        case PlayRequested():
            session.accept_play(STARTS, FROM_NOW)
        case RecordRequested():
            session.accept_record()
        case PauseRequested():
            session.accept_pause()


def no_answer(_session: object, _event: object) -> None:
    """Leave a request waiting."""


def talk(
    session: ServerSession, pieces: Iterable[bytes], answer: Answerer = accept
) -> list[ServerEvent]:
    """Give bytes to a session, answer what it asks, and return its events."""
    events = []
    for piece in pieces:
        session.receive_data(piece)
        while True:
            found = list(session.events())
            for event in found:
                answer(session, event)
            events += found
            if not found:
                break
    return events


def answers(session: ServerSession) -> list[Response]:
    """Read what a session sent."""
    reader = Reader()
    reader.receive_data(session.data_to_send())
    messages = list(reader.messages())
    assert reader.buffered == 0
    assert all(isinstance(message, Response) for message in messages)
    return [message for message in messages if isinstance(message, Response)]


def request(
    method: str, url: str = "rtsp://server:8554/live/test", *fields: str, body: bytes = b""
) -> bytes:
    """Write a request; it says its CSeq unless a field does."""
    lines = [f"{method} {url} RTSP/1.0", *fields]
    if not any(field.lower().startswith("cseq") for field in fields):
        lines.append("CSeq: 1")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def setup(
    track: int = 0, *fields: str, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1"
) -> bytes:
    """Write a SETUP of one of our own tracks."""
    url = f"rtsp://server:8554/live/test/trackID={track}"
    return request("SETUP", url, f"Transport: {transport}", *fields)


def statuses(session: ServerSession, *pieces: bytes, answer: Answerer = accept) -> list[int]:
    """Talk to a session, and return the statuses of its answers."""
    talk(session, pieces, answer)
    return [response.status for response in answers(session)]


def frames(events: Iterable[object]) -> list[Interleaved]:
    """Return the interleaved frames among events."""
    return [event for event in events if isinstance(event, Interleaved)]
