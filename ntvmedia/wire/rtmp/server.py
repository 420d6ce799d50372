"""The server's end of an RTMP connection, without input and output (RTMP 1.0 section 7.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats.amf0 import Value
from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtmp import commands
from ntvmedia.wire.rtmp.calls import read_call
from ntvmedia.wire.rtmp.capabilities import Capabilities
from ntvmedia.wire.rtmp.chunks import MAX_MESSAGE_SIZE, Message, MessageType
from ntvmedia.wire.rtmp.events import Connected, PlayRequested, PublishRequested, ServerEvent
from ntvmedia.wire.rtmp.handshake import ServerHandshake
from ntvmedia.wire.rtmp.media_reader import MediaReader
from ntvmedia.wire.rtmp.server_commands import ServerCommands
from ntvmedia.wire.rtmp.session import (
    CHUNK_SIZE,
    HANDSHAKE_SECONDS,
    PING_SECONDS,
    PING_TIMEOUT_SECONDS,
    WINDOW_ACK_SIZE,
    Session,
)
from ntvmedia.wire.rtmp.streams import NO_STREAM, StreamState

MAX_WAITING: Final = 4 << 20
"""Bytes that may come while a request waits for its answer: two seconds of a good publisher that
does not wait for it. An owner that stops reading meanwhile never gets near."""

IDLE_SECONDS: Final = 30.0
"""How long a connection may neither publish nor play."""

_VIDEO: Final = int(MessageType.VIDEO)
_AUDIO: Final = int(MessageType.AUDIO)
_COMMAND_TYPES: Final = (MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3)
_MEDIA_TYPES: Final = (
    MessageType.AUDIO,
    MessageType.VIDEO,
    MessageType.AGGREGATE,
    MessageType.DATA_AMF0,
    MessageType.DATA_AMF3,
)

_Request = TypeVar("_Request", PublishRequested, PlayRequested)


class ServerSession(Session):
    """A server's end of one connection.

    Take `events` after each `receive_data`, and send `data_to_send` after that and after each
    answer. While a `PublishRequested` or `PlayRequested` waits for `accept_publish`,
    `accept_play` or `reject`, `events` yields nothing more and what comes in stays `buffered`:
    stop reading from the connection meanwhile.

    One stream may be published in a connection, and any of its message streams played. What is
    played does not go through here: after `accept_play` the owner sends the bytes of an
    `RTMPSerialiser` for that message stream. The first `createStream`, and each one after all
    were deleted, gives id 1, so that nearly every player can share the same bytes.

    Args:
        random: Unpredictable bytes for the handshake, 3072 or more.
        now: Monotonic seconds.
        chunk_size: Of what is sent, in bytes; that of the media bytes too.
        window_ack_size: In bytes.
        ack_modulus: As in `Session`.
        max_message_size: Of what is received, in bytes.
        handshake_seconds: As in `Session`.
        idle_seconds: How long the connection may neither publish nor play. A publisher from
            which no media comes is the hub's to notice, as with every other protocol.
        ping_seconds: As in `Session`.
        ping_timeout_seconds: As in `Session`.
        refuse_connect: Called with what a client says of itself; returns the description that its
            `connect` is refused with, or the empty text to accept it. None accepts everybody.
    """

    def __init__(
        self,
        random: bytes,
        now: float = 0.0,
        *,
        chunk_size: int = CHUNK_SIZE,
        window_ack_size: int = WINDOW_ACK_SIZE,
        ack_modulus: int = 1 << 32,
        max_message_size: int = MAX_MESSAGE_SIZE,
        handshake_seconds: float = HANDSHAKE_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        ping_seconds: float = PING_SECONDS,
        ping_timeout_seconds: float = PING_TIMEOUT_SECONDS,
        refuse_connect: Callable[[Connected], str] | None = None,
    ) -> None:
        super().__init__(
            ServerHandshake(random),
            now=now,
            chunk_size=chunk_size,
            window_ack_size=window_ack_size,
            ack_modulus=ack_modulus,
            max_message_size=max_message_size,
            handshake_seconds=handshake_seconds,
            ping_seconds=ping_seconds,
            ping_timeout_seconds=ping_timeout_seconds,
        )
        self._commands = ServerCommands(self._out, chunk_size, window_ack_size, refuse_connect)
        self._idle_seconds = idle_seconds
        self._media = MediaReader()
        self._set_aside: Message | None = None
        self._idle_since: float | None = now

    @property
    def dropped(self) -> int:
        """How many messages of the published stream could not be read."""
        return self._media.dropped

    @property
    def last_problem(self) -> str:
        """Why the last one of them could not; empty before the first."""
        return self._media.last_problem

    @property
    def capabilities(self) -> Capabilities:
        """What the client announced with `connect`."""
        connected = self._commands.connected
        return Capabilities() if connected is None else connected.capabilities

    @property
    def awaits_answer(self) -> bool:
        """Whether a request waits for `accept_publish`, `accept_play` or `reject`."""
        return self._commands.request is not None

    @property
    def can_reconnect(self) -> bool:
        """The client understands `request_reconnect`."""
        return self.capabilities.can_reconnect

    def events(self) -> Iterator[ServerEvent]:
        """Parse what is there, and yield what happened, in order.

        Raises:
            PeerError: The bytes that follow the last event break the protocol.
            LimitExceeded: They exceed a limit, or too many came while a request waited.
            UsageError: This raised before: the session is spent.
        """
        self._check_usable()
        try:
            if not self._shake_hands():
                return
            next_message = self._reader.next_message
            streams = self._commands.streams
            while self._commands.request is None:
                message = self._set_aside or next_message()
                self._set_aside = None
                if message is None:
                    return
                type_id, timestamp, stream_id, payload, _chunk_stream_id = message
                # Nearly all messages of a publisher take one of the first two ways.
                if type_id == _VIDEO and stream_id == streams.published:
                    yield from self._media.tags.video(timestamp, payload)
                elif type_id == _AUDIO and stream_id == streams.published:
                    yield from self._media.tags.audio(timestamp, payload)
                else:
                    yield from self._received_message(message)
            if self._reader.buffered > MAX_WAITING:
                raise LimitExceeded(
                    "more bytes than may wait for an answer",
                    reference="RTMP 1.0 7.2",
                    limit=MAX_WAITING,
                )
        except PeerError:
            self._failed = True
            raise

    def receive_media(
        self,
        data: bytes,
        deliver: Callable[[Packet], None],
        announce: Callable[[Track], None],
    ) -> bool:
        """Take the next bytes of a publisher, and hand its media on without making events of it.

        The short way for nearly all that a publisher sends: use it instead of `receive_data`
        while the last `events` were all taken. Both callbacks may call `stop_publish`.

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
        streams = self._commands.streams
        waits = self._commands.request is not None or self._set_aside is not None
        if waits or streams.published == NO_STREAM:
            return False
        next_message = self._reader.next_message
        video = self._media.tags.video
        audio = self._media.tags.audio
        try:
            while True:
                message = next_message()
                if message is None:
                    return True
                type_id, timestamp, stream_id, payload, _chunk_stream_id = message
                if stream_id != streams.published:
                    break
                if type_id == _VIDEO:
                    media = video(timestamp, payload)
                elif type_id == _AUDIO:
                    media = audio(timestamp, payload)
                else:
                    break
                for event in media:
                    if isinstance(event, Packet):
                        deliver(event)
                    else:
                        announce(event)
        except PeerError:
            self._failed = True
            raise
        self._set_aside = message
        return False

    def accept_publish(self) -> None:
        """Let the client that waits publish.

        Raises:
            UsageError: None waits.
        """
        request = self._answer(PublishRequested)
        self._commands.streams.publish(request.stream_id)
        self._media = MediaReader()
        self._out.append(commands.publish_started(request.stream_id, self._chunk_size))

    def accept_play(
        self, *, seekable: bool = False, more: Mapping[str, Value] | None = None
    ) -> None:
        """Let the client that waits play; media bytes may follow `data_to_send`.

        Args:
            seekable: For files: seeking becomes an event.
            more: Further properties of the status that says so.

        Raises:
            UsageError: None waits.
        """
        request = self._answer(PlayRequested)
        self._commands.streams.play(request.stream_id, seekable)
        told = tuple((more or {}).items())
        self._out.append(commands.play_started(request.stream_id, self._chunk_size, told))

    def reject(self, code: str, description: str) -> None:
        """Refuse the request that waits; close the connection after sending this.

        Args:
            code: "NetStream.Publish.BadName", "NetStream.Play.StreamNotFound" and so on.
            description: For the people behind the encoder or player.

        Raises:
            UsageError: None waits.
        """
        self._check_usable()
        request = self._commands.request
        if request is None:
            raise UsageError("no request waits for an answer")
        self._commands.request = None
        self._commands.status(request.stream_id, code, description, "error")

    def stop_publish(self, code: str, description: str) -> None:
        """Tell a publisher that it has to stop; what it sends from now on is dropped.

        Args:
            code: "NetStream.Unpublish.Success" where nothing is wrong; any other is an error.
            description: For the people behind the encoder.

        Raises:
            UsageError: Nothing is published.
        """
        stream_id = self._commands.streams.published
        if stream_id == NO_STREAM:
            raise UsageError("nothing is published in this connection")
        self._commands.streams.end(stream_id)
        level = "status" if code == commands.UNPUBLISHED else "error"
        self._commands.status(stream_id, code, description, level)

    def stop_play(self, code: str, description: str, stream_id: int = 1) -> None:
        """Tell a player that there is no more; send no media after this.

        Args:
            code: "NetStream.Play.UnpublishNotify" for live, "NetStream.Play.Complete" for files.
            description: For people.
            stream_id: The message stream.

        Raises:
            UsageError: It does not play.
        """
        if self._commands.streams.states.get(stream_id) is not StreamState.PLAYING:
            raise UsageError(f"message stream {stream_id} does not play")
        self._commands.streams.end(stream_id)
        self._out.append(
            commands.play_ended(stream_id, code, description, chunk_size=self._chunk_size)
        )

    def accept_seek(self, stream_id: int, milliseconds: int) -> None:
        """Answer a seek: media from there follows (RTMP 1.0 section 7.2.2.7)."""
        self._commands.status(stream_id, "NetStream.Seek.Notify", f"Seeking {milliseconds}.")
        self._out.append(commands.play_started(stream_id, self._chunk_size))

    def request_reconnect(self, tc_url: str, description: str) -> bool:
        """Ask the client to connect anew (E-RTMP v2, "Reconnect Request").

        Serve it as before until it leaves.

        Args:
            tc_url: Where to, absolute or relative to the present one; empty for the same.
            description: For people.

        Returns:
            False, and nothing is sent, if the client does not know this request.
        """
        if not self.can_reconnect:
            return False
        self._commands.status(
            0,
            "NetConnection.Connect.ReconnectRequest",
            description,
            more={"tcUrl": tc_url} if tc_url else None,
        )
        return True

    def _check_deadlines(self, now: float) -> None:
        super()._check_deadlines(now)
        if self._commands.request is None and self._commands.streams.all_idle():
            if self._idle_since is None:
                self._idle_since = now
            if now - self._idle_since >= self._idle_seconds:
                raise PeerError(
                    f"neither published nor played for {self._idle_seconds:g} s",
                    reference="RTMP 1.0 7.2.2",
                )
        else:
            self._idle_since = None

    def _is_connected(self) -> bool:
        return self._commands.connected is not None

    def _is_held(self) -> bool:
        return self._commands.request is not None

    def _answer(self, kind: type[_Request]) -> _Request:
        """Return the request that waits, which has its answer now."""
        self._check_usable()
        request = self._commands.request
        if not isinstance(request, kind):
            raise UsageError("no such request waits for an answer")
        self._commands.request = None
        return request

    def _received_message(self, message: Message) -> Sequence[ServerEvent]:
        """Handle a message that is not audio or video of the published stream."""
        type_id = message.type_id
        if type_id in _COMMAND_TYPES:
            return self._commands.received(read_call(message))
        if type_id in _MEDIA_TYPES:
            streams = self._commands.streams
            stream_id = message.message_stream_id
            # Cheap encoders leave the stream id out, or use one that they never asked for.
            if streams.published != NO_STREAM and (
                stream_id == streams.published or stream_id not in streams.states
            ):
                return self._media.media(type_id, message.timestamp, message.payload)
        elif self._control(type_id, message.payload):
            return ()
        self._ignored += 1
        return ()
