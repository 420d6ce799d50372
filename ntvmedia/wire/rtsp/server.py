"""The server's end of an RTSP connection, without input and output (RFC 2326)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire import sdp
from ntvmedia.wire.rtsp.events import (
    AnnounceRequested,
    Asked,
    DescribeRequested,
    PauseRequested,
    PlayRequested,
    RecordRequested,
    ServerEvent,
    SetupRequested,
)
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import (
    Interleaved,
    Reader,
    Request,
    Response,
    build_response,
    reason_of,
)
from ntvmedia.wire.rtsp.ranges import Range, format_range
from ntvmedia.wire.rtsp.rtp_info import TrackInfo, format_rtp_info
from ntvmedia.wire.rtsp.server_requests import (
    RUNNING,
    WITHOUT_SESSION,
    Answer,
    Refusal,
    ServerRequests,
    State,
)
from ntvmedia.wire.rtsp.session_fields import SessionField, format_session
from ntvmedia.wire.rtsp.transport import Transport, format_transport
from ntvmedia.wire.rtsp.urls import base_of

TIMEOUT_SECONDS: Final = 55
"""What clients are told; the owner gives a session 60 s (D-TR-11)."""

MAX_WAITING: Final = 4 << 20
"""Bytes that may come while a request waits for its answer, as with RTMP. An owner that stops
reading meanwhile never gets near."""

_Asked = TypeVar("_Asked", bound=Asked)


class ServerSession:
    """A server's end of one connection, which has one session at a time.

    Take `events` after each `receive_data`, and send `data_to_send` after that and after each
    answer. While a request waits for its answer, `events` yields nothing more and what comes in
    stays `buffered`: stop reading from the connection meanwhile. Requests that need nobody's
    decision are answered here, and so is what is wrong: the owner never sees it.

    What is played does not go through here: after `accept_play` the owner sends frames between
    the bytes of `data_to_send`, never within them. Time is the owner's too: it ends a session of
    which it hears nothing for 60 s, and a connection that never gets to one.

    A session ends with its connection; an id of another connection is unknown (454). A client
    that leaves the `Session` header out means the only one.

    Args:
        authority: Scheme, host and port of this server, for requests without them.
        udp: Take UDP; not where the connection is TLS or a tunnel (D-TR-03).
        multicast: Take multicast for playing, where there is UDP.
        name: For the `Server` header.
    """

    def __init__(
        self,
        authority: str,
        *,
        udp: bool = True,
        multicast: bool = False,
        name: str = "ntvmedia",
    ) -> None:
        self._authority = authority
        self._name = name
        self._reader = Reader()
        self._requests = ServerRequests(udp=udp, multicast=multicast)
        self._out: list[bytes] = []
        self._failed = False
        self._request: Request | None = None
        self._asked: Asked | None = None
        self._dropped = 0
        self._challenges = 0

    @property
    def buffered(self) -> int:
        """Bytes held: unfinished messages, and those that wait for an answer of the owner."""
        return self._reader.buffered

    @property
    def awaits_answer(self) -> bool:
        """Whether a request waits for the owner."""
        return self._asked is not None

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._requests.state

    @property
    def session_id(self) -> str:
        """The session's id; empty where there is none."""
        return self._requests.session_id

    @property
    def tracks(self) -> Mapping[int, Transport]:
        """What was set up, by the index of the media, in the order of SETUP."""
        return self._requests.tracks

    @property
    def channels(self) -> Mapping[int, tuple[int, bool]]:
        """For each interleaved channel the index of its media, and whether it is RTCP's."""
        return self._requests.channels

    @property
    def dropped(self) -> int:
        """How many interleaved frames were dropped: of no channel, or at the wrong time."""
        return self._dropped

    @property
    def challenges(self) -> int:
        """How many times this client was asked for a password (D-RQ-02)."""
        return self._challenges

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the peer. Nothing is parsed yet."""
        self._reader.receive_data(data)

    def data_to_send(self) -> bytes:
        """Return all that has to go out now, in order; empty for nothing."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def events(self) -> Iterator[ServerEvent]:
        """Parse what is there, and yield what happened, in order.

        Raises:
            PeerError: The bytes that follow the last event are no RTSP. The client is told so:
                send `data_to_send` before the connection is closed.
            LimitExceeded: They exceed a limit, or too many came while a request waited.
            UsageError: This raised before: the session is spent.
        """
        self._check_usable()
        next_message = self._reader.next_message
        requests = self._requests
        channels = requests.channels
        try:
            while self._asked is None:
                message = next_message()
                if message is None:
                    return
                if isinstance(message, Interleaved):
                    if message[0] in channels and requests.state in RUNNING:
                        yield message
                    else:
                        self._dropped += 1
                elif isinstance(message, Request):
                    event = self._received(message)
                    if event is not None:
                        yield event
                # Nothing is asked of clients, so that no answer of one means anything.
            if self._reader.buffered > MAX_WAITING:
                raise LimitExceeded(
                    "more bytes than may wait for an answer",
                    reference="RFC 2326 9.1",
                    limit=MAX_WAITING,
                )
        except PeerError as error:
            self._failed = True
            self._request = None
            self._reply(413 if isinstance(error, LimitExceeded) else 400)
            raise

    def accept_describe(
        self, description: sdp.SessionDescription, *fields: tuple[str, str]
    ) -> None:
        """Describe the stream to the client that waits.

        Args:
            description: With `a=control:trackID=N` for media N: see `urls.track_control`.
            fields: Names and values of further header fields.

        Raises:
            UsageError: None waits.
        """
        asked = self._answered(DescribeRequested)
        self._requests.accepted(asked)
        self._reply(
            200,
            ("Content-Base", base_of(asked.request.url, self._authority)),
            ("Content-Type", sdp.CONTENT_TYPE),
            *fields,
            body=sdp.build_sdp(description),
        )

    def accept_announce(self) -> None:
        """Let the client that waits set up the tracks that it announced.

        Raises:
            UsageError: None waits.
        """
        self._requests.accepted(self._answered(AnnounceRequested))
        self._reply(200)

    def accept_setup(self, transport: Transport, session_id: str = "") -> None:
        """Set up the track that waits; one of no index becomes track 0.

        Args:
            transport: One of the offers, with what is added to it: `server_port` and `source`;
                for multicast `destination`, `port` and `ttl`; `ssrc`.
            session_id: For a new session: unpredictable, 8 characters or more (RFC 2326
                section 3.4). Not looked at otherwise.

        Raises:
            UsageError: None waits, or a new session is given no id.
        """
        asked = self._asked
        if isinstance(asked, SetupRequested) and not asked.session_id and not session_id:
            raise UsageError("a new session needs an id")
        answer = format_transport(transport)
        asked = self._answered(SetupRequested)
        self._requests.session_id = self._requests.session_id or session_id
        self._requests.accepted(asked, transport)
        self._reply(200, ("Transport", answer))

    def accept_play(
        self,
        starts: Mapping[int, tuple[int, int]],
        wanted: Range | None = None,
        scale: float = 1.0,
    ) -> None:
        """Let the client that waits play; its media follows `data_to_send` (D-PL-01).

        Args:
            starts: By track: the sequence number of its first packet, and the RTP timestamp of
                the time at which the range begins. Tracks that are not in it are not named.
            wanted: What is played; None to leave it out.
            scale: How fast it is really played; told to a client that asked for any.

        Raises:
            UsageError: None waits.
        """
        asked = self._answered(PlayRequested)
        headers = []
        if "scale" in asked.request.headers:
            headers.append(("Scale", f"{scale:g}"))
        if wanted is not None:
            headers.append(("Range", format_range(wanted)))
        infos = [
            TrackInfo(self._requests.track_url(track), *starts[track])
            for track in self._requests.tracks
            if track in starts
        ]
        if infos:
            headers.append(("RTP-Info", format_rtp_info(infos)))
        self._requests.accepted(asked)
        self._reply(200, *headers)

    def accept_record(self) -> None:
        """Let the client that waits send.

        Raises:
            UsageError: None waits.
        """
        self._requests.accepted(self._answered(RecordRequested))
        self._reply(200)

    def accept_pause(self) -> None:
        """Let the client that waits pause; send no more media after this.

        Raises:
            UsageError: None waits.
        """
        self._requests.accepted(self._answered(PauseRequested))
        self._reply(200)

    def challenge(self, challenges: Iterable[str]) -> None:
        """Ask the client that waits for a password; it may try again in this connection.

        Args:
            challenges: `WWW-Authenticate` headers, the preferred first.

        Raises:
            UsageError: None waits.
        """
        self._challenges += 1
        self.refuse(401, *(("WWW-Authenticate", text) for text in challenges))

    def refuse(self, status: int, *headers: tuple[str, str]) -> None:
        """Refuse what waits; the session stays as it was.

        Args:
            status: 404 for what is not there, 403, 453, 459, 461, 503 and so on; also 302.
            headers: More of them, such as `Location`.

        Raises:
            UsageError: Nothing waits.
        """
        self._check_usable()
        if self._asked is None:
            raise UsageError("no request waits for an answer")
        self._asked = None
        self._reply(status, *headers)

    def _check_usable(self) -> None:
        if self._failed:
            raise UsageError("the session failed before; make a new one")

    def _answered(self, kind: type[_Asked]) -> _Asked:
        """Return the request that waits, which has its answer now."""
        self._check_usable()
        asked = self._asked
        if not isinstance(asked, kind):
            raise UsageError("no such request waits for an answer")
        self._asked = None
        return asked

    def _reply(self, status: int, *more: tuple[str, str], body: bytes = b"") -> None:
        """Answer the request that is looked at: it is not needed any more, nor kept."""
        request, self._request = self._request, None
        fields = []
        if request is not None and "cseq" in request.headers:
            fields.append(("CSeq", request.headers.get("cseq")))
        fields.append(("Server", self._name))
        session_id = self._requests.session_id
        if session_id and request is not None and request.method not in WITHOUT_SESSION:
            fields.append(("Session", format_session(SessionField(session_id, TIMEOUT_SECONDS))))
        if status in (405, 455, 501):
            fields.append(("Allow", ", ".join(self._requests.allowed)))
        self._out.append(
            build_response(Response(status, reason_of(status), Headers((*fields, *more)), body))
        )

    def _received(self, request: Request) -> ServerEvent | None:
        """Handle one request; return what the owner has to know of it."""
        self._request = request
        try:
            found = self._requests.check(request)
        except Refusal as refusal:
            self._reply(refusal.status, *refusal.headers)
            return None
        except PeerError:
            # Its head was whole: only this request is wrong, not all that follows.
            self._reply(400)
            return None
        if isinstance(found, Answer):
            self._reply(200, *found.headers)
            return found.event
        self._asked = found
        return found
