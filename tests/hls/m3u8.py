"""A strict reader of media playlists, written from draft-pantos-hls-rfc8216bis, not the server.

A section number without a document is of that draft. What a lenient player would forgive is a
`Violation` here, and so is what this project has chosen not to do where the draft leaves a choice:
an encrypted initialisation section, a key without an IV, a segment without a date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from tests.hls.list_rules import check_dates, check_media
from tests.hls.listing import Control, Key, MediaPlaylist, Opening, Part, Report, Segment
from tests.hls.text import (
    Violation,
    address,
    attributes,
    demand,
    integer,
    only,
    seconds,
    tag_lines,
    yes,
)
from tests.hls.variants import Multivariant, Variant, parse_multivariant, read_version

__all__ = [
    "Control",
    "Key",
    "MediaPlaylist",
    "Multivariant",
    "Opening",
    "Part",
    "Report",
    "Segment",
    "Variant",
    "Violation",
    "check_dates",
    "demand",
    "parse_media",
    "parse_multivariant",
]

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_IV = re.compile(r"0[xX][0-9A-Fa-f]{32}")

_HEAD = {
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PART-INF",
    "EXT-X-SKIP",
}
_ONCE = {*_HEAD, "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-ENDLIST"}
_REQUIRED = ("EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE")
_EARLY = ("EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-SKIP")
_SEGMENT = {"EXTINF", "EXT-X-DISCONTINUITY", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-GAP"}

# These of a segment with parts stand before its first part (4.4.4.9).
_BEFORE_PARTS = {"EXT-X-DISCONTINUITY", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-KEY", "EXT-X-MAP"}

# EXT-X-SKIP needs 9; EXT-X-MAP with segments that are no I-frames 6 (section 8).
_SKIP_VERSION, _MAP_VERSION = 9, 6


def parse_media(body: bytes, base: MediaPlaylist | None = None) -> MediaPlaylist:
    """Read a media playlist.

    Args:
        body: As it was received.
        base: The version before, which a delta update is applied to (4.4.5.2).

    Raises:
        Violation: It breaks a rule.
    """
    reader = _Reader(base)
    for name, value in tag_lines(body):
        reader.line(name, value)
    playlist = reader.playlist()
    check_media(playlist)
    return playlist


@dataclass
class _Reader:
    """Takes one line after the other."""

    base: MediaPlaylist | None
    once: dict[str, str] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    pending: dict[str, str] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    discontinuities: int = 0
    key: Key | None = None
    key_is_new: bool = False
    map: str = ""
    hint: str = ""
    reports: list[Report] = field(default_factory=list)
    skipped: int = 0

    def line(self, name: str, value: str) -> None:
        """Take a line."""
        if name in _ONCE:
            demand(name not in self.once, "once", f"{name} twice (4.4)")
            if name in _EARLY:
                early = not (self.segments or self.parts or "EXT-X-DISCONTINUITY" in self.pending)
                demand(early, "late-sequence", f"{name} behind a segment (4.4.3.2, 4.4.3.3)")
            self.once[name] = value
            if name == "EXT-X-SKIP":
                self._skip(attributes(value))
        elif not name:
            self._segment(value)
        elif name in ("EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT"):
            self._end(name, attributes(value))
        else:
            demand(not self.hint, "hint-order", f"{name} behind EXT-X-PRELOAD-HINT")
            late = name in _BEFORE_PARTS and self.parts
            demand(not late, "part-order", f"{name} behind a part of its segment (4.4.4.9)")
            if name in _SEGMENT:
                demand(name not in self.pending, "once", f"{name} twice for one segment")
                self.pending[name] = value
            elif name == "EXT-X-PART":
                self._part(value)
            elif name == "EXT-X-KEY":
                self._key(attributes(value))
            elif name == "EXT-X-MAP":
                self._map(attributes(value))
            else:
                rule = "playlist-type" if name == "EXT-X-PLAYLIST-TYPE" else "unknown-tag"
                demand(False, rule, f"{name} has no place in a live playlist (6.2.2)")

    def playlist(self) -> MediaPlaylist:
        """Return what was read."""
        opening = None
        if self.parts:
            demand("EXTINF" not in self.pending, "tag-without-uri", "EXTINF without a segment")
            opening = self._opening("a part")
        else:
            left = [*self.pending, *["EXT-X-KEY"] * self.key_is_new]
            demand(not left, "tag-without-uri", f"{left} apply to no segment")
        for name in _REQUIRED:
            demand(name in self.once, "missing-tag", f"{name} is missing")
        demand(self.segments, "empty", "it lists no segment")
        control = _control(self.once)
        skips = "EXT-X-SKIP" in self.once or (control is not None and control.can_skip_until > 0)
        version = read_version(
            self.once.get("EXT-X-VERSION"), _SKIP_VERSION if skips else _MAP_VERSION
        )
        used = "EXT-X-SKIP" in self.once
        demand(not used or version >= _SKIP_VERSION, "version", "EXT-X-SKIP needs 9 (section 8)")
        demand(not self.map or version >= _MAP_VERSION, "version", "EXT-X-MAP needs 6 (section 8)")
        return MediaPlaylist(
            version,
            integer(self.once["EXT-X-TARGETDURATION"], "EXT-X-TARGETDURATION"),
            self._number("EXT-X-MEDIA-SEQUENCE"),
            self._number("EXT-X-DISCONTINUITY-SEQUENCE"),
            tuple(self.segments),
            "EXT-X-ENDLIST" in self.once,
            "EXT-X-INDEPENDENT-SEGMENTS" in self.once,
            control,
            _part_target(self.once),
            tuple(self.parts),
            opening,
            self.hint,
            tuple(self.reports),
            self.skipped,
        )

    def _number(self, name: str) -> int:
        return integer(self.once.get(name) or "0", name)

    @property
    def _follows_skip(self) -> bool:
        """Whether all that there is yet was skipped."""
        return 0 < self.skipped == len(self.segments) and not self.key_is_new

    def _skip(self, found: dict[str, str]) -> None:
        only(found, "EXT-X-SKIP", "SKIPPED-SEGMENTS")
        demand("SKIPPED-SEGMENTS" in found, "attribute", "EXT-X-SKIP without SKIPPED-SEGMENTS")
        count = integer(found["SKIPPED-SEGMENTS"], "SKIPPED-SEGMENTS")
        demand(count > 0, "skip", "EXT-X-SKIP of nothing")
        first = self._number("EXT-X-MEDIA-SEQUENCE")
        known = {x.number: x for x in (self.base.segments if self.base is not None else ())}
        for number in range(first, first + count):
            demand(number in known, "skip-base", f"segment {number} is skipped, and not known")
            self.segments.append(replace(known[number], parts=()))
        said = self._number("EXT-X-DISCONTINUITY-SEQUENCE") + self.segments[0].discontinuity
        right = self.segments[0].discontinuity_number == said
        demand(right, "discontinuity-number", f"{said} for a skipped segment (6.2.2)")
        self.skipped = count
        self.discontinuities = sum(x.discontinuity for x in self.segments)
        self.key, self.map = self.segments[-1].key, self.segments[-1].map

    def _key(self, found: dict[str, str]) -> None:
        method = found.get("METHOD")
        demand(not self.key_is_new, "key-unused", "an EXT-X-KEY applies to nothing (4.4.4.4)")
        if method == "NONE":
            demand(len(found) == 1, "key-none", "METHOD=NONE with attributes (4.4.4.4)")
            demand(self.key is not None, "key-none", "METHOD=NONE where nothing is encrypted")
            self.key = None
            return
        demand(method == "AES-128", "key-method", f"METHOD={method}")
        only(found, "EXT-X-KEY", "METHOD", "URI", "IV")
        vector = found.get("IV", "")
        demand(_IV.fullmatch(vector), "key-iv", f"IV={vector} is not explicit 128 bits (4.4.4.4)")
        key = Key(address(found, "EXT-X-KEY"), bytes.fromhex(vector[2:]))
        again = key == self.key and not self._follows_skip
        demand(not again, "key-again", "the same EXT-X-KEY once more (C-AE-02)")
        self.key, self.key_is_new = key, True

    def _map(self, found: dict[str, str]) -> None:
        only(found, "EXT-X-MAP", "URI")
        uri = address(found, "EXT-X-MAP")
        if self._follows_skip and uri == self.map:
            return  # said again for whoever has only this update
        clear = self.key is None and not self.key_is_new
        demand(clear, "map-encrypted", f"{uri} stands behind an EXT-X-KEY (C-AE-04)")
        demand(uri != self.map, "map-again", f"EXT-X-MAP {uri} once more")
        self.map = uri

    def _part(self, value: str) -> None:
        demand("EXTINF" not in self.pending, "part-order", "a part behind its EXTINF (C-LL-08)")
        self.parts.append(_read_part(value))

    def _end(self, name: str, found: dict[str, str]) -> None:
        if name == "EXT-X-PRELOAD-HINT":
            only(found, name, "TYPE", "URI")
            demand(found.get("TYPE") == "PART", "hint", f"TYPE={found.get('TYPE')}")
            demand(not self.hint, "once", "two hints of one type (4.4.5.3)")
            self.hint = address(found, name)
            return
        only(found, name, "URI", "LAST-MSN", "LAST-PART")
        uri = address(found, name)
        relative = "://" not in uri and not uri.startswith("/")
        demand(relative, "report-uri", f"{uri} is not relative (4.4.5.4)")
        demand("LAST-MSN" in found, "attribute", f"{name} without LAST-MSN (4.4.5.4)")
        part = integer(found["LAST-PART"], "LAST-PART") if "LAST-PART" in found else -1
        self.reports.append(Report(uri, integer(found["LAST-MSN"], "LAST-MSN"), part))

    def _opening(self, uri: str) -> Opening:
        date = self.pending.get("EXT-X-PROGRAM-DATE-TIME")
        demand(date is not None, "no-date", f"{uri} has no EXT-X-PROGRAM-DATE-TIME")
        assert date is not None
        demand(_DATE.fullmatch(date), "date", f"not in UTC with milliseconds: {date} (C-PL-11)")
        when = datetime.fromisoformat(date).astimezone(UTC)
        discontinuity = "EXT-X-DISCONTINUITY" in self.pending
        number = self._number("EXT-X-DISCONTINUITY-SEQUENCE")
        number += self.discontinuities + discontinuity
        return Opening(discontinuity, number, round(when.timestamp() * 1000), self.key, self.map)

    def _segment(self, uri: str) -> None:
        demand(not self.hint, "hint-order", f"{uri} behind EXT-X-PRELOAD-HINT")
        tags = self.pending
        demand("EXTINF" in tags, "no-extinf", f"{uri} has no EXTINF (4.4.4.1)")
        length, comma, _title = tags["EXTINF"].partition(",")
        demand(comma, "extinf", f"EXTINF:{tags['EXTINF']} (4.4.4.1)")
        duration = seconds(length, "extinf", decimals=3)
        for name in ("EXT-X-GAP", "EXT-X-DISCONTINUITY"):
            demand(not tags.get(name), "tag", f"{name} has no value")
        opening = self._opening(uri)
        self.discontinuities += opening.discontinuity
        self.segments.append(
            Segment(
                self._number("EXT-X-MEDIA-SEQUENCE") + len(self.segments),
                uri,
                duration,
                opening.discontinuity,
                opening.discontinuity_number,
                "EXT-X-GAP" in tags,
                opening.date,
                opening.key,
                opening.map,
                tuple(self.parts),
            )
        )
        self.pending, self.parts, self.key_is_new = {}, [], False


@lru_cache(4096)  # it is read in every version of a list
def _read_part(value: str) -> Part:
    found = attributes(value)
    only(found, "EXT-X-PART", "URI", "DURATION", "INDEPENDENT", "GAP")
    demand("DURATION" in found, "attribute", "EXT-X-PART without DURATION")
    return Part(
        address(found, "EXT-X-PART"),
        seconds(found["DURATION"], "part-duration", decimals=3),
        yes(found, "EXT-X-PART", "INDEPENDENT"),
        yes(found, "EXT-X-PART", "GAP"),
    )


def _control(once: dict[str, str]) -> Control | None:
    if "EXT-X-SERVER-CONTROL" not in once:
        return None
    tag = "EXT-X-SERVER-CONTROL"
    found = attributes(once[tag])
    only(found, tag, "CAN-BLOCK-RELOAD", "CAN-SKIP-UNTIL", "HOLD-BACK", "PART-HOLD-BACK")
    names = ("CAN-SKIP-UNTIL", "HOLD-BACK", "PART-HOLD-BACK")
    return Control(
        yes(found, tag, "CAN-BLOCK-RELOAD"),
        *(seconds(found.get(name, "0"), "server-control") for name in names),
    )


def _part_target(once: dict[str, str]) -> Decimal:
    if "EXT-X-PART-INF" not in once:
        return Decimal(0)
    found = attributes(once["EXT-X-PART-INF"])
    only(found, "EXT-X-PART-INF", "PART-TARGET")
    demand("PART-TARGET" in found, "attribute", "EXT-X-PART-INF without PART-TARGET (4.4.3.7)")
    target = seconds(found["PART-TARGET"], "part-target")
    demand(target > 0, "part-target", "PART-TARGET is 0")
    return target
