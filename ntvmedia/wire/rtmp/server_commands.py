"""The calls that a client makes, carried out (RTMP 1.0 section 7.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.amf0 import Value
from ntvmedia.media import MediaKind
from ntvmedia.media.hops import HOPS_PROPERTY
from ntvmedia.wire.rtmp import commands
from ntvmedia.wire.rtmp.calls import Call, text
from ntvmedia.wire.rtmp.capabilities import parse_capabilities
from ntvmedia.wire.rtmp.events import (
    Connected,
    ConnectRefused,
    PauseRequested,
    PlayRequested,
    PublishRequested,
    ReceiveRequested,
    SeekRequested,
    ServerEvent,
    Unpublished,
)
from ntvmedia.wire.rtmp.streams import MAX_STREAMS, NO_STREAM, MessageStreams, StreamState

# Of text that is shown in logs and pages only.
_MAX_SHOWN: Final = 512

_PUBLISH_KINDS: Final = frozenset({"live", "record", "append"})

# Calls that are answered, when they want an answer, by this and nothing else happens.
_SIMPLE_ANSWERS: Final[dict[str, tuple[Value, ...]]] = {
    "releaseStream": (None,),
    "_checkbw": (None,),
    "checkBandwidth": (None,),
    "getStreamLength": (None, 0.0),
}

# Answers to what a server never calls.
_NOT_CALLS: Final = frozenset({"_result", "_error", "onStatus"})


class ServerCommands:
    """Carries out calls, and keeps what they change.

    Args:
        out: Where answers are appended to.
        chunk_size: Of answers, in bytes; announced before the first.
        window_ack_size: To announce, in bytes.
        refuse_connect: As in `ServerSession`.

    Attributes:
        connected: What `connect` said; None before.
        request: What waits for an answer of the owner, so that no further call may come.
        streams: The connection's message streams.
    """

    __slots__ = (
        "_chunk_size",
        "_out",
        "_refuse_connect",
        "_window_ack_size",
        "connected",
        "request",
        "streams",
    )

    def __init__(
        self,
        out: list[bytes],
        chunk_size: int,
        window_ack_size: int,
        refuse_connect: Callable[[Connected], str] | None = None,
    ) -> None:
        self.connected: Connected | None = None
        self.request: PublishRequested | PlayRequested | None = None
        self.streams = MessageStreams()
        self._out = out
        self._chunk_size = chunk_size
        self._window_ack_size = window_ack_size
        self._refuse_connect = refuse_connect

    def received(self, call: Call) -> Sequence[ServerEvent]:
        """Carry out one call; return what the owner has to know of it.

        Raises:
            PeerError: It comes before `connect`, or is a second one.
            LimitExceeded: It is about one message stream too many.
        """
        if call.name == "connect":
            return self._connect(call)
        if self.connected is None:
            raise PeerError(
                f"command {call.name[:64]!a} before connect", reference="RTMP 1.0 7.2.1"
            )
        handle = _HANDLERS.get(call.name)
        if handle is not None:
            return handle(self, call)
        answer = _SIMPLE_ANSWERS.get(call.name)
        if answer is not None:
            self._answer(call, *answer)
        elif call.transaction > 0 and call.name not in _NOT_CALLS:
            description = f"There is no {call.name[:64]!a}."
            self._out.append(
                commands.failed(call.transaction, description, chunk_size=self._chunk_size)
            )
        return ()

    def status(
        self,
        stream_id: int,
        code: str,
        description: str,
        level: str = "status",
        more: dict[str, Value] | None = None,
    ) -> None:
        """Send an `onStatus`; arguments as those of `commands.status`."""
        self._out.append(
            commands.status(
                stream_id, code, description, level, chunk_size=self._chunk_size, more=more
            )
        )

    def _answer(self, call: Call, *values: Value) -> None:
        """Send `_result`, unless none is wanted."""
        if call.transaction > 0:
            self._out.append(
                commands.result(call.transaction, *values, chunk_size=self._chunk_size)
            )

    def _connect(self, call: Call) -> Sequence[ServerEvent]:
        if self.connected is not None:
            raise PeerError("a second connect", reference="RTMP 1.0 7.2.1.1")
        properties = call.properties(call.object)
        capabilities = parse_capabilities(properties)
        # AMF3 is understood from everybody; answers are in AMF0, which its clients read as well.
        encoding = 3 if properties.get("objectEncoding") == 3 else 0
        connected = Connected(
            app=text(properties.get("app")),
            # Neko puts it in quotation marks.
            tc_url=text(properties.get("tcUrl")).strip().strip("'\""),
            page_url=_shown(properties.get("pageUrl")),
            swf_url=_shown(properties.get("swfUrl")),
            flash_version=_shown(properties.get("flashVer")),
            object_encoding=encoding,
            capabilities=capabilities,
            type=_shown(properties.get("type")),
            hops=_shown(properties.get(HOPS_PROPERTY)),
        )
        refusal = "" if self._refuse_connect is None else self._refuse_connect(connected)
        if refusal:
            # And nothing that FFmpeg answers at once: it would find the connection closed, and
            # never look at this.
            self._out.append(commands.connect_refused(call.transaction, refusal))
            return (ConnectRefused(connected.app),)
        self.connected = connected
        self._out.append(commands.connect_preamble(self._window_ack_size, self._chunk_size))
        self._out.append(
            commands.connected(
                call.transaction,
                encoding,
                enhanced=capabilities.is_enhanced,
                chunk_size=self._chunk_size,
            )
        )
        return (connected,)

    def _create_stream(self, call: Call) -> Sequence[ServerEvent]:
        stream_id = self.streams.create()
        if stream_id is None:
            description = f"A connection has {MAX_STREAMS} message streams at most."
            answer = commands.failed(call.transaction, description, chunk_size=self._chunk_size)
        else:
            answer = commands.created(call.transaction, stream_id, chunk_size=self._chunk_size)
        self._out.append(answer)
        return ()

    def _delete_stream(self, call: Call) -> Sequence[ServerEvent]:
        stream_id = call.number(0, call.stream_id)
        if stream_id not in self.streams.states:
            return ()
        return self.streams.delete(int(stream_id))

    def _close_stream(self, call: Call) -> Sequence[ServerEvent]:
        events = self.streams.end(call.stream_id)
        if events and isinstance(events[0], Unpublished):
            self.status(call.stream_id, commands.UNPUBLISHED, "Publishing stopped.")
        return events

    def _fc_publish(self, call: Call) -> Sequence[ServerEvent]:
        # Some hardware encoders wait for the second of these before they go on.
        self._answer(call, None)
        self._fc_answer("onFCPublish", "NetStream.Publish.Start", call)
        return ()

    def _fc_unpublish(self, call: Call) -> Sequence[ServerEvent]:
        self._answer(call, None)
        self._fc_answer("onFCUnpublish", commands.UNPUBLISHED, call)
        stream_id = self.streams.published
        events = self.streams.end(stream_id)
        if events:
            self.status(stream_id, commands.UNPUBLISHED, "Publishing stopped.")
        return events

    def _fc_subscribe(self, call: Call) -> Sequence[ServerEvent]:
        self._answer(call, None)
        self._fc_answer("onFCSubscribe", "NetStream.Play.Start", call)
        return ()

    def _fc_unsubscribe(self, call: Call) -> Sequence[ServerEvent]:
        self._answer(call, None)
        self._fc_answer("onFCUnsubscribe", "NetStream.Play.Stop", call)
        return ()

    def _fc_answer(self, name: str, code: str, call: Call) -> None:
        """Send what the Flash servers' FC commands are answered by, which no document has."""
        self._out.append(
            commands.command(
                name,
                0.0,
                None,
                commands.status_object(code, call.text(0)),
                stream_id=0,
                chunk_size=self._chunk_size,
            )
        )

    def _publish(self, call: Call) -> Sequence[ServerEvent]:
        if call.argument(0) is False:  # ActionScript's way to stop
            return self._close_stream(call)
        stream_id = call.stream_id
        events = self.streams.end(stream_id)
        if self.streams.published != NO_STREAM:
            description = "This connection publishes a stream already."
            self.status(stream_id, "NetStream.Publish.Failed", description, "error")
            return events
        if not self.streams.enter(stream_id):
            raise self._too_many_streams()
        kind = call.text(1).lower()
        connected = self._connection()
        self.request = PublishRequested(
            stream_id,
            connected.app,
            call.text(0),
            kind if kind in _PUBLISH_KINDS else "live",
            connected.tc_url,
        )
        return (*events, self.request)

    def _play(self, call: Call) -> Sequence[ServerEvent]:
        if call.argument(0) is False:
            return self._close_stream(call)
        start = call.number(1, -2.0)
        if start < 0:
            # FFmpeg sends -2000 and librtmp -1000 for what GStreamer sends as -2 and -1.
            return self._play_name(call, call.text(0), -1 if start in (-1, -1000) else -2, -1)
        duration = call.milliseconds(2) if call.number(2, -1.0) >= 0 else -1
        return self._play_name(call, call.text(0), call.milliseconds(1), duration)

    def _play2(self, call: Call) -> Sequence[ServerEvent]:
        wanted = call.properties(call.argument(0))
        return self._play_name(call, text(wanted.get("streamName")), -2, -1)

    def _play_name(self, call: Call, name: str, start: int, duration: int) -> Sequence[ServerEvent]:
        events = self.streams.end(call.stream_id)
        if not self.streams.enter(call.stream_id):
            raise self._too_many_streams()
        connected = self._connection()
        self.request = PlayRequested(
            call.stream_id,
            connected.app,
            name,
            connected.tc_url,
            connected.page_url,
            start,
            duration,
        )
        return (*events, self.request)

    def _pause(self, call: Call) -> Sequence[ServerEvent]:
        if not self._plays(call):
            return ()
        paused = call.argument(0) is True
        if paused:
            self.status(call.stream_id, "NetStream.Pause.Notify", "Paused.")
        else:
            self.status(call.stream_id, "NetStream.Unpause.Notify", "Going on.")
        return (PauseRequested(call.stream_id, paused, call.milliseconds(1)),)

    def _seek(self, call: Call) -> Sequence[ServerEvent]:
        if not self._plays(call):
            return ()
        if call.stream_id in self.streams.seekable:
            return (SeekRequested(call.stream_id, call.milliseconds(0)),)
        self.status(
            call.stream_id, "NetStream.Seek.Failed", "A live stream has no other place.", "error"
        )
        return ()

    def _receive_audio(self, call: Call) -> Sequence[ServerEvent]:
        return self._receive(call, MediaKind.AUDIO)

    def _receive_video(self, call: Call) -> Sequence[ServerEvent]:
        return self._receive(call, MediaKind.VIDEO)

    def _receive(self, call: Call, kind: MediaKind) -> Sequence[ServerEvent]:
        if not self._plays(call):
            return ()
        wanted = call.argument(0) is not False
        if wanted:
            # RTMP 1.0 section 7.2.2.4 has both, for either value nothing else.
            self.status(call.stream_id, "NetStream.Seek.Notify", "Going on.")
            self.status(call.stream_id, "NetStream.Play.Start", "Going on.")
        return (ReceiveRequested(call.stream_id, kind, wanted),)

    def _plays(self, call: Call) -> bool:
        return self.streams.states.get(call.stream_id) is StreamState.PLAYING

    def _connection(self) -> Connected:
        connected = self.connected
        assert connected is not None  # no command gets here before
        return connected

    def _too_many_streams(self) -> LimitExceeded:
        return LimitExceeded(
            "more message streams than allowed", reference="RTMP 1.0 7.2.1.3", limit=MAX_STREAMS
        )


_Handler: TypeAlias = Callable[[ServerCommands, Call], Sequence[ServerEvent]]
_HANDLERS: Final[dict[str, _Handler]] = {
    "createStream": ServerCommands._create_stream,
    "deleteStream": ServerCommands._delete_stream,
    "closeStream": ServerCommands._close_stream,
    "FCPublish": ServerCommands._fc_publish,
    "FCUnpublish": ServerCommands._fc_unpublish,
    "FCSubscribe": ServerCommands._fc_subscribe,
    "FCUnsubscribe": ServerCommands._fc_unsubscribe,
    "publish": ServerCommands._publish,
    "play": ServerCommands._play,
    "play2": ServerCommands._play2,
    "pause": ServerCommands._pause,
    "pauseRaw": ServerCommands._pause,
    "seek": ServerCommands._seek,
    "receiveAudio": ServerCommands._receive_audio,
    "receiveVideo": ServerCommands._receive_video,
}


def _shown(value: Value) -> str:
    """Return text that can be shown: short, and without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text(value)[:_MAX_SHOWN])
