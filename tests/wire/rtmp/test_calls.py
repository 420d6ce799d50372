"""Tests of reading command messages."""

from __future__ import annotations

import math

import pytest

from ntvmedia.errors import PeerError
from ntvmedia.formats import amf0
from ntvmedia.wire.rtmp.calls import Call, read_call
from ntvmedia.wire.rtmp.chunks import Message, MessageType


def read(payload: bytes, type_id: int = MessageType.COMMAND_AMF0) -> Call:
    """Read one from message stream 1."""
    return read_call(Message(type_id, 0, 1, payload, 3))


PUBLISH = amf0.encode("publish", 5.0, None, "test", "live")


def test_amf0() -> None:
    """Name, number, command object, arguments."""
    assert read(PUBLISH) == Call("publish", 5.0, None, ["test", "live"], 1)


def test_amf3_with_format_byte() -> None:
    """A-AM-01: type 17 begins with a zero byte, then comes AMF0."""
    assert read(b"\x00" + PUBLISH, MessageType.COMMAND_AMF3) == read(PUBLISH)


def test_amf3_without_format_byte() -> None:
    """A-AM-02: without that byte, too."""
    assert read(PUBLISH, MessageType.COMMAND_AMF3) == read(PUBLISH)


def test_amf3_value() -> None:
    """A-AM-03: a value of AMF3 among AMF0 (here the integer 7, then a string)."""
    payload = amf0.encode("call", 1.0, None) + b"\x11\x04\x07" + amf0.encode("next")
    assert read(b"\x00" + payload, MessageType.COMMAND_AMF3).arguments == [7.0, "next"]


def test_short_calls() -> None:
    """What a client leaves out reads as nothing."""
    assert read(amf0.encode("createStream")) == Call("createStream", 0.0, None, [], 1)
    call = read(amf0.encode("play", "text for a number"))
    assert call.transaction == 0.0
    assert call.argument(0) is None
    assert call.text(3) == ""
    assert call.number(3, -1.0) == -1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300, True, "5", None])
def test_times_out_of_range(value: object) -> None:
    """A time that is none is 0."""
    assert read(amf0.encode("seek", 0.0, None, value)).milliseconds(0) == 0


@pytest.mark.parametrize("payload", [b"", amf0.encode(5.0), amf0.encode(None, 1.0)])
def test_nameless(payload: bytes) -> None:
    """A command without a name breaks the protocol."""
    with pytest.raises(PeerError, match="without a name"):
        read(payload)
