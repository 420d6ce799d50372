"""Boxes of the ISO base media file format, read within their bounds.

ISO/IEC 14496-12, cited as "14496-12 n": section 4.2 (boxes). Nothing here follows boxes into boxes
by itself: who reads a container asks for its children, so that nesting is as deep as our own code.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError

MAX_CHILDREN: Final = 1 << 16
"""Boxes in one container: a fragment of half an hour may have a run for each sample."""

_BOX: Final = "14496-12 4.2"

_HEADER_SIZE: Final = 8
_LARGE_HEADER_SIZE: Final = 16
_UUID_SIZE: Final = 16
_SWAPPED: Final = sys.byteorder == "little"

_short_header: Final = Struct(">I4s")
_large_size: Final = Struct(">Q")
_word: Final = Struct(">I")


class Header(NamedTuple):
    """What stands before a box's contents.

    Attributes:
        kind: Four bytes: b"moov".
        header_size: Bytes of the header: 8, 16, and 16 more for b"uuid".
        size: Bytes of the whole box; 0 for one that goes on to the end of the file.
    """

    kind: bytes
    header_size: int
    size: int


class Box(NamedTuple):
    """A box, all of which is there.

    Attributes:
        kind: Four bytes: b"moov".
        body: Its contents.
        offset: Where they begin, in bytes from the start of the file, or of what was given.
    """

    kind: bytes
    body: memoryview
    offset: int


def parse_header(
    data: bytes | bytearray | memoryview, place: int = 0, offset: int = 0
) -> Header | None:
    """Read the header of the box at a place; None where more bytes are needed to tell.

    Args:
        offset: Of the data in the file, for messages.

    Raises:
        PeerError: The size is less than that of the header.
    """
    left = len(data) - place
    if left < _HEADER_SIZE:
        return None
    size, kind = _short_header.unpack_from(data, place)
    header_size = _HEADER_SIZE
    if size == 1:
        if left < _LARGE_HEADER_SIZE:
            return None
        (size,) = _large_size.unpack_from(data, place + _HEADER_SIZE)
        header_size = _LARGE_HEADER_SIZE
        to_the_end = False
    else:
        to_the_end = size == 0
    if kind == b"uuid":
        header_size += _UUID_SIZE
    if size < header_size and not to_the_end:
        raise PeerError(f"a box of {size} bytes", reference=_BOX, offset=offset + place)
    return Header(kind, header_size, size)


def whole_box(data: bytes | bytearray | memoryview, kind: bytes, offset: int = 0) -> Box:
    """Read one box that is all of `data`.

    Args:
        kind: What it must be.
        offset: Of its first byte in the file, for messages.

    Raises:
        PeerError: It is another one, or longer than `data`.
    """
    header = parse_header(data, 0, offset)
    if header is None or header.kind != kind or header.size > len(data):
        raise PeerError(f"no whole {kind.decode('latin-1')} box", reference=_BOX, offset=offset)
    stop = header.size or len(data)
    body = memoryview(data)[header.header_size : stop]
    return Box(kind, body, offset + header.header_size)


def children(box: Box, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes in a container, in their order.

    A rest that is too short for a box is left out: QuickTime ends some lists with a zero of four
    bytes.

    Args:
        skip: Bytes of fields before the first one.

    Raises:
        PeerError: A box goes beyond its container.
        LimitExceeded: There are more than `MAX_CHILDREN`.
    """
    body, place = box.body, skip
    end = len(body)
    for _child in range(MAX_CHILDREN):
        if end - place < _HEADER_SIZE:
            return
        header = parse_header(body, place, box.offset)
        stop = end + 1 if header is None else place + header.size if header.size else end
        if header is None or stop > end or place + header.header_size > end:
            raise PeerError(
                f"a box goes beyond the end of its {box.kind.decode('latin-1')}",
                reference=_BOX,
                offset=box.offset + place,
            )
        start = place + header.header_size
        yield Box(header.kind, body[start:stop], box.offset + start)
        place = stop
    if end - place >= _HEADER_SIZE:
        raise LimitExceeded(
            "too many boxes in one", reference=_BOX, limit=MAX_CHILDREN, offset=box.offset + place
        )


def child(box: Box, kind: bytes, skip: int = 0) -> Box | None:
    """Find the first box of a kind in a container; None where there is none.

    Raises:
        PeerError: A box before it goes beyond its container.
        LimitExceeded: As `children`.
    """
    return next((found for found in children(box, skip) if found.kind == kind), None)


def required(box: Box, kind: bytes, skip: int = 0) -> Box:
    """Find the first box of a kind in a container that must have one.

    Raises:
        PeerError: As `child`, or there is none.
        LimitExceeded: As `children`.
    """
    found = child(box, kind, skip)
    if found is None:
        raise PeerError(
            f"a {box.kind.decode('latin-1')} box without {kind.decode('latin-1')}",
            reference=_BOX,
            offset=box.offset,
        )
    return found


def unpack(fields: Struct, box: Box, place: int = 0) -> tuple[int, ...]:
    """Read fields at a place in a box's contents.

    Raises:
        PeerError: The box ends before them.
    """
    if place + fields.size > len(box.body):
        raise _cut_off(box)
    return fields.unpack_from(box.body, place)


def version_and_flags(box: Box) -> tuple[int, int]:
    """Read what a FullBox begins with: 8 bits of version, 24 bits of flags (14496-12 4.2).

    Raises:
        PeerError: The box ends before that.
    """
    (word,) = unpack(_word, box)
    return word >> 24, word & 0xFFFFFF


def numbers(box: Box, place: int, count: int, width: int = 4) -> array[int]:
    """Read a table of unsigned numbers.

    Args:
        count: How many; checked against the box before anything is allocated.
        width: Bytes of each: 1, 2, 4 or 8.

    Raises:
        PeerError: The box ends before the last one.
    """
    stop = place + count * width
    if stop > len(box.body):
        raise _cut_off(box)
    found = array({1: "B", 2: "H", 4: "I", 8: "Q"}[width])
    found.frombytes(box.body[place:stop])
    if _SWAPPED:
        found.byteswap()
    return found


def signed(words: array[int]) -> array[int]:
    """Take numbers of 32 bits for signed ones."""
    return array("i", words.tobytes())


def _cut_off(box: Box) -> PeerError:
    return PeerError(
        f"a {box.kind.decode('latin-1')} box is cut off",
        reference=_BOX,
        offset=box.offset + len(box.body),
    )
