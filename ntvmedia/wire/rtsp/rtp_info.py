"""The `RTP-Info` header: where in its RTP stream each track begins (RFC 2326 section 12.33)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, UsageError
from ntvmedia.wire.rtsp.fields import unquoted

MAX_TRACKS: Final = 64

_WHITE: Final = re.compile(r"[\x00-\x20,;\x7f]")
_NUMBER: Final = re.compile("[0-9]{1,10}")

# A URL may hold commas and semicolons: an entry ends where another begins.
_NEXT_ENTRY: Final = re.compile(r",\s*(?=url\s*=)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r";\s*(seq|rtptime|ssrc)\s*=\s*([^;]*)", re.IGNORECASE)


class TrackInfo(NamedTuple):
    """Where one track begins.

    Attributes:
        url: The track's address; absolute from a careful server, else relative or empty.
        sequence_number: Of the first packet, 16 bits; -1 where it is not given.
        rtptime: RTP timestamp of the time at which the range begins, 32 bits; -1 as above.
    """

    url: str
    sequence_number: int = -1
    rtptime: int = -1


def parse_rtp_info(text: str) -> list[TrackInfo]:
    """Read an `RTP-Info` header; what is no number counts as not given.

    Raises:
        LimitExceeded: There are more tracks than a session may have.
    """
    entries = [entry.strip() for entry in _NEXT_ENTRY.split(text)]
    if len(entries) > MAX_TRACKS:
        raise LimitExceeded("too many tracks", reference="RFC 2326 12.33", limit=MAX_TRACKS)
    return [_parsed(entry) for entry in entries if entry]


def format_rtp_info(tracks: Iterable[TrackInfo]) -> str:
    """Write an `RTP-Info` header (D-PL-01).

    Raises:
        UsageError: An address would end its entry.
    """
    entries = []
    for url, sequence_number, rtptime in tracks:
        if not url or _WHITE.search(url):
            raise UsageError("an address that cannot be written in an RTP-Info header")
        entry = f"url={url}"
        if sequence_number >= 0:
            entry += f";seq={sequence_number}"
        if rtptime >= 0:
            entry += f";rtptime={rtptime}"
        entries.append(entry)
    return ",".join(entries)


def _parsed(entry: str) -> TrackInfo:
    first = _PARAMETER.search(entry)
    url = entry if first is None else entry[: first.start()]
    name, equals, value = url.partition("=")
    if equals and name.strip().lower() == "url":
        url = unquoted(value)
    numbers = {"seq": -1, "rtptime": -1, "ssrc": -1}
    for match in _PARAMETER.finditer(entry):
        value = match[2].strip()
        if _NUMBER.fullmatch(value):
            numbers[match[1].lower()] = int(value)
    sequence_number, rtptime = numbers["seq"], numbers["rtptime"]
    return TrackInfo(
        url.strip(" ;"),
        sequence_number if sequence_number < 1 << 16 else -1,
        rtptime if rtptime < 1 << 32 else -1,
    )
