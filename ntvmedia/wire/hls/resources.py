"""What a media playlist leads to, with whole addresses, as it is asked for.

draft-pantos-hls-rfc8216bis, cited by section.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from ntvmedia.errors import PeerError
from ntvmedia.formats import m3u8

# What the address of a playlist may lead to: never a file of this machine, nor another protocol.
_SCHEMES: Final = ("http", "https")


class Key(NamedTuple):
    """What a segment or init section is decrypted with.

    Attributes:
        url: Of the 16 bytes of the key; empty where they are not to be had by this program.
        iv: 16 bytes; empty where the playlist tells none for an init section, which it must.
        problem: Why they are not; else empty.
    """

    url: str
    iv: bytes
    problem: str = ""


class InitSection(NamedTuple):
    """What is read before the segments that name it (section 4.4.4.5).

    Attributes:
        url: Where it is.
        byte_range: Which part of that; None for all.
        key: None where it is clear. It may be clear all the same: FFmpeg, for one, encrypts
            segments of MP4 and not their init section, whatever its playlist says.
    """

    url: str
    byte_range: m3u8.ByteRange | None
    key: Key | None


class MediaSegment(NamedTuple):
    """A media segment, as it is asked for.

    Attributes:
        number: Its media sequence number, as the playlist has it.
        url: Where it is.
        byte_range: Which part of that; None for all.
        duration: Seconds, as the playlist has it.
        wall_seconds: Of its beginning, seconds since 1970; None where the playlist does not tell.
        discontinuity: Its times, or what it is made of, do not go on from the segment that was
            given before it.
        gap: There is nothing to ask for (section 4.4.4.7).
        init_section: What it needs before; None for nothing.
        key: None where it is clear.
    """

    number: int
    url: str
    byte_range: m3u8.ByteRange | None
    duration: float
    wall_seconds: float | None
    discontinuity: bool
    gap: bool
    init_section: InitSection | None
    key: Key | None


def resolve(base: str, uri: str) -> str:
    """Return the whole address of what a playlist names (RFC 3986 section 5.2).

    Args:
        base: Where the playlist came from, after redirects.
        uri: As it stands there.

    Raises:
        PeerError: It is none of http or https.
    """
    try:
        # As players take them. A backslash must not become a slash, which browsers make of it.
        url = urljoin(base, uri.strip().replace(" ", "%20").replace("\\", "%5C"))
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in _SCHEMES:
        raise PeerError(
            f"the playlist leads to {_shown(uri)}, which is neither http:// nor https://",
            reference="RFC 8216 section 4.1",
        )
    return url


def media_segment(
    segment: m3u8.Segment, number: int, base: str, *, discontinuity: bool
) -> MediaSegment:
    """Return what is to be asked for, for a segment of a list.

    Args:
        segment: As read.
        number: Its media sequence number.
        base: Where the playlist came from.
        discontinuity: As in `MediaSegment`.

    Raises:
        PeerError: An address is none that may be asked, or what is encrypted cannot be decrypted.
    """
    is_empty = segment.byte_range is not None and not segment.byte_range.length
    if segment.gap or is_empty:
        # Of nothing there is nothing to ask for.
        segment = segment._replace(gap=True)
        init_section, key = None, None
    else:
        init_section = None if segment.map is None else _init_section(segment.map, base)
        key = None if segment.key is None else _key(segment.key, base, _implicit_iv(number))
    return MediaSegment(
        number,
        "" if segment.gap else resolve(base, segment.uri),
        segment.byte_range,
        segment.duration,
        segment.wall_seconds,
        discontinuity,
        segment.gap,
        init_section,
        key,
    )


def _init_section(section: m3u8.Map, base: str) -> InitSection:
    key = None if section.key is None else _key(section.key, base, b"")
    return InitSection(resolve(base, section.uri), section.byte_range, key)


def _key(key: m3u8.Key, base: str, implicit_iv: bytes) -> Key:
    if key.method != "AES-128":
        raise PeerError(
            f"the media is encrypted by {_shown(key.method)}, which is not supported; AES-128 is",
            reference="RFC 8216 section 4.3.2.4",
        )
    iv = key.iv or implicit_iv
    if key.key_format != m3u8.IDENTITY:
        return Key("", iv, f"the key is one of {_shown(key.key_format)}, which is not supported")
    if not key.uri:
        return Key("", iv, "the playlist does not say where the key is")
    try:
        return Key(resolve(base, key.uri), iv)
    except PeerError as error:
        return Key("", iv, error.args[0])


def _implicit_iv(number: int) -> bytes:
    """Return the IV of a segment without one: its number (section 5.2)."""
    return (number % (1 << 128)).to_bytes(16, "big")


def _shown(text: str) -> str:
    """Return the beginning of what a peer wrote, as a message may have it."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
