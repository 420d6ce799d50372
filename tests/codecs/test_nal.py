"""Tests of NAL units' framings."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import nal
from ntvmedia.errors import PeerError

# A unit is never empty and never ends with a zero byte; escaped, it holds no start code.
UNITS = st.lists(
    st.binary(max_size=30).map(lambda body: nal.escape(b"\x65" + body + b"\x80")), max_size=6
)


def test_annexb() -> None:
    """Start codes of 3 and 4 bytes, zeros before and behind: only the units come out."""
    stream = bytes.fromhex("000000000109f0 00000167640028 00000168ee 000001 0000016588840000")
    assert nal.split_annexb(stream) == [
        bytes.fromhex(x) for x in ("09f0", "67640028", "68ee", "658884")
    ]
    assert nal.from_annexb(stream).hex() == "0000000209f000000004676400280000000268ee00000003658884"
    assert nal.split_annexb(b"") == nal.split_annexb(b"\x00\x00") == []
    with pytest.raises(PeerError, match="no start code"):
        nal.split_annexb(b"\x65\x00\x00\x01\x65")


def test_lengths() -> None:
    """Lengths of 1, 2 and 4 bytes are read; 4 are written."""
    assert nal.split_length_prefixed(b"\x02\x65\x66\x01\x41", 1) == [b"\x65\x66", b"\x41"]
    assert nal.split_length_prefixed(b"\x00\x02\x65\x66", 2) == [b"\x65\x66"]
    assert nal.normalise(b"\x00\x02\x65\x66", 2) == b"\x00\x00\x00\x02\x65\x66"


def test_frame_of_good_form_is_not_copied() -> None:
    """The usual case costs one walk over the lengths."""
    payload = nal.join_length_prefixed([b"\x06\x05", b"\x65" * 1000])
    assert nal.normalise(payload) is payload


@pytest.mark.parametrize(
    ("payload", "units"),
    [
        ("", []),
        ("00000000", []),
        ("00000000 00000000", []),
        ("00000000 00000001 65", [b"\x65"]),
        ("00000001 65 00000000", [b"\x65"]),
    ],
)
def test_empty_units(payload: str, units: list[bytes]) -> None:
    """A-MD-02: zero units and units of zero length are left out, without an error."""
    data = bytes.fromhex(payload)
    assert not nal.is_well_formed(data)
    assert nal.split_length_prefixed(data) == units
    assert nal.normalise(data) == nal.join_length_prefixed(units)


@pytest.mark.parametrize("payload", ["00000002 65", "ffffffff 65", "000000", "00000001 65 0000"])
def test_unit_beyond_the_end(payload: str) -> None:
    """A-MD-02: a length beyond the payload is an error, so that the frame can be dropped."""
    data = bytes.fromhex(payload)
    assert not nal.is_well_formed(data)
    with pytest.raises(PeerError, match="beyond the frame's end"):
        nal.normalise(data)


@pytest.mark.parametrize(
    ("rbsp", "unit"),
    [
        ("000000", "00000300"),
        ("000001", "00000301"),
        ("000002", "00000302"),
        ("000003", "00000303"),
        ("000004", "000004"),
        ("0000000000", "00000300000300"),
        ("42 0000", "42000003"),
    ],
)
def test_emulation_prevention(rbsp: str, unit: str) -> None:
    """The table of ISO/IEC 14496-10 section 7.4.1, zeros upon zeros, and zeros at the end."""
    assert nal.escape(bytes.fromhex(rbsp)).hex() == unit
    assert nal.unescape(bytes.fromhex(unit)) == bytes.fromhex(rbsp)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 255]), max_size=40).map(bytes))
def test_escape_round_trip(rbsp: bytes) -> None:
    """Escaping is undone, and leaves nothing that looks like a start code."""
    unit = nal.escape(rbsp)
    assert nal.unescape(unit) == rbsp
    assert not any(code in unit for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


@given(UNITS)
def test_framings_round_trip(units: list[bytes]) -> None:
    """Units survive both framings and the ways between them."""
    payload = nal.join_length_prefixed(units)
    assert nal.is_well_formed(payload) == bool(units)
    assert nal.split_length_prefixed(payload) == units
    assert nal.split_annexb(nal.to_annexb(payload)) == units
    assert nal.from_annexb(nal.to_annexb(payload)) == payload


@given(st.binary(max_size=60) | st.lists(st.sampled_from([0, 1, 2, 5]), max_size=60).map(bytes))
def test_well_formed_is_what_splits_without_rest(data: bytes) -> None:
    """F-RE-09: the fast check agrees with the slow way, whatever the bytes."""
    try:
        units = nal.split_length_prefixed(data)
    except PeerError:
        units = []
    assert nal.is_well_formed(data) == (bool(units) and nal.join_length_prefixed(units) == data)
