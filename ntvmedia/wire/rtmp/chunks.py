"""Takes RTMP messages out of a chunk stream (Adobe RTMP 1.0, section 5.3 and 5.4).

This is the hottest code of taking streams in. What makes it cheap: a read that holds whole
messages is parsed where it lies; a message costs one header and one slice, also when it came in
many chunks, since the headers of its further chunks lie at a fixed distance and are checked and
cut out a column at a time. Measured on a shared virtual machine, messages of 300 to 8000 bytes in
turn with audio, payload copied: 2.0 us each in chunks of 4096 bytes, 2.6 us in chunks of 128.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.media.timebase import unwrap
from ntvmedia.wire.rtmp.chunkstreams import NO_EXTENDED, ChunkStream
from ntvmedia.wire.rtmp.messages import Message, MessageType

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "MAX_BUFFERED",
    "MAX_CHUNK_SIZE",
    "MAX_CHUNK_STREAMS",
    "MAX_MESSAGE_SIZE",
    "ChunkReader",
    "Message",
    "MessageType",
]

DEFAULT_CHUNK_SIZE: Final = 128
MAX_CHUNK_SIZE: Final = 0x7FFFFFFF

# As MediaMTX has it. Key frames of 4K at 50 Mb/s stay below 2 MiB.
MAX_MESSAGE_SIZE: Final = 10 << 20

# Encoders use 3 to 8 of the 65,598 possible ids. The 129th closes the connection: forgetting the
# one unused for longest would turn a compressed header that refers to it into a wrong message.
MAX_CHUNK_STREAMS: Final = 128

# All unfinished messages of a connection together: one large frame and its neighbours.
MAX_BUFFERED: Final = 16 << 20

_EXTENDED: Final = 0xFFFFFF
_HALF: Final = 1 << 31

# How many continuation headers are looked at in one step, at first and at least.
_FIRST_REACH: Final = 64
_LEAST_REACH: Final = 8

# Basic header, message header, extended timestamp: what parsing may leave behind at most.
_LARGEST_HEADER: Final = 3 + 11 + 4

# Sizes of the four headers, with the last byte of the basic header: so the 3-byte time is the low
# part of a word, and length and type, and the message stream id (little-endian) are words too.
_HEADER_SIZES: Final = (12, 8, 4, 1)
_THREE_WORDS: Final = Struct(">III").unpack_from
_TWO_WORDS: Final = Struct(">II").unpack_from
_ONE_WORD: Final = Struct(">I").unpack_from
_new_tuple: Final = tuple.__new__

_SET_CHUNK_SIZE: Final = int(MessageType.SET_CHUNK_SIZE)
_ABORT: Final = int(MessageType.ABORT)

# What tells where the timeline is: audio, video and aggregates of them. Commands are stamped 0.
_TIMED: Final = frozenset({8, 9, 22})

# Stands for the chunk that a reader which failed is in, for good.
_SPENT: Final = ChunkStream(0, b"\0")


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
        "_room",
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
        self._streams: dict[int, ChunkStream] = {}
        self._stream: ChunkStream | None = None  # whose chunk `_position` is in, and
        self._chunk_left = 0  # how many bytes of it are left
        self._held = 0
        self._room = max_buffered
        self._reach = _FIRST_REACH
        self._failed = False

    @property
    def buffered(self) -> int:
        """Bytes held: unfinished messages, and what was not parsed yet.

        The latter has no limit here: a caller that stops taking messages stops giving bytes.
        """
        return self._held + len(self._buffer) - self._position + len(self._pending)

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; they are copied only if a cut header was before them."""
        self.received += len(data)
        left = len(self._buffer) - self._position
        if left > _LARGEST_HEADER or self._pending:
            self._pending += data
        else:
            self._buffer = self._buffer[self._position :] + data if left else data
            self._position = 0

    def next_message(self) -> Message | None:
        """Return the next complete message, or None where more bytes are needed.

        Raises:
            PeerError: The bytes behind the last message are no chunk stream.
            LimitExceeded: A message, or all unfinished ones, would be too large, or there are
                too many chunk streams.
            UsageError: This raised before: the reader is spent.
        """
        buffer = self._buffer
        position = self._position
        left = len(buffer) - position
        if self._stream is None and left < 16:
            if not left and not self._pending:
                return None
        elif self._stream is None:
            # Nearly every message: a header of type 0 or 1 on a chunk stream in its usual state.
            # `_read_header` and `_read_payload` would do the same, and do all the rest.
            first = buffer[position]
            stream = self._streams.get(first & 63)
            if first < 0x80 and stream is not None and stream.is_plain:
                word, described, swapped = _THREE_WORDS(buffer, position)
                field = word & 0xFFFFFF
                type_id = described & 0xFF
                length = described >> 8
                if type_id > _ABORT and length <= self._max_message_size:
                    position += 12 if first < 0x40 else 8
                    if field == _EXTENDED:
                        (field,) = _ONE_WORD(buffer, position)
                        position += 4
                        stream.extend(field)
                    elif stream.extended >= 0:
                        stream.extend(NO_EXTENDED)
                    if first < 0x40:
                        if swapped != stream.swapped:
                            stream.belong_to(swapped)
                        if -_HALF <= field - stream.timestamp < _HALF:
                            stream.timestamp = field
                        else:
                            stream.move(field, True)
                    elif field < _HALF:
                        stream.timestamp += field
                    else:
                        stream.move(field, False)
                    stream.delta = field
                    stream.described = described
                    chunk_size = self.chunk_size
                    payload: bytes | None = None
                    if length <= chunk_size:
                        end = position + length
                        if end <= len(buffer) and length <= self._room:
                            payload = buffer[position:end]
                    else:
                        chunks = (length - 1) // chunk_size
                        end = position + length + chunks * len(stream.marker)
                        if end <= len(buffer) and length <= self._room and chunks <= self._reach:
                            payload = _without_markers(
                                buffer[position:end], chunk_size, stream.marker, chunks
                            )
                    if payload is not None:
                        self._position = end
                        # `Message(...)` goes through a Python function and costs twice this.
                        return _new_tuple(
                            Message,
                            (
                                type_id,
                                stream.timestamp,
                                stream.message_stream_id,
                                payload,
                                stream.id,
                            ),
                        )
                    stream.is_plain = False
                    stream.missing = length
                    self._stream = stream
                    self._position = position
                    self._chunk_left = length if length < chunk_size else chunk_size
        return self._next_carefully()

    def _next_carefully(self) -> Message | None:
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
                stream.finish()
                type_id = stream.described & 0xFF
                if type_id <= _ABORT and type_id:
                    self._control(type_id, payload)
                    continue
                return _new_tuple(
                    Message,
                    (type_id, stream.timestamp, stream.message_stream_id, payload, stream.id),
                )
        except PeerError:
            self._failed = True
            self._stream = _SPENT
            raise

    def _read_header(self) -> ChunkStream | None:
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
        described = stream.described
        swapped = stream.swapped
        if form == 3:
            field = stream.delta
            if stream.extended >= 0:
                position = stream.payload_begins(buffer, position)
                if position < 0:
                    return None
        else:
            if form == 0:
                field, described, swapped = _THREE_WORDS(buffer, last)
            elif form == 1:
                field, described = _TWO_WORDS(buffer, last)
            else:
                (field,) = _ONE_WORD(buffer, last)
            field &= 0xFFFFFF
            extended = NO_EXTENDED
            if field == _EXTENDED:
                if position + 4 > size:
                    return None
                (field,) = _ONE_WORD(buffer, position)
                extended = field
                position += 4
            # Types 1 and 2 amid a message are let pass if they change nothing, as SRS does.
            if stream.missing and (form == 0 or described != stream.described):
                raise self._error(f"a type {form} chunk breaks into an unfinished message")
            if extended != stream.extended:
                stream.extend(extended)
        missing = stream.missing
        if not missing:
            missing = described >> 8
            if missing > self._max_message_size:
                raise self._too_large(missing)
            stream.described = described
            if swapped != stream.swapped:
                stream.belong_to(swapped)
            if stream.is_anchored:
                stream.move(field, form == 0)
            else:
                self._anchor(stream, field if form == 0 else stream.timestamp + field)
            stream.delta = field
            stream.missing = missing
            stream.is_plain = False
        self._chunk_left = missing if missing < self.chunk_size else self.chunk_size
        self._position = position
        return stream

    def _read_payload(self, stream: ChunkStream) -> bytes | None:
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
        if taken > self._room:
            raise self._too_much()
        self._position = end
        self._chunk_left = left
        partial = stream.partial
        stream.missing = missing - taken
        if taken < missing:
            partial += body
            self._account(taken)
            self._stream = stream if left else None
            return None
        self._stream = None
        if not partial:
            return bytes(body)
        self._account(-stream.forget_message())
        partial += body
        return bytes(partial)

    def _read_run(self, stream: ChunkStream, begin: int) -> tuple[bytes | bytearray, int, int]:
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

    def _new_stream(self, chunk_stream_id: int, form: int, basic: bytes) -> ChunkStream:
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
        stream = self._streams[chunk_stream_id] = ChunkStream(chunk_stream_id, basic)
        return stream

    def _anchor(self, stream: ChunkStream, timestamp: int) -> None:
        """Set the time of a message on a chunk stream that had neither audio nor video so far.

        Commands are stamped 0, so a time near theirs says nothing. The first audio or video is
        taken as it is; what comes on other chunk streams goes near to it.
        """
        others = [other.timestamp for other in self._streams.values() if other.is_anchored]
        timestamp %= 1 << 32
        stream.timestamp = unwrap(timestamp, max(others), 32) if others else timestamp
        stream.is_anchored = stream.described & 0xFF in _TIMED

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
            self._account(-stream.forget_message())

    def _account(self, count: int) -> None:
        self._held += count
        self._room = self._max_buffered - self._held

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


def _without_markers(run: bytes, chunk_size: int, marker: bytes, chunks: int) -> bytes | None:
    """Cut the headers of its further chunks out of a message; None if they are not all `marker`.

    Each byte of the marker is checked in all of them by one slice, and cut out by another.
    """
    stride = chunk_size + len(marker)
    for column, byte in enumerate(marker, chunk_size):
        if run[column::stride].count(byte) != chunks:
            return None
    body = bytearray(run)
    for _byte in marker:
        del body[chunk_size::stride]
        stride -= 1
    return bytes(body)
