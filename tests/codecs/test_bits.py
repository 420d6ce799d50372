"""Tests of the bit reader and writer."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs.bits import BitReader, BitWriter
from ntvmedia.errors import PeerError

FIELDS = st.lists(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**n - 1)))
)


def reader(data: bytes) -> BitReader:
    """Make a reader whose errors name no real document."""
    return BitReader(data, "TEST 1")


@pytest.mark.parametrize(
    ("bits", "value"),
    [("1", 0), ("010", 1), ("011", 2), ("00100", 3), ("00111", 6), ("0001000", 7)],
)
def test_exp_golomb(bits: str, value: int) -> None:
    """The codes of ISO/IEC 14496-10 table 9-2, and their signed values of table 9-3."""
    data = int(bits.ljust(8, "0"), 2).to_bytes(1, "big")
    assert reader(data).ue() == value
    assert reader(data).se() == (-1) ** (value + 1) * ((value + 1) // 2)


def test_largest_code() -> None:
    """31 leading zeros are read: 2**32 - 2 is the largest value."""
    assert reader(b"\x00\x00\x00\x01" + b"\xff" * 4).ue() == 2**32 - 2


def test_sixty_four_zeros() -> None:
    """F-RE-10: an Exp-Golomb code of 64 zeros is refused, not computed."""
    with pytest.raises(PeerError, match="31 leading zeros"):
        reader(bytes(8) + b"\xff" * 9).ue()


def test_end() -> None:
    """Reading past the end raises and consumes nothing; so does skipping."""
    source = reader(b"\xa5")
    assert source.u(4) == 10
    for over in (source.u, source.skip):
        with pytest.raises(PeerError) as caught:
            over(5)
        assert str(caught.value) == "the data ends early at byte 0 [TEST 1]"
    assert source.left == 4
    assert source.u(4) == 5
    with pytest.raises(PeerError):
        source.ue()


def test_align() -> None:
    """Aligning goes to the next byte, and stays where it is at one."""
    source = reader(b"\xff\x01")
    source.skip(1)
    source.align()
    source.align()
    assert (source.position, source.u(8)) == (8, 1)


@given(FIELDS)
def test_fields_round_trip(fields: list[tuple[int, int]]) -> None:
    """What was written is read."""
    writer = BitWriter()
    for count, value in fields:
        writer.u(value, count)
    source = reader(writer.to_bytes())
    assert [source.u(count) for count, _value in fields] == [value for _count, value in fields]
    assert source.left < 8


@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1)))
def test_codes_round_trip(values: list[int]) -> None:
    """Exp-Golomb codes of both kinds are read as they were written."""
    writer = BitWriter()
    for value in values:
        writer.se(value)
        writer.ue(abs(value))
    source = reader(writer.to_bytes())
    assert [(source.se(), source.ue()) for _value in values] == [(x, abs(x)) for x in values]
