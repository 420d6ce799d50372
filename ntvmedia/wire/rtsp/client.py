"""The client's end of an RTSP connection, without input and output (RFC 2326)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media.hops import HOPS_FIELD
from ntvmedia.wire import sdp
from ntvmedia.wire.rtsp.client_answers import (
    answered_base,
    matching_infos,
    redirected,
    remote_tracks,
    settled_transport,
)
from ntvmedia.wire.rtsp.client_exchange import Exchange, Sent
from ntvmedia.wire.rtsp.events import (
    Announced,
    ClientEvent,
    Described,
    Ended,
    Playing,
    Ready,
    Recording,
    Redirected,
    Rejected,
    TrackReady,
    TransportRefused,
)
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.messages import Interleaved, Reader, Request, Response, reason_of
from ntvmedia.wire.rtsp.ranges import FROM_START, Range, format_range, parse_range
from ntvmedia.wire.rtsp.rtp_info import parse_rtp_info
from ntvmedia.wire.rtsp.session_fields import DEFAULT_TIMEOUT, parse_methods, parse_session
from ntvmedia.wire.rtsp.transport import Transport, format_transport
from ntvmedia.wire.rtsp.urls import parse_url, resolve_control, writable

ANSWER_SECONDS: Final = 10.0
"""How long a server may take for an answer. Signs of life need none: not every camera has one."""

KEEPALIVE_SHARE: Final = 0.8
"""Of the session's timeout: when the next sign of life is given (D-TR-12)."""

CHECK_SECONDS: Final = 1.0
"""How often time is looked at."""

_REDIRECTIONS: Final = frozenset({301, 302, 303, 305, 307, 308})


class KeepAlive(Enum):
    """By which request a session is kept alive (D-TR-12)."""

    AUTO = "auto"
    """GET_PARAMETER where the server lists it and takes it, else OPTIONS."""
    OPTIONS = "OPTIONS"
    GET_PARAMETER = "GET_PARAMETER"
    SET_PARAMETER = "SET_PARAMETER"


# Characters of a reason in words; and what addresses have, and words have not.
_MAX_REASON: Final = 80
_QUOTING: Final = re.compile(r"[/?@=&%]")
_PARTS: Final = re.compile(r"[/?@=&:#]")


class _State(Enum):
    """Where the conversation is.

    GREETING -> ASKING -> KNOWN -> SETTING_UP -> READY -> STARTING -> RUNNING -> OVER;
    SETTING_UP -> KNOWN where the transport is refused; from any to OVER.
    """

    GREETING = "greeting"
    ASKING = "asking for the stream"
    KNOWN = "knowing its tracks"
    SETTING_UP = "setting up tracks"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    OVER = "over"


