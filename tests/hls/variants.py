"""A strict reader of multivariant playlists, written from draft-pantos-hls-rfc8216bis 4.4.6."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from tests.hls.text import attributes, demand, integer, quoted, tag_lines

# RFC 6381: what a browser can be asked for. H.264 as avc1.PPCCLL; HEVC as ISO/IEC 14496-15 E.3;
# AV1 and VP9 as their bindings to ISOBMFF have it (section 5 of both).
_CODEC = re.compile(
    r"avc1\.[0-9A-Fa-f]{6}|(?:hvc1|hev1)\.[ABC]?[0-9]+\.[0-9A-F]+\.[LH][0-9]+(?:\.[0-9A-F]{1,2}){0,6}"
    r"|av01\.[0-2]\.[0-3][0-9][MH]\.(?:08|10|12)(?:\.[01]\.[01]{2}[0-3](?:\.\d\d){3}\.[01])?"
    r"|vp0[89]\.0[0-3]\.[1-6][0-9]\.(?:08|10|12)(?:\.0[0-3](?:\.\d\d){3}\.0[01])?"
    r"|mp4a\.40\.(?:2|5|29|34|42)|mp4a\.6[9B]|[ae]c-3|[Oo]pus|fLaC"
)
_VIDEO_CODECS = ("avc1", "hvc1", "hev1", "av01", "vp08", "vp09")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_NEWEST_NEEDED = 9

# The least version that has decimal durations (section 8).
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Variant:
    """One EXT-X-STREAM-INF: its attributes, quotes removed, and the address below it."""

    attributes: dict[str, str]
    uri: str

    @property
    def has_video(self) -> bool:
        """Whether CODECS says so."""
        return any(x.startswith(_VIDEO_CODECS) for x in self.attributes["CODECS"].split(","))


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

    @property
    def uris(self) -> list[str]:
        """The addresses of all media playlists, each once."""
        found = [x.uri for x in self.variants] + [x["URI"] for x in self.media if "URI" in x]
        return list(dict.fromkeys(found))


def parse_multivariant(body: bytes) -> Multivariant:
    """Read a multivariant playlist.

    Raises:
        Violation: It breaks a rule.
    """
    once: dict[str, str] = {}
    media: list[dict[str, str]] = []
    variants: list[Variant] = []
    pending: dict[str, str] | None = None
    for name, value in tag_lines(body):
        alone = pending is not None and name
        demand(not alone, "tag-without-uri", "EXT-X-STREAM-INF without an address")
        if name in ("EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS"):
            demand(name not in once, "once", f"{name} twice (4.4)")
            once[name] = value
        elif name == "EXT-X-MEDIA":
            demand(not variants, "media-order", "EXT-X-MEDIA behind EXT-X-STREAM-INF (C-PL-21)")
            media.append(_media(value))
        elif name == "EXT-X-STREAM-INF":
            pending = attributes(value)
        elif name:
            demand(False, "unknown-tag", f"{name} has no place in a multivariant playlist (4.1)")
        else:
            demand(pending is not None, "uri-without-tag", f"{value}: no EXT-X-STREAM-INF")
            variants.append(Variant(pending or {}, value))
            pending = None
    demand(pending is None, "tag-without-uri", "EXT-X-STREAM-INF without an address")
    demand(variants, "empty", "it lists no variant")
    _check_groups(media)
    groups = {x["GROUP-ID"] for x in media}
    for variant in variants:
        _check_variant(variant, groups)
    version = read_version(once.get("EXT-X-VERSION"), _NEWEST_NEEDED)
    used = {x.attributes.get("AUDIO") for x in variants}
    demand(groups <= used, "group", f"no variant is with group {groups - used} (4.4.6.2.1)")
    return Multivariant(version, tuple(media), tuple(variants))


def read_version(text: str | None, newest: int) -> int:
    """Read EXT-X-VERSION, of which nothing newer than `newest` is needed."""
    version = integer(text or "1", "EXT-X-VERSION")
    demand(version >= _DECIMALS, "version", "decimal EXTINF needs version 3 (section 8)")
    demand(version <= newest, "version", f"nothing here needs version {version} (6.2.1)")
    return version


def _media(value: str) -> dict[str, str]:
    found = attributes(value)
    for name in ("TYPE", "GROUP-ID", "NAME"):
        demand(name in found, "media", f"EXT-X-MEDIA without {name} (4.4.6.1)")
    demand(found["TYPE"] == "AUDIO", "media", f"EXT-X-MEDIA of type {found['TYPE']}")
    for name in ("GROUP-ID", "NAME", "URI", "LANGUAGE", "CHANNELS"):
        if name in found:
            quoted(found, name)
    for name in ("DEFAULT", "AUTOSELECT"):
        demand(found.get(name, "NO") in ("YES", "NO"), "media", f"{name} is YES or NO")
    demand("FORCED" not in found, "media", "FORCED is for subtitles (4.4.6.1)")
    chosen = found.get("DEFAULT") == "YES" and found.get("AUTOSELECT", "YES") == "NO"
    demand(not chosen, "media", "the default is selected by itself (4.4.6.1)")
    language = found.get("LANGUAGE", "und")
    demand(_LANGUAGE.fullmatch(language), "language", f"LANGUAGE={language} (RFC 5646)")
    channels = found.get("CHANNELS", "1")
    demand(re.fullmatch(r"[1-9]\d*(/.*)?", channels), "media", f"CHANNELS={channels}")
    return found


def _check_groups(media: list[dict[str, str]]) -> None:
    for group in {x["GROUP-ID"] for x in media}:
        members = [x for x in media if x["GROUP-ID"] == group]
        names = [x["NAME"] for x in members]
        demand(len(set(names)) == len(names), "same-name", f"{names} (4.4.6.1.1)")
        defaults = sum(x.get("DEFAULT") == "YES" for x in members)
        demand(defaults <= 1, "defaults", f"{defaults} of group {group} (4.4.6.1.1)")
        muxed = sum("URI" not in x for x in members)
        demand(muxed <= 1, "muxed", f"{muxed} of group {group} are in the variants themselves")
    uris = [x["URI"] for x in media if "URI" in x]
    demand(len(set(uris)) == len(uris), "same-uri", f"an address twice: {uris}")


def _check_variant(variant: Variant, groups: set[str]) -> None:
    found = variant.attributes
    for name in ("BANDWIDTH", "CODECS"):
        demand(name in found, "stream-inf", f"EXT-X-STREAM-INF without {name} (4.4.6.2)")
    for name in ("BANDWIDTH", "AVERAGE-BANDWIDTH"):
        if name in found:
            demand(integer(found[name], name) > 0, "bandwidth", f"{name} is 0")
    average = int(found.get("AVERAGE-BANDWIDTH", "0"))
    demand(average <= int(found["BANDWIDTH"]), "bandwidth", "the average is above the peak")
    codecs = quoted(found, "CODECS").split(",")
    for codec in codecs:
        demand(_CODEC.fullmatch(codec), "codecs", f"CODECS has {codec!r} (RFC 6381)")
    demand(len(set(codecs)) == len(codecs), "codecs", f"CODECS has one twice: {codecs}")
    has_video = variant.has_video
    resolution = found.get("RESOLUTION")
    if resolution is not None:
        demand(re.fullmatch(r"[1-9]\d*x[1-9]\d*", resolution), "resolution", resolution)
    demand(
        (resolution is not None) is has_video,
        "resolution",
        f"RESOLUTION={resolution} with {codecs} (C-PL-21)",
    )
    rate = found.get("FRAME-RATE")
    if rate is not None:
        demand(re.fullmatch(r"\d+(\.\d{1,3})?", rate), "frame-rate", rate)
        demand(has_video and Decimal(rate) > 0, "frame-rate", f"{rate} with {codecs}")
    if "AUDIO" in found:
        group = quoted(found, "AUDIO")
        demand(group in groups, "group", f"there is no EXT-X-MEDIA of group {group} (4.4.6.2)")
