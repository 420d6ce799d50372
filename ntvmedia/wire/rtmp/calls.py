"""Reads command messages: the calls that a peer makes, and its answers to ours (RTMP 1.0 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ntvmedia.errors import PeerError
from ntvmedia.formats import amf0
from ntvmedia.formats.amf0 import Value
from ntvmedia.wire import amf3
from ntvmedia.wire.rtmp.chunks import Message, MessageType

_WITH_FORMAT: frozenset[int] = frozenset({MessageType.COMMAND_AMF3, MessageType.DATA_AMF3})
_FORMAT_AMF0 = b"\x00"


class Call(NamedTuple):
    """One command message; what is missing or of the wrong type reads as nothing.

    Attributes:
        name: Of the command.
        transaction: Number that an answer has to carry; 0 if none is wanted.
        object: The command object, usually None but for `connect`.
        arguments: What follows it.
        stream_id: The message stream that it came on.
    """

    name: str
    transaction: float
    object: Value
    arguments: Sequence[Value]
    stream_id: int

    def argument(self, index: int) -> Value:
        """Return an argument, or None."""
        return self.arguments[index] if index < len(self.arguments) else None

    def text(self, index: int) -> str:
        """Return a text argument, or the empty text."""
        return text(self.argument(index))

    def number(self, index: int, default: float = 0.0) -> float:
        """Return a number, or the default."""
        value = self.argument(index)
        return default if isinstance(value, bool) or not isinstance(value, float) else value

    def milliseconds(self, index: int) -> int:
        """Return a time of 0 or more; 0 for anything else, infinity and NaN among it."""
        value = self.number(index)
        return int(value) if 0 <= value < 1 << 53 else 0

    def properties(self, value: Value) -> dict[str, Value]:
        """Return an object's properties; none for anything else."""
        return value if isinstance(value, dict) else {}


def read_call(message: Message) -> Call:
    """Read a command message.

    Raises:
        PeerError: It is not AMF, or does not begin with a name.
        LimitExceeded: Its values are too many or too deep.
    """
    values = decode_values(message.type_id, message.payload)
    name = values[0] if values else None
    if not isinstance(name, str):
        raise PeerError("a command without a name", reference="RTMP 1.0 7.2")
    transaction = values[1] if len(values) > 1 else None
    return Call(
        name,
        transaction if isinstance(transaction, float) else 0.0,
        values[2] if len(values) > 2 else None,
        values[3:],
        message.message_stream_id,
    )


def decode_values(type_id: int, payload: bytes) -> list[Value]:
    """Read the values of a command or data message.

    The AMF3 types begin with a byte that says AMF0 follows (E-RTMP v2, "Action Message Format");
    HaishinKit once left it out.

    Raises:
        PeerError: They are not AMF.
        LimitExceeded: They are too many or too deep.
    """
    offset = int(type_id in _WITH_FORMAT and payload[:1] == _FORMAT_AMF0)
    return amf0.decode(payload, offset, avmplus=amf3.decode_value)


def text(value: Value) -> str:
    """Return a text, or the empty one for anything else."""
    return value if isinstance(value, str) else ""
