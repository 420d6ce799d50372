"""Windows Media over HTTP, the client's side: chunks in, an ASF stream out (MS-WMSP).

A server sends the ASF header, and then packets; a playlist, or a loop, has further headers. What
comes out is what an ASF file has: one header, and packets of its fixed size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import LimitExceeded, PeerError

MAX_HEADER_BYTES: Final = 256 << 10
"""Of an ASF header; those with all languages and pictures have some 10 kB. FFmpeg takes no more
than 8 kB."""

MAX_PACKET_BYTES: Final = 1 << 16
"""Of a packet: its length has 16 bits."""

_FRAMING: Final = "MS-WMSP 2.2.3.1"
_ASF: Final = "ASF 01.20.03 3"

# PacketID of the framing header (2.2.3.1.1), whose first byte is "$", with a flag before it.
_MARKS: Final = (0x24, 0xA4)
_HEADER: Final = ord("H")
_DATA: Final = ord("D")
_END: Final = ord("E")
_CHANGE: Final = ord("C")
# Metadata, pairs to measure the line by, and fillers.
_PASSED_OVER: Final = frozenset(b"MPT")
_KNOWN: Final = _PASSED_OVER | {_HEADER, _DATA, _END, _CHANGE}

_FRAMING_BYTES: Final = 4
_MMS_BYTES: Final = 8  # LocationId, Incarnation, AFFlags and PacketSize (2.2.3.2)
_FIRST: Final = 0x04
_LAST: Final = 0x08

# ASF's GUIDs, as they are written: sections 3.1, 3.2, 3.3 and 5.1.
_HEADER_OBJECT: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_STREAM_PROPERTIES: Final = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_DATA_OBJECT: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")

_OBJECT_BYTES: Final = 24
_HEADER_OBJECT_BYTES: Final = 30
_FLAGS_AT: Final = 72
_PACKET_SIZE_AT: Final = 92
_MAX_OBJECTS: Final = 1000

PLAYER: Final = "NSPlayer/7.10.0.3059"
"""As which servers know a client that speaks this."""

# Of this program; servers tell their clients apart by it.
_CLIENT: Final = "xClientGUID={c77e7400-738a-11d2-9add-0020af0a3278}"


class Header(NamedTuple):
    """An ASF header with the beginning of its Data Object.

    Attributes:
        data: As it is in a file.
        streams: Numbers of the streams, in their order.
        packet_size: Bytes of each packet.
    """

    data: bytes
    streams: tuple[int, ...]
    packet_size: int


class Data(NamedTuple):
    """A packet, filled up to its size."""

    data: bytes


class Ended(NamedTuple):
    """The server has no more."""

    code: int


Event: TypeAlias = Header | Data | Ended


def describe_fields() -> tuple[str, ...]:
    """Return the lines of `Pragma` of a request for the header alone (2.2.1.4)."""
    return (
        "no-cache,rate=1.000000,stream-time=0,stream-offset=0:0,request-context=1,max-duration=0",
        _CLIENT,
    )


def play_fields(streams: tuple[int, ...]) -> tuple[str, ...]:
    """Return those of a request for the media.

    Args:
        streams: Numbers of all that are wanted.
    """
    entries = " ".join(f"ffff:{number}:0" for number in streams)
    return (
        "no-cache,rate=1.000000,stream-time=0,stream-offset=4294967295:4294967295,"
        "request-context=2,max-duration=0",
        _CLIENT,
        "xPlayStrm=1",
        f"stream-switch-count={len(streams)}",
        f"stream-switch-entry={entries}",
    )


class ChunkReader:
    """Takes the body of an answer apart.

    Call `receive_data`, then `events`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header = bytearray()
        self._packet_size = 0
        self._offset = 0
        self._ended = False

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes."""
        self._buffer += data

    def events(self) -> Iterator[Event]:
        """Yield what is complete.

        Raises:
            PeerError: The bytes that follow are none of this protocol.
            LimitExceeded: A header is too long.
        """
        buffer = self._buffer
        place = 0
        try:
            while not self._ended and len(buffer) - place >= _FRAMING_BYTES:
                mark, kind = buffer[place], buffer[place + 1] & 0x7F
                if mark not in _MARKS or kind not in _KNOWN:
                    raise PeerError(
                        "no chunk of Windows Media", reference=_FRAMING, offset=self._offset + place
                    )
                length = int.from_bytes(buffer[place + 2 : place + 4], "little")
                end = place + _FRAMING_BYTES + length
                if end > len(buffer):
                    return
                body = bytes(buffer[place + _FRAMING_BYTES : end])
                place = end
                event = self._event(kind, body)
                if event is not None:
                    yield event
        finally:
            del buffer[:place]
            self._offset += place

    def _event(self, kind: int, body: bytes) -> Event | None:
        if kind == _END:
            self._ended = True
            return Ended(int.from_bytes(body[:4], "little"))
        if kind == _CHANGE:
            # Another header follows, of what is next.
            self._packet_size = 0
            return None
        if kind in _PASSED_OVER:
            return None
        if len(body) < _MMS_BYTES:
            raise PeerError("a chunk is too short", reference=_FRAMING, offset=self._offset)
        flags, payload = body[5], body[_MMS_BYTES:]
        if kind == _HEADER:
            return self._header_part(flags, payload)
        size = self._packet_size
        if not size:
            raise PeerError("media before their header", reference=_FRAMING, offset=self._offset)
        if len(payload) > size:
            raise PeerError(
                f"a packet of {len(payload):,} bytes, where all have {size:,}",
                reference=_ASF,
                offset=self._offset,
            )
        return Data(payload.ljust(size, b"\0"))

    def _header_part(self, flags: int, payload: bytes) -> Header | None:
        if flags & _FIRST:
            self._header.clear()
        self._header += payload
        if len(self._header) > MAX_HEADER_BYTES:
            raise LimitExceeded("the header is too long", reference=_ASF, limit=MAX_HEADER_BYTES)
        if not flags & _LAST:
            return None
        header = parse_header(bytes(self._header))
        self._header.clear()
        self._packet_size = header.packet_size
        return header


def parse_header(data: bytes) -> Header:
    """Read an ASF header, as far as one needs it to ask for the media.

    Raises:
        PeerError: It is none.
    """
    if not data.startswith(_HEADER_OBJECT) or len(data) < _HEADER_OBJECT_BYTES:
        raise PeerError("no ASF header", reference=_ASF, offset=0)
    end = int.from_bytes(data[16:24], "little")
    if not _HEADER_OBJECT_BYTES <= end <= len(data):
        raise PeerError("the ASF header is cut off", reference=_ASF, offset=16)
    place, packet_size, streams = _HEADER_OBJECT_BYTES, 0, list[int]()
    for _object in range(_MAX_OBJECTS):
        if place + _OBJECT_BYTES > end:
            break
        size = int.from_bytes(data[place + 16 : place + 24], "little")
        if size < _OBJECT_BYTES or place + size > end:
            raise PeerError("an object is longer than the header", reference=_ASF, offset=place)
        kind = data[place : place + 16]
        if kind == _FILE_PROPERTIES and size >= _PACKET_SIZE_AT + 4:
            at = place + _PACKET_SIZE_AT
            packet_size = int.from_bytes(data[at : at + 4], "little")
        elif kind == _STREAM_PROPERTIES and size >= _FLAGS_AT + 2:
            number = data[place + _FLAGS_AT] & 0x7F
            if number and number not in streams:
                streams.append(number)
        place += size
    if not 0 < packet_size <= MAX_PACKET_BYTES or not streams:
        raise PeerError("the ASF header has no streams", reference=_ASF, offset=0)
    if data[end : end + 16] != _DATA_OBJECT:
        raise PeerError("no Data Object after the header", reference=_ASF, offset=end)
    return Header(data, tuple(streams), packet_size)
