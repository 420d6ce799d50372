"""The media and data messages of one published or played stream, turned into neutral media.

RTMP 1.0 section 7.1; the bodies of audio and video are FLV's, and `formats.flv_reader` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats import amf0
from ntvmedia.formats.amf0 import Value
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtmp.calls import decode_values
from ntvmedia.wire.rtmp.chunks import MessageType
from ntvmedia.wire.rtmp.events import MediaEvent, MetadataReceived

# OBS sends 400 bytes; it is kept, and sent again to everybody who joins.
MAX_METADATA_SIZE: Final = 64 * 1024

# Of other data messages; captions and cue points have less than a kilobyte.
MAX_DATA_SIZE: Final = 1 << 20

# Of a number, or of the length and the end of something longer.
_VALUE_SIZE: Final = 9

DATA_CLOCK_RATE: Final = 1000

# Type, size, low and high bits of the time, stream id: FLV 10.1 E.4.1, in an aggregate message.
_TAG_HEADER_SIZE: Final = 11
_BACK_POINTER_SIZE: Final = 4

# Each tag may become a packet: without a limit, one message of 10 MiB would be 600,000 of them.
# Flash's servers put a few seconds into one.
MAX_TAGS_IN_AGGREGATE: Final = 4096

_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1

_DATA_TYPES: Final = (MessageType.DATA_AMF0, MessageType.DATA_AMF3)

# Names of data messages that are about the connection, not about what is in the stream.
_NOT_MEDIA: Final = frozenset({"|RtmpSampleAccess", "onStatus", "@clearDataFrame"})


class MediaReader:
    """Reads everything but commands of one stream.

    Nothing in a message makes it raise: what cannot be read is left out and counted.

    Attributes:
        tags: Reads audio and video; for the loop that handles most messages.
    """

    def __init__(self) -> None:
        self.tags = TagReader()
        self._data_track: Track | None = None
        self._dropped = 0
        self._last_problem = ""

    @property
    def dropped(self) -> int:
        """How many messages, or tracks in one, could not be read."""
        return self._dropped + self.tags.dropped

    @property
    def last_problem(self) -> str:
        """Why the last one could not; empty before the first."""
        return self._last_problem or self.tags.last_problem

    def media(self, type_id: int, timestamp: int, payload: bytes) -> Sequence[MediaEvent]:
        """Read one message of any type; what is no media or data is nothing.

        Args:
            timestamp: In milliseconds, unbounded.
        """
        if type_id == MessageType.VIDEO:
            return self.tags.video(timestamp, payload)
        if type_id == MessageType.AUDIO:
            return self.tags.audio(timestamp, payload)
        if type_id in _DATA_TYPES:
            try:
                return self._data(type_id, timestamp, payload)
            except (PeerError, UsageError) as error:  # UsageError: AMF3 that AMF0 has no form for
                self._dropped += 1
                self._last_problem = str(error)
                return ()
        if type_id == MessageType.AGGREGATE:
            return [
                event
                for tag_type, tag_time, body in split_aggregate(timestamp, payload)
                for event in self.media(tag_type, tag_time, body)
            ]
        return ()

    def _data(self, type_id: int, timestamp: int, payload: bytes) -> Sequence[MediaEvent]:
        values = decode_values(type_id, payload)
        # Uniview cameras put numbers before the name.
        start = next((i for i, value in enumerate(values) if isinstance(value, str)), None)
        if start is None:
            return ()
        if values[start] == "@setDataFrame":
            start += 1
        name = values[start] if start < len(values) else None
        if name == "onMetaData":
            fields = next((value for value in values[start:] if isinstance(value, dict)), {})
            check_size((fields,), MAX_METADATA_SIZE)
            amf0.encode(fields)  # what cannot be written again is of no use to anybody
            return (MetadataReceived(dict(fields)),)
        if name == "@clearDataFrame" and values[start + 1 : start + 2] == ["onMetaData"]:
            return (MetadataReceived({}),)
        if not isinstance(name, str) or name in _NOT_MEDIA:
            return ()
        # Encoded anew: what was in AMF3 would break every reader of FLV.
        check_size(values[start:], MAX_DATA_SIZE)
        body = amf0.encode(*values[start:])
        track = self._data_track
        if track is not None:
            return (Packet(track, timestamp, timestamp, True, body),)
        self._data_track = track = Track(Codec.AMF0, clock_rate=DATA_CLOCK_RATE)
        return (track, Packet(track, timestamp, timestamp, True, body))


def check_size(values: Iterable[Value], limit: int) -> None:
    """Check how long values are once they are written.

    Through references, 60 kB of AMF can stand for a hundred megabytes.

    Args:
        values: As `amf0.decode` returns them: not within themselves.
        limit: Of bytes, roughly.

    Raises:
        LimitExceeded: They are longer.
    """
    size = 0
    waiting: list[Iterable[Value]] = [values]
    while waiting:
        for value in waiting.pop():
            size += _VALUE_SIZE
            if isinstance(value, str | bytes):
                size += len(value)
            elif isinstance(value, dict):
                size += sum(map(len, value))
                waiting.append(value.values())
            elif isinstance(value, list):
                waiting.append(value)
            if size > limit:
                raise LimitExceeded(
                    f"a data message stands for more than {limit} bytes",
                    reference="RTMP 1.0 7.1.2",
                    limit=limit,
                )


def split_aggregate(timestamp: int, payload: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Take an aggregate message apart (RTMP 1.0 section 7.1.6).

    A tag that is cut off ends it, as does tag `MAX_TAGS_IN_AGGREGATE`; aggregates in it are left
    out.

    Args:
        timestamp: Of the message: the first tag's, whatever is written in that tag.

    Yields:
        Type, timestamp in milliseconds, and body of each tag.
    """
    position = 0
    first = None
    for _ in range(MAX_TAGS_IN_AGGREGATE):
        if position + _TAG_HEADER_SIZE > len(payload):
            return
        tag_type = payload[position]
        size = int.from_bytes(payload[position + 1 : position + 4], "big")
        low = int.from_bytes(payload[position + 4 : position + 7], "big")
        time = payload[position + 7] << 24 | low
        body = payload[position + _TAG_HEADER_SIZE : position + _TAG_HEADER_SIZE + size]
        if len(body) < size:
            return
        if first is None:
            first = time
        # The difference is the shortest way round 2**32, backwards too.
        difference = ((time - first + _HALF) & _MASK) - _HALF
        if tag_type != MessageType.AGGREGATE:
            yield tag_type, timestamp + difference, body
        position += _TAG_HEADER_SIZE + size + _BACK_POINTER_SIZE
