"""What stands around the blocks of a rendition on an HTTP connection, whatever their format.

It is an option of the rendition, so that a block is framed once for all of its viewers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from ntvmedia.hub.rendition import Serialiser
from ntvmedia.media import Packet, Track
from ntvmedia.wire.websocket import binary_header


class Framing(StrEnum):
    """How a client finds the blocks, if it has to.

    Attributes:
        NONE: The end of the connection is the end of the answer: HTTP/1.0.
        CHUNKED: Each block is a chunk, RFC 9112 section 7.1.
        WEBSOCKET: Each block is a binary message, RFC 6455 section 5.6.
    """

    NONE = "none"
    CHUNKED = "chunked"
    WEBSOCKET = "websocket"


OPTION: Final = "framing"
"""The option of a rendition that names its framing; without it there is none."""


class Framed:
    """A serialiser whose blocks are framed. Provides `ntvmedia.hub.rendition.Serialiser`.

    What ends the whole answer, the last chunk or a close frame, belongs to the exchange: a viewer
    who is sent away while the stream goes on has one too.

    Args:
        serialiser: Its own `frame` is not asked.
        framing: A `Framing`.

    Raises:
        ValueError: There is no such framing.
    """

    def __init__(self, serialiser: Serialiser, framing: str = Framing.NONE) -> None:
        self._serialiser = serialiser
        self._frame = _FRAMES[Framing(framing)]
        # Called for each packet: bound here, so that framing costs no call more.
        self.packet = serialiser.packet  # type: ignore[method-assign]

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        return self._serialiser.tracks_changed(tracks, metadata, timestamp)

    def header(self, timestamp: int) -> bytes:
        return self._serialiser.header(timestamp)

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        self._serialiser.packet(packet, parts)

    def trailer(self) -> bytes:
        return self._frame(self._serialiser.trailer())

    def frame(self, block: bytes) -> bytes:
        return self._frame(block)


def _unframed(block: bytes) -> bytes:
    return block


def _chunk(block: bytes) -> bytes:
    # An empty chunk would be the last one.
    return b"%x\r\n%b\r\n" % (len(block), block) if block else b""


def _message(block: bytes) -> bytes:
    return binary_header(len(block)) + block if block else b""


_FRAMES: Final[Mapping[Framing, Callable[[bytes], bytes]]] = {
    Framing.NONE: _unframed,
    Framing.CHUNKED: _chunk,
    Framing.WEBSOCKET: _message,
}
