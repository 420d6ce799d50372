"""Playlists of HTTP Live Streaming, read as players read them.

Sections are those of draft-pantos-hls-rfc8216bis. It asks clients to reject much of what servers
send all the same; what hls.js, ExoPlayer and FFmpeg play is read here. `PeerError` is for what
cannot be guessed: no playlist at all, or what would load or decrypt something else than was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.m3u8 import (
    IDENTITY,
    ByteRange,
    Key,
    Map,
    MediaPlaylist,
    MultivariantPlaylist,
    Rendition,
    Segment,
    Variant,
)
from ntvmedia.formats.m3u8_attributes import (
    Variables,
    attribute_list,
    byte_range,
    decimal,
    integer,
    resolution,
    vector,
    wall_seconds,
)
from ntvmedia.formats.m3u8_text import playlist_lines

MAX_SEGMENTS: Final = 200_000
"""Of one playlist: nine days of four seconds each, in about 60 MB."""

MAX_ALTERNATIVES: Final = 10_000
"""Variants and renditions of one playlist: the most that were ever seen are some hundreds."""

MAX_SEGMENT_SECONDS: Final = 1e6
"""What is longer is taken for unknown: eleven days are no segment."""

# More decimals than a float has of a duration.
_MAX_DECIMALS: Final = 9

_RENDITION_KINDS: Final = ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS")


class ChannelList(PeerError):
    """A list for people to choose a stream from: no segment in it has a duration, nor any tag."""


def parse_playlist(
    data: bytes, url: str = "", *, variables: Mapping[str, str] | None = None
) -> MediaPlaylist | MultivariantPlaylist:
    """Read a playlist of either kind.

    Addresses are as they were written, with variables replaced; the caller resolves them. What
    names both segments and variants is a media playlist. An address without EXTINF before it is no
    segment; parts, and the segment that is being made, are left out.

    Args:
        data: All of it; the caller limits its size, and time and memory are linear in that.
        url: Where it came from, after redirects: EXT-X-DEFINE may refer to its query.
        variables: Those of the multivariant playlist, for the import into a media playlist.

    Raises:
        ChannelList: It is a list of streams.
        PeerError: It is no playlist, or a delta update, or has a byte range, an initialisation
            vector or an init segment that cannot be read, or refers to an undefined variable.
        LimitExceeded: It has more than `MAX_SEGMENTS` or `MAX_ALTERNATIVES`, or its variables more
            than `MAX_EXPANDED` characters.
    """
    reader = _Reader(url, variables or {})
    reader.read(playlist_lines(data))
    return reader.playlist()


class _Reader:
    """Takes one line after the other."""

    def __init__(self, url: str, imported: Mapping[str, str]) -> None:
        self._url = url
        self._imported = imported
        self._variables: Variables | None = None
        self._segments: list[Segment] = []
        self._variants: list[Variant] = []
        self._renditions: list[Rendition] = []
        # Of the whole list
        self._target = 0.0
        self._longest = 0.0
        self._decimals = _MAX_DECIMALS + 1
        self._media_sequence = 0
        self._discontinuity_sequence = 0
        self._ended = False
        self._kind: Literal["", "EVENT", "VOD"] = ""
        self._version = 1
        self._start: float | None = None
        self._start_precise = False
        self._is_media = False
        # What holds from here on
        self._keys: dict[str, Key] = {}
        self._key: Key | None = None
        self._map: Map | None = None
        self._ends: dict[str, int] = {}
        self._dated: float | None = None
        self._since_date = 0.0
        # Of the next address
        self._duration: float | None = None
        self._variant: Variant | None = None
        self._date: float | None = None
        self._range: str | None = None
        self._discontinuity = False
        self._gap = False
        self._tags: dict[str, Callable[[str], None]] = {
            "#EXT-X-VERSION": self._read_version,
            "#EXT-X-DEFINE": self._read_define,
            "#EXT-X-START": self._read_start,
            "#EXT-X-TARGETDURATION": self._read_target,
            "#EXT-X-MEDIA-SEQUENCE": self._read_media_sequence,
            "#EXT-X-DISCONTINUITY-SEQUENCE": self._read_discontinuity_sequence,
            "#EXT-X-PLAYLIST-TYPE": self._read_kind,
            "#EXT-X-ENDLIST": self._read_end,
            "#EXT-X-SKIP": self._read_skip,
            "#EXTINF": self._read_duration,
            "#EXT-X-BYTERANGE": self._read_range,
            "#EXT-X-DISCONTINUITY": self._read_discontinuity,
            "#EXT-X-GAP": self._read_gap,
            "#EXT-X-KEY": self._read_key,
            "#EXT-X-MAP": self._read_map,
            "#EXT-X-PROGRAM-DATE-TIME": self._read_date,
            "#EXT-X-MEDIA": self._read_rendition,
            "#EXT-X-STREAM-INF": self._read_variant,
        }

    def read(self, lines: Iterable[str]) -> None:
        """Take all lines."""
        tags = self._tags
        number = 0
        try:
            for number, line in enumerate(lines, 1):  # noqa: B007  # an error names it
                line = line.strip()
                if not line:
                    continue
                if line[0] != "#":
                    self._address(line)
                elif line.startswith("#EXT") or line[:4].upper() == "#EXT":
                    name, _colon, value = line.partition(":")
                    read = tags.get(name) or tags.get(name.rstrip().upper())
                    if read is not None:
                        read(value)
        except LimitExceeded:
            raise
        except PeerError as error:
            raise PeerError(f"line {number}: {error.args[0]}", reference=error.reference) from None

    def playlist(self) -> MediaPlaylist | MultivariantPlaylist:
        """Return what was read."""
        if self._segments and not self._is_media and not self._longest:
            raise ChannelList(
                "it is a list of channels, not a stream: take the address of one of them",
                reference="RFC 8216bis 4.4.3",
            )
        if self._variants and not self._segments:
            values = self._variables.values if self._variables is not None else {}
            return MultivariantPlaylist(
                tuple(self._variants), tuple(self._renditions), self._version, values
            )
        if not self._segments and not self._is_media:
            raise PeerError("it lists neither segments nor variants", reference="RFC 8216bis 4.1")
        target = float(int(self._longest + 0.5))
        if not self._target:  # FFmpeg says 0 of what is shorter than half a second
            target = max(1.0, target)
        step = 1.0 if self._decimals > _MAX_DECIMALS else float(f"1e-{self._decimals}")
        return MediaPlaylist(
            tuple(self._segments),
            max(self._target, target),
            self._media_sequence,
            self._discontinuity_sequence,
            self._ended,
            self._kind,
            self._version,
            self._start,
            self._start_precise,
            step,
        )

    def _attributes(self, value: str) -> dict[str, str]:
        found = attribute_list(value)
        if self._variables is not None:
            for name, text in found.items():
                found[name] = self._variables.expand(text)
        return found

    # Addresses

    def _address(self, uri: str) -> None:
        duration, text = self._duration, self._range
        if self._variables is not None:
            uri = self._variables.expand(uri)
        if duration is None:
            if self._variant is not None:
                self._count_alternatives()
                self._variants.append(self._variant._replace(uri=uri))
                self._variant = None
            self._range, self._gap = None, False
            return
        if len(self._segments) >= MAX_SEGMENTS:
            raise LimitExceeded(
                "too many segments", reference="RFC 8216bis 4.4.3", limit=MAX_SEGMENTS
            )
        gap, extent = self._gap, None
        if text is not None:
            extent = self._extent(uri, text)
            gap |= not extent.length  # so that nobody asks for bytes 0 to -1
            self._range = None
        if self._date is not None:
            self._dated, self._since_date, self._date = self._date, 0.0, None
        elif self._discontinuity:
            self._dated = None
        wall = None
        if self._dated is not None:
            wall = self._dated + self._since_date
            self._since_date += duration
        self._segments.append(
            Segment(uri, duration, wall, self._discontinuity, gap, self._map, self._key, (), extent)
        )
        if duration > self._longest:
            self._longest = duration
        self._duration = None
        self._discontinuity = self._gap = False

    def _extent(self, uri: str, text: str) -> ByteRange:
        """Return a byte range; without an offset it follows the last of the same resource."""
        extent = byte_range(text, self._ends.get(uri, 0))
        self._ends[uri] = extent.offset + extent.length
        return extent

    def _count_alternatives(self) -> None:
        if len(self._variants) + len(self._renditions) >= MAX_ALTERNATIVES:
            raise LimitExceeded(
                "too many variants and renditions",
                reference="RFC 8216bis 4.4.6",
                limit=MAX_ALTERNATIVES,
            )

    # Tags of segments

    def _read_duration(self, value: str) -> None:
        text, _comma, rest = value.partition(",")
        text = text.strip()
        point = text.find(".")
        if rest and point < 0:
            # printf in a locale with a comma: "9,967000," for "9.967000,"
            fraction = rest.rstrip()
            if fraction[-1:] == "," and fraction[:-1].isdecimal() and text.isdecimal():
                point, text = len(text), f"{text}.{fraction[:-1]}"
        try:
            duration = float(text)
        except ValueError:  # "-1 tvg-id=…", or nothing
            duration = decimal(text) or 0.0
        else:
            if point >= 0:
                decimals = min(len(text) - point - 1, _MAX_DECIMALS)
                if decimals < self._decimals:
                    self._decimals = decimals
        # What is negative, infinite or no number is not known; a comparison with NaN is false.
        self._duration = duration if 0.0 < duration <= MAX_SEGMENT_SECONDS else 0.0
        self._variant = None

    def _read_range(self, value: str) -> None:
        self._range = value

    def _read_discontinuity(self, _value: str) -> None:
        self._discontinuity = self._is_media = True

    def _read_gap(self, _value: str) -> None:
        self._gap = True

    def _read_date(self, value: str) -> None:
        self._date = wall_seconds(value)

    def _read_key(self, value: str) -> None:
        found = self._attributes(value)
        method = found.get("METHOD", "AES-128").upper()
        if method == "NONE":
            self._keys.clear()
            self._key = None
            return
        key_format = found.get("KEYFORMAT") or IDENTITY
        self._keys[key_format] = Key(
            found.get("URI", ""), vector(found.get("IV", "")), method, key_format
        )
        # Those of several formats lead to the same key (section 4.4.4.4), by ways we have not.
        self._key = self._keys.get(IDENTITY) or next(iter(self._keys.values()))

    def _read_map(self, value: str) -> None:
        found = self._attributes(value)
        uri, extent = found.get("URI", ""), found.get("BYTERANGE")
        if not uri:
            raise PeerError("EXT-X-MAP without an address", reference="RFC 8216bis 4.4.4.5")
        self._map = Map(uri, byte_range(extent, 0) if extent else None, self._key)

    # Tags of media playlists

    def _read_target(self, value: str) -> None:
        target = decimal(value) or 0.0
        self._target = target if 0.0 < target <= MAX_SEGMENT_SECONDS else 0.0
        self._is_media = True

    def _read_media_sequence(self, value: str) -> None:
        self._media_sequence = integer(value)
        self._is_media = True

    def _read_discontinuity_sequence(self, value: str) -> None:
        self._discontinuity_sequence = integer(value)
        self._is_media = True

    def _read_kind(self, value: str) -> None:
        value = value.strip().upper()
        if value.startswith("VOD"):
            self._kind = "VOD"
        elif value.startswith("EVENT"):
            self._kind = "EVENT"
        self._is_media = True

    def _read_end(self, _value: str) -> None:
        self._ended = self._is_media = True

    def _read_skip(self, _value: str) -> None:
        raise PeerError(
            "it is a delta update, which nobody asked for", reference="RFC 8216bis 4.4.5.2"
        )

    # Tags of both

    def _read_version(self, value: str) -> None:
        self._version = integer(value, 1)

    def _read_define(self, value: str) -> None:
        if self._variables is None:
            self._variables = Variables(self._url, self._imported)
        self._variables.define(self._attributes(value))

    def _read_start(self, value: str) -> None:
        found = self._attributes(value)
        self._start = decimal(found.get("TIME-OFFSET", ""))
        self._start_precise = found.get("PRECISE", "").upper() == "YES"

    # Tags of multivariant playlists

    def _read_rendition(self, value: str) -> None:
        found = self._attributes(value)
        kind = found.get("TYPE", "").upper()
        if kind not in _RENDITION_KINDS:
            return
        self._count_alternatives()
        self._renditions.append(
            Rendition(
                found.get("GROUP-ID", ""),
                found.get("NAME", ""),
                found.get("LANGUAGE", ""),
                integer(found.get("CHANNELS", "")),
                found.get("DEFAULT", "").upper() == "YES",
                found.get("URI", ""),
                kind,
                found.get("AUTOSELECT", "").upper() == "YES",
                found.get("FORCED", "").upper() == "YES",
            )
        )

    def _read_variant(self, value: str) -> None:
        found = self._attributes(value)
        width, height = resolution(found.get("RESOLUTION", ""))
        self._variant = Variant(
            "",
            integer(found.get("BANDWIDTH", "")),
            integer(found.get("AVERAGE-BANDWIDTH", "")),
            tuple(x.strip() for x in found.get("CODECS", "").split(",") if x.strip()),
            width,
            height,
            max(0.0, decimal(found.get("FRAME-RATE", "")) or 0.0),
            found.get("AUDIO", ""),
            found.get("VIDEO", ""),
            found.get("SUBTITLES", ""),
            found.get("NAME", ""),
            found.get("VIDEO-RANGE", "").upper(),
        )
        self._duration = None
