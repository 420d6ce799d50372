"""Tests of AMF3, alone and as AMF0 and RTMP messages switch to it."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats.amf0 import UNDEFINED, XML, Date, ECMAArray, TypedObject, Value, encode
from ntvmedia.wire.amf3 import decode_value, encode_value
from ntvmedia.wire.rtmp.calls import decode_values

scalars = st.one_of(
    st.none(),
    st.just(UNDEFINED),
    st.booleans(),
    st.floats(allow_nan=False),
    st.integers(-(1 << 30), 1 << 30).map(float),
    st.text(max_size=20),
    st.text(max_size=20).map(XML),
    st.binary(max_size=20),
    st.builds(Date, st.floats(allow_nan=False), st.just(0)),
)
names = st.text(min_size=1, max_size=8)


def containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    """Draw what holds other values."""
    fields = st.dictionaries(names, inner, max_size=4)
    return st.one_of(
        st.lists(inner, max_size=4),
        fields,
        st.dictionaries(names, inner, min_size=1, max_size=4).map(ECMAArray),
        st.builds(TypedObject, names, fields),
    )


values: st.SearchStrategy[Value] = st.recursive(scalars, containers, max_leaves=15)


def hexed(text: str) -> Value:
    """Read one value written in hexadecimal, and nothing behind it."""
    data = bytes.fromhex(text)
    value, offset = decode_value(data)
    assert offset == len(data)
    return value


@given(values)
def test_round_trip(value: Value) -> None:
    """What is written is read again, with the same classes, to its last byte."""
    data = encode_value(value)
    back, offset = decode_value(b"\0" + data + b"\xff", 1)
    assert back == value
    assert type(back) is type(value)
    assert getattr(back, "class_name", "") == getattr(value, "class_name", "")
    assert offset == 1 + len(data)


@given(st.binary(max_size=200))
def test_only_documented_errors(data: bytes) -> None:
    """F-RE-02: random bytes are a value or a `PeerError`; no more than is there is used."""
    try:
        value, offset = decode_value(data)
    except PeerError:
        return
    assert offset <= len(data)
    with suppress(UsageError):  # an empty name
        encode_value(value)


@given(values, st.integers(0, 10000), st.integers(0, 255))
def test_mutations(value: Value, place: int, byte: int) -> None:
    """F-RE-02: a good value with one byte changed is a value or a `PeerError`."""
    data = bytearray(encode_value(value))
    data[place % len(data)] = byte
    with suppress(PeerError):
        decode_value(bytes(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("00", UNDEFINED),
        ("01", None),
        ("02", False),
        ("03", True),
        ("04 00", 0.0),
        ("04 7f", 127.0),
        ("04 8100", 128.0),
        ("04 ff7f", 16383.0),
        ("04 818000", 16384.0),
        ("04 ffff7f", 2097151.0),
        ("04 80c08000", 2097152.0),
        ("04 bfffffff", 268435455.0),
        ("04 c0808000", -268435456.0),
        ("04 ffffffff", -1.0),
        ("05 3ff8000000000000", 1.5),
        ("06 01", ""),
        ("06 09 6c697665", "live"),
        ("07 09 3c612f3e", XML("<a/>")),
        ("0b 09 3c612f3e", XML("<a/>")),
        ("08 01 4270000000000000", Date(2.0**40)),
        ("0c 07 010203", b"\x01\x02\x03"),
        ("09 05 01 04 01 06 03 61", [1.0, "a"]),
        ("09 01 01", []),
        ("09 03 03 61 01 01 04 05", ECMAArray({"a": None, "0": 5.0})),
        ("0a 0b 01 03 61 04 01 01", {"a": 1.0}),
        ("0a 0b 03 41 03 61 04 01 01", TypedObject("A", {"a": 1.0})),
        ("0a 23 01 03 61 03 62 04 01 04 02", {"a": 1.0, "b": 2.0}),
        ("0a 1b 01 03 61 04 01 03 62 04 02 01", {"a": 1.0, "b": 2.0}),
        ("0d 05 00 00000001 ffffffff", [1.0, -1.0]),
        ("0e 05 00 00000001 ffffffff", [1.0, 4294967295.0]),
        ("0f 03 01 3ff8000000000000", [1.5]),
        ("10 05 00 03 41 04 01 01", [1.0, None]),
        ("11 05 00 06 03 61 04 01 04 07 04 02", {"a": 1.0, "7": 2.0}),
        ("11 09 00 03 01 01 01 05 3ff8000000000000 01 00 01", {
            "true": None, "null": None, "1.5": None, "Undefined": None,
        }),
    ],
)  # fmt: skip
def test_markers(data: str, expected: Value) -> None:
    """A-AM-03: each type of AMF 3 3.2 to 3.15, read to its last byte."""
    got = hexed(data)
    assert got == expected
    assert type(got) is type(expected)


def test_string_references() -> None:
    """A-AM-03: strings are counted from 0; the empty one is not."""
    assert hexed("09 09 01 06 01 06 03 61 06 03 62 06 02") == ["", "a", "b", "b"]
    assert hexed("09 05 01 06 03 61 06 00") == ["a", "a"]


def test_traits_references() -> None:
    """A-AM-03: a second object of the same class names it, and its members, by number."""
    assert hexed("09 05 01 0a 13 03 41 03 61 04 01 0a 01 04 02") == [
        TypedObject("A", {"a": 1.0}),
        TypedObject("A", {"a": 2.0}),
    ]


def test_object_references() -> None:
    """A-AM-03: objects, arrays, dates and byte arrays are counted together, outer ones first."""
    got = hexed("09 0d 01 0a 0b 01 01 08 01 4270000000000000 0c 03 ff 0a 02 08 04 0c 06")
    assert got == [{}, Date(2.0**40), b"\xff", {}, Date(2.0**40), b"\xff"]


def test_externalizable() -> None:
    """What Flex wraps into classes of its own is read; others have no known length."""
    name = b"flex.messaging.io.ArrayCollection"
    head = b"\x0a\x07" + bytes([len(name) << 1 | 1]) + name
    assert decode_value(head + b"\x09\x03\x01\x04\x05")[0] == [5.0]
    with pytest.raises(PeerError, match="externalizable class 'A' is unknown"):
        hexed("0a 07 03 41 00000000")


@pytest.mark.parametrize(
    "data",
    [
        "09 03 01 09 00",
        "0a 0b 01 03 61 0a 00 01",
        "10 03 00 01 10 00",
        "11 03 00 04 01 11 00",
        "09 03 03 61 09 00 01 01",
    ],
)
def test_values_that_contain_themselves(data: str) -> None:
    """F-RE-02: no cycle gets out, or whoever walks through it never ends."""
    with pytest.raises(LimitExceeded, match="contain themselves"):
        hexed(data)


def test_references_that_multiply() -> None:
    """F-RE-02: 28 arrays, each of twice the one before, are 2**28 values."""
    data = b"\x09\x3b\x01\x09\x01\x01"
    for i in range(1, 29):
        data += b"\x09\x05\x01" + bytes([0x09, i << 1]) * 2
    with pytest.raises(LimitExceeded, match="more than 100000 values"):
        decode_value(data)


def test_references_that_multiply_text() -> None:
    """F-RE-02: nor does a text become gigabytes when it is written again."""
    text = encode_value("x" * (1 << 20))
    with pytest.raises(LimitExceeded, match="values of more than 16777216 bytes"):
        decode_value(b"\x09\x2b\x01" + text + b"\x06\x00" * 20)


@pytest.mark.parametrize(
    "start", [b"\x09\x03\x01", b"\x0a\x0b\x01\x03a", b"\x10\x03\0\x01", b"\x11\x03\0\x01"]
)
def test_depth(start: bytes) -> None:
    """F-RE-02: 33 and 70,000 levels are an error without recursion."""
    for levels in (33, 70000):
        with pytest.raises(LimitExceeded, match="nested deeper than 32"):
            decode_value(start * levels + b"\x01")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "04",
        "04 ff",
        "04 ffffff",
        "05 3ff80000",
        "06",
        "06 0b 6c697665",
        "06 00",
        "08 01 4270",
        "0c bfffffff 00",
        "09",
        "09 05 01 01",
        "09 bfffffff 01",
        "09 00",
        "0a",
        "0a 02",
        "0a 01",
        "0a 05",
        "0a 23 01 03 61",
        "0a ffffffff 01",
        "0a 0b 01 03 61",
        "0d bfffffff 00",
        "0e 05 00 00000001",
        "10 bfffffff 00 01",
        "11 bfffffff 00",
        "12 01",
        "ff",
    ],
)
def test_broken(data: str) -> None:
    """F-RE-02: cut values, counts beyond the data, references to nothing, unknown markers."""
    with pytest.raises(PeerError) as caught:
        hexed(data)
    assert not isinstance(caught.value, LimitExceeded)


@pytest.mark.parametrize("kind", ["array", "vector", "names"])
def test_too_many_values(kind: str) -> None:
    """F-RE-02: more values, or names of members, than make sense."""
    count = 200000
    length = encode_value(count << 1 | 1)[1:]  # integers are written as lengths are
    data = {
        "array": b"\x09" + length + b"\x01" + b"\x01" * count,
        "vector": b"\x0d" + length + b"\0" + bytes(4 * count),
        "names": b"\x0a" + encode_value(count << 4 | 3)[1:] + b"\x01" + b"\x03a" * count,
    }[kind]
    with pytest.raises(LimitExceeded, match="more than 100000 values"):
        decode_value(data)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, "04 05"),
        (268435456, "05 41b0000000000000"),
        (-1, "04 ffffffff"),
        (-0.0, "05 8000000000000000"),
        (True, "03"),
        ("", "06 01"),
        ((1, None), "09 05 01 04 01 01"),
        ({"a": 1}, "0a 0b 01 03 61 04 01 01"),
        (ECMAArray(a=1), "09 01 03 61 04 01 01"),
        (bytearray(b"\xff"), "0c 03 ff"),
        (128, "04 8100"),
        (16384, "04 818000"),
        (2097152, "04 80c08000"),
    ],
)
def test_encode(value: object, expected: str) -> None:
    """Byte for byte."""
    assert encode_value(value) == bytes.fromhex(expected)


def test_numbers_that_are_none() -> None:
    """NaN and infinity go and come."""
    assert encode_value(math.inf) == bytes.fromhex("05 7ff0000000000000")
    value, _offset = decode_value(encode_value(math.nan))
    assert isinstance(value, float)
    assert math.isnan(value)


def test_what_cannot_be_written() -> None:
    """Our own mistakes are `UsageError`."""
    cycle: list[object] = []
    cycle.append(cycle)
    for value in (object(), cycle, {"": 1}, 10**400):
        with pytest.raises(UsageError):
            encode_value(value)


def test_text_that_is_none() -> None:
    """Strings that are not UTF-8 come out as they came in (A-UR-12)."""
    data = bytes.fromhex("06 05 61ff")
    value, _offset = decode_value(data)
    assert encode_value(value) == data


COMMAND: list[Value] = ["connect", 1.0, {"app": "live"}]


def test_format_byte() -> None:
    """A-AM-01: messages of types 15 and 17 begin with 0, then AMF0."""
    assert decode_values(17, b"\0" + encode(*COMMAND)) == COMMAND


def test_no_format_byte() -> None:
    """A-AM-02: some encoders leave it out."""
    assert decode_values(17, encode(*COMMAND)) == COMMAND
    assert decode_values(17, b"\0" + b"\x0c\0\0\0\x01x") == ["x"]


def test_numbers_before_the_first_string() -> None:
    """A-AM-14: Uniview's metadata have numbers first, which are not taken for a format byte."""
    values: list[Value] = [0.0, 1.0, "@setDataFrame", "onMetaData"]
    assert decode_values(18, encode(*values)) == values


