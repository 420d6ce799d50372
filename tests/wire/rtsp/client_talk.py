"""A client's session, talked to: by a server of this program, or by a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ntvmedia.wire.rtsp.client import ClientSession
from ntvmedia.wire.rtsp.events import (
    Announced,
    ClientEvent,
    Described,
    Playing,
    Ready,
    ServerEvent,
)
from ntvmedia.wire.rtsp.messages import (
    Reader,
    Request,
)
from ntvmedia.wire.rtsp.server import ServerSession
from ntvmedia.wire.rtsp.transport import Lower, Transport
from ntvmedia.wire.sdp import Attribute, MediaDescription, SessionDescription
from tests.wire.rtsp.conversation import accept, talk

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
