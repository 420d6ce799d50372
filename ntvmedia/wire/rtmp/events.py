"""What an RTMP session tells its owner.

Media comes out as `ntvmedia.media.Track` and `ntvmedia.media.Packet` themselves; everything else
is one of the classes here. Text in them is as the peer sent it, unchecked: what names a stream
goes through `ntvmedia.media.names.parse_rtmp` before anything else is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ntvmedia.formats.amf0 import Value
from ntvmedia.media import MediaKind, Packet, Track
from ntvmedia.wire.rtmp.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class Connected:
    """The client's `connect` was answered (RTMP 1.0 section 7.2.1.1).

    Attributes:
        app: Property `app`; may be empty, may hold slashes and a query.
        tc_url: Property `tcUrl` without quotation marks around it.
        page_url: The page that the player is embedded in, or empty.
        swf_url: The player's own address, or empty.
        flash_version: The client's name and version, or empty.
        object_encoding: What was agreed on: 0 for AMF0, 3 for AMF0 and AMF3.
        capabilities: What the client announced of Enhanced RTMP.
        type: Property `type`, which encoders send as "nonprivate"; or empty.
        hops: Property `ntvHops` as it was sent (`ntvmedia.media.hops`); or empty.
    """

    app: str
    tc_url: str
    page_url: str
    swf_url: str
    flash_version: str
    object_encoding: int
    capabilities: Capabilities
    type: str
    hops: str = ""

    @property
    def is_encoder(self) -> bool:
        """The client is about to publish, by all that can be known of it now."""
        return self.type == "nonprivate" or self.flash_version.startswith("FMLE/")


@dataclass(frozen=True, slots=True)
class ConnectRefused:
    """The client's `connect` was refused: close the connection after sending this.

    Attributes:
        app: As in `Connected`.
    """

    app: str


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """The client wants to publish: answer by `accept_publish` or `reject`.

    Attributes:
        stream_id: The message stream.
        app: As in `Connected`.
        name: The stream's name, often with a query.
        kind: "live", "record" or "append"; "live" for a missing or unknown one.
        tc_url: As in `Connected`.
    """

    stream_id: int
    app: str
    name: str
    kind: str
    tc_url: str


@dataclass(frozen=True, slots=True)
class PlayRequested:
    """The client wants to play: answer by `accept_play` or `reject`.

    Attributes:
        stream_id: The message stream; nearly always 1. Media for another one needs a rendition
            of its own: `RTMPSerialiser(message_stream_id=...)`.
        app: As in `Connected`.
        name: The stream's name, often with a query.
        tc_url: As in `Connected`.
        page_url: As in `Connected`.
        start: In milliseconds from a recording's beginning; -2 for live or else recorded, -1 for
            live only. RTMP 1.0 section 7.2.2.1 has seconds, all clients send milliseconds.
        duration: In milliseconds; -1 for all.
    """

    stream_id: int
    app: str
    name: str
    tc_url: str
    page_url: str
    start: int = -2
    duration: int = -1


@dataclass(frozen=True, slots=True)
class Unpublished:
    """The client stopped publishing; the connection stays, and may publish again."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class PlayStopped:
    """The client stopped playing; the connection stays, and may play again."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """The player paused or goes on; it was already told so.

    Attributes:
        stream_id: The message stream.
        paused: False to go on, which for live is at the next keyframe.
        milliseconds: Stream time at which the player stands.
    """

    stream_id: int
    paused: bool
    milliseconds: int


@dataclass(frozen=True, slots=True)
class SeekRequested:
    """The player of a file wants another place in it: answer by `accept_seek`.

    Never for what was accepted as not seekable: the session refuses that itself.

    Attributes:
        stream_id: The message stream.
        milliseconds: Stream time, 0 or more.
    """

    stream_id: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class ReceiveRequested:
    """The player switched one kind of media on or off."""

    stream_id: int
    kind: MediaKind
    wanted: bool


@dataclass(frozen=True, slots=True)
class MetadataReceived:
    """The publisher described its stream (`onMetaData`), or took that back (no fields).

    Attributes:
        fields: For information only: encoders lie about codecs and tracks.
    """

    fields: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server lets this client publish, or begins to play.

    Attributes:
        code: "NetStream.Publish.Start" or "NetStream.Play.Start".
        description: For people; may be empty.
        hops: Property `ntvHops` as it was sent (`ntvmedia.media.hops`); or empty.
    """

    code: str
    description: str
    hops: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server refused to connect, publish or play; close the connection.

    Attributes:
        code: Such as "NetConnection.Connect.Rejected"; may be empty.
        description: For people; may be empty, or hold what answers to `authmod` are made of.
        redirect: Where to go instead, an absolute address with or without the stream's name at
            its end; empty where the server does not say.
    """

    code: str
    description: str
    redirect: str = ""


@dataclass(frozen=True, slots=True)
class CredentialsRequested:
    """The server refused to connect, and wants to know who this is: close, and connect anew.

    Attributes:
        credentials: Give it to the next session of the same user and password. After two of these
            that one is accepted or rejected.
    """

    credentials: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """The server ended what it had accepted; close the connection."""

    code: str
    description: str


@dataclass(frozen=True, slots=True)
class ReconnectRequested:
    """The server asks the client to move (E-RTMP v2, "Reconnect Request").

    It goes on serving this connection until the client leaves.

    Attributes:
        tc_url: Absolute, or relative to the present one; empty for the same.
        description: For people; may be empty.
    """

    tc_url: str
    description: str


MediaEvent = Track | Packet | MetadataReceived
ServerEvent = (
    Connected
    | ConnectRefused
    | PublishRequested
    | PlayRequested
    | Unpublished
    | PlayStopped
    | PauseRequested
    | SeekRequested
    | ReceiveRequested
    | MediaEvent
)
ClientEvent = Accepted | Rejected | CredentialsRequested | Ended | ReconnectRequested | MediaEvent
