"""AMF0, the form of RTMP's commands and of script data in FLV (Adobe AMF 0 specification).

Reading is as lenient as encoders demand: the count of an ECMA array is not believed, an end
marker that is missing at the end of the data is forgiven, and strings that are not UTF-8 keep
their bytes as lone surrogates, so that they are written as they were read (and can be told apart:
two different names never become one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import LimitExceeded, PeerError, UsageError

# Deeper than any client nests (4 levels), and far from Python's own limit.
MAX_DEPTH: Final = 32

# Two tables of keyframes, of 13 hours at one a second, are the largest metadata that make sense.
MAX_VALUES: Final = 100_000

# More than any message has, so that only what is referred to again and again can reach it.
MAX_TEXT: Final = 16 << 20

_NUMBER: Final = 0x00
_BOOLEAN: Final = 0x01
_STRING: Final = 0x02
_OBJECT: Final = 0x03
_NULL: Final = 0x05
_UNDEFINED: Final = 0x06
_REFERENCE: Final = 0x07
_ECMA_ARRAY: Final = 0x08
_OBJECT_END: Final = 0x09
_STRICT_ARRAY: Final = 0x0A
_DATE: Final = 0x0B
_LONG_STRING: Final = 0x0C
_UNSUPPORTED: Final = 0x0D
_XML_DOCUMENT: Final = 0x0F
_TYPED_OBJECT: Final = 0x10
_AVMPLUS: Final = 0x11

_DOUBLE: Final = Struct(">d")
_SHORT: Final = Struct(">h")
_DATE_BODY: Final = Struct(">dh")
_MAX_SHORT: Final = 0xFFFF


class Undefined(Enum):
    """The type of `UNDEFINED`, ActionScript's value of what has none; false."""

    UNDEFINED = "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined.UNDEFINED


class Date(NamedTuple):
    """A point in time.

    Attributes:
        milliseconds: Since 1970, UTC.
        timezone: Minutes; reserved, and should be 0.
    """

    milliseconds: float
    timezone: int = 0


Value: TypeAlias = (
    "float | bool | str | Undefined | Date | bytes | list[Value] | dict[str, Value] | None"
)
"""What a value is read as. Numbers are always floats. `bytes` come from AMF3 only."""


class ECMAArray(dict[str, Value]):
    """An associative array, which differs from an object on the wire alone."""


class TypedObject(dict[str, Value]):
    """An object of a named class.

    Attributes:
        class_name: The alias that both ends agreed on.
    """

    def __init__(self, class_name: str, fields: Mapping[str, Value] | None = None) -> None:
        super().__init__(fields or {})
        self.class_name = class_name


class XML(str):
    """A string that is an XML document."""

    __slots__ = ()


AVMPlus: TypeAlias = Callable[[bytes, int], tuple[Value, int]]
"""Reads one AMF3 value at an offset, and returns it with the offset behind it."""


def decode(data: bytes, offset: int = 0, *, avmplus: AVMPlus | None = None) -> list[Value]:
    """Read all values from `offset` to the end of the data.

    Args:
        data: A message or the body of a script tag.
        offset: Where its first value is.
        avmplus: Reads what follows a switch to AMF3; without it that is an error.

    Raises:
        PeerError: The data are no AMF0.
        LimitExceeded: They are nested deeper than `MAX_DEPTH`, or are more than `MAX_VALUES` or
            `MAX_TEXT`, references counted for all that they stand for.
    """
    reader = _Reader(data, offset, avmplus)
    values: list[Value] = []
    while reader.position < len(data):
        values.append(reader.value(0))
    if reader.shared:
        check_extent(values)
    return values


def decode_value(
    data: bytes, offset: int = 0, *, avmplus: AVMPlus | None = None
) -> tuple[Value, int]:
    """Read one value, and return it with the offset behind it; as `decode` otherwise."""
    reader = _Reader(data, offset, avmplus)
    value = reader.value(0)
    if reader.shared:
        check_extent([value])
    return value, reader.position


