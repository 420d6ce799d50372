"""Tests of AMF0: what encoders really send, and what attackers would."""

from __future__ import annotations

import math
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats import amf0
from ntvmedia.formats.amf0 import (
    UNDEFINED,
    XML,
    Date,
    ECMAArray,
    TypedObject,
    Value,
    decode,
    decode_value,
    encode,
)

scalars = st.one_of(
    st.none(),
    st.just(UNDEFINED),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.text(max_size=20).map(XML),
    st.builds(Date, st.floats(allow_nan=False), st.integers(-0x8000, 0x7FFF)),
)
keys = st.text(max_size=8)


def containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    """Draw what holds other values."""
    fields = st.dictionaries(keys, inner, max_size=4)
    return st.one_of(
        st.lists(inner, max_size=4),
        fields,
        fields.map(ECMAArray),
        st.builds(TypedObject, keys, fields),
    )


values: st.SearchStrategy[Value] = st.recursive(scalars, containers, max_leaves=15)


def kinds(value: object) -> object:
    """Return the classes of a value and of all in it, which equality overlooks."""
    if isinstance(value, TypedObject):
        return "typed", value.class_name, [kinds(item) for item in value.values()]
    if isinstance(value, dict):
        return type(value), [kinds(item) for item in value.values()]
    if isinstance(value, list):
        return list, [kinds(item) for item in value]
    return type(value)


def hexed(text: str) -> list[Value]:
    """Read values written in hexadecimal."""
    return decode(bytes.fromhex(text))


@given(st.lists(values, max_size=4))
def test_round_trip(several: list[Value]) -> None:
    """What is written is read again, with the same classes."""
    back = decode(encode(*several))
    assert back == several
    assert [kinds(value) for value in back] == [kinds(value) for value in several]


@given(st.binary(max_size=200), st.integers(0, 20))
def test_only_documented_errors(data: bytes, offset: int) -> None:
    """F-RE-02: random bytes are values or a `PeerError`."""
    try:
        several = decode(data, offset)
    except PeerError:
        return
    encode(*several)


@given(st.lists(values, min_size=1, max_size=3), st.integers(0, 10000), st.integers(0, 255))
def test_mutations(several: list[Value], place: int, byte: int) -> None:
    """F-RE-02: good values with one byte changed are values or a `PeerError`."""
    data = bytearray(encode(*several))
    data[place % len(data)] = byte
    with suppress(PeerError):
        encode(*decode(bytes(data)))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("00 3ff0000000000000", 1.0),
        ("01 01", True),
        ("01 00", False),
        ("02 0004 6c697665", "live"),
        ("02 0000", ""),
        ("05", None),
        ("06", UNDEFINED),
        ("0a 00000002 05 0100", [None, False]),
        ("0b 4270000000000000 ffc4", Date(2.0**40, -60)),
        ("0c 00000004 6c697665", "live"),
        ("0d", UNDEFINED),
        ("0f 00000004 3c612f3e", XML("<a/>")),
        ("10 0001 41 0001 62 05 000009", TypedObject("A", {"b": None})),
        ("03 0003 617070 02 0004 6c697665 0000 09", {"app": "live"}),
        ("08 00000001 0001 61 05 0000 09", ECMAArray({"a": None})),
    ],
)
def test_markers(data: str, expected: Value) -> None:
    """A-AM-04: each type of the specification (AMF 0 2.2 to 2.18), and nothing behind it lost."""
    (got, after) = hexed(data + "02 0001 78")
    assert got == expected
    assert kinds(got) == kinds(expected)
    assert after == "x"


def test_connect_of_ffmpeg() -> None:
    """The first command of FFmpeg 5.1 that plays rtmp://127.0.0.1:44079/live/x, as captured."""
    data = bytes.fromhex(
        "020007636f6e6e656374003ff0000000000000"
        "03"
        "0003617070 0200046c697665"
        "0008666c617368566572 02000d4c4e5820392c302c3132342c32"
        "0005746355726c 02001b72746d703a2f2f3132372e302e302e313a34343037392f6c697665"
        "000466706164 0100"
        "000c6361706162696c6974696573 00402e000000000000"
        "000b617564696f436f64656373 0040afce0000000000"
        "000b766964656f436f64656373 00406f800000000000"
        "000d766964656f46756e6374696f6e 003ff0000000000000"
        "000009"
    )
    values = [
        "connect",
        1.0,
        {
            "app": "live",
            "flashVer": "LNX 9,0,124,2",
            "tcUrl": "rtmp://127.0.0.1:44079/live",
            "fpad": False,
            "capabilities": 15.0,
            "audioCodecs": 4071.0,
            "videoCodecs": 252.0,
            "videoFunction": 1.0,
        },
    ]
    assert decode(data) == values
    assert encode(*values) == data


