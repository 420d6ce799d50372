"""The `Range` header (RFC 2326 section 12.29; times: sections 3.5 to 3.7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from fractions import Fraction
from typing import Final, NamedTuple

from ntvmedia.errors import PeerError

MAX_TEXT: Final = 256
"""Characters of a header: two times with all their digits have 80."""

# Digits enough for 30 years in seconds and for nanoseconds.
_SECONDS: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{0,9}))?")
_HOURS: Final = re.compile(r"([0-9]{1,5}):([0-5]?[0-9]):([0-5]?[0-9])(?:\.([0-9]{0,9}))?")
_CLOCK: Final = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})(?:\.([0-9]{0,9}))?Z"
)
_SMPTE: Final = re.compile(
    r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]{1,2}))?)?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Frames of a SMPTE time code, per second of it (RFC 2326 section 3.5).
_SMPTE_RATES: Final = {"smpte": 30, "smpte-25": 25, "smpte-30-drop": 30}


class Unit(Enum):
    """What the times of a range count from."""

    NPT = "npt"
    """The beginning of the presentation."""
    CLOCK = "clock"
    """1970, UTC."""
    SMPTE = "smpte"
    """A time code of 0; read only."""


class Range(NamedTuple):
    """A range of a presentation.

    Attributes:
        unit: What the times count from.
        start: In seconds, 0 or more (negative before 1970); None for now, and where none is given.
        end: In seconds; None for open.
        is_now: The range begins now: `npt=now-`.
    """

    unit: Unit
    start: Fraction | None
    end: Fraction | None = None
    is_now: bool = False


FROM_NOW: Final = Range(Unit.NPT, None, is_now=True)
FROM_START: Final = Range(Unit.NPT, Fraction(0))


def parse_range(text: str) -> Range:
    """Read a `Range` header, or the `a=range` attribute of a description (D-PL-02).

    A missing unit is NPT, and `npt=-` the whole; parameters behind a semicolon (`time=`) are
    passed over.

    Raises:
        PeerError: It is none of the forms: status 457.
    """
    if len(text) > MAX_TEXT:
        raise _wrong()
    value = text.partition(";")[0].strip().lower()
    name, equals, times = value.partition("=")
    if not equals:
        name, times = "npt", value
    name = name.strip()
    first, dash, second = times.strip().partition("-")
    first, second = first.strip(), second.strip()
    if not dash and not first:
        raise _wrong()
    if name == "npt":
        if first == "now":
            return Range(Unit.NPT, None, _npt(second), is_now=True)
        return Range(Unit.NPT, _npt(first), _npt(second))
    if name == "clock":
        return Range(Unit.CLOCK, _clock(first), _clock(second))
    if name in _SMPTE_RATES:
        rate = _SMPTE_RATES[name]
        return Range(Unit.SMPTE, _smpte(first, rate), _smpte(second, rate))
    raise _wrong()


def format_range(wanted: Range) -> str:
    """Write a `Range` header: NPT in seconds with up to nine decimals, or the clock.

    A SMPTE range is written as NPT.
    """
    if wanted.unit is Unit.CLOCK:
        return f"clock={_clock_text(wanted.start)}-{_clock_text(wanted.end)}"
    start = "now" if wanted.is_now else _npt_text(wanted.start)
    return f"npt={start}-{_npt_text(wanted.end)}"


def _wrong() -> PeerError:
    return PeerError("a range that cannot be understood", reference="RFC 2326 12.29")


def _decimals(digits: str | None) -> Fraction:
    return Fraction(int(digits), 10 ** len(digits)) if digits else Fraction(0)


def _npt(text: str) -> Fraction | None:
    if not text:
        return None
    match = _SECONDS.fullmatch(text)
    if match is not None:
        return int(match[1]) + _decimals(match[2])
    match = _HOURS.fullmatch(text)
    if match is None:
        raise _wrong()
    return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) + _decimals(match[4])


def _clock(text: str) -> Fraction | None:
    if not text:
        return None
    match = _CLOCK.fullmatch(text.upper())
    if match is None:
        raise _wrong()
    year, month, day, hour, minute, second = (int(match[part]) for part in range(1, 7))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise _wrong() from None
    return (moment - _EPOCH) // timedelta(seconds=1) + _decimals(match[7])


def _smpte(text: str, rate: int) -> Fraction | None:
    if not text:
        return None
    match = _SMPTE.fullmatch(text)
    if match is None:
        raise _wrong()
    hours, minutes, seconds, frames, subframes = (int(part or 0) for part in match.groups())
    whole = hours * 3600 + minutes * 60 + seconds
    return whole + (frames + Fraction(subframes, 100)) / rate


def _npt_text(seconds: Fraction | None) -> str:
    if seconds is None:
        return ""
    nanoseconds = round(seconds * 10**9)
    whole, part = divmod(nanoseconds, 10**9)
    digits = f"{part:09}".rstrip("0")
    # Three at least: players of old look for them.
    return f"{whole}.{digits:0<3}"


def _clock_text(seconds: Fraction | None) -> str:
    if seconds is None:
        return ""
    whole, part = divmod(round(seconds * 10**9), 10**9)
    moment = _EPOCH + timedelta(seconds=whole)
    digits = f".{part:09}".rstrip("0").rstrip(".")
    # The year of strftime has fewer digits before 1000.
    return f"{moment.year:04}{moment:%m%dT%H%M%S}{digits}Z"
