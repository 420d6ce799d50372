"""Both ends of a conversation, scripted: a client that says exactly what it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

from ntvmedia.formats import amf0
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.chunks import ChunkReader, Message, MessageType
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import PlayRequested, PublishRequested, ServerEvent
from ntvmedia.wire.rtmp.handshake import BLOCK_SIZE
from ntvmedia.wire.rtmp.server import ServerSession

RANDOM: Final = bytes(index * 7 % 251 for index in range(3072))

GREETING: Final = b"\x03" + bytes(BLOCK_SIZE)
"""C0 and C1 of a client without digests."""

CLOSING: Final = bytes(BLOCK_SIZE)
"""Its C2, which nobody checks."""

HANDSHAKE: Final = GREETING + CLOSING

ANSWER_SIZE: Final = 1 + 2 * BLOCK_SIZE
"""S0, S1 and S2."""


def command(name: str, transaction: float, *arguments: object, stream_id: int = 0) -> bytes:
    """Return a command in AMF0, in chunks of 128 bytes."""
    payload = amf0.encode(name, transaction, *arguments)
    return message(MessageType.COMMAND_AMF0, payload, stream_id=stream_id)


def message(
    type_id: int,
    payload: bytes,
    *,
    timestamp: int = 0,
    stream_id: int = 0,
    chunk_stream_id: int = 3,
) -> bytes:
    """Return any message, in chunks of 128 bytes."""
    return writer.message_bytes(chunk_stream_id, timestamp, type_id, stream_id, payload)


def connect(**properties: object) -> bytes:
    """Return a connect to rtmp://host/live, with further properties."""
    known = {"app": "live", "tcUrl": "rtmp://host/live"}
    return command("connect", 1.0, {**known, **properties})


CONNECT: Final = connect()
CREATE_STREAM: Final = command("createStream", 2.0, None)
PUBLISH: Final = command("publish", 3.0, None, "test", "live", stream_id=1)
PLAY: Final = command("play", 0.0, None, "test", stream_id=1)


def accept(session: ServerSession, event: ServerEvent) -> None:
    """Grant every request."""
    if isinstance(event, PublishRequested):
        session.accept_publish()
    elif isinstance(event, PlayRequested):
        session.accept_play()


def leave_waiting(session: ServerSession, event: ServerEvent) -> None:
    """Answer nothing."""


class Conversation:
    """A server's session, and a client that knows what it was answered.

    Args:
        answer: Called with each event, as an owner would handle it.
        settings: Of the session.
    """

    def __init__(
        self,
        *,
        answer: Callable[[ServerSession, ServerEvent], None] = accept,
        **settings: Any,
    ) -> None:
        self.session = ServerSession(RANDOM, **settings)
        self.answer = answer
        self.sent = b""
        self._reader: ChunkReader | None = None

    def say(self, *data: bytes) -> list[ServerEvent]:
        """Give bytes to the session; return what it told its owner."""
        self.session.receive_data(b"".join(data))
        return self.run()

    def run(self) -> list[ServerEvent]:
        """Take what events there are."""
        events = []
        for event in self.session.events():
            events.append(event)
            self.answer(self.session, event)
        return events

    def messages(self) -> list[Message]:
        """Return what the session has to send, read by a chunk reader of its own."""
        data = self.session.data_to_send()
        self.sent += data
        if self._reader is None:
            self._reader = ChunkReader()
            assert data[0] == 3
            data = data[ANSWER_SIZE:]
        self._reader.receive_data(data)
        messages = []
        while (received := self._reader.next_message()) is not None:
            messages.append(received)
        return messages

    def answers(self) -> list[list[Any]]:
        """Return the commands among those, as their values."""
        return [
            amf0.decode(received.payload)
            for received in self.messages()
            if received.type_id == MessageType.COMMAND_AMF0
        ]


def connected(**settings: Any) -> Conversation:
    """Begin a conversation, and read the answer to `connect`."""
    conversation = Conversation(**settings)
    conversation.say(HANDSHAKE, CONNECT)
    conversation.messages()
    return conversation


def publishing(**settings: Any) -> Conversation:
    """Begin one in which message stream 1 is published."""
    conversation = connected(**settings)
    conversation.say(CREATE_STREAM, PUBLISH)
    conversation.messages()
    return conversation


def playing(**settings: Any) -> Conversation:
    """Begin one in which message stream 1 is played."""
    conversation = connected(**settings)
    conversation.say(CREATE_STREAM, PLAY)
    conversation.messages()
    return conversation


def code_of(values: Sequence[Any]) -> str:
    """Return the code of a status, whose information comes fourth."""
    code = values[3]["code"]
    assert isinstance(code, str)
    return code


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut bytes at places."""
    places = [0, *sorted(cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(places)]


def converse(
    client: ClientSession,
    server: ServerSession,
    *,
    answer: Callable[[ServerSession, ServerEvent], None] = accept,
    size: int = 1 << 30,
) -> tuple[list[object], list[object]]:
    """Carry bytes between two sessions until neither has more; return the events of each.

    Args:
        size: Of the pieces that bytes arrive in.
    """
    of_client: list[object] = []
    of_server: list[object] = []
    while True:
        to_server = client.data_to_send()
        to_client = server.data_to_send()
        if not to_server and not to_client:
            return of_client, of_server
        for start in range(0, len(to_server), size):
            server.receive_data(to_server[start : start + size])
            for event in server.events():
                of_server.append(event)
                answer(server, event)
        for start in range(0, len(to_client), size):
            client.receive_data(to_client[start : start + size])
            of_client += client.events()
