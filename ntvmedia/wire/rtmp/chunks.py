"""Takes RTMP messages out of a chunk stream (Adobe RTMP 1.0, section 5.3 and 5.4).

This is the hottest code of taking streams in. What makes it cheap: a read that holds whole
messages is parsed where it lies; a message costs one header and one slice, also when it came in
many chunks, since the headers of its continuation chunks lie at a fixed distance and are checked
and cut out a column at a time (`ChunkReader._read_payload`).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.media.timebase import unwrap

DEFAULT_CHUNK_SIZE: Final = 128
MAX_CHUNK_SIZE: Final = 0x7FFFFFFF

# Two hours of 4K in one frame do not exist: the largest intra frames seen are below 4 MiB.
MAX_MESSAGE_SIZE: Final = 10 << 20

# Encoders use 3 to 8 of the 65,598 possible ids. The 129th closes the connection: forgetting the
# one unused for longest would turn a compressed header that refers to it into a wrong message.
MAX_CHUNK_STREAMS: Final = 128

# All unfinished messages of a connection together: one large frame and its neighbours.
MAX_BUFFERED: Final = 16 << 20

_NO_EXTENDED: Final = -1
_EXTENDED: Final = 0xFFFFFF
_WRAP: Final = 1 << 32
_HALF: Final = 1 << 31

# How many continuation headers are looked at in one step, at first and at least.
_FIRST_REACH: Final = 64
_LEAST_REACH: Final = 8

# Sizes of the four headers, with the last byte of the basic header: so the 3-byte time is the low
# part of a word, and length and type, and the message stream id (little-endian) are words too.
_HEADER_SIZES: Final = (12, 8, 4, 1)
_THREE_WORDS: Final = Struct(">III").unpack_from
_TWO_WORDS: Final = Struct(">II").unpack_from
_ONE_WORD: Final = Struct(">I").unpack_from
_new_tuple: Final = tuple.__new__


class MessageType(IntEnum):
    """The message types (RTMP 1.0 sections 5.4, 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACK_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    SHARED_OBJECT_AMF0 = 19
    COMMAND_AMF0 = 20
    AGGREGATE = 22


_SET_CHUNK_SIZE: Final = int(MessageType.SET_CHUNK_SIZE)
_ABORT: Final = int(MessageType.ABORT)

# What tells where the timeline is: audio, video and aggregates of them. Commands are stamped 0.
_TIMED: Final = frozenset({8, 9, 22})


class Message(NamedTuple):
    """One message.

    Attributes:
        type_id: 3 to 255; a `MessageType` where it is known.
        timestamp: In milliseconds, unbounded: the 32 bits of the wire are extended to the value
            nearest to the message before it in its chunk stream, and so may be negative. The
            first audio or video message of a connection is taken as it is.
        message_stream_id: 0 for the connection itself.
        payload: As sent, may be empty.
        chunk_stream_id: 2 to 65599.
    """

    type_id: int
    timestamp: int
    message_stream_id: int
    payload: bytes
    chunk_stream_id: int


class _ChunkStream:
    """What the chunks of one chunk stream id may leave out, and its unfinished message.

    Attributes:
        basic: The basic header of a type 3 chunk.
        marker: All that stands before each further chunk of a message: `basic`, and the extended
            timestamp where there is one.
        timestamp: Of the last message that began, in milliseconds, unbounded.
        delta: Added to it where a type 3 chunk begins a message.
        anchored: `timestamp` lies on the timeline of the connection's audio and video.
        extended: The extended timestamp of the last header of type 0, 1, 2, or `_NO_EXTENDED`.
        described: Length << 8 | type of the last message that began.
        partial: What has arrived of the unfinished message.
        missing: How many bytes it still needs; 0 between messages.
    """

    __slots__ = (
        "anchored",
        "basic",
        "delta",
        "described",
        "extended",
        "id",
        "marker",
        "message_stream_id",
        "missing",
        "partial",
        "swapped",
        "timestamp",
    )

    def __init__(self, chunk_stream_id: int, basic: bytes) -> None:
        self.id = chunk_stream_id
        self.basic = basic
        self.marker = basic
        self.timestamp = 0
        self.delta = 0
        self.anchored = False
        self.extended = _NO_EXTENDED
        self.described = 0
        self.message_stream_id = 0
        self.swapped = 0  # the same as a big-endian word, to see cheaply that it did not change
        self.missing = 0
        self.partial = bytearray()


class ChunkReader:
    """Parses chunks: give it bytes, then take messages until there is none.

    Set Chunk Size and Abort Message are obeyed, on whatever chunk stream they come, and not
    returned. A chunk size of 1 to 0x7FFFFFFF costs nothing by itself.

    Both dialects of extended timestamps are read: with the field repeated in each type 3 chunk
    (the specification, FFmpeg), and without (librtmp). Where its 4 bytes are neither the field
    of the last full header nor the time of the message, they are payload.

    Args:
        max_message_size: In bytes; not more than `max_buffered`.
        max_chunk_streams: Chunk stream ids that may be used; one more closes the connection.
        max_buffered: Bytes of all unfinished messages together.

    Attributes:
        received: Bytes taken in since the start.
        chunk_size: The peer's, in bytes.
    """

    __slots__ = (
        "_buffer",
        "_chunk_left",
        "_failed",
        "_held",
        "_max_buffered",
        "_max_chunk_streams",
        "_max_message_size",
        "_pending",
        "_position",
        "_reach",
        "_stream",
        "_streams",
        "chunk_size",
        "received",
    )

    def __init__(
        self,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_chunk_streams: int = MAX_CHUNK_STREAMS,
        max_buffered: int = MAX_BUFFERED,
    ) -> None:
        self.received = 0
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self._max_message_size = min(max_message_size, max_buffered)
        self._max_chunk_streams = max_chunk_streams
        self._max_buffered = max_buffered
        self._buffer = b""
        self._position = 0
        self._pending = bytearray()  # what came while `_buffer` was not used up
        self._streams: dict[int, _ChunkStream] = {}
        self._stream: _ChunkStream | None = None  # whose chunk `_position` is in, and
        self._chunk_left = 0  # how many bytes of it are left
        self._held = 0
        self._reach = _FIRST_REACH
        self._failed = False

    @property
    def buffered(self) -> int:
        """Bytes held: unfinished messages, and what was not parsed yet.

        The latter has no limit here: a caller that stops taking messages stops giving bytes.
        """
        return self._held + len(self._buffer) - self._position + len(self._pending)

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; they are copied only where parsing is behind."""
        self.received += len(data)
        if self._position == len(self._buffer) and not self._pending:
            self._buffer = data
            self._position = 0
        else:
            self._pending += data

    def next_message(self) -> Message | None:
        """Return the next complete message, or None where more bytes are needed.

        Raises:
            PeerError: The bytes behind the last message are no chunk stream.
            LimitExceeded: A message, or all unfinished ones, would be too large, or there are
                too many chunk streams.
            UsageError: This raised before: the reader is spent.
        """
        if self._failed:
            raise UsageError("the chunk reader failed before; make a new one")
        try:
            while True:
                stream = self._stream
                if stream is None:
                    stream = self._read_header()
                elif self._position == len(self._buffer):
                    stream = None
                if stream is None:
                    if not self._pending:
                        return None
                    self._buffer = self._buffer[self._position :] + self._pending
                    self._position = 0
                    self._pending = bytearray()
                    continue
                payload = self._read_payload(stream)
                if payload is None:
                    continue
                type_id = stream.described & 0xFF
                if type_id <= _ABORT and type_id:
                    self._control(type_id, payload)
                    continue
                # `Message(...)` goes through a function made of text and costs twice this.
                return _new_tuple(
                    Message,
                    (type_id, stream.timestamp, stream.message_stream_id, payload, stream.id),
                )
        except PeerError:
            self._failed = True
            raise

    def _read_header(self) -> _ChunkStream | None:
        """Read one chunk header whole, or nothing of it: None where bytes are missing."""
        buffer = self._buffer
        size = len(buffer)
        start = last = self._position
        if start == size:
            return None
        first = buffer[start]
        chunk_stream_id = first & 63
        if chunk_stream_id < 2:
            last = start + 1 + chunk_stream_id
            if last >= size:
                return None
            chunk_stream_id = int.from_bytes(buffer[start + 1 : last + 1], "little") + 64
        form = first >> 6
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            stream = self._new_stream(chunk_stream_id, form, buffer[start : last + 1])
        position = last + _HEADER_SIZES[form]
        if position > size:
            return None
        missing = stream.missing
        if form == 3:
            delta = stream.delta
            if stream.extended >= 0:
                position = self._after_extended(stream, position)
                if position < 0:
                    return None
        else:
            swapped = stream.swapped
            described = stream.described
            if form == 0:
                word, described, swapped = _THREE_WORDS(buffer, last)
            elif form == 1:
                word, described = _TWO_WORDS(buffer, last)
            else:
                (word,) = _ONE_WORD(buffer, last)
            delta = word & 0xFFFFFF
            if delta == _EXTENDED:
                if position + 4 > size:
                    return None
                (delta,) = _ONE_WORD(buffer, position)
                position += 4
                stream.extended = delta
                stream.marker = stream.basic + delta.to_bytes(4, "big")
            elif stream.extended >= 0:
                stream.extended = _NO_EXTENDED
                stream.marker = stream.basic
            if missing:
                # Types 1 and 2 that change nothing are let pass, as SRS does.
                if form == 0 or described != stream.described:
                    raise self._error(f"a type {form} chunk breaks into an unfinished message")
            else:
                if described >> 8 > self._max_message_size:
                    raise self._too_large(described >> 8)
                stream.described = described
                stream.delta = delta
                if swapped != stream.swapped:
                    stream.swapped = swapped
                    stream.message_stream_id = int.from_bytes(swapped.to_bytes(4, "big"), "little")
        if not missing:
            if not stream.anchored:
                self._anchor(stream, delta if form == 0 else stream.timestamp + delta)
            elif form:
                stream.timestamp += delta if delta < _HALF else delta - _WRAP
            else:
                stream.timestamp = unwrap(delta, stream.timestamp, 32)
            stream.missing = missing = stream.described >> 8
        chunk_size = self.chunk_size
        self._chunk_left = missing if missing < chunk_size else chunk_size
        self._position = position
        return stream

    def _read_payload(self, stream: _ChunkStream) -> bytes | None:
        """Take what is there of a message's payload; None where that is not its end."""
        buffer = self._buffer
        position = self._position
        left = self._chunk_left
        missing = stream.missing
        available = len(buffer) - position
        body: bytes | bytearray
        if left > available:
            end = len(buffer)
            left -= available
            body = buffer[position:]
        elif left == missing:
            end = position + missing
            left = 0
            body = buffer[position:end]
        else:
            body, end, left = self._read_run(stream, position + left)
        taken = len(body)
        if self._held + taken > self._max_buffered:
            raise self._too_much()
        self._position = end
        self._chunk_left = left
        partial = stream.partial
        stream.missing = missing - taken
        if taken < missing:
            partial += body
            self._held += taken
            self._stream = stream if left else None
            return None
        self._stream = None
        if not partial:
            return bytes(body)
        self._held -= len(partial)
        stream.partial = bytearray()
        partial += body
        return bytes(partial)

    def _read_run(self, stream: _ChunkStream, begin: int) -> tuple[bytes | bytearray, int, int]:
        """Take the rest of one chunk and those of the same message that follow it directly.

        Headers that are just the stream's marker lie at equal distances. So each byte of it is
        checked for all of them in one slice, and cut out of the payload by another.

        Args:
            stream: Whose chunk `_position` is in.
            begin: Where that chunk ends, in the buffer.

        Returns:
            The payload; its end in the buffer; how much its last chunk still lacks.
        """
        buffer = self._buffer
        position = self._position
        marker = stream.marker
        width = len(marker)
        chunk_size = self.chunk_size
        stride = chunk_size + width
        rest = stream.missing - (begin - position)
        behind = len(buffer) - begin
        chunks = min((rest - 1) // chunk_size + 1, (behind - width) // stride + 1)
        # How far this looks ahead follows how far it was right before. Or a peer that interleaves
        # chunks of one byte would have the whole buffer searched for each of them.
        reach = self._reach
        if chunks >= reach:
            chunks = reach
            self._reach = reach * 2
        tried = chunks
        for column in range(width):
            if chunks <= 0:
                return buffer[position:begin], begin, 0
            first = begin + column
            headers = buffer[first : first + (chunks - 1) * stride + 1 : stride]
            if headers.count(marker[column]) != chunks:
                chunks -= len(headers.lstrip(marker[column : column + 1]))
        if chunks < tried:
            self._reach = max(2 * chunks, _LEAST_REACH)
            if not chunks:
                return buffer[position:begin], begin, 0
        last = begin + (chunks - 1) * stride + width
        wanted = min(chunk_size, rest - (chunks - 1) * chunk_size)
        end = min(last + wanted, len(buffer))
        body = bytearray(buffer[position:end])
        for column in range(width):
            del body[begin - position :: stride - column]
        return body, end, last + wanted - end

    def _new_stream(self, chunk_stream_id: int, form: int, basic: bytes) -> _ChunkStream:
        # Type 1 opens a chunk stream too: librtmp sends its first ping so, meaning message stream
        # 0 and a time since 0. Types 2 and 3 would have no length.
        if form > 1:
            raise self._error(f"a type {form} chunk begins chunk stream {chunk_stream_id}")
        if len(self._streams) >= self._max_chunk_streams:
            raise LimitExceeded(
                f"more than {self._max_chunk_streams} chunk streams",
                reference="RTMP 1.0 5.3.1.1",
                limit=self._max_chunk_streams,
                offset=self._offset(),
            )
        basic = bytes((basic[0] | 0xC0,)) + basic[1:]
        stream = self._streams[chunk_stream_id] = _ChunkStream(chunk_stream_id, basic)
        return stream

    def _after_extended(self, stream: _ChunkStream, position: int) -> int:
        """Return where a type 3 chunk's payload begins, or -1 where bytes are missing to say."""
        values = {stream.extended, stream.timestamp % _WRAP}
        if not stream.missing:
            values.add((stream.timestamp + stream.delta) % _WRAP)
        field = self._buffer[position : position + 4]
        if len(field) == 4:
            return position + 4 if int.from_bytes(field, "big") in values else position
        # Payload of fewer bytes, with nothing behind it, must not wait for more.
        like = any(value.to_bytes(4, "big").startswith(field) for value in values)
        return -1 if like else position

    def _anchor(self, stream: _ChunkStream, timestamp: int) -> None:
        """Set the time of a message on a chunk stream that had no place on the timeline so far."""
        others = [other.timestamp for other in self._streams.values() if other.anchored]
        timestamp %= _WRAP
        stream.timestamp = unwrap(timestamp, max(others), 32) if others else timestamp
        stream.anchored = bool(others) or stream.described & 0xFF in _TIMED

    def _control(self, type_id: int, payload: bytes) -> None:
        if len(payload) < 4:
            raise self._error("a protocol control message is shorter than 4 bytes")
        (value,) = _ONE_WORD(payload)
        if type_id == _SET_CHUNK_SIZE:
            if not 1 <= value <= MAX_CHUNK_SIZE:
                raise self._error(f"chunk size {value} is out of range", "RTMP 1.0 5.4.1")
            self.chunk_size = value
            return
        stream = self._streams.get(value)
        if stream is not None:
            self._held -= len(stream.partial)
            stream.partial = bytearray()
            stream.missing = 0

    def _offset(self) -> int:
        return self.received - len(self._pending) - len(self._buffer) + self._position

    def _error(self, message: str, reference: str = "RTMP 1.0 5.3.1.2") -> PeerError:
        return PeerError(message, reference=reference, offset=self._offset())

    def _too_large(self, length: int) -> LimitExceeded:
        limit = self._max_message_size
        return LimitExceeded(
            f"a message of {length} bytes; {limit} are allowed",
            reference="RTMP 1.0 5.3.1.2",
            limit=limit,
            offset=self._offset(),
        )

    def _too_much(self) -> LimitExceeded:
        limit = self._max_buffered
        return LimitExceeded(
            f"unfinished messages of more than {limit} bytes",
            reference="RTMP 1.0 5.3.1",
            limit=limit,
        )