def encode(*values: object) -> bytes:
    """Write values one after the other.

    Numbers, strings, booleans, None and `UNDEFINED`, mappings, lists and tuples are taken, and
    the classes of this module. No references are made.

    Raises:
        UsageError: A value is of another type, nested deeper than `MAX_DEPTH`, or has a key of
            more than 65,535 bytes.
    """
    parts: list[bytes] = []
    for value in values:
        _append(parts, value, 0)
    return b"".join(parts)


def check_extent(values: Iterable[Value]) -> None:
    """Check how large values are for one who walks through them or writes them without references.

    Raises:
        LimitExceeded: They are deeper than `MAX_DEPTH`, for instance because one contains itself,
            or more than `MAX_VALUES`, or have more than `MAX_TEXT` characters and bytes.
    """
    waiting: list[tuple[Iterable[Value], int]] = [(values, 0)]
    count = text = 0
    while waiting:
        several, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise too_deep()
        for value in several:
            count += 1
            if isinstance(value, (str, bytes)):
                text += len(value)
            elif isinstance(value, dict):
                text += sum(map(len, value))
                waiting.append((value.values(), depth + 1))
            elif isinstance(value, list):
                waiting.append((value, depth + 1))
            if count > MAX_VALUES:
                raise too_many()
            if text > MAX_TEXT:
                raise LimitExceeded(
                    f"values of more than {MAX_TEXT} bytes", reference="AMF 0 2", limit=MAX_TEXT
                )


def too_deep(offset: int = -1) -> LimitExceeded:
    """Make the error for values within values."""
    return LimitExceeded(
        f"values are nested deeper than {MAX_DEPTH} or contain themselves",
        reference="AMF 0 2",
        limit=MAX_DEPTH,
        offset=offset,
    )


def too_many(offset: int = -1) -> LimitExceeded:
    """Make the error for more values than make sense."""
    return LimitExceeded(
        f"more than {MAX_VALUES} values", reference="AMF 0 2", limit=MAX_VALUES, offset=offset
    )


class _Reader:
    """Reads values one by one.

    Attributes:
        position: Of the next byte.
        shared: Some value may occur several times, or in itself.
    """

    def __init__(self, data: bytes, offset: int, avmplus: AVMPlus | None) -> None:
        self.position = offset
        self.shared = False
        self._data = data
        self._avmplus = avmplus
        self._left = MAX_VALUES
        self._complex: list[dict[str, Value] | list[Value]] = []  # what references count

    def value(self, depth: int) -> Value:
        """Read one value.

        Args:
            depth: How many objects and arrays it is in.
        """
        start = self.position
        self._left -= 1
        if self._left < 0:
            raise too_many(start)
        marker = self._take(1)[0]
        if marker == _NUMBER:
            number: float = _DOUBLE.unpack(self._take(8))[0]
            return number
        if marker == _STRING:
            return self._text(2)
        if marker == _BOOLEAN:
            return self._take(1) != b"\0"
        if marker == _NULL:
            return None
        if marker in (_UNDEFINED, _UNSUPPORTED):
            return UNDEFINED
        if marker == _LONG_STRING:
            return self._text(4)
        if marker == _XML_DOCUMENT:
            return XML(self._text(4))
        if marker == _DATE:
            return Date(*_DATE_BODY.unpack(self._take(10)))
        if marker == _REFERENCE:
            return self._reference()
        if marker == _AVMPLUS and self._avmplus is not None:
            self.shared = True
            value, self.position = self._avmplus(self._data, self.position)
            return value
        if depth >= MAX_DEPTH:
            raise too_deep(start)
        if marker == _OBJECT:
            return self._fields({}, depth)
        if marker == _ECMA_ARRAY:
            # Encoders write 0, one too many, or what they planned: the end marker decides.
            self._take(4)
            return self._fields(ECMAArray(), depth)
        if marker == _TYPED_OBJECT:
            return self._fields(TypedObject(self._text(2)), depth)
        if marker == _STRICT_ARRAY:
            return self._strict_array(depth)
        raise PeerError(f"no value has marker {marker:#04x}", reference="AMF 0 2.1", offset=start)

    def _take(self, count: int) -> bytes:
        start = self.position
        end = start + count
        taken = self._data[start:end]
        if len(taken) < count:
            raise PeerError("the data end within a value", reference="AMF 0 2", offset=start)
        self.position = end
        return taken

    def _text(self, width: int) -> str:
        length = int.from_bytes(self._take(width), "big")
        return self._take(length).decode("utf-8", "surrogateescape")

    def _fields(self, fields: dict[str, Value], depth: int) -> dict[str, Value]:
        self._complex.append(fields)
        data = self._data
        # The end marker is left out at the end of a message by Envivio's encoders.
        while self.position < len(data):
            name = self._text(2)
            if not name:
                following = data[self.position : self.position + 1]
                if following in (b"", b"\x09"):
                    self.position += len(following)
                    break
            fields[name] = self.value(depth + 1)
        return fields

    def _strict_array(self, depth: int) -> list[Value]:
        start = self.position
        count = int.from_bytes(self._take(4), "big")
        # Each value takes a byte at least.
        if count > len(self._data) - self.position:
            raise PeerError(
                f"an array of {count} values in less bytes", reference="AMF 0 2.12", offset=start
            )
        values: list[Value] = []
        self._complex.append(values)
        # Filled while it may already be referred to from within.
        values.extend(self.value(depth + 1) for _index in range(count))
        return values

    def _reference(self) -> Value:
        index = int.from_bytes(self._take(2), "big")
        if index >= len(self._complex):
            # Counted otherwise than by the specification; nothing hangs on such a value.
            return UNDEFINED
        self.shared = True
        return self._complex[index]


