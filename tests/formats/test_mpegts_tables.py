"""Tests of ntvmedia.formats.mpegts_tables and mpegts_packets."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.formats import mpegts_tables
from ntvmedia.formats.mpegts_packets import PacketWriter, pcr_field
from ntvmedia.formats.mpegts_tables import (
    Program,
    SectionReader,
    Stream,
    build_pat,
    build_pmt,
    is_whole,
    parse_pat,
    parse_pmt,
    registered,
    registration,
    split_descriptors,
)
from tests.formats import ts_bytes

H = bytes.fromhex

# What FFmpeg (to 9.0) writes for one program, PMT on PID 0x1000: the last four bytes are the CRC.
PAT = H("00b00d0001c100000001f000 2ab104b2")

# ffmpeg -f lavfi -i testsrc2 -f lavfi -i sine -c:v libx264 -c:a aac -f mpegts x.ts
PMT = H("02b01d0001c10000e100f000 1be100f000 0fe101f0060a04756e6400 087de877")


def test_crc() -> None:
    """H.222.0 annex A is CRC-32/MPEG-2, whose check value is 0x0376E6E7; zero over all."""
    assert mpegts_tables.crc(b"123456789") == H("0376e6e7")
    assert mpegts_tables.crc(PAT) == mpegts_tables.crc(PMT) == bytes(4)


@given(st.binary(max_size=60))
def test_crc_bit_by_bit(data: bytes) -> None:
    """The fast way gives what the register of annex A gives."""
    assert int.from_bytes(mpegts_tables.crc(data), "big") == ts_bytes.crc(data)


def test_golden_tables() -> None:
    """C-TS-01: FFmpeg's tables, written and read."""
    assert build_pat([(1, 0x1000)]) == PAT
    assert parse_pat(PAT) == [(1, 0x1000)]
    streams = (Stream(0x1B, 0x100), Stream(0x0F, 0x101, H("0a04756e6400")))
    assert build_pmt(Program(1, 0, 0x100, streams)) == PMT
    assert parse_pmt(PMT) == Program(1, 0, 0x100, streams)
    assert is_whole(PAT, 0) and is_whole(PMT, 2)


def test_not_whole() -> None:
    """Another table, one that is not yet in force, and damage in any byte."""
    assert not is_whole(PAT, 2)
    later = PAT[:5] + b"\xc0" + PAT[6:-4]
    assert not is_whole(later + mpegts_tables.crc(later), 0)
    for place in range(len(PMT)):
        assert not is_whole(PMT[:place] + bytes((PMT[place] ^ 4,)) + PMT[place + 1 :], 2)
    assert not is_whole(b"", 0)


def test_network_is_no_program() -> None:
    """H.222.0 2.4.4.5: program number 0 stands for the network information table."""
    assert parse_pat(build_pat([(0, 0x10), (7, 0x20)])) == [(7, 0x20)]


@pytest.mark.parametrize("cut", [1, 3, 5, 8])
def test_lengths_that_lie(cut: int) -> None:
    """F-RE-09: a section whose inner lengths do not fit it."""
    body = PMT[: -4 - cut]
    with pytest.raises(PeerError):
        parse_pmt(body + bytes(4))
    with pytest.raises(PeerError):
        parse_pat(PAT[:-5] + bytes(4))


def test_descriptors() -> None:
    """One after another; the last is cut off."""
    data = H("0a04756e6400") + registration(b"HEVC") + H("7f0580")
    assert list(split_descriptors(data)) == [(10, b"und\0"), (5, b"HEVC")]
    assert registered(data) == b"HEVC"
    assert registered(H("0a04756e6400")) == b""


@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=4),
    st.integers(0, 15),
    st.integers(0, 0x1FFE),
)
def test_sections_in_packets(sizes: list[int], before: int, pid: int) -> None:
    """Sections of any length, written into packets and put together again."""
    writer, reader = PacketWriter(pid), SectionReader()
    for _packet in range(before):
        writer.section(b"")
    found: list[bytes] = []
    sections = [b"\x42" + (0xB000 | size).to_bytes(2, "big") + bytes(size) for size in sizes]
    for section in sections:
        data = writer.section(section)
        assert len(data) % 188 == 0
        for at in range(0, len(data), 188):
            found += reader.read(data[at + 4 : at + 188], starts=bool(data[at + 1] & 0x40))
    assert found == sections


def test_sections_share_a_packet() -> None:
    """H.222.0 2.4.4.2: one ends and two others begin, a third is cut over the packet's end."""
    reader = SectionReader()
    third = b"\x42\xb0\x40" + bytes(64)
    assert reader.read(b"\x00" + PMT[:10], starts=True) == []
    rest = PMT[10:]
    payload = bytes((len(rest),)) + rest + PAT + PAT + third[:2]
    assert reader.read(payload, starts=True) == [PMT, PAT, PAT]
    assert reader.read(third[2:] + b"\xff" * 20, starts=False) == [third]
    assert reader.read(b"more", starts=False) == []


def test_section_too_long() -> None:
    """A length above 1021 is none of a PAT or PMT: nothing is kept for it."""
    reader = SectionReader()
    assert reader.read(b"\x00\x02\xbf\xff" + bytes(180), starts=True) == []
    assert reader.read(bytes(184), starts=False) == []


def test_lost_in_a_section() -> None:
    """What comes after a loss does not complete what came before."""
    reader = SectionReader()
    reader.read(b"\x00" + PMT[:10], starts=True)
    reader.reset()
    assert reader.read(PMT[10:], starts=False) == []


@given(st.integers(1, 2000), st.booleans(), st.integers(0, 15), st.integers(0, 1 << 40))
def test_any_size_in_packets(size: int, with_pcr: bool, before: int, time: int) -> None:
    """C-TS-01: data of any length fill whole packets, counters go on, nothing is lost."""
    writer = PacketWriter(0x1ABC)
    adaptation = pcr_field(0x40, time) if with_pcr else b""
    head = H("000001e0000084800521 00010001")
    data = head + bytes(size)
    parts: list[bytes] = []
    for _packet in range(before):
        writer.write(head + b"x", b"", parts)
    writer.write(data, adaptation, parts)
    packets = b"".join(parts)
    assert len(packets) % 188 == 0
    found = b""
    for number, at in enumerate(range(188 * before, len(packets), 188)):
        packet = packets[at : at + 188]
        first = number == 0
        assert packet[:3] == (b"\x47\x5a\xbc" if first else b"\x47\x1a\xbc")
        assert packet[3] & 15 == (before + number) % 16
        start = 4
        if packet[3] & 0x20:
            start = 5 + packet[4]
            if first and with_pcr:
                assert packet[5] == 0x50
                assert int.from_bytes(packet[6:12], "big") >> 15 == time % (1 << 33)
        found += packet[start:]
    assert found == data
