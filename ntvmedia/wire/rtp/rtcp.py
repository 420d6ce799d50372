"""RTCP: sender and receiver reports, source descriptions, goodbyes, and compounds of them.

RFC 3550 section 6. What is not one of these (APP, feedback, extended reports) is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import PeerError, UsageError

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
GOODBYE: Final = 203

MAX_BLOCKS: Final = 31
"""Report blocks, or sources, of one packet: their count has 5 bits."""

_COMPOUND: Final = "RFC 3550 section 6.1"
_ITEM: Final = "RFC 3550 section 6.5"

# Of one compound: each packet has 4 bytes or more, so a datagram could hold 16,000.
_MAX_PACKETS: Final = 64

_CNAME: Final = 1
_MAX_TEXT: Final = 255

# Seconds from 1900, where NTP begins, to 1970; and the bits of its fraction.
_NTP_OFFSET: Final = 2_208_988_800
_FRACTION: Final = 1 << 32
_ERA: Final = 1 << 32

_INFO: Final = struct.Struct(">IQIII")
_BLOCK: Final = struct.Struct(">IIIIII")


class ReportBlock(NamedTuple):
    """How one source is received (RFC 3550 6.4.1).

    Attributes:
        ssrc: The source.
        fraction_lost: Since the last report, in 1/256; 0 to 255.
        packets_lost: Since the beginning; negative where there were duplicates.
        highest_sequence_number: Extended to 32 bits by the count of wraps.
        jitter: Between arrivals, in ticks of the source's clock.
        last_report: The middle 32 bits of the last sender report's NTP time; 0 before one.
        delay: Since then, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence_number: int
    jitter: int
    last_report: int = 0
    delay: int = 0


class SenderReport(NamedTuple):
    """What a sender tells of its clocks and of what it sent (RFC 3550 6.4.1).

    Attributes:
        ssrc: The sender.
        ntp: Wall time in 1/2**32 s since 1900, 64 bits; `unix_from_ntp` converts.
        timestamp: The same instant in RTP's ticks, 32 bits.
        packets: Sent, 32 bits.
        octets: Of their payloads, 32 bits.
        blocks: About what the sender receives.
    """

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


class ReceiverReport(NamedTuple):
    """What a receiver tells (RFC 3550 6.4.2).

    Attributes:
        ssrc: The receiver.
        blocks: One for each source that it hears.
    """

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


class SourceDescription(NamedTuple):
    """Who a source is (RFC 3550 6.5), of which the canonical name is all that is read.

    Attributes:
        ssrc: The source.
        cname: Its name, the same for all media of one participant; at most 255 bytes.
    """

    ssrc: int
    cname: str


class Goodbye(NamedTuple):
    """Sources that leave (RFC 3550 6.6).

    Attributes:
        sources: Their identifiers.
        reason: Perhaps why; at most 255 bytes.
    """

    sources: tuple[int, ...]
    reason: str = ""


Report: TypeAlias = SenderReport | ReceiverReport | SourceDescription | Goodbye


def ntp_from_unix(seconds: float) -> int:
    """Convert seconds since 1970 to NTP's 64 bits: 1/2**32 s since 1900, or since 2036 after."""
    whole, fraction = divmod(seconds, 1.0)
    return ((int(whole) + _NTP_OFFSET) * _FRACTION + int(fraction * _FRACTION)) & ((1 << 64) - 1)


def unix_from_ntp(ntp: int) -> float:
    """Convert NTP's 64 bits to seconds since 1970.

    Without the highest bit it is a time after 7 February 2036 (RFC 4330 section 3).
    """
    seconds, fraction = ntp >> 32, ntp & (_FRACTION - 1)
    if seconds < _ERA >> 1:
        seconds += _ERA
    return seconds - _NTP_OFFSET + fraction / _FRACTION


def parse_compound(data: bytes) -> list[Report]:
    """Read the packets of a datagram, or of an interleaved frame, in their order.

    Cameras break nearly every rule for compounds: a description or goodbye without a report before
    it, lengths that go beyond the datagram, what is no RTCP behind the last packet. All that is
    whole is read, and at what is wrong the reading ends.

    Raises:
        PeerError: Not even the first packet can be read.
    """
    reports: list[Report] = []
    place, end = 0, len(data)
    for _packet in range(_MAX_PACKETS):
        if place + 4 > end or data[place] & 0xC0 != 0x80:
            break
        kind, count = data[place + 1], data[place] & 0x1F
        stop = place + 4 + 4 * int.from_bytes(data[place + 2 : place + 4], "big")
        reader = _READERS.get(kind)
        if reader is not None:
            try:
                reports += reader(data[place + 4 : min(stop, end)], count)
            except PeerError:
                if not place:
                    raise
                break
        place = stop
    if not place:
        raise PeerError("no RTCP packet", reference=_COMPOUND, offset=0)
    return reports