def _append(parts: list[bytes], value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UsageError(f"values are nested deeper than {MAX_DEPTH}")
    if value is None:
        parts.append(b"\x05")
    elif value is UNDEFINED:
        parts.append(b"\x06")
    elif isinstance(value, bool):
        parts.append(b"\x01\x01" if value else b"\x01\x00")
    elif isinstance(value, (int, float)):
        parts.append(b"\x00" + _packed_double(value))
    elif isinstance(value, XML):
        text = text_bytes(value)
        parts.append(b"\x0f" + len(text).to_bytes(4, "big") + text)
    elif isinstance(value, str):
        text = text_bytes(value)
        if len(text) <= _MAX_SHORT:
            parts.append(b"\x02" + len(text).to_bytes(2, "big") + text)
        else:
            parts.append(b"\x0c" + len(text).to_bytes(4, "big") + text)
    elif isinstance(value, Date):
        if not -0x8000 <= value.timezone < 0x8000:
            raise UsageError(f"time zone {value.timezone} is out of range")
        parts.append(b"\x0b" + _packed_double(value.milliseconds) + _SHORT.pack(value.timezone))
    elif isinstance(value, Mapping):
        if isinstance(value, TypedObject):
            parts.append(b"\x10" + _key(value.class_name))
        elif isinstance(value, ECMAArray):
            parts.append(b"\x08" + len(value).to_bytes(4, "big"))
        else:
            parts.append(b"\x03")
        for name, field in value.items():
            parts.append(_key(name))
            _append(parts, field, depth + 1)
        parts.append(b"\x00\x00\x09")
    elif isinstance(value, (list, tuple)):
        parts.append(b"\x0a" + len(value).to_bytes(4, "big"))
        for item in value:
            _append(parts, item, depth + 1)
    else:
        raise UsageError(f"AMF0 has no {type(value).__name__}")


def text_bytes(text: str) -> bytes:
    """Return a string in UTF-8; the bytes that were none come out as they came in."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair, from JSON
        return text.encode("utf-8", "replace")


def _key(name: object) -> bytes:
    text = text_bytes(str(name))
    if len(text) > _MAX_SHORT:
        raise UsageError(f"a key of {len(text)} bytes; {_MAX_SHORT} are possible")
    return len(text).to_bytes(2, "big") + text


def _packed_double(value: float) -> bytes:
    try:
        return _DOUBLE.pack(float(value))
    except OverflowError:
        raise UsageError("a number is too large for AMF") from None
