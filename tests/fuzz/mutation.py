"""Input made from good input: a few places changed, as faults and attackers change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

# Sizes and counts around which parsers err.
_EDGES: Final = (
    *(bytes((value,)) for value in (0, 1, 2, 3, 0x7F, 0x80, 0xFE, 0xFF)),
    *(value.to_bytes(2, "big") for value in (0, 0x7FFF, 0x8000, 0xFFFF)),
    *(value.to_bytes(3, "big") for value in (0, 1, 0x7FFFFF, 0xFFFFFE, 0xFFFFFF)),
    *(value.to_bytes(4, "big") for value in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    b"\x7f\xf8\0\0\0\0\0\0",  # not a number
    b"\x7f\xf0\0\0\0\0\0\0",  # infinity
    b"\r\n",
    b"\r\n\r\n",
)


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw bytes that are one of `seeds`, changed in up to eight places, or anything at all."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=400))
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.sampled_from((0, 1, 2, 3, 4, 8, 64, 1 << 20))))
        match draw(st.integers(0, 5)):
            case 0:
                middle = draw(st.sampled_from(_EDGES))
            case 1:
                middle = draw(st.binary(max_size=8))
            case 2:
                middle = b""
            case 3:
                middle = data[start:stop] * draw(st.sampled_from((2, 3, 40)))
            case 4:
                other = draw(st.sampled_from(seeds))
                at = draw(st.integers(0, len(other)))
                middle = other[at : at + draw(st.sampled_from((1, 4, 64, 1000)))]
            case _:
                flipped = 1 << draw(st.integers(0, 7))
                middle = bytes(byte ^ flipped for byte in data[start:stop][:4])
                stop = start + len(middle)
        data = (data[:start] + middle + data[stop:])[:100_000]
    return data
