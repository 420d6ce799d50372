"""Values in playlists: attribute lists, numbers, dates, variables.

Sections are those of draft-pantos-hls-rfc8216bis. What can be guessed is guessed, as players do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.m3u8 import ByteRange

MAX_EXPANDED: Final = 1 << 24
"""Characters that the variables of one playlist may be expanded to. A long value that is named
often would fill any memory; the longest honest value is a token, and is named by each segment."""

# Decimal integers are below 2^64 (section 4.2); what has more digits is no number of anything.
_INTEGER: Final = re.compile(r"\s*\+?([0-9]{1,20})(?![0-9])")
_DECIMAL: Final = re.compile(r"\s*([+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}))")
_BYTE_RANGE: Final = re.compile(r"\s*([0-9]{1,18})\s*(?:@\s*([0-9]{0,18})\s*)?")
# One attribute as it should be, which is three times as fast as forgiving what may be wrong.
_ATTRIBUTE: Final = re.compile(r'([A-Z0-9-]+)=(?:"([^"]*)"|([^",\s]+))(?:,|$)')
_UNQUOTED: Final = re.compile(r"[^,\s]*")
_RESOLUTION: Final = re.compile(r"\s*([0-9]{1,6})\s*[xX*]\s*([0-9]{1,6})")
_VECTOR: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]*)")
_REFERENCE: Final = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def attribute_list(text: str) -> dict[str, str]:
    """Read an attribute list (section 4.2).

    Names are made upper case, quotes are taken away. Spaces around anything, empty places between
    commas, a space for a comma and a quote that is not closed are forgiven.

    Returns:
        What was said first of each name.
    """
    found: dict[str, str] = {}
    place = 0
    while True:
        match = _ATTRIBUTE.match(text, place)
        if match is not None:
            name, quoted, plain = match.groups()
            found.setdefault(name, plain if quoted is None else quoted)
            place = match.end()
            continue
        equals = text.find("=", place)
        if equals < 0:
            return found
        words = text[place:equals].replace(",", " ").split()
        start = equals + 1
        while text[start : start + 1].isspace():
            start += 1
        if text.startswith('"', start):
            start += 1
            end = text.find('"', start)
            if end < 0:
                end = len(text)
            place = end + 1
        else:
            match = _UNQUOTED.match(text, start)
            assert match is not None
            place = end = match.end()
        if words:
            found.setdefault(words[-1].upper(), text[start:end])


def integer(text: str, default: int = 0) -> int:
    """Read the decimal integer that a text begins with; what is none is the default."""
    match = _INTEGER.match(text)
    return default if match is None else int(match[1])


def decimal(text: str) -> float | None:
    """Read the decimal number that a text begins with, of at most 20 digits; None for none."""
    match = _DECIMAL.match(text)
    return None if match is None else float(match[1])


def resolution(text: str) -> tuple[int, int]:
    """Read width and height; 0 for what is none."""
    match = _RESOLUTION.match(text)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))


def byte_range(text: str, default: int) -> ByteRange:
    """Read a length, and an offset or the default for it (section 4.4.4.2).

    Raises:
        PeerError: It is none. What else would be loaded is not what was meant.
    """
    match = _BYTE_RANGE.fullmatch(text)
    if match is None:
        raise PeerError(f"{text[:60]!r} is no byte range", reference="RFC 8216bis 4.4.4.2")
    return ByteRange(int(match[1]), int(match[2]) if match[2] else default)


def vector(text: str) -> bytes:
    """Read an initialisation vector: 16 bytes, filled up on the left; none for an empty text.

    Raises:
        PeerError: It is none. With another the first block of each segment would be wrong.
    """
    match = _VECTOR.fullmatch(text.strip())
    digits = "" if match is None else match[1][-32:]
    if match is None or match[1][:-32].strip("0"):
        raise PeerError(f"IV={text[:60]} is no 128 bits", reference="RFC 8216bis 4.4.4.4")
    return bytes.fromhex(digits.rjust(32, "0")) if digits else b""


def wall_seconds(text: str) -> float | None:
    """Read a date, in seconds since 1970 (section 4.4.4.6); without a zone it is UTC.

    Returns:
        None for what is no date.
    """
    try:
        moment = datetime.fromisoformat(text.strip().upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        return None


class Variables:
    """The variables of one playlist (sections 4.3, 4.4.2.3).

    Args:
        url: Where the playlist came from; its query may have values.
        imported: What the multivariant playlist defines.

    Attributes:
        values: What was defined so far, by name.
    """

    def __init__(self, url: str, imported: Mapping[str, str]) -> None:
        self.values: dict[str, str] = {}
        self._url = url
        self._imported = imported
        self._left = MAX_EXPANDED

    def define(self, attributes: Mapping[str, str]) -> None:
        """Take the attributes of EXT-X-DEFINE.

        What cannot be found stays undefined: it does no harm where nothing refers to it.
        """
        if "NAME" in attributes:
            self.values[attributes["NAME"]] = attributes.get("VALUE", "")
        elif (name := attributes.get("IMPORT")) is not None:
            if name in self._imported:
                self.values[name] = self._imported[name]
        elif (name := attributes.get("QUERYPARAM")) is not None:
            value = _query(self._url).get(name)
            if value:
                self.values[name] = value

    def expand(self, text: str) -> str:
        """Replace the references in an address, or in the value of an attribute.

        Raises:
            PeerError: It refers to what is not defined.
            LimitExceeded: The values are longer than `MAX_EXPANDED` together.
        """
        if "{$" not in text:
            return text
        return _REFERENCE.sub(self._value, text)

    def _value(self, match: re.Match[str]) -> str:
        value = self.values.get(match[1])
        if value is None:
            raise PeerError(
                f"the variable {match[1][:60]} is not defined", reference="RFC 8216bis 4.3"
            )
        self._left -= len(value)
        if self._left < 0:
            raise LimitExceeded(
                "the variables are too long, or named too often",
                reference="RFC 8216bis 4.3",
                limit=MAX_EXPANDED,
            )
        return value


def _query(url: str) -> dict[str, str]:
    """Return the parameters of an address, decoded; a plus is left one, since it goes back."""
    try:
        query = urlsplit(url).query
    except ValueError:  # brackets that are no IPv6 address
        return {}
    found: dict[str, str] = {}
    for field in query.split("&"):
        name, _equals, value = field.partition("=")
        found.setdefault(unquote(name), unquote(value))
    return found
