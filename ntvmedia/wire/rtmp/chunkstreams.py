"""What a chunk reader remembers of one chunk stream id (Adobe RTMP 1.0, section 5.3.1)."""

from __future__ import annotations

from typing import Final

from ntvmedia.media.timebase import unwrap

NO_EXTENDED: Final = -1

_WRAP: Final = 1 << 32
_HALF: Final = 1 << 31


class ChunkStream:
    """What the chunks of one id may leave out, and its unfinished message.

    Attributes:
        id: 2 to 65599.
        basic: The basic header of a type 3 chunk.
        marker: All that stands before each further chunk of a message: `basic`, and the extended
            timestamp where there is one.
        extended: The extended timestamp of the last header of type 0, 1, 2, or `NO_EXTENDED`.
        timestamp: Of the last message that began, in milliseconds, unbounded.
        delta: Added to it where a type 3 chunk begins a message.
        is_anchored: It had audio or video, so that `timestamp` lies on the connection's timeline.
        is_plain: It is anchored, between messages, and its id is below 64: the usual state.
        described: Length << 8 | type of the last message that began.
        message_stream_id: As in the last header of type 0; 0 before.
        swapped: The same as a big-endian word, to see cheaply that it did not change.
        partial: What has arrived of the unfinished message.
        missing: How many bytes it still needs; 0 between messages.
    """

    __slots__ = (
        "basic",
        "delta",
        "described",
        "extended",
        "id",
        "is_anchored",
        "is_plain",
        "marker",
        "message_stream_id",
        "missing",
        "partial",
        "swapped",
        "timestamp",
    )

    def __init__(self, chunk_stream_id: int, basic: bytes) -> None:
        self.id = chunk_stream_id
        self.basic = bytes((basic[0] | 0xC0,)) + basic[1:]
        self.marker = self.basic
        self.extended = NO_EXTENDED
        self.timestamp = 0
        self.delta = 0
        self.is_anchored = False
        self.is_plain = False
        self.described = 0
        self.message_stream_id = 0
        self.swapped = 0
        self.partial = bytearray()
        self.missing = 0

    def belong_to(self, swapped: int) -> None:
        """Change the message stream, given as the bytes of its little-endian id are read."""
        self.swapped = swapped
        self.message_stream_id = int.from_bytes(swapped.to_bytes(4, "big"), "little")

    def extend(self, extended: int) -> None:
        """Note the extended timestamp of a full header, or `NO_EXTENDED`."""
        self.extended = extended
        field = b"" if extended == NO_EXTENDED else extended.to_bytes(4, "big")
        self.marker = self.basic + field

    def move(self, field: int, is_absolute: bool) -> None:
        """Set the time of an anchored stream's next message.

        After a header of type 0, a type 3 chunk that begins a message adds the same once more, as
        Flash Media Live Encoder means it: 26 becomes 52. (Others take the difference to be 0.)

        Args:
            field: The timestamp or difference, 0 to 2**32 - 1.
            is_absolute: It is the former.
        """
        if is_absolute:
            self.timestamp = unwrap(field, self.timestamp, 32)
        else:
            self.timestamp += field if field < _HALF else field - _WRAP

    def finish(self) -> None:
        """Note that a message is complete."""
        self.is_plain = self.is_anchored and self.id < 64

    def forget_message(self) -> int:
        """Drop the unfinished message, and return how many bytes it had."""
        count = len(self.partial)
        self.partial = bytearray()
        self.missing = 0
        return count

    def payload_begins(self, data: bytes, position: int) -> int:
        """Find where a type 3 chunk's payload begins if full headers have an extended timestamp.

        The specification repeats it, and so does FFmpeg; librtmp leaves it out. It is there if
        the 4 bytes are the last one, a difference maybe, or the time of the message.

        Returns:
            The position with or without it, or -1 where bytes are missing to say.
        """
        values = {self.extended, self.timestamp % _WRAP}
        if not self.missing:
            values.add((self.timestamp + self.delta) % _WRAP)
        field = data[position : position + 4]
        if len(field) == 4:
            return position + 4 if int.from_bytes(field, "big") in values else position
        # A last chunk of fewer bytes, with nothing behind it, must not wait for more.
        like = any(value.to_bytes(4, "big").startswith(field) for value in values)
        return -1 if like else position