@pytest.mark.parametrize("count", [0, 1, 3, 0xFFFFFFFF])
def test_wrong_count_of_an_ecma_array(count: int) -> None:
    """A-AM-04, F-RE-02: the end marker decides, not the count."""
    data = b"\x08" + count.to_bytes(4, "big") + bytes.fromhex("0001 61 05 0001 62 05 000009 05")
    assert decode(data) == [ECMAArray({"a": None, "b": None}), None]


@pytest.mark.parametrize("end", ["", "0000", "000009"])
@pytest.mark.parametrize("start", ["03", "08 00000001", "10 0001 41"])
def test_missing_end_marker(start: str, end: str) -> None:
    """A-AM-05: Envivio's encoders leave it out at the end of a message."""
    assert hexed(f"02 0001 78 {start} 0001 61 05 {end}") == ["x", {"a": None}]


def test_missing_end_markers_within() -> None:
    """A-AM-05: of all the objects that are open there."""
    assert hexed("03 0001 61 03 0001 62 05") == [{"a": {"b": None}}]


def test_empty_name() -> None:
    """An empty name is one where no end marker follows."""
    assert hexed("03 0000 02 0001 78 000009 05") == [{"": "x"}, None]


def test_references() -> None:
    """A-AM-04: 0x07 counts objects and arrays; one that counts nothing is undefined."""
    first, second, third, fourth = hexed("03 0001 61 05 000009 0a 00000001 05 07 0001 07 0009")
    assert first == {"a": None}
    assert third is second
    assert fourth is UNDEFINED


@pytest.mark.parametrize(
    "data",
    ["03 0001 61 07 0000 000009", "0a 00000001 07 0000", "08 00000000 0001 61 0a 00000001 07 0000"],
)
def test_values_that_contain_themselves(data: str) -> None:
    """F-RE-02: no cycle gets out, or whoever walks through it never ends."""
    with pytest.raises(LimitExceeded, match="contain themselves"):
        hexed(data)


def test_references_that_multiply() -> None:
    """F-RE-02: 30 arrays, each of twice the one before, are 2**30 values."""
    data = b"\x0a\0\0\0\0"
    for i in range(30):
        data += b"\x0a\0\0\0\x02" + (b"\x07" + i.to_bytes(2, "big")) * 2
    with pytest.raises(LimitExceeded):
        decode(data)


def test_references_that_multiply_text() -> None:
    """F-RE-02: nor does a text become gigabytes when it is written again."""
    text = b"\x0c" + (1 << 20).to_bytes(4, "big") + b"x" * (1 << 20)
    data = b"\x0a\0\0\0\x01" + text + b"\x07\0\0" * 20
    with pytest.raises(LimitExceeded, match="values of more than 16777216 bytes"):
        decode(data)
    name = b"\xff\xff" + b"x" * 0xFFFF
    data = b"\x03" + name + b"\x05\0\0\x09" + b"\x07\0\0" * 300
    with pytest.raises(LimitExceeded, match="values of more than 16777216 bytes"):
        decode(data)


@pytest.mark.parametrize("start", [b"\x0a\0\0\0\x01", b"\x03\0\x01a", b"\x08\0\0\0\0\0\x01a"])
def test_depth(start: bytes) -> None:
    """F-RE-02: 32 levels are read; 33 and 70,000 are an error without recursion."""
    value = decode(start * 32 + b"\x05")[0]
    for _level in range(32):
        assert isinstance(value, (dict, list))
        (value,) = value.values() if isinstance(value, dict) else value
    assert value is None
    for levels in (33, 70000):
        with pytest.raises(LimitExceeded, match="nested deeper than 32"):
            decode(start * levels + b"\x05")


def test_count_of_a_strict_array() -> None:
    """F-RE-02: 2**32 - 1 values cannot be in the bytes that follow."""
    for count in (0xFFFFFFFF, 4):
        with pytest.raises(PeerError, match=f"an array of {count} values"):
            decode(b"\x0a" + count.to_bytes(4, "big") + b"\x05\x05\x05")
    assert decode(b"\x0a\0\0\0\x03\x05\x05\x05") == [[None] * 3]


def test_too_many_values() -> None:
    """F-RE-02: an object with a million keys, an array or a list of as many values."""
    million = b"".join(b"\0\x04" + b"%x" % i + b"\x05" for i in range(0x1000, 0x1000 + 60000))
    assert len(hexed("03" + million.hex())) == 1
    for data in (
        b"\x03" + million * 2,
        b"\x0a" + (10**6).to_bytes(4, "big") + b"\x05" * 10**6,
        b"\x05" * 10**6,
    ):
        with pytest.raises(LimitExceeded, match="more than 100000 values"):
            decode(data)