def test_switches_are_for_one_value_each() -> None:
    """A-AM-03: AMF3 within AMF0, with the same string in two of them, each in full."""
    one = b"\x11\x0a\x0b\x01\x03a\x06\x03x\x01"
    two = b"\x11\x09\x05\x01\x06\x03x\x06\x00"
    payload = b"\0\x11\x06\x0fpublish" + encode(3.0) + one + two + encode("end")
    assert decode_values(17, payload) == ["publish", 3.0, {"a": "x"}, ["x", "x"], "end"]
    # What the second value refers to is not in it.
    with pytest.raises(PeerError, match="no string 0"):
        decode_values(17, encode("x") + one + b"\x11\x06\x00")


def test_depth_of_both_together() -> None:
    """F-RE-02: AMF3 within AMF0 is no deeper than one of them may be."""
    inner = b"\x11" + b"\x09\x03\x01" * 20 + b"\x01"
    assert decode_values(17, b"\x0a\0\0\0\x01" * 12 + inner)
    with pytest.raises(LimitExceeded):
        decode_values(17, b"\x0a\0\0\0\x01" * 13 + inner)
    with pytest.raises(LimitExceeded):
        decode_values(17, b"\x0a\0\0\0\x01" * 32 + b"\x11" + b"\x09\x03\x01" * 32 + b"\x01")
