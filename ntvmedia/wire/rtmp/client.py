"""The client's end of an RTMP connection, without input and output (RTMP 1.0 section 7.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.amf0 import Value
from ntvmedia.media import Packet, Track, to_milliseconds
from ntvmedia.media.hops import HOPS_PROPERTY
from ntvmedia.wire.rtmp import authmod, commands, writer
from ntvmedia.wire.rtmp.authmod import with_credentials
from ntvmedia.wire.rtmp.calls import Call, read_call, text
from ntvmedia.wire.rtmp.capabilities import (
    Capabilities,
    FourCCInfo,
    announcement,
    parse_capabilities,
)
from ntvmedia.wire.rtmp.chunks import MAX_MESSAGE_SIZE, Message, MessageType
from ntvmedia.wire.rtmp.events import (
    Accepted,
    ClientEvent,
    CredentialsRequested,
    Ended,
    ReconnectRequested,
    Rejected,
)
from ntvmedia.wire.rtmp.handshake import ClientHandshake
from ntvmedia.wire.rtmp.media_reader import MediaReader
from ntvmedia.wire.rtmp.serialiser import RTMPSerialiser
from ntvmedia.wire.rtmp.session import (
    CHUNK_SIZE,
    HANDSHAKE_SECONDS,
    PING_SECONDS,
    PING_TIMEOUT_SECONDS,
    WINDOW_ACK_SIZE,
    Session,
)

# As FFmpeg says it, since servers refuse names that they do not know.
PUBLISHER_VERSION: Final = "FMLE/3.0 (compatible; ntvmedia)"
PLAYER_VERSION: Final = "LNX 9,0,124,2"

# Milliseconds that we tell a server to keep sending ahead; live servers send what there is.
BUFFER_LENGTH: Final = 3000

ACCEPT_SECONDS: Final = 45.0
"""Servers let a player wait for its stream: ours and ZLMediaKit for 15 s after the connect."""

# Of randomness in what a client adds to a server's question, so that no answer serves twice.
_CHALLENGE_BYTES: Final = 8

# Numbers of our calls, by which their answers are known.
_CONNECT: Final = 1.0
_RELEASE_STREAM: Final = 2.0
_FC_PUBLISH: Final = 3.0
_CREATE_STREAM: Final = 4.0
_PUBLISH: Final = 5.0
_CHECK_BANDWIDTH: Final = 6.0
_LEAVE: Final = 7.0

_AUDIO: Final = int(MessageType.AUDIO)
_VIDEO: Final = int(MessageType.VIDEO)
_COMMAND_TYPES: Final = (MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3)
_STREAM_TYPES: Final = (MessageType.DATA_AMF0, MessageType.DATA_AMF3, MessageType.AGGREGATE)

_FOUND: Final = 302.0

_STARTED: Final = frozenset({"NetStream.Publish.Start", "NetStream.Play.Start"})

# Servers give these the level "status", "warning" or "error" as they like.
_OVER: Final = frozenset(
    {
        "NetConnection.Connect.AppShutdown",
        "NetConnection.Connect.Closed",
        "NetConnection.Connect.Failed",
        "NetConnection.Connect.InvalidApp",
        "NetConnection.Connect.Rejected",
        "NetStream.Failed",
        "NetStream.Play.Complete",
        "NetStream.Play.Failed",
        "NetStream.Play.Stop",
        "NetStream.Play.StreamNotFound",
        "NetStream.Play.UnpublishNotify",
        "NetStream.Publish.BadName",
        "NetStream.Publish.Denied",
        "NetStream.Publish.Failed",
        "NetStream.Unpublish.Success",
    }
)


class _State(Enum):
    """Where the conversation is.

    HANDSHAKE -> CONNECTING -> CREATING -> REQUESTING -> RUNNING -> OVER; from any to OVER.
    """

    HANDSHAKE = "shaking hands"
    CONNECTING = "connecting"
    CREATING = "creating a stream"
    REQUESTING = "asking to publish or play"
    RUNNING = "running"
    OVER = "over"


class ClientSession(Session):
    """A client's end of one connection, which publishes one stream or plays one.

    Send `data_to_send` right after the connection is made. From then on as with `ServerSession`:
    bytes into `receive_data`, `events` out, then `data_to_send`. After `Accepted`, a publisher
    calls `send_track`, `send_packet` and `send_metadata`, each followed by `data_to_send`; a
    player's `events` are the tracks and packets. After `Rejected` or `Ended` close the connection;
    after `CredentialsRequested` make another, with another session that is given `credentials`.

    Args:
        random: Unpredictable bytes for the handshake, 3072 or more.
        now: Monotonic seconds.
        publishing: Publish; otherwise play.
        app: For `connect`.
        name: Of the stream, with its query.
        tc_url: Address of server and app: "rtmp://host/app".
        swf_url: For servers that look at it; empty to leave it out.
        page_url: As `swf_url`.
        properties: Further ones for `connect`; servers pass over those that they do not know.
        user: Whoever publishes or plays, for servers that ask (`authmod=adobe`); empty for nobody.
        password: The user's. It is not sent: the server is shown that it is known.
        credentials: As of `CredentialsRequested`; empty for the first connection.
        strict: Refuse a server whose handshake is not in order.
        legacy_hevc: Send HEVC under the unregistered codec id 12.
        chunk_size: Of what is sent, in bytes.
        window_ack_size: In bytes.
        max_message_size: Of what is received, in bytes.
        handshake_seconds: As in `Session`.
        accept_seconds: From the start to `Accepted`.
        ping_seconds: As in `Session`.
        ping_timeout_seconds: As in `Session`.

    Attributes:
        capabilities: What the server announced; none before it answered `connect`.
    """

    def __init__(
        self,
        random: bytes,
        now: float = 0.0,
        *,
        publishing: bool,
        app: str,
        name: str,
        tc_url: str,
        swf_url: str = "",
        page_url: str = "",
        properties: Mapping[str, Value] | None = None,
        user: str = "",
        password: str = "",
        credentials: str = "",
        strict: bool = False,
        legacy_hevc: bool = False,
        chunk_size: int = CHUNK_SIZE,
        window_ack_size: int = WINDOW_ACK_SIZE,
        max_message_size: int = MAX_MESSAGE_SIZE,
        handshake_seconds: float = HANDSHAKE_SECONDS,
        accept_seconds: float = ACCEPT_SECONDS,
        ping_seconds: float = PING_SECONDS,
        ping_timeout_seconds: float = PING_TIMEOUT_SECONDS,
    ) -> None:
        handshake = ClientHandshake(random, strict)
        super().__init__(
            handshake,
            now=now,
            chunk_size=chunk_size,
            window_ack_size=window_ack_size,
            ack_modulus=1 << 32,
            max_message_size=max_message_size,
            handshake_seconds=handshake_seconds,
            ping_seconds=ping_seconds,
            ping_timeout_seconds=ping_timeout_seconds,
        )
        self.capabilities = Capabilities()
        self._publishing = publishing
        self._accept_seconds = accept_seconds
        self._app = with_credentials(app, credentials)
        self._name = name
        self._tc_url = with_credentials(tc_url, credentials)
        self._user = user
        self._password = password
        self._credentials = credentials
        self._challenge = random[:_CHALLENGE_BYTES].hex()
        self._swf_url = swf_url
        self._page_url = page_url
        self._properties = dict(properties or {})
        self._legacy_hevc = legacy_hevc
        self._state = _State.HANDSHAKE
        self._stream_id = 0
        self._media = MediaReader()
        self._set_aside: Message | None = None
        self._serialiser: RTMPSerialiser | None = None
        self._tracks: dict[int, Track] = {}
        self._metadata: Mapping[str, object] = {}
        self._timestamp = 0
        self._has_begun = False
        self._out.append(handshake.data_to_send())

    @property
    def dropped(self) -> int:
        """How many messages of the played stream could not be read."""
        return self._media.dropped

    @property
    def last_problem(self) -> str:
        """Why the last one of them could not; empty before the first."""
        return self._media.last_problem

    def events(self) -> Iterator[ClientEvent]:
        """Parse what is there, and yield what happened, in order.

        Raises:
            PeerError: The bytes that follow the last event break the protocol.
            LimitExceeded: They exceed a limit.
            UsageError: This raised before: the session is spent.
        """
        self._check_usable()
        try:
            if not self._shake_hands():
                return
            if self._state is _State.HANDSHAKE:
                self._connect()
            next_message = self._reader.next_message
            tags = self._media.tags
            while self._state is not _State.OVER:
                message = self._set_aside or next_message()
                self._set_aside = None
                if message is None:
                    return
                type_id, timestamp, _stream_id, payload, _chunk_stream_id = message
                # One stream is played: whatever its messages say of their stream, they are its.
                if type_id == _VIDEO:
                    yield from tags.video(timestamp, payload)
                elif type_id == _AUDIO:
                    yield from tags.audio(timestamp, payload)
                else:
                    yield from self._received_message(message)
        except PeerError:
            self._failed = True
            raise

    def receive_media(
        self,
        data: bytes,
        deliver: Callable[[Packet], None],
        announce: Callable[[Track], None],
    ) -> bool:
        """Take the next bytes for a player, and hand media on without making events of it.

        The short way for nearly all that a server sends: use it instead of `receive_data` while
        the last `events` were all taken. Both callbacks may call `leave`: nothing more is given.

        Args:
            data: As it came.
            deliver: Called with each packet.
            announce: Called with each new or changed track, before its packets.

        Returns:
            False if there is, or may be, something else: then take `events`, which go on from
            there.

        Raises:
            PeerError, LimitExceeded, UsageError: As `events`.
        """
        self._check_usable()
        self.receive_data(data)
        if self._state is not _State.RUNNING or self._publishing or self._set_aside is not None:
            return False
        next_message = self._reader.next_message
        video = self._media.tags.video
        audio = self._media.tags.audio
        try:
            while (message := next_message()) is not None:
                type_id, timestamp, _stream_id, payload, _chunk_stream_id = message
                if type_id == _VIDEO:
                    media = video(timestamp, payload)
                elif type_id == _AUDIO:
                    media = audio(timestamp, payload)
                else:
                    self._set_aside = message
                    return False
                for event in media:
                    if isinstance(event, Packet):
                        deliver(event)
                    else:
                        announce(event)
                    if self._is_over():
                        return True
        except PeerError:
            self._failed = True
            raise
        return True

    def send_metadata(self, fields: Mapping[str, object]) -> None:
        """Describe the stream; what is said of codecs is replaced by what the tracks are.

        Raises:
            UsageError: This end does not publish, or was not accepted.
        """
        serialiser = self._publisher()
        self._metadata = dict(fields)
        self._tracks_changed(serialiser)
        if self._has_begun:
            self._out.append(serialiser.metadata(self._timestamp))

    def send_track(self, track: Track) -> None:
        """Announce a track, new or changed, before its packets.

        Those announced before the first packet are described together.

        Raises:
            UsageError: This end does not publish, or was not accepted.
        """
        serialiser = self._publisher()
        self._tracks[track.id] = track
        changed = self._tracks_changed(serialiser)
        if self._has_begun:
            self._out.append(changed)

    def send_packet(self, packet: Packet) -> None:
        """Send one packet of a track that was announced.

        Raises:
            UsageError: This end does not publish, or was not accepted.
        """
        serialiser = self._publisher()
        self._timestamp = to_milliseconds(packet.dts, packet.track.clock_rate)
        if not self._has_begun:
            self._has_begun = True
            self._out.append(serialiser.header(self._timestamp))
        serialiser.packet(packet, self._out)

    def _tracks_changed(self, serialiser: RTMPSerialiser) -> bytes:
        tracks = tuple(self._tracks.values())
        return serialiser.tracks_changed(tracks, self._metadata, self._timestamp)

    def leave(self) -> None:
        """Say that this end stops; close the connection after sending it."""
        if self._state not in (_State.REQUESTING, _State.RUNNING):
            return
        self._state = _State.OVER
        if self._publishing:
            self._call("FCUnpublish", _LEAVE, None, self._name)
        self._call("deleteStream", 0.0, None, float(self._stream_id))

    def _publisher(self) -> RTMPSerialiser:
        if self._serialiser is None:
            raise UsageError("this session does not publish, or not yet")
        return self._serialiser

    def _is_over(self) -> bool:
        return self._state is _State.OVER

    def _check_deadlines(self, now: float) -> None:
        super()._check_deadlines(now)
        is_waiting = self._state not in (_State.RUNNING, _State.OVER)
        if is_waiting and now - self._started_at >= self._accept_seconds:
            raise PeerError(
                f"still {self._state.value} after {self._accept_seconds:g} s",
                reference="RTMP 1.0 7.2.2",
            )

    def _is_connected(self) -> bool:
        return self._state not in (_State.HANDSHAKE, _State.CONNECTING)

    def _call(self, name: str, transaction: float, *arguments: Value, stream_id: int = 0) -> None:
        self._out.append(
            commands.command(
                name, transaction, *arguments, stream_id=stream_id, chunk_size=self._chunk_size
            )
        )

    def _connect(self) -> None:
        self._state = _State.CONNECTING
        properties: dict[str, Value] = {
            "app": self._app,
            # Servers ask who sends it for a password to publish.
            **({"type": "nonprivate"} if self._publishing else {}),
            "flashVer": PUBLISHER_VERSION if self._publishing else PLAYER_VERSION,
            "tcUrl": self._tc_url,
        }
        if self._swf_url:
            properties["swfUrl"] = self._swf_url
        if self._page_url:
            properties["pageUrl"] = self._page_url
        if not self._publishing:
            # Bits of every legacy codec (RTMP 1.0 section 7.2.1.1); FFmpeg sends the same.
            properties |= {
                "fpad": False,
                "capabilities": 15.0,
                "audioCodecs": 4071.0,
                "videoCodecs": 252.0,
                "videoFunction": 1.0,
            }
        known = FourCCInfo.CAN_DECODE | FourCCInfo.CAN_ENCODE | FourCCInfo.CAN_FORWARD
        further = {**announcement(known), **self._properties}
        self._out.append(commands.connect(_CONNECT, {**properties, **further}))

    def _received_message(self, message: Message) -> Sequence[ClientEvent]:
        type_id = message.type_id
        if type_id in _COMMAND_TYPES:
            return self._received_call(read_call(message))
        if type_id in _STREAM_TYPES:
            return self._media.media(type_id, message.timestamp, message.payload)
        if not self._control(type_id, message.payload):
            self._ignored += 1
        elif type_id == MessageType.SET_PEER_BANDWIDTH:
            self._out.append(writer.window_ack_size(int.from_bytes(message.payload[:4], "big")))
        return ()

    def _received_call(self, call: Call) -> Sequence[ClientEvent]:
        if call.name == "onStatus":
            return self._status(call)
        if call.name == "_result":
            return self._result(call)
        if call.name == "_error":
            # Servers without releaseStream and its like say so; nothing depends on those.
            if call.transaction == _CONNECT and self._state is _State.CONNECTING:
                return self._connect_refused(call)
            if call.transaction in (_CONNECT, _CREATE_STREAM, _PUBLISH):
                return self._over(call)
        elif call.name == "close":
            return self._over(call)
        elif call.name == "onBWDone":
            # Flash's servers measure until they are asked whether that is done.
            self._call("_checkbw", _CHECK_BANDWIDTH, None)
        else:
            self._ignored += 1
        return ()

    def _connect_refused(self, call: Call) -> Sequence[ClientEvent]:
        description = text(call.properties(call.argument(0)).get("description"))
        credentials = authmod.answer(
            description, self._credentials, self._user, self._password, self._challenge
        )
        if not self._user or not credentials:
            return self._over(call)
        self._state = _State.OVER
        return (CredentialsRequested(credentials),)

    def _result(self, call: Call) -> Sequence[ClientEvent]:
        if call.transaction == _CONNECT and self._state is _State.CONNECTING:
            information = call.properties(call.argument(0))
            self.capabilities = parse_capabilities({**call.properties(call.object), **information})
            self._state = _State.CREATING
            self._out.append(writer.window_ack_size(self._window_ack_size))
            self._out.append(writer.set_chunk_size(self._chunk_size))
            if self._publishing:
                self._call("releaseStream", _RELEASE_STREAM, None, self._name)
                self._call("FCPublish", _FC_PUBLISH, None, self._name)
            self._call("createStream", _CREATE_STREAM, None)
        elif call.transaction == _CREATE_STREAM and self._state is _State.CREATING:
            stream_id = call.milliseconds(0)
            if not 0 < stream_id < 1 << 32:
                raise PeerError("createStream gave no stream id", reference="RTMP 1.0 7.2.1.3")
            self._state = _State.REQUESTING
            self._stream_id = stream_id
            if self._publishing:
                self._call("publish", _PUBLISH, None, self._name, "live", stream_id=stream_id)
            else:
                self._call("play", 0.0, None, self._name, -2000.0, stream_id=stream_id)
                self._out.append(writer.set_buffer_length(stream_id, BUFFER_LENGTH))
        return ()

    def _status(self, call: Call) -> Sequence[ClientEvent]:
        information = call.properties(call.argument(0))
        code = text(information.get("code"))
        description = text(information.get("description"))
        if code == "NetConnection.Connect.ReconnectRequest":
            return (ReconnectRequested(text(information.get("tcUrl")), description),)
        if code in _STARTED and self._state is _State.REQUESTING:
            self._state = _State.RUNNING
            if self._publishing:
                self._serialiser = RTMPSerialiser(
                    message_stream_id=self._stream_id,
                    chunk_size=self._chunk_size,
                    legacy_hevc=self._legacy_hevc,
                    has_multitrack=self.capabilities.has_multitrack,
                    publishing=True,
                )
            return (Accepted(code, description, text(information.get(HOPS_PROPERTY))),)
        if code in _OVER or information.get("level") == "error" or _redirect(information):
            return self._over(call)
        return ()

    def _over(self, call: Call) -> Sequence[ClientEvent]:
        information = call.properties(call.argument(0))
        code = text(information.get("code"))
        description = text(information.get("description"))
        was_running = self._state is _State.RUNNING
        self._state = _State.OVER
        self._serialiser = None
        if was_running:
            return (Ended(code, description),)
        return (Rejected(code, description, _redirect(information)),)


def _redirect(information: Mapping[str, Value]) -> str:
    """Return where a refusal sends the client instead; empty where it does not.

    No document has it: SRS and forks of nginx-rtmp put an object "ex" with the code 302 into the
    information object. "redirect" is what tcUrl has to be; "redirect2", of newer SRS, is the whole
    address with the stream's name.
    """
    more = information.get("ex")
    if not isinstance(more, Mapping) or more.get("code") != _FOUND:
        return ""
    return text(more.get("redirect2")) or text(more.get("redirect"))