@pytest.mark.parametrize(
    "data",
    [
        "00 3ff000000000",
        "01",
        "02",
        "02 00",
        "02 0005 6c697665",
        "0c 00000005 6c697665",
        "0c 000000",
        "03 00",
        "03 0005 6c",
        "03 0001 61",
        "08 0000",
        "0a 0000",
        "0a 00000001 02",
        "0b 4270000000000000",
        "0f ffffffff 3c",
        "07 00",
        "10 0002 41",
    ],
)
def test_truncated(data: str) -> None:
    """F-RE-02: a value that the data cut, or whose length lies beyond them."""
    with pytest.raises(PeerError):
        hexed(data)


@pytest.mark.parametrize("marker", [0x04, 0x09, 0x0E, 0x11, 0x12, 0x7B, 0xFF])
def test_unknown_markers(marker: int) -> None:
    """What has no length cannot be skipped. The error says what, and where."""
    with pytest.raises(PeerError, match=f"marker {marker:#04x} at byte 2 ") as caught:
        decode(bytes([5, 5, marker]) + bytes(20))
    assert caught.value.offset == 2


def test_switch_to_amf3() -> None:
    """A-AM-03: 0x11 hands over for one value, and goes on behind it."""

    def read_amf3(data: bytes, offset: int) -> tuple[Value, int]:
        assert data[offset] == 0xAA
        return "three", offset + 2

    data = bytes.fromhex("05 11 aabb 0a 00000001 11 aabb 05")
    assert decode(data, avmplus=read_amf3) == [None, "three", ["three"], None]


def test_bytes_that_are_no_text() -> None:
    """Names that differ stay different, and all come out as they came in (A-UR-12)."""
    one, other = (b"\x02\0\x02" + text for text in (b"a\xff", b"a\xfe"))
    assert decode(one) != decode(other)
    for data in (one, other, b"\x03\0\x01\xc3" + one + b"\0\0\x09"):
        assert encode(*decode(data)) == data


def test_half_of_a_pair() -> None:
    """A lone surrogate that JSON let through is replaced, and breaks nothing."""
    assert decode(encode("a\ud83d")) == ["a?"]


def test_offset() -> None:
    """A format byte before the values is skipped by an offset (A-AM-01)."""
    assert decode(b"\0\x05\x01\x01", 1) == [None, True]
    assert decode_value(b"\0\x05\x01\x01", 1) == (None, 2)
    assert decode(b"") == []
    assert decode_value(encode([1], 2)) == ([1.0], len(encode([1])))


def test_value_that_refers() -> None:
    """One value alone is checked as many are."""
    with pytest.raises(LimitExceeded):
        decode_value(b"\x0a\0\0\0\x01\x07\0\0")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "00 0000000000000000"),
        (True, "01 01"),
        (-1.5, "00 bff8000000000000"),
        ("é", "02 0002 c3a9"),
        ((1, "a"), "0a 00000002 00 3ff0000000000000 02 0001 61"),
        ({}, "03 000009"),
        ({1: None}, "03 0001 31 05 000009"),
        (ECMAArray(a=None), "08 00000001 0001 61 05 000009"),
        (TypedObject("A"), "10 0001 41 000009"),
        (UNDEFINED, "06"),
    ],
)
def test_encode(value: object, expected: str) -> None:
    """What replies are made of, byte for byte."""
    assert encode(value) == bytes.fromhex(expected)


def test_long_strings() -> None:
    """Strings of more than 65,535 bytes get the long form (AMF 0 2.14)."""
    assert encode("x" * 0xFFFF)[:3] == b"\x02\xff\xff"
    assert encode("x" * 0x10000)[:5] == b"\x0c\0\x01\0\0"


def test_not_a_number() -> None:
    """NaN goes and comes."""
    (value,) = decode(encode(math.nan))
    assert isinstance(value, float)
    assert math.isnan(value)
    assert encode(math.nan) == b"\0" + pack(">d", math.nan)


def test_what_cannot_be_written() -> None:
    """Our own mistakes are `UsageError`."""
    cycle: list[object] = []
    cycle.append(cycle)
    for value in (b"bytes", object(), cycle, {"k" * 0x10000: 1}, 10**400, Date(0.0, 1 << 15)):
        with pytest.raises(UsageError):
            encode(value)


def test_undefined_is_false() -> None:
    """`UNDEFINED` passes for absent, and is one object."""
    assert not UNDEFINED
    assert amf0.Undefined("undefined") is UNDEFINED