class ClientSession:
    """A client's end of one connection, which plays one stream or publishes one.

    Send `data_to_send` right after the connection is made. From then on: bytes into
    `receive_data`, `events` out, then `data_to_send`. After `Described` or `Announced` call
    `set_up` with the tracks that are wanted; after `Ready` call `play` or `record`; then RTP and
    RTCP come as `Interleaved`, or on the owner's UDP ports, and go out the same way: in frames
    between the bytes of `data_to_send`. Frames may come before `Playing`.

    A server of which no media comes is the owner's to notice: over UDP it tries again with TCP
    (D-TR-04). After `Rejected`, `Redirected` or `Ended` close the connection.

    Args:
        url: Of the stream; a user and password in it are taken out.
        random: 8 unpredictable bytes or more.
        now: Monotonic seconds.
        description: Of the stream to publish, each media with a control of its own; None to play.
        user: Instead of that of the URL.
        password: Of `user`.
        basic: Answer Basic, too, which shows the password to everybody on the way.
        keepalive: By what the session is kept alive.
        keepalive_seconds: How often; 0 for what the server's timeout asks for.
        answer_seconds: As `ANSWER_SECONDS`.
        hops: How many redirections led here.
        user_agent: This program.
        headers: Names and values of further headers of each request.

    Raises:
        PeerError: `url` is none of RTSP.
    """

    def __init__(
        self,
        url: str,
        random: bytes,
        now: float = 0.0,
        *,
        description: sdp.SessionDescription | None = None,
        user: str = "",
        password: str = "",
        basic: bool = True,
        keepalive: KeepAlive = KeepAlive.AUTO,
        keepalive_seconds: float = 0.0,
        answer_seconds: float = ANSWER_SECONDS,
        hops: int = 0,
        user_agent: str = "ntvmedia",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        parsed = parse_url(url)
        if not user:
            user, password = parsed.user, parsed.password
        self._url = str(parsed)
        self._base = self._url
        self._published = description
        self._control = ""
        self._keepalive = keepalive
        self._keepalive_seconds = keepalive_seconds
        self._answer_seconds = answer_seconds
        self._hops = hops
        self._headers = tuple(headers)
        self._reader = Reader()
        self._exchange = Exchange(user, password, random, basic=basic, user_agent=user_agent)
        self._now = now
        self._asked_at = now
        self._failed = False
        self._state = _State.GREETING
        self._methods: frozenset[str] = frozenset()
        self._urls: dict[int, str] = {}
        self._to_set_up: list[tuple[int, Transport]] = []
        self._session_id = ""
        self._timeout = DEFAULT_TIMEOUT
        self._tracks: dict[int, Transport] = {}
        self._channels: dict[int, tuple[int, bool]] = {}
        self._dropped = 0
        self._send("OPTIONS", self._url)

    @property
    def publishes(self) -> bool:
        """Whether this end publishes; else it plays."""
        return self._published is not None

    @property
    def buffered(self) -> int:
        """Bytes of unfinished messages."""
        return self._reader.buffered

    @property
    def tracks(self) -> Mapping[int, Transport]:
        """What was set up, by the index of the media."""
        return self._tracks

    @property
    def channels(self) -> Mapping[int, tuple[int, bool]]:
        """For each interleaved channel the index of its media, and whether it is RTCP's."""
        return self._channels

    @property
    def dropped(self) -> int:
        """How many interleaved frames were dropped: of no channel, or at the wrong time."""
        return self._dropped

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the server. Nothing is parsed yet."""
        self._reader.receive_data(data)

    def data_to_send(self) -> bytes:
        """Return all that has to go out now, in order; empty for nothing."""
        out = self._exchange.out
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        return data

    def events(self) -> Iterator[ClientEvent]:
        """Parse what is there, and yield what happened, in order.

        Raises:
            PeerError: The bytes that follow the last event break the protocol.
            LimitExceeded: They exceed a limit.
            UsageError: This raised before: the session is spent.
        """
        self._check_usable()
        next_message = self._reader.next_message
        channels = self._channels
        try:
            while self._state is not _State.OVER:
                message = next_message()
                if message is None:
                    return
                if isinstance(message, Interleaved):
                    if message[0] in channels and self._state in (_State.RUNNING, _State.STARTING):
                        yield message
                    else:
                        self._dropped += 1
                elif isinstance(message, Response):
                    sent = self._exchange.received(message, self._now)
                    if sent is not None:
                        yield from self._answered(sent, message)
                else:
                    yield from self._requested(message)
        except PeerError:
            self._failed = True
            raise

    def set_up(self, tracks: Mapping[int, Transport]) -> None:
        """Ask the server for tracks, in this order.

        Args:
            tracks: By the index of the media: with channels for TCP, with ports for UDP.

        Raises:
            UsageError: The stream is not known yet, or these are none of its tracks.
        """
        self._check_usable()
        if self._state is not _State.KNOWN or not tracks or not set(tracks) <= set(self._urls):
            raise UsageError("no such tracks can be set up now")
        self._state = _State.SETTING_UP
        self._to_set_up = list(tracks.items())
        self._set_up_next()

    def play(self, wanted: Range | None = FROM_START) -> None:
        """Ask for media, or for that of another range.

        Args:
            wanted: None to leave it to the server.

        Raises:
            UsageError: The tracks are not set up, or this end publishes.
        """
        self._start("PLAY", wanted, publishes=False)

    def record(self) -> None:
        """Say that media comes now.

        Raises:
            UsageError: The tracks are not set up, or this end plays.
        """
        self._start("RECORD", FROM_START, publishes=True)

    def leave(self) -> None:
        """Say that this end stops; close the connection after sending it."""
        if self._state is not _State.OVER and not self._failed:
            self._tear_down()
        self._state = _State.OVER

    def next_timeout(self) -> float:
        """Return the time, in monotonic seconds, to call `handle_timeout` at."""
        return self._now + CHECK_SECONDS

    def handle_timeout(self, now: float) -> None:
        """Look at the deadlines; then send `data_to_send`, which may hold a sign of life.

        Args:
            now: Monotonic seconds.

        Raises:
            PeerError: The server did not answer in time.
            UsageError: The session failed before.
        """
        self._check_usable()
        self._now = now
        if self._state is _State.OVER:
            return
        try:
            for sent in self._exchange.pending:
                if now - sent.at >= self._answer_seconds and not self._is_keepalive(sent):
                    raise PeerError(
                        f"no answer to {sent.request.method} for {self._answer_seconds:g} s",
                        reference="RFC 2326 9.1",
                    )
            period = self._keepalive_seconds or self._timeout * KEEPALIVE_SHARE
            if self._session_id and now - self._asked_at >= period:
                self._exchange.forget_before(now - self._answer_seconds)
                self._send(self._keepalive_method(), self._aggregate())
        except PeerError:
            self._failed = True
            raise

    def _check_usable(self) -> None:
        if self._failed:
            raise UsageError("the session failed before; make a new one")

    def _send(self, method: str, url: str, *fields: tuple[str, str], body: bytes = b"") -> None:
        headers = [*fields, *self._headers]
        if self._session_id:
            headers.append(("Session", self._session_id))
        self._asked_at = self._now
        self._exchange.ask(Request(method, url, Headers(headers), body), self._now)

    def _keepalive_method(self) -> str:
        if self._keepalive is not KeepAlive.AUTO:
            return str(self._keepalive.value)
        return "GET_PARAMETER" if "GET_PARAMETER" in self._methods else "OPTIONS"

    def _is_keepalive(self, sent: Sent) -> bool:
        return sent.request.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER") and (
            self._state is not _State.GREETING
        )

    def _aggregate(self) -> str:
        """Return the session's own address."""
        return writable(resolve_control(self._base, self._control))

    def _start(self, method: str, wanted: Range | None, *, publishes: bool) -> None:
        self._check_usable()
        states = (_State.READY,) if publishes else (_State.READY, _State.RUNNING)
        if self.publishes is not publishes or self._state not in states:
            raise UsageError(f"nothing is ready for {method}")
        self._state = _State.STARTING
        fields = [] if wanted is None else [("Range", format_range(wanted))]
        self._send(method, self._aggregate(), *fields)

    def _tear_down(self) -> None:
        if self._session_id:
            self._send("TEARDOWN", self._aggregate())
        self._session_id = ""
        self._tracks.clear()
        self._channels.clear()

    def _set_up_next(self) -> None:
        index, transport = self._to_set_up[0]
        if self.publishes:
            transport = transport._replace(records=True, has_mode=True)
        self._send("SETUP", self._urls[index], ("Transport", format_transport(transport)))

    def _over(self, event: Redirected | Rejected | Ended) -> Sequence[ClientEvent]:
        self._state = _State.OVER
        return (event,)

    def _requested(self, request: Request) -> Sequence[ClientEvent]:
        """Answer what the server asks of its client."""
        match request.method:
            case "OPTIONS":
                public = "OPTIONS, GET_PARAMETER, SET_PARAMETER, REDIRECT, TEARDOWN"
                self._exchange.reply(request, 200, ("Public", public))
            case "GET_PARAMETER" | "SET_PARAMETER":
                self._exchange.reply(request, 200)
            case "TEARDOWN":
                self._exchange.reply(request, 200)
                return self._over(Ended("the server ended the session"))
            case "REDIRECT":
                self._exchange.reply(request, 200)
                if "location" in request.headers:
                    return self._over(redirected(302, request.headers, self._url, self._hops))
                return self._over(Ended("the server ended the session"))
            case _:
                self._exchange.reply(request, 501)
        return ()

    def _answered(self, sent: Sent, response: Response) -> Sequence[ClientEvent]:
        """Go on with what the server answered."""
        method, status = sent.request.method, response.status
        if method == "TEARDOWN":
            return ()
        if status in _REDIRECTIONS:
            return self._over(redirected(status, response.headers, self._url, self._hops))
        if self._state is _State.GREETING:
            # Whether it understood or not: what counts is whether it has the stream.
            self._methods = parse_methods(response.headers.get_all("Public"))
            self._ask()
            return ()
        if self._is_keepalive(sent):
            return self._kept_alive(method, status)
        if method == "SETUP" and status == 461:
            # What was set up in this way before is no use with the rest in another.
            self._tear_down()
            self._state = _State.KNOWN
            return (TransportRefused(self._to_set_up[0][0]),)
        if status >= 300:
            return self._over(Rejected(status, _refusal(method, response, self._url)))
        match method:
            case "DESCRIBE":
                return self._described(response)
            case "ANNOUNCE":
                self._state = _State.KNOWN
                return (Announced(),)
            case "SETUP":
                return self._track_ready(response)
        self._state = _State.RUNNING
        return (self._playing(response) if method == "PLAY" else Recording(),)

    def _ask(self) -> None:
        self._state = _State.ASKING
        if self._published is None:
            self._send("DESCRIBE", self._url, ("Accept", sdp.CONTENT_TYPE))
            return
        self._urls = {
            index: resolve_control(self._url, media.control)
            for index, media in enumerate(self._published.media)
        }
        kind = ("Content-Type", sdp.CONTENT_TYPE)
        self._send("ANNOUNCE", self._url, kind, body=sdp.build_sdp(self._published))

    def _kept_alive(self, method: str, status: int) -> Sequence[ClientEvent]:
        if status == 454:
            return self._over(Ended("the server does not know the session any more (454)"))
        if status >= 300 and method == "GET_PARAMETER":
            # It was listed, and is refused all the same.
            self._methods -= {method}
        return ()

    def _described(self, response: Response) -> Sequence[ClientEvent]:
        description = sdp.parse_sdp(response.body)
        if not description.media:
            raise PeerError("a description without media", reference="RFC 2326 10.2")
        self._base = answered_base(response.headers, self._url)
        self._control = description.control
        tracks = remote_tracks(self._base, description)
        self._urls = {track.index: track.url for track in tracks}
        self._state = _State.KNOWN
        return (Described(description, tracks, response.headers.get(HOPS_FIELD)),)

    def _track_ready(self, response: Response) -> Sequence[ClientEvent]:
        index, asked = self._to_set_up.pop(0)
        if "session" in response.headers and not self._session_id:
            self._session_id, self._timeout = parse_session(response.headers.get("session"))
        transport = settled_transport(asked, response.headers.get("transport"), self._channels)
        self._tracks[index] = transport
        if transport.interleaved is not None:
            for channel, is_rtcp in zip(transport.interleaved, (False, True), strict=True):
                self._channels[channel] = (index, is_rtcp)
        ready = TrackReady(index, transport)
        if self._to_set_up:
            self._set_up_next()
            return (ready,)
        self._state = _State.READY
        return (ready, Ready())

    def _playing(self, response: Response) -> Playing:
        try:
            wanted = parse_range(response.headers.get("range"))
        except PeerError:
            wanted = None
        infos = parse_rtp_info(response.headers.get("rtp-info"))
        urls = {index: self._urls[index] for index in self._tracks}
        return Playing(wanted, matching_infos(infos, urls))


def _refusal(method: str, response: Response, url: str) -> str:
    """Say in words what a server refused: its own, where nothing of the address is in them.

    Some quote what they were asked for, and a name or a query may be a key (F-AC-03).
    """
    if response.status == 401:
        return f"{method} refused: the user or the password is missing or wrong (401)"
    reason = response.reason
    parts = (x for x in _PARTS.split(url) if len(x) > 1)
    if len(reason) > _MAX_REASON or _QUOTING.search(reason) or any(x in reason for x in parts):
        reason = ""
    reason = reason or reason_of(response.status)
    return f"{method} refused: {reason} ({response.status})"
