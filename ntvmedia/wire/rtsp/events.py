"""What an RTSP session tells its owner.

RTP and RTCP packets that came interleaved are `messages.Interleaved` themselves; everything else is
one of the classes here. Text in them is as the peer sent it, unchecked: what names a stream goes
through `ntvmedia.media.names.parse_path` before anything else is done with it. Addresses are not
shown by `repr`: passwords and signatures stand in their queries (F-AC-03).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ntvmedia.wire.rtsp.messages import Interleaved, Request
from ntvmedia.wire.rtsp.ranges import Range
from ntvmedia.wire.rtsp.rtp_info import TrackInfo
from ntvmedia.wire.rtsp.transport import Transport
from ntvmedia.wire.sdp import MediaDescription, SessionDescription


@dataclass(frozen=True, slots=True)
class KeptAlive:
    """The client gave a sign of life and was answered: OPTIONS, GET_PARAMETER, SET_PARAMETER.

    Attributes:
        request: As sent.
    """

    request: Request = field(repr=False)


@dataclass(frozen=True, slots=True)
class DescribeRequested:
    """The client wants to know a stream: answer by `accept_describe`, `challenge` or `refuse`.

    Attributes:
        target: Path and query of the stream.
        request: As sent, with its `Authorization`.
    """

    target: str = field(repr=False)
    request: Request = field(repr=False)


@dataclass(frozen=True, slots=True)
class AnnounceRequested:
    """The client wants to publish: answer by `accept_announce`, `challenge` or `refuse`.

    Attributes:
        target: As in `DescribeRequested`.
        request: As in `DescribeRequested`.
        description: Of what it publishes; one media or more.
    """

    target: str = field(repr=False)
    request: Request = field(repr=False)
    description: SessionDescription


@dataclass(frozen=True, slots=True)
class SetupRequested:
    """The client wants a track: answer by `accept_setup`, `challenge` or `refuse`.

    Attributes:
        target: As in `DescribeRequested`. The query is that of DESCRIBE or ANNOUNCE where the
            client left it out of the track's address.
        request: As in `DescribeRequested`.
        track: Index of the media in the description; of a stream to play it may be of none.
            None for the stream's own address: refuse it with 459 unless it has one track only.
        offers: How the client would have it, the preferred way first; only ways that this
            connection allows, interleaved ones with channels that are free. One or more.
        session_id: Of the session that the track is added to; empty for a new one.
        records: The client publishes it.
    """

    target: str = field(repr=False)
    request: Request = field(repr=False)
    track: int | None
    offers: tuple[Transport, ...]
    session_id: str
    records: bool


@dataclass(frozen=True, slots=True)
class PlayRequested:
    """The client wants media now: answer by `accept_play`, `challenge` or `refuse`.

    It may be playing already: then it seeks, or only shows that it is there.

    Attributes:
        request: As in `DescribeRequested`.
        range: What it wants; None for from where it is, or the beginning.
        scale: How fast, 1 for normal, negative for backwards (RFC 2326 section 12.34).
    """

    request: Request = field(repr=False)
    range: Range | None
    scale: float


@dataclass(frozen=True, slots=True)
class RecordRequested:
    """The client is about to send: answer by `accept_record`, `challenge` or `refuse`."""

    request: Request = field(repr=False)


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """The client wants, or sends, no more for now: answer by `accept_pause` or `refuse`."""

    request: Request = field(repr=False)


@dataclass(frozen=True, slots=True)
class TornDown:
    """The client ended its session, and was told so; the connection stays.

    Attributes:
        session_id: Empty where nothing was set up yet.
    """

    session_id: str


Asked: TypeAlias = (
    DescribeRequested
    | AnnounceRequested
    | SetupRequested
    | PlayRequested
    | RecordRequested
    | PauseRequested
)
ServerEvent: TypeAlias = Asked | KeptAlive | TornDown | Interleaved


@dataclass(frozen=True, slots=True)
class RemoteTrack:
    """A track that a server offers.

    Attributes:
        index: Of its media in the description.
        url: For SETUP.
        media: Its description.
        is_back_channel: The server wants to receive it (D-RQ-14).
    """

    index: int
    url: str = field(repr=False)
    media: MediaDescription
    is_back_channel: bool


@dataclass(frozen=True, slots=True)
class Described:
    """The server described the stream: call `set_up` for the tracks that are wanted.

    Attributes:
        description: As sent.
        tracks: One for each media.
        hops: Field `X-Ntv-Hops` of the answer (`ntvmedia.media.hops`); or empty.
    """

    description: SessionDescription
    tracks: tuple[RemoteTrack, ...]
    hops: str = ""


@dataclass(frozen=True, slots=True)
class Announced:
    """The server takes the stream: call `set_up` for its tracks."""


@dataclass(frozen=True, slots=True)
class TrackReady:
    """The server set up a track.

    Attributes:
        index: Of its media.
        transport: What the server decided, which may differ from what was asked for: channels,
            ports, where packets come from.
    """

    index: int
    transport: Transport


@dataclass(frozen=True, slots=True)
class TransportRefused:
    """The server does not carry tracks in this way (461): set up another way, or leave.

    Attributes:
        index: Of the media that was asked for; none is set up now.
    """

    index: int


@dataclass(frozen=True, slots=True)
class Ready:
    """All tracks are set up: call `play` or `record`."""


@dataclass(frozen=True, slots=True)
class Playing:
    """Media comes.

    Attributes:
        range: What the server plays; None where it does not say.
        tracks: Where each track begins in RTP, as far as the server says it: by index.
    """

    range: Range | None
    tracks: dict[int, TrackInfo]


@dataclass(frozen=True, slots=True)
class Recording:
    """Media may be sent."""


@dataclass(frozen=True, slots=True)
class Redirected:
    """The server wants the client elsewhere: close, and go there if that is allowed.

    Attributes:
        url: Absolute; of RTSP, and never without TLS where this connection has it (D-RQ-15). The
            network policy still has to look at it. Another host is told no password.
        hops: For the session that is made for it.
    """

    url: str = field(repr=False)
    hops: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server refused; close the connection.

    Attributes:
        status: Of its answer.
        description: For people.
    """

    status: int
    description: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The server ended the session; close the connection."""

    description: str


ClientEvent: TypeAlias = (
    Described
    | Announced
    | TrackReady
    | TransportRefused
    | Ready
    | Playing
    | Recording
    | Redirected
    | Rejected
    | Ended
    | Interleaved
)
