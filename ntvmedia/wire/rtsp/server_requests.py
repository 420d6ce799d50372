"""What a server makes of the requests of one connection: states, sessions and refusals of RTSP."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from ntvmedia.errors import PeerError
from ntvmedia.wire import sdp
from ntvmedia.wire.rtsp import offers
from ntvmedia.wire.rtsp.events import (
    AnnounceRequested,
    Asked,
    DescribeRequested,
    KeptAlive,
    PauseRequested,
    PlayRequested,
    RecordRequested,
    SetupRequested,
    TornDown,
)
from ntvmedia.wire.rtsp.fields import split_list
from ntvmedia.wire.rtsp.messages import Request
from ntvmedia.wire.rtsp.ranges import parse_range
from ntvmedia.wire.rtsp.session_fields import parse_session
from ntvmedia.wire.rtsp.transport import Transport
from ntvmedia.wire.rtsp.urls import same_track, split_control, target_of

METHODS: Final = (
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
)
"""In the order of the `Public` header."""

# What separates the entries of RTP-Info, and may stand in an address.
_ESCAPED: Final = str.maketrans({",": "%2C", ";": "%3B", " ": "%20", "\t": "%09"})


class State(Enum):
    """Where the session is (RFC 2326 section A.2).

    INIT -SETUP-> READY -PLAY-> PLAYING -PAUSE-> READY
    INIT -ANNOUNCE-> ANNOUNCED -SETUP-> PREPARED -RECORD-> RECORDING -PAUSE-> PREPARED
    any -TEARDOWN-> INIT
    """

    INIT = "init"
    ANNOUNCED = "announced"
    READY = "ready"
    PREPARED = "prepared"
    PLAYING = "playing"
    RECORDING = "recording"


# Where each method leads when it is accepted; what is not here is not valid there (455).
_NEXT: Final[dict[tuple[State, str], State]] = {
    (State.INIT, "ANNOUNCE"): State.ANNOUNCED,
    (State.INIT, "SETUP"): State.READY,
    (State.READY, "SETUP"): State.READY,
    (State.ANNOUNCED, "SETUP"): State.PREPARED,
    (State.PREPARED, "SETUP"): State.PREPARED,
    (State.READY, "PLAY"): State.PLAYING,
    (State.PLAYING, "PLAY"): State.PLAYING,
    (State.PREPARED, "RECORD"): State.RECORDING,
    (State.RECORDING, "RECORD"): State.RECORDING,
    (State.READY, "PAUSE"): State.READY,
    (State.PREPARED, "PAUSE"): State.PREPARED,
    (State.PLAYING, "PAUSE"): State.READY,
    (State.RECORDING, "PAUSE"): State.PREPARED,
    **{(state, "DESCRIBE"): state for state in State},
}
_ALWAYS: Final = ("OPTIONS", "DESCRIBE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER")
RUNNING: Final = frozenset({State.PLAYING, State.RECORDING})
"""Where media flows."""

WITHOUT_SESSION: Final = frozenset({"OPTIONS", "DESCRIBE", "ANNOUNCE"})
"""Methods that are about no session, whatever id a client puts into them."""


class Refusal(Exception):
    """A request has its answer: no."""

    def __init__(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class Answer(NamedTuple):
    """A request is answered with 200, and nobody has to decide anything.

    Attributes:
        event: What the owner is told.
        headers: Of the answer.
    """

    event: KeptAlive | TornDown | None = None
    headers: tuple[tuple[str, str], ...] = ()


class _Stream(NamedTuple):
    """What was described or announced last."""

    url: str
    target: str
    media: tuple[sdp.MediaDescription, ...]


class ServerRequests:
    """One connection's session, and what may be asked of it.

    Args:
        udp: As in `ServerSession`.
        multicast: As in `ServerSession`.

    Attributes:
        state: Where the session is.
        session_id: Empty where there is none.
        tracks: As in `ServerSession`.
        channels: As in `ServerSession`.
    """

    def __init__(self, *, udp: bool, multicast: bool) -> None:
        self._udp = udp
        self._multicast = multicast and udp
        self.state = State.INIT
        self.session_id = ""
        self.tracks: dict[int, Transport] = {}
        self.channels: dict[int, tuple[int, bool]] = {}
        self._stream: _Stream | None = None
        self._path = ""
        self._urls: dict[int, str] = {}

    @property
    def allowed(self) -> list[str]:
        """The methods that are valid now, for `Allow`."""
        return [method for method in METHODS if method in _ALWAYS or (self.state, method) in _NEXT]

    def track_url(self, track: int) -> str:
        """Return a track's address as its client knows it."""
        return self._urls[track].translate(_ESCAPED)

    def check(self, request: Request) -> Asked | Answer:
        """Look at a request.

        Returns:
            The answer, or the event that has to be answered.

        Raises:
            Refusal: It is refused.
            PeerError: One of its headers is malformed.
        """
        method, headers = request.method, request.headers
        if not request.version.startswith("RTSP/1."):
            raise Refusal(505)
        if "cseq" not in headers:
            raise Refusal(400)
        required = [*headers.get_all("Require"), *headers.get_all("Proxy-Require")]
        if required:
            # ONVIF's back channel and replay among them: none is known (RFC 2326 section 12.32).
            raise Refusal(551, [("Unsupported", text) for text in required])
        if method not in METHODS:
            raise Refusal(501)
        if "session" in headers and method not in WITHOUT_SESSION:
            given = parse_session(headers.get("session")).id
            if given != self.session_id:
                raise Refusal(454)
        match method:
            case "OPTIONS":
                # D-RQ-01: of any address, and without a password.
                return Answer(KeptAlive(request), (("Public", ", ".join(METHODS)),))
            case "GET_PARAMETER" | "SET_PARAMETER":
                # There are no parameters; without any it is a sign of life (D-TR-09).
                if request.body.strip():
                    raise Refusal(451)
                return Answer(KeptAlive(request))
            case "TEARDOWN":
                return Answer(self._torn_down())
        if (self.state, method) not in _NEXT:
            raise Refusal(455)
        match method:
            case "DESCRIBE":
                return self._describe(request)
            case "ANNOUNCE":
                return self._announce(request)
            case "SETUP":
                return self._setup(request)
            case "PLAY":
                return self._play(request)
            case "RECORD":
                if self.state is not State.RECORDING:
                    return RecordRequested(request)
            case _:
                if self.state in RUNNING:
                    return PauseRequested(request)
        # It is so already.
        return Answer()

    def accepted(self, asked: Asked, transport: Transport | None = None) -> None:
        """Take note of what the owner accepted; `transport` is that of a track."""
        match asked:
            case DescribeRequested():
                # A publisher that looks at another stream still has its own tracks to set up.
                if self.state not in (State.ANNOUNCED, State.PREPARED):
                    self._stream = _Stream(asked.request.url, asked.target, ())
            case AnnounceRequested():
                media = asked.description.media
                self._stream = _Stream(asked.request.url, asked.target, media)
            case SetupRequested():
                assert transport is not None
                self._track_accepted(asked, transport)
        self.state = _NEXT[self.state, asked.request.method]

    def _track_accepted(self, asked: SetupRequested, transport: Transport) -> None:
        track = asked.track or 0
        self._path = asked.target.partition("?")[0]
        self.tracks[track] = transport
        self._urls[track] = asked.request.url
        if transport.interleaved is not None:
            for channel, is_rtcp in zip(transport.interleaved, (False, True), strict=True):
                self.channels[channel] = (track, is_rtcp)

    def _torn_down(self) -> TornDown | None:
        was, session_id = self.state, self.session_id
        self.state = State.INIT
        self.session_id = ""
        self._path = ""
        self._stream = None
        self.tracks.clear()
        self._urls.clear()
        self.channels.clear()
        return None if was is State.INIT else TornDown(session_id)

    def _describe(self, request: Request) -> DescribeRequested:
        accept = request.headers.get("accept").lower()
        if accept and not any(kind in accept for kind in (sdp.CONTENT_TYPE, "*/*")):
            raise Refusal(406)
        return DescribeRequested(self._target(request), request)

    def _announce(self, request: Request) -> AnnounceRequested:
        kind = split_list(request.headers.get("content-type").lower(), ";")
        if kind and kind[0] != sdp.CONTENT_TYPE:
            raise Refusal(415)
        description = sdp.parse_sdp(request.body)
        if not description.media:
            raise Refusal(400)
        return AnnounceRequested(self._target(request), request, description)

    def _setup(self, request: Request) -> SetupRequested:
        records = self.state in (State.ANNOUNCED, State.PREPARED)
        target, track = split_control(self._target(request))
        stream = self._stream
        if records:
            assert stream is not None
            target, track = stream.target, self._announced_track(request.url, stream)
        elif stream is not None and target == stream.target.partition("?")[0]:
            # Its query is not in the base that it was given.
            target = stream.target
        if self.tracks and target.partition("?")[0] != self._path:
            raise Refusal(459)
        if (track or 0) in self.tracks:
            raise Refusal(455)
        given = offers.parse_offers(request.headers.get("transport"))
        if not records and any(offer.records for offer in given):
            raise Refusal(455)
        found = offers.acceptable(
            given,
            udp=self._udp,
            multicast=self._multicast and not records,
            records=records,
            like=next(iter(self.tracks.values()), None),
            taken=self.channels,
        )
        if not found:
            raise Refusal(461)
        return SetupRequested(target, request, track, found, self.session_id, records)

    def _announced_track(self, url: str, stream: _Stream) -> int:
        """Find out which of the announced media a client sets up.

        Raises:
            Refusal: None of them.
        """
        alike = [
            index
            for index, media in enumerate(stream.media)
            if same_track(url, stream.url, media.control)
        ]
        # Media that all have the same address, or none, are set up one after the other.
        for index in alike:
            if index not in self.tracks:
                return index
        if alike:
            return alike[0]
        target, track = split_control(target_of(url))
        path = stream.target.partition("?")[0].rstrip("/")
        if track is None or track >= len(stream.media) or target.partition("?")[0] != path:
            raise Refusal(404)
        return track

    def _play(self, request: Request) -> PlayRequested:
        wanted = None
        if request.headers.get("range"):
            try:
                wanted = parse_range(request.headers.get("range"))
            except PeerError:
                raise Refusal(457) from None
        return PlayRequested(request, wanted, offers.parse_scale(request.headers.get("scale")))

    def _target(self, request: Request) -> str:
        """Return path and query of a request that is about a stream."""
        target = target_of(request.url)
        if not target.startswith("/"):
            raise Refusal(400)
        path, mark, query = target.partition("?")
        return f"{path.rstrip('/')}{mark}{query}" if path.rstrip("/") else target