def build_compound(reports: Iterable[Report]) -> bytes:
    """Write packets one behind the other; a report is to be first (RFC 3550 6.1).

    Raises:
        UsageError: More than 31 blocks or sources are in one packet, or a text is too long.
    """
    return b"".join(map(_build, reports))


def _build(report: Report) -> bytes:
    if isinstance(report, SenderReport):
        ssrc, ntp, timestamp, packets, octets, blocks = report
        counts = (timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
        body = _INFO.pack(ssrc, ntp, *counts)
        return _packet(SENDER_REPORT, len(blocks), body + _build_blocks(blocks))
    if isinstance(report, ReceiverReport):
        body = report.ssrc.to_bytes(4, "big") + _build_blocks(report.blocks)
        return _packet(RECEIVER_REPORT, len(report.blocks), body)
    if isinstance(report, SourceDescription):
        body = report.ssrc.to_bytes(4, "big") + bytes((_CNAME,)) + _text(report.cname)
        # The list of items ends with a zero byte, and with as many more as fill the word.
        return _packet(SOURCE_DESCRIPTION, 1, body + bytes(4 - len(body) % 4))
    body = b"".join(source.to_bytes(4, "big") for source in report.sources)
    if report.reason:
        body += _text(report.reason)
        body += bytes(-len(body) % 4)
    return _packet(GOODBYE, len(report.sources), body)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    if count > MAX_BLOCKS:
        raise UsageError(f"one RTCP packet has at most {MAX_BLOCKS} blocks")
    return bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2, "big") + body


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > _MAX_TEXT:
        raise UsageError("a text of RTCP has at most 255 bytes")
    return bytes((len(data),)) + data


def _build_blocks(blocks: Iterable[ReportBlock]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | (block.packets_lost & 0xFFFFFF),
            block.highest_sequence_number,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in blocks
    )


def _blocks(body: bytes, start: int, count: int) -> tuple[ReportBlock, ...]:
    """Read as many blocks as are told and are there."""
    found: list[ReportBlock] = []
    for place in range(start, min(start + 24 * count, len(body) - 23), 24):
        ssrc, lost, highest, jitter, last, delay = _BLOCK.unpack_from(body, place)
        total = lost & 0xFFFFFF
        if total & 0x800000:
            total -= 1 << 24
        found.append(ReportBlock(ssrc, lost >> 24, total, highest, jitter, last, delay))
    return tuple(found)


def _read_sender(body: bytes, count: int) -> list[Report]:
    if len(body) < _INFO.size:
        raise PeerError("a sender report is cut off", reference=_COMPOUND, offset=len(body))
    ssrc, ntp, timestamp, packets, octets = _INFO.unpack_from(body)
    blocks = _blocks(body, _INFO.size, count)
    return [SenderReport(ssrc, ntp, timestamp, packets, octets, blocks)]


def _read_receiver(body: bytes, count: int) -> list[Report]:
    if len(body) < 4:
        raise PeerError("a receiver report is cut off", reference=_COMPOUND, offset=len(body))
    return [ReceiverReport(int.from_bytes(body[:4], "big"), _blocks(body, 4, count))]


def _read_description(body: bytes, count: int) -> list[Report]:
    found: list[Report] = []
    place, end = 0, len(body)
    for _chunk in range(count):
        if place + 4 > end:
            break
        ssrc = int.from_bytes(body[place : place + 4], "big")
        place += 4
        while place < end and body[place]:
            if place + 2 > end or place + 2 + body[place + 1] > end:
                raise PeerError("an item is cut off", reference=_ITEM, offset=place)
            text = body[place + 2 : place + 2 + body[place + 1]]
            if body[place] == _CNAME:
                found.append(SourceDescription(ssrc, text.decode("utf-8", "replace")))
            place += 2 + len(text)
        place += 4 - place % 4
    return found


def _read_goodbye(body: bytes, count: int) -> list[Report]:
    whole = min(4 * count, len(body) & ~3)
    sources = [int.from_bytes(body[place : place + 4], "big") for place in range(0, whole, 4)]
    text = body[whole + 1 : whole + 1 + body[whole]] if whole < len(body) else b""
    return [Goodbye(tuple(sources), text.decode("utf-8", "replace"))]


_READERS: Final = {
    SENDER_REPORT: _read_sender,
    RECEIVER_REPORT: _read_receiver,
    SOURCE_DESCRIPTION: _read_description,
    GOODBYE: _read_goodbye,
}
