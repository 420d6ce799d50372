"""AMF3, which clients of ActionScript 3 mix into AMF0 (Adobe AMF 3 specification).

A value read here stands alone: its references (to strings, objects and traits before it) do not
reach beyond it, since each switch from AMF0 begins anew. Numbers become floats and strings keep
what is not UTF-8, as in `formats.amf0`, whose classes are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.amf0 import (
    MAX_DEPTH,
    MAX_VALUES,
    UNDEFINED,
    XML,
    Date,
    ECMAArray,
    TypedObject,
    Value,
    check_extent,
    text_bytes,
    too_deep,
    too_many,
)

_UNDEFINED: Final = 0x00
_NULL: Final = 0x01
_FALSE: Final = 0x02
_TRUE: Final = 0x03
_INTEGER: Final = 0x04
_DOUBLE: Final = 0x05
_STRING: Final = 0x06
_XML_DOCUMENT: Final = 0x07
_DATE: Final = 0x08
_ARRAY: Final = 0x09
_OBJECT: Final = 0x0A
_XML: Final = 0x0B
_BYTE_ARRAY: Final = 0x0C
_VECTOR_INT: Final = 0x0D
_VECTOR_UINT: Final = 0x0E
_VECTOR_DOUBLE: Final = 0x0F
_VECTOR_OBJECT: Final = 0x10
_DICTIONARY: Final = 0x11

_double: Final = Struct(">d")
_MIN_INTEGER: Final = -(1 << 28)
_MAX_INTEGER: Final = (1 << 28) - 1
_MAX_LENGTH: Final = (1 << 28) - 1

_VECTOR_FORMATS: Final = {_VECTOR_INT: "i", _VECTOR_UINT: "I", _VECTOR_DOUBLE: "d"}

# Externalizable classes write themselves; of Flex's, these write one value and nothing else.
_WRAPPERS: Final = frozenset(
    {
        "flex.messaging.io.ArrayCollection",
        "flex.messaging.io.ArrayList",
        "flex.messaging.io.ObjectProxy",
    }
)


class _Traits(NamedTuple):
    class_name: str
    is_externalizable: bool
    is_dynamic: bool
    names: list[str]


def decode_value(data: bytes, offset: int = 0) -> tuple[Value, int]:
    """Read one value, and return it with the offset behind it.

    Integers and vectors of them come as floats, arrays without names and vectors as lists,
    arrays with names as `ECMAArray` with the others under "0", "1" and so on.

    Raises:
        PeerError: The data are no AMF3, or hold an externalizable object of an unknown class.
        LimitExceeded: They are nested deeper than `MAX_DEPTH`, or are more than `MAX_VALUES` or
            `MAX_TEXT`, references counted for all that they stand for.
    """
    reader = _Reader(data, offset)
    value = reader.value(0)
    if reader.shared:
        check_extent([value])
    return value, reader.position


def encode_value(value: object) -> bytes:
    """Write one value, without references.

    Takes what `ntvmedia.formats.amf0.encode` takes, and bytes.

    Raises:
        UsageError: A value is of another type, nested deeper than `MAX_DEPTH`, or too large.
    """
    parts: list[bytes] = []
    _append(parts, value, 0)
    return b"".join(parts)


class _Reader:
    """Reads values one by one.

    Attributes:
        position: Of the next byte.
        shared: Some value may occur several times, or in itself.
    """

    def __init__(self, data: bytes, offset: int) -> None:
        self.position = offset
        self.shared = False
        self._data = data
        self._left = MAX_VALUES
        self._strings: list[str] = []
        self._objects: list[Value] = []
        self._traits: list[_Traits] = []

    def value(self, depth: int) -> Value:
        """Read one value.

        Args:
            depth: How many objects and arrays it is in.
        """
        start = self.position
        self._spend(1)
        marker = self._take(1)[0]
        if marker == _UNDEFINED:
            return UNDEFINED
        if marker == _NULL:
            return None
        if marker in (_FALSE, _TRUE):
            return marker == _TRUE
        if marker == _INTEGER:
            number = self._u29()
            return float(number - (1 << 29) if number > _MAX_INTEGER else number)
        if marker == _DOUBLE:
            return self._double()
        if marker == _STRING:
            return self._text()
        if marker > _DICTIONARY:
            raise self._error(f"no value has marker {marker:#04x}", start)
        if depth >= MAX_DEPTH:
            raise too_deep(start)
        head = self._u29()
        count = head >> 1
        if not head & 1:
            return self._reference(count, start)
        if marker == _OBJECT:
            return self._object(count, depth)
        if marker == _ARRAY:
            return self._array(count, depth)
        if marker == _DICTIONARY:
            return self._dictionary(count, depth)
        if marker == _VECTOR_OBJECT:
            return self._object_vector(count, depth)
        value: Value
        if marker == _DATE:
            value = Date(self._double())
        elif marker == _BYTE_ARRAY:
            value = self._take(count)
        elif marker in _VECTOR_FORMATS:
            value = self._number_vector(count, _VECTOR_FORMATS[marker])
        else:
            value = XML(self._take(count).decode("utf-8", "surrogateescape"))
        self._objects.append(value)
        return value

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise too_many(self.position)

    def _error(self, message: str, offset: int) -> PeerError:
        return PeerError(message, reference="AMF 3 3", offset=offset)

    def _take(self, count: int) -> bytes:
        start = self.position
        end = start + count
        taken = self._data[start:end]
        if len(taken) < count:
            raise self._error("the data end within a value", start)
        self.position = end
        return taken

    def _u29(self) -> int:
        """Read 7 bits from each of up to three bytes, and 8 from a fourth (section 1.3.1)."""
        number = 0
        for _index in range(3):
            byte = self._take(1)[0]
            number = number << 7 | byte & 0x7F
            if byte < 0x80:
                return number
        return number << 8 | self._take(1)[0]

    def _double(self) -> float:
        number: float = _double.unpack(self._take(8))[0]
        return number

    def _text(self) -> str:
        start = self.position
        head = self._u29()
        if head & 1:
            text = self._take(head >> 1).decode("utf-8", "surrogateescape")
            if text:
                self._strings.append(text)
            return text
        if head >> 1 >= len(self._strings):
            raise self._error(f"there is no string {head >> 1} to refer to", start)
        self.shared = True
        return self._strings[head >> 1]

    def _reference(self, index: int, start: int) -> Value:
        if index >= len(self._objects):
            raise self._error(f"there is no object {index} to refer to", start)
        self.shared = True
        return self._objects[index]

    def _checked(self, count: int, size: int) -> int:
        """Return how many values of at least `size` bytes follow, if so many can."""
        if count * size > len(self._data) - self.position:
            raise self._error(f"{count} values are announced in less bytes", self.position)
        return count

    def _named(self, fields: dict[str, Value], depth: int) -> None:
        """Read names with values, up to an empty name."""
        while name := self._text():
            fields[name] = self.value(depth + 1)

    def _array(self, count: int, depth: int) -> Value:
        self._checked(count, 1)
        # An array is a list until a name is seen; the object that is referred to cannot change.
        named = self._data[self.position : self.position + 1] != b"\x01"
        if not named:
            self.position += 1
            values: list[Value] = []
            self._objects.append(values)
            values.extend(self.value(depth + 1) for _index in range(count))
            return values
        fields = ECMAArray()
        self._objects.append(fields)
        self._named(fields, depth)
        for index in range(count):
            fields[str(index)] = self.value(depth + 1)
        return fields

    def _object(self, head: int, depth: int) -> Value:
        traits = self._read_traits(head)
        if traits.is_externalizable:
            if traits.class_name not in _WRAPPERS:
                raise self._error(
                    f"the externalizable class {traits.class_name!a} is unknown", self.position
                )
            place = len(self._objects)
            self._objects.append(UNDEFINED)
            value = self._objects[place] = self.value(depth + 1)
            return value
        fields: dict[str, Value] = TypedObject(traits.class_name) if traits.class_name else {}
        self._objects.append(fields)
        for name in traits.names:
            fields[name] = self.value(depth + 1)
        if traits.is_dynamic:
            self._named(fields, depth)
        return fields

    def _read_traits(self, head: int) -> _Traits:
        start = self.position
        if not head & 1:
            if head >> 1 >= len(self._traits):
                raise self._error(f"there are no traits {head >> 1} to refer to", start)
            return self._traits[head >> 1]
        class_name = self._text()
        count = self._checked(head >> 3, 1)
        self._spend(count)
        names = [self._text() for _index in range(count)]
        traits = _Traits(class_name, bool(head & 2), bool(head & 4), names)
        self._traits.append(traits)
        return traits

    def _number_vector(self, count: int, form: str) -> Value:
        self._take(1)  # whether its length is fixed
        item = Struct(f">{form}")
        self._spend(self._checked(count, item.size))
        return [float(number) for (number,) in item.iter_unpack(self._take(count * item.size))]

    def _object_vector(self, count: int, depth: int) -> Value:
        self._take(1)
        self._text()  # the class of its items
        values: list[Value] = []
        self._objects.append(values)
        values.extend(self.value(depth + 1) for _index in range(self._checked(count, 1)))
        return values

    def _dictionary(self, count: int, depth: int) -> Value:
        """Read pairs; the keys may be of any type, and are made strings as ActionScript does."""
        self._take(1)  # whether its keys are weak
        fields: dict[str, Value] = {}
        self._objects.append(fields)
        for _index in range(self._checked(count, 2)):
            key = self.value(depth + 1)
            fields[_key_text(key)] = self.value(depth + 1)
        return fields


def _key_text(key: Value) -> str:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, float):
        return str(int(key)) if key.is_integer() else str(key)
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else type(key).__name__


def _append(parts: list[bytes], value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UsageError(f"values are nested deeper than {MAX_DEPTH}")
    if value is UNDEFINED:
        parts.append(b"\x00")
    elif value is None:
        parts.append(b"\x01")
    elif isinstance(value, bool):
        parts.append(b"\x03" if value else b"\x02")
    elif isinstance(value, (int, float)):
        parts.append(_number(value))
    elif isinstance(value, XML):
        parts.append(b"\x0b" + _with_length(text_bytes(value)))
    elif isinstance(value, str):
        parts.append(b"\x06" + _with_length(text_bytes(value)))
    elif isinstance(value, Date):
        parts.append(b"\x08\x01" + _double.pack(value.milliseconds))
    elif isinstance(value, (bytes, bytearray)):
        parts.append(b"\x0c" + _with_length(bytes(value)))
    elif isinstance(value, ECMAArray):
        parts.append(b"\x09\x01")
        _append_named(parts, value, depth)
    elif isinstance(value, Mapping):
        # Dynamic, with no sealed members: every object then has the traits of a plain one.
        name = value.class_name if isinstance(value, TypedObject) else ""
        parts.append(b"\x0a\x0b" + _with_length(text_bytes(name)))
        _append_named(parts, value, depth)
    elif isinstance(value, (list, tuple)):
        parts.append(b"\x09" + _length(len(value)) + b"\x01")
        for item in value:
            _append(parts, item, depth + 1)
    else:
        raise UsageError(f"AMF3 has no {type(value).__name__}")


def _append_named(parts: list[bytes], fields: Mapping[str, object], depth: int) -> None:
    for name, field in fields.items():
        if not name:
            raise UsageError("AMF3 has no empty names")
        parts.append(_with_length(text_bytes(str(name))))
        _append(parts, field, depth + 1)
    parts.append(b"\x01")


def _number(value: float) -> bytes:
    if (
        value == value
        and _MIN_INTEGER <= value <= _MAX_INTEGER
        and value == int(value)
        and (value or str(value)[0] != "-")
    ):
        return b"\x04" + _u29(int(value) & 0x1FFFFFFF)
    try:
        return b"\x05" + _double.pack(float(value))
    except OverflowError:
        raise UsageError("a number is too large for AMF") from None


def _u29(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number >> 7 | 0x80, number & 0x7F))
    if number < 0x200000:
        return bytes((number >> 14 | 0x80, number >> 7 & 0x7F | 0x80, number & 0x7F))
    return bytes(
        (
            number >> 22 | 0x80,
            number >> 15 & 0x7F | 0x80,
            number >> 8 & 0x7F | 0x80,
            number & 0xFF,
        )
    )


def _length(count: int) -> bytes:
    if count > _MAX_LENGTH:
        raise UsageError(f"{count} bytes or values in one; {_MAX_LENGTH} are possible")
    return _u29(count << 1 | 1)


def _with_length(data: bytes) -> bytes:
    return _length(len(data)) + data
