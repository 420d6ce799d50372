"""Tests of ntvmedia.avtools.unwrapping."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from ntvmedia.avtools.unwrapping import Unwrapper
from ntvmedia.wire.rtp.packets import build_packet

TS = b"\x47" + bytes(187)


def rtp(number: int, kind: int = 33) -> bytes:
    """Make an RTP packet whose payload tells its number."""
    return build_packet(kind, number, 0, 1, False, b"\x47" + number.to_bytes(4, "big") + bytes(183))


def numbers(data: bytes) -> list[int]:
    """Return the numbers in what came out."""
    return [int.from_bytes(data[x + 1 : x + 5], "big") for x in range(0, len(data), 188)]


def test_bare() -> None:
    """MPEG-TS as it is passes as it is."""
    unwrapper = Unwrapper()
    assert unwrapper.receive(TS * 7, 0.0) == TS * 7
    assert not unwrapper.is_rtp


def test_rtp() -> None:
    """E-SR-05: RTP is found out and taken off, and either may follow the other."""
    unwrapper = Unwrapper()
    assert numbers(unwrapper.receive(rtp(65535), 0.0)) == [65535]
    assert unwrapper.is_rtp
    assert numbers(unwrapper.receive(rtp(65536), 0.0)) == [65536]
    assert unwrapper.receive(TS, 0.0) == TS
    assert not unwrapper.is_rtp


def test_order() -> None:
    """What came out of order is put right, twice is once, and what is lost is not waited for."""
    unwrapper = Unwrapper()
    out = [numbers(unwrapper.receive(rtp(x), 0.0)) for x in (1, 3, 2, 2, 4, 6)]
    assert out == [[1], [], [2, 3], [], [4], []]
    due = unwrapper.next_timeout()
    assert due is not None
    assert unwrapper.late(due - 0.001) == b""
    assert numbers(unwrapper.late(due)) == [6]
    assert unwrapper.lost == 1
    assert unwrapper.next_timeout() is None


def test_shuffled() -> None:
    """A thousand packets that are swapped with neighbours come out in order."""
    order = list(range(1000))
    chance = random.Random(7)
    order.sort(key=lambda x: x + chance.uniform(0, 8))
    first = order.index(0)
    order = [0, *order[:first], *order[first + 1 :]]
    unwrapper = Unwrapper()
    out = [x for number in order for x in numbers(unwrapper.receive(rtp(number), 0.0))]
    assert out == list(range(1000))


def test_strange() -> None:
    """Other payloads, and what is neither, are left out and counted."""
    unwrapper = Unwrapper()
    assert unwrapper.receive(rtp(1, 96), 0.0)
    for data in (rtp(2, 0), b"junk", b"", b"\x80\x21", build_packet(33, 1, 0, 0, False, b"no")):
        assert unwrapper.receive(data, 0.0) == b""
    assert unwrapper.strange == 4
    assert unwrapper.foreign_type == 33
    only = Unwrapper(must_be_rtp=True)
    assert only.receive(TS, 0.0) == b""
    assert only.strange == 1


@given(st.lists(st.binary(max_size=60) | st.integers(0, 70000).map(rtp), max_size=40))
@settings(max_examples=60)
def test_anything(datagrams: list[bytes]) -> None:
    """Whatever comes, nothing is raised, and little is held."""
    unwrapper = Unwrapper()
    for now, data in enumerate(datagrams):
        unwrapper.receive(data, now / 100)
    assert unwrapper._reordering.held <= 33
