"""A strict reader of playlists, written from draft-pantos-hls-rfc8216bis and not from the server.

A section number without a document is of that draft. What a lenient player would forgive is a
`Violation` here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

_TAG = re.compile(r"#(EXT[A-Z0-9-]*)(?::(.*))?")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")
_DECIMAL = re.compile(r"[0-9]+(?:\.([0-9]+))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,(?!$)|$)')

# RFC 6381: what a browser can be asked for. H.264 as avc1.PPCCLL, HEVC as ISO/IEC 14496-15 E.3.
_CODEC = re.compile(
    r"avc1\.[0-9A-Fa-f]{6}|(?:hvc1|hev1)\.[ABC]?[0-9]+\.[0-9A-F]+\.[LH][0-9]+(?:\.[0-9A-F]{1,2}){0,6}"
    r"|mp4a\.40\.(?:2|5|29|34)|mp4a\.6[9B]|[ae]c-3|[Oo]pus"
)
_VIDEO_CODECS = ("avc1", "hvc1", "hev1")
_NEWEST_NEEDED = 8

_COMMON = {"EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS"}
_MEDIA_ONCE = {
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-ENDLIST",
}
_SEGMENT = {"EXTINF", "EXT-X-DISCONTINUITY", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-GAP"}
_MULTIVARIANT = {"EXT-X-MEDIA", "EXT-X-STREAM-INF"}


class Violation(AssertionError):
    """A rule is broken.

    Attributes:
        rule: A short name of the rule.
    """

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def demand(condition: object, rule: str, text: Callable[[], str] | str) -> None:
    """Raise `Violation` unless the condition holds; a text that costs something is a function."""
    if not condition:
        raise Violation(rule, text if isinstance(text, str) else text())


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
    """

    number: int
    uri: str
    duration: Decimal
    discontinuity: bool
    discontinuity_number: int
    gap: bool
    date: int


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist that breaks no rule by itself.

    Attributes:
        version: EXT-X-VERSION.
        target: EXT-X-TARGETDURATION in seconds.
        number: EXT-X-MEDIA-SEQUENCE.
        discontinuity_number: EXT-X-DISCONTINUITY-SEQUENCE.
        segments: All that are listed.
        ended: EXT-X-ENDLIST is there.
        independent: EXT-X-INDEPENDENT-SEGMENTS is there.
    """

    version: int
    target: int
    number: int
    discontinuity_number: int
    segments: tuple[Segment, ...]
    ended: bool
    independent: bool

    @property
    def duration(self) -> Decimal:
        """The sum of all EXTINF."""
        return sum((x.duration for x in self.segments), Decimal(0))


@dataclass(frozen=True, slots=True)
class Variant:
    """One EXT-X-STREAM-INF: its attributes, quotes removed, and the address below it."""

    attributes: dict[str, str]
    uri: str


@dataclass(frozen=True, slots=True)
class Multivariant:
    """A multivariant playlist that breaks no rule.

    Attributes:
        version: EXT-X-VERSION, or 1.
        media: The attributes of each EXT-X-MEDIA, quotes removed.
        variants: In order.
    """

    version: int
    media: tuple[dict[str, str], ...]
    variants: tuple[Variant, ...]


def parse_media(body: bytes) -> MediaPlaylist:
    """Read a media playlist.

    Raises:
        Violation: It breaks a rule.
    """
    once: dict[str, str] = {}
    segments: list[Segment] = []
    pending: dict[str, str] = {}
    discontinuities = 0
    for name, value in _lines(body):
        if name in _COMMON | _MEDIA_ONCE:
            demand(name not in once, "once", f"{name} twice (4.4)")
            if name in ("EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"):
                early = not segments and "EXT-X-DISCONTINUITY" not in pending
                demand(early, "late-sequence", f"{name} behind a segment (4.4.3.2, 4.4.3.3)")
            once[name] = value
        elif name in _SEGMENT:
            demand(name not in pending, "once", f"{name} twice for one segment")
            pending[name] = value
        elif name:
            rule = "playlist-type" if name == "EXT-X-PLAYLIST-TYPE" else "unknown-tag"
            demand(False, rule, f"{name} has no place in a live playlist (6.2.2)")
        else:
            if "EXT-X-DISCONTINUITY" in pending:
                discontinuities += 1
            number = int(once.get("EXT-X-MEDIA-SEQUENCE") or 0) + len(segments)
            before = int(once.get("EXT-X-DISCONTINUITY-SEQUENCE") or 0)
            segments.append(_segment(number, value, pending, before + discontinuities))
            pending = {}
    demand(not pending, "tag-without-uri", f"{list(pending)} apply to no segment")
    for name in ("EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"):
        demand(name in once, "missing-tag", f"{name} is missing")
    demand(segments, "empty", "it lists no segment")
    playlist = MediaPlaylist(
        _version(once),
        _integer(once["EXT-X-TARGETDURATION"], "EXT-X-TARGETDURATION"),
        _integer(once["EXT-X-MEDIA-SEQUENCE"], "EXT-X-MEDIA-SEQUENCE"),
        _integer(once["EXT-X-DISCONTINUITY-SEQUENCE"], "EXT-X-DISCONTINUITY-SEQUENCE"),
        tuple(segments),
        "EXT-X-ENDLIST" in once,
        "EXT-X-INDEPENDENT-SEGMENTS" in once,
    )
    _check_media(playlist)
    return playlist


def parse_multivariant(body: bytes) -> Multivariant:
    """Read a multivariant playlist.

    Raises:
        Violation: It breaks a rule.
    """
    once: dict[str, str] = {}
    media: list[dict[str, str]] = []
    variants: list[Variant] = []
    pending: dict[str, str] | None = None
    for name, value in _lines(body):
        demand(
            pending is None or not name, "tag-without-uri", "EXT-X-STREAM-INF without an address"
        )
        if name in _COMMON:
            demand(name not in once, "once", f"{name} twice (4.4)")
            once[name] = value
        elif name == "EXT-X-MEDIA":
            demand(not variants, "media-order", "EXT-X-MEDIA behind EXT-X-STREAM-INF (C-PL-21)")
            media.append(_media(value))
        elif name == "EXT-X-STREAM-INF":
            pending = _attributes(value)
        elif name:
            demand(False, "unknown-tag", f"{name} has no place in a multivariant playlist (4.1)")
        else:
            demand(pending is not None, "uri-without-tag", f"{value}: no EXT-X-STREAM-INF")
            variants.append(Variant(pending or {}, value))
            pending = None
    demand(pending is None, "tag-without-uri", "EXT-X-STREAM-INF without an address")
    demand(variants, "empty", "it lists no variant")
    groups = {x["GROUP-ID"] for x in media if x["TYPE"] == "AUDIO"}
    for variant in variants:
        _check_variant(variant, groups)
    return Multivariant(_version(once), tuple(media), tuple(variants))


def _lines(body: bytes) -> list[tuple[str, str]]:
    """Return tags as name and value, and addresses with an empty name."""
    demand(not body.startswith(b"\xef\xbb\xbf"), "bom", "a byte order mark (4.1)")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Violation("utf-8", f"{error} (4.1)") from None
    demand(text.endswith("\n"), "last-line", "the last line has no end (4.1)")
    demand(
        not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", text.replace("\r\n", "\n")),
        "control",
        "a control character (4.1)",
    )
    demand("\r" not in text.replace("\r\n", "\n"), "control", "a lone CR (4.1)")
    demand(unicodedata.is_normalized("NFC", text), "nfc", "not normalised (4.1)")
    lines = [line.removesuffix("\r") for line in text.split("\n")[:-1]]
    demand(lines[0] == "#EXTM3U", "first-line", f"the first line is {lines[0]!r} (4.4.1.1)")
    found = []
    for line in lines[1:]:
        if not line or (line.startswith("#") and not line.startswith("#EXT")):
            continue
        if line.startswith("#"):
            match = _TAG.fullmatch(line)
            demand(match is not None and line != "#EXTM3U", "tag", f"not a tag: {line!r}")
            assert match is not None
            found.append((match[1], match[2] or ""))
        else:
            demand(re.fullmatch(r"[!-~]+", line), "uri", f"not an address: {line!r} (4.1)")
            found.append(("", line))
    return found


def _segment(number: int, uri: str, tags: dict[str, str], discontinuity_number: int) -> Segment:
    demand("EXTINF" in tags, "no-extinf", f"{uri} has no EXTINF (4.4.4.1)")
    length, comma, _title = tags["EXTINF"].partition(",")
    match = _DECIMAL.fullmatch(length)
    demand(match is not None and comma, "extinf", f"EXTINF:{tags['EXTINF']} (4.4.4.1)")
    assert match is not None
    demand(len(match[1] or "") >= 3, "extinf-decimals", f"EXTINF:{length} (C-PL-05)")
    date = tags.get("EXT-X-PROGRAM-DATE-TIME")
    demand(date is not None, "no-date", f"{uri} has no EXT-X-PROGRAM-DATE-TIME")
    assert date is not None
    demand(_DATE.fullmatch(date), "date", f"not a date in UTC with milliseconds: {date} (C-PL-11)")
    for name in ("EXT-X-GAP", "EXT-X-DISCONTINUITY"):
        demand(not tags.get(name), "tag", f"{name} has no value")
    when = datetime.fromisoformat(date).astimezone(UTC)
    return Segment(
        number,
        uri,
        Decimal(length),
        "EXT-X-DISCONTINUITY" in tags,
        discontinuity_number,
        "EXT-X-GAP" in tags,
        round(when.timestamp() * 1000),
    )


def _check_media(playlist: MediaPlaylist) -> None:
    target = playlist.target
    demand(1 <= target <= 3600, "target", f"EXT-X-TARGETDURATION:{target}")
    uris = [x.uri for x in playlist.segments]
    demand(len(set(uris)) == len(uris), "same-uri", f"an address twice: {uris}")
    for segment in playlist.segments:
        length = segment.duration
        demand(length > 0, "extinf", f"{segment.uri} lasts {length} s")
        whole = int(length.quantize(Decimal(1), ROUND_HALF_UP))
        demand(whole <= target, "too-long", f"{length} s, target {target} s (4.4.4.1, 6.2.1)")
        # Before version 6 the target was the maximum, not rounded (section 8).
        demand(
            playlist.version >= 6 or length <= target,
            "version",
            f"{length} s over the target of {target} s needs version 6 (section 8)",
        )
    for before, after in zip(playlist.segments, playlist.segments[1:], strict=False):
        check_dates(before, after)


def check_dates(before: Segment, after: Segment) -> None:
    """Check the dates of a segment and the next one.

    Raises:
        Violation: Inside one run they do not follow the durations; or at a discontinuity the
            mapping is ambiguous: it goes back by a second or more (6.2.1).
    """
    end = before.date + float(before.duration) * 1000
    text = f"{before.uri} ends at {end:.1f} ms, {after.uri} begins at {after.date} ms"
    if after.discontinuity:
        back = end - after.date >= 1000 or after.date <= before.date
        demand(not back, "date-ambiguous", f"{text} (6.2.1)")
    else:
        # Both dates and the duration are rounded to a millisecond.
        demand(abs(end - after.date) <= 2, "date-step", f"{text} (C-PL-11)")


def _version(once: dict[str, str]) -> int:
    version = _integer(once.get("EXT-X-VERSION") or "1", "EXT-X-VERSION")
    demand(version >= 3, "version", "decimal EXTINF needs version 3 (section 8)")
    demand(version <= _NEWEST_NEEDED, "version", f"nothing here needs version {version} (6.2.1)")
    return version


def _integer(text: str, name: str) -> int:
    demand(_INTEGER.fullmatch(text), "integer", f"{name}:{text} is no decimal integer (4.2)")
    value = int(text)
    demand(value < 1 << 64, "integer", f"{name}:{text} is too large (4.2)")
    return value


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _ATTRIBUTE.match(text, position)
        demand(match is not None, "attributes", f"not an attribute list: {text[position:]} (4.2)")
        assert match is not None
        demand(match[1] not in found, "attributes", f"{match[1]} twice (4.2)")
        found[match[1]] = match[2]
        position = match.end()
    demand(found, "attributes", "an empty attribute list (4.2)")
    return found


def _quoted(attributes: dict[str, str], name: str) -> str:
    value = attributes[name]
    demand(value[:1] == '"', "quotes", f"{name}={value} has no quotes (4.2)")
    demand(len(value) > 2, "empty-attribute", f"{name} is empty (C-PL-21)")
    attributes[name] = value[1:-1]
    return attributes[name]


def _media(value: str) -> dict[str, str]:
    attributes = _attributes(value)
    for name in ("TYPE", "GROUP-ID", "NAME"):
        demand(name in attributes, "media", f"EXT-X-MEDIA without {name} (4.4.6.1)")
    for name in ("GROUP-ID", "NAME", "URI", "LANGUAGE", "CHANNELS"):
        if name in attributes:
            _quoted(attributes, name)
    for name in ("DEFAULT", "AUTOSELECT", "FORCED"):
        demand(attributes.get(name, "NO") in ("YES", "NO"), "media", f"{name} is YES or NO")
    return attributes


def _check_variant(variant: Variant, groups: set[str]) -> None:
    attributes = variant.attributes
    for name in ("BANDWIDTH", "CODECS"):
        demand(name in attributes, "stream-inf", f"EXT-X-STREAM-INF without {name} (4.4.6.2)")
    for name in ("BANDWIDTH", "AVERAGE-BANDWIDTH"):
        if name in attributes:
            demand(_integer(attributes[name], name) > 0, "bandwidth", f"{name} is 0")
    average = int(attributes.get("AVERAGE-BANDWIDTH", "0"))
    demand(average <= int(attributes["BANDWIDTH"]), "bandwidth", "the average is above the peak")
    codecs = _quoted(attributes, "CODECS").split(",")
    for codec in codecs:
        demand(_CODEC.fullmatch(codec), "codecs", f"CODECS has {codec!r} (RFC 6381)")
    demand(len(set(codecs)) == len(codecs), "codecs", f"CODECS has one twice: {codecs}")
    has_video = any(codec.startswith(_VIDEO_CODECS) for codec in codecs)
    resolution = attributes.get("RESOLUTION")
    if resolution is not None:
        demand(re.fullmatch(r"[1-9]\d*x[1-9]\d*", resolution), "resolution", resolution)
    demand(
        (resolution is not None) is has_video,
        "resolution",
        f"RESOLUTION={resolution} with {codecs} (C-PL-21)",
    )
    rate = attributes.get("FRAME-RATE")
    if rate is not None:
        demand(re.fullmatch(r"\d+(\.\d{1,3})?", rate), "frame-rate", rate)
        demand(has_video and Decimal(rate) > 0, "frame-rate", f"{rate} with {codecs}")
    if "AUDIO" in attributes:
        group = _quoted(attributes, "AUDIO")
        demand(group in groups, "group", f"there is no EXT-X-MEDIA of group {group} (4.4.6.2)")
