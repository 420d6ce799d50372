"""Lists of the servers that a stream has passed: read strictly, and refused where it goes round."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import Refused
from ntvmedia.media.hops import Loop, check_hops, read_hops
from ntvmedia.media.relaying import MAX_HOPS

IDS = tuple(f"{number:016x}" for number in range(10, 20))
ids = st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), max_size=MAX_HOPS + 1)


@given(ids)
def test_round_trip(hops: list[str]) -> None:
    """What a server sends is what another reads."""
    assert read_hops(",".join(hops)) == tuple(hops)
    assert read_hops(", ".join(hops)) == tuple(hops)


@pytest.mark.parametrize(
    "text",
    [
        " ",
        ",",
        "abc",
        IDS[0].upper(),
        f"{IDS[0]},",
        f"{IDS[0]};{IDS[1]}",
        f"{IDS[0]}\n",
        "\N{ARABIC-INDIC DIGIT ZERO}" * 16,
        f"0x{IDS[0][2:]}",
        ",".join(IDS[: MAX_HOPS + 2]),
        " " * 100_000 + IDS[0],
        ("," * 1_000_000),
    ],
)
def test_malformed(text: str) -> None:
    """What is no list of ids is refused, and not quoted."""
    with pytest.raises(Refused, match=r"^its list of servers is malformed$"):
        read_hops(text)


@given(st.text(max_size=120))
def test_anything(text: str) -> None:
    """Whatever somebody sends is a list, or refused."""
    try:
        found = read_hops(text)
    except Refused:
        return
    assert all(len(x) == 16 for x in found)


def test_loops() -> None:
    """E-ST-08: our own id is among them, wherever; or there are more than four."""
    check_hops((), IDS[0])
    check_hops(IDS[1 : MAX_HOPS + 1], IDS[0])
    for hops in (IDS[:1], IDS[:3], (IDS[1], IDS[0])):
        with pytest.raises(Loop, match="this server already"):
            check_hops(hops, IDS[0])
    with pytest.raises(Loop, match="more than 4 servers"):
        check_hops(IDS[1 : MAX_HOPS + 2], IDS[0])
