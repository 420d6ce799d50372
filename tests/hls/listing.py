"""What a media playlist says, in the names of draft-pantos-hls-rfc8216bis."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Key:
    """EXT-X-KEY with METHOD=AES-128."""

    uri: str
    iv: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """EXT-X-PART: its length in seconds, and what it says of itself."""

    uri: str
    duration: Decimal
    independent: bool = False
    gap: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """What applies to a segment from its first part on.

    Attributes:
        discontinuity: The tag is applied to it.
        discontinuity_number: Its Discontinuity Sequence Number (6.2.1).
        date: EXT-X-PROGRAM-DATE-TIME in milliseconds since 1970.
        key: What encrypts it, or None.
        map: The address of its Media Initialization Section; empty for MPEG-TS.
    """

    discontinuity: bool
    discontinuity_number: int
    date: int
    key: Key | None = None
    map: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment as it is listed.

    Attributes:
        number: Its Media Sequence Number.
        uri: As written.
        duration: EXTINF, in seconds.
        discontinuity: The tag is applied to it.
        discontinuity_number: Its Discontinuity Sequence Number (6.2.1).
        gap: EXT-X-GAP is applied to it.
        date: EXT-X-PROGRAM-DATE-TIME in milliseconds since 1970.
        key: What encrypts it, or None.
        map: The address of its Media Initialization Section; empty for MPEG-TS.
        parts: Those that are listed.
    """

    number: int
    uri: str
    duration: Decimal
    discontinuity: bool
    discontinuity_number: int
    gap: bool
    date: int
    key: Key | None = None
    map: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def opening(self) -> Opening:
        """What applied to it from its first part on."""
        return Opening(self.discontinuity, self.discontinuity_number, self.date, self.key, self.map)


@dataclass(frozen=True, slots=True)
class Control:
    """EXT-X-SERVER-CONTROL, in seconds; 0 for what is not said."""

    can_block: bool
    can_skip_until: Decimal
    hold_back: Decimal
    part_hold_back: Decimal


@dataclass(frozen=True, slots=True)
class Report:
    """EXT-X-RENDITION-REPORT; `part` is -1 where it is not said."""

    uri: str
    number: int
    part: int


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist that breaks no rule by itself.

    Attributes:
        version: EXT-X-VERSION.
        target: EXT-X-TARGETDURATION in seconds.
        number: EXT-X-MEDIA-SEQUENCE.
        discontinuity_number: EXT-X-DISCONTINUITY-SEQUENCE.
        segments: All that are listed; what was skipped is that of the version before.
        ended: EXT-X-ENDLIST is there.
        independent: EXT-X-INDEPENDENT-SEGMENTS is there.
        control: EXT-X-SERVER-CONTROL.
        part_target: PART-TARGET of EXT-X-PART-INF; 0 where there is none.
        parts: Of the segment that is not complete yet.
        opening: What applies to that, where it has parts.
        hint: The part that comes next, as EXT-X-PRELOAD-HINT has it; or empty.
        reports: EXT-X-RENDITION-REPORT, in order.
        skipped: So many segments were left out.
    """

    version: int
    target: int
    number: int
    discontinuity_number: int
    segments: tuple[Segment, ...]
    ended: bool
    independent: bool
    control: Control | None = None
    part_target: Decimal = Decimal(0)
    parts: tuple[Part, ...] = ()
    opening: Opening | None = None
    hint: str = ""
    reports: tuple[Report, ...] = ()
    skipped: int = 0

    @property
    def duration(self) -> Decimal:
        """The sum of all EXTINF."""
        return sum((x.duration for x in self.segments), Decimal(0))

    @property
    def open_duration(self) -> Decimal:
        """The sum of the parts of the segment that is not complete yet."""
        return sum((x.duration for x in self.parts), Decimal(0))

    @property
    def next(self) -> tuple[int, int]:
        """The numbers of the segment and the part that come next."""
        return self.segments[-1].number + 1, len(self.parts)

    def after(self, number: int) -> Decimal:
        """Return how many seconds are listed behind the segment of this number."""
        rest = (x.duration for x in self.segments if x.number > number)
        return sum(rest, self.open_duration)
