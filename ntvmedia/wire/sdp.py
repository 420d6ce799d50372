"""Session descriptions, read and written (SDP: RFC 8866; for RTSP also RFC 2326 appendix C).

Reading is tolerant, as cameras need it: lines may end in LF alone and stand in any order within
their part, those of unknown types are passed over, and what RFC 8866 demands may lack. Text in what
is read is as the peer sent it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Self

from ntvmedia.errors import LimitExceeded, PeerError, UsageError

CONTENT_TYPE: Final = "application/sdp"

MAX_SIZE: Final = 65536
"""Bytes of a description; one of ten tracks with parameter sets has 8000."""

MAX_LINES: Final = 2000
"""Since each payload type is looked for in every line of its media."""

MAX_MEDIA: Final = 32

MAX_FORMATS: Final = 128
"""Of one media description: there are no more payload types."""

_LINE: Final = re.compile(r"([a-z])=(.*)")
_BREAKS: Final = re.compile("[\0\r\n]")
_NUMBER: Final = re.compile("[0-9]{1,15}")


class Direction(StrEnum):
    """Which way media flows, as whoever reads the description has it (RFC 8866 section 6.7).

    A camera's back channel, into which a client may speak, is SENDONLY (D-RQ-14).
    """

    SENDRECV = "sendrecv"
    RECVONLY = "recvonly"
    SENDONLY = "sendonly"
    INACTIVE = "inactive"


class Attribute(NamedTuple):
    """An `a=` line (RFC 8866 section 5.13); its value is None where it has no colon."""

    name: str
    value: str | None = None


class Origin(NamedTuple):
    """The `o=` line (RFC 8866 section 5.2); the numbers of real peers may be none."""

    username: str = "-"
    session_id: str = "0"
    session_version: str = "0"
    address_type: str = "IP4"
    address: str = "127.0.0.1"


class Connection(NamedTuple):
    """A `c=` line (RFC 8866 section 5.7).

    Attributes:
        address_type: "IP4" or "IP6".
        address: Without what follows a slash.
        ttl: Of IPv4 multicast; -1 where none is given.
    """

    address_type: str
    address: str
    ttl: int = -1


class Bandwidth(NamedTuple):
    """A `b=` line (RFC 8866 section 5.8): "AS" and kilobits per second, for one."""

    kind: str
    value: int


class RTPMap(NamedTuple):
    """What a dynamic payload type is (RFC 8866 section 6.6).

    Attributes:
        encoding: As sent: the same in either case.
        clock_rate: Ticks per second; 1 or more.
        channels: Of audio; 1 where none are given.
    """

    encoding: str
    clock_rate: int
    channels: int = 1


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """An `m=` line with what belongs to it (RFC 8866 section 5.14).

    Attributes:
        kind: "audio", "video", "application" and so on.
        formats: For RTP the payload types, the preferred one first.
        protocol: "RTP/AVP" and so on.
        port: 0 in RTSP, mostly.
        port_count: How many pairs of ports.
        connections: Its `c=` lines.
        bandwidths: Its `b=` lines.
        attributes: Its `a=` lines, in order.
    """

    kind: str
    formats: tuple[str, ...]
    protocol: str = "RTP/AVP"
    port: int = 0
    port_count: int = 1
    connections: tuple[Connection, ...] = ()
    bandwidths: tuple[Bandwidth, ...] = ()
    attributes: tuple[Attribute, ...] = ()

    @classmethod
    def of_rtp(
        cls,
        kind: str,
        payload_type: int,
        rtpmap: RTPMap,
        parameters: Mapping[str, str],
        control: str,
    ) -> Self:
        """Describe a track that is sent in one payload type.

        Args:
            kind: "audio" or "video".
            payload_type: 0 to 127.
            rtpmap: What it is.
            parameters: Of its format (`a=fmtp`); may be empty.
            control: Its address, relative to that of the session.
        """
        encoding, clock_rate, channels = rtpmap
        audio_channels = f"/{channels}" if channels != 1 else ""
        attributes = [
            Attribute("rtpmap", f"{payload_type} {encoding}/{clock_rate}{audio_channels}")
        ]
        if parameters:
            text = ";".join(f"{name}={value}" for name, value in parameters.items())
            attributes.append(Attribute("fmtp", f"{payload_type} {text}"))
        attributes.append(Attribute("control", control))
        return cls(kind, (str(payload_type),), attributes=tuple(attributes))

    def attribute(self, name: str) -> str | None:
        """Return an attribute's first value, "" if it has none, None if it is not there."""
        return _value(self.attributes, name)

    @property
    def control(self) -> str:
        """The address for SETUP (RFC 2326 section C.1.1); empty where there is none."""
        return (self.attribute("control") or "").strip()

    @property
    def payload_types(self) -> tuple[int, ...]:
        """The formats that are payload types: 0 to 127."""
        numbers = (_number(text) for text in self.formats)
        return tuple(number for number in numbers if 0 <= number <= 127)

    def rtpmap(self, payload_type: int) -> RTPMap | None:
        """Return what a payload type is; None where nothing useful is said of it."""
        for text in self._of_format("rtpmap", payload_type):
            encoding, _slash, rest = text.partition("/")
            rate, _slash, channels = rest.partition("/")
            clock_rate = _number(rate.strip())
            if encoding and clock_rate > 0:
                return RTPMap(encoding.strip(), clock_rate, max(_number(channels.strip()), 1))
        return None

    def fmtp(self, payload_type: int) -> dict[str, str]:
        """Return the parameters of a payload type (RFC 8866 section 6.15).

        Names are in lower case; a parameter without value has an empty one.
        """
        parameters: dict[str, str] = {}
        for text in self._of_format("fmtp", payload_type):
            for part in text.split(";"):
                name, _equals, value = part.partition("=")
                name = name.strip().lower()
                if name:
                    parameters.setdefault(name, value.strip())
        return parameters

    @property
    def framerate(self) -> float:
        """Frames per second (RFC 8866 section 6.9); 0 where nothing useful is said."""
        try:
            rate = float(self.attribute("framerate") or "0")
        except ValueError:
            return 0.0
        return rate if 0 < rate < 1000 else 0.0

    def _of_format(self, name: str, payload_type: int) -> Iterable[str]:
        """Yield the values of an attribute that begins with a payload type, without that."""
        for attribute in self.attributes:
            if attribute.name == name and attribute.value is not None:
                number, _space, rest = attribute.value.strip().partition(" ")
                if _number(number) == payload_type:
                    yield rest.strip()


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A session description (RFC 8866 section 5).

    Attributes:
        media: In order.
        origin: The `o=` line.
        name: The `s=` line.
        information: The `i=` line; empty for none.
        connection: The `c=` line of the session.
        bandwidths: Its `b=` lines.
        start: First number of the `t=` line, as NTP seconds; 0 for none.
        stop: The second one.
        attributes: Those before the first media, in order.
    """

    media: tuple[MediaDescription, ...] = ()
    origin: Origin = field(default_factory=Origin)
    name: str = "-"
    information: str = ""
    connection: Connection | None = None
    bandwidths: tuple[Bandwidth, ...] = ()
    start: int = 0
    stop: int = 0
    attributes: tuple[Attribute, ...] = ()

    def attribute(self, name: str) -> str | None:
        """Return a session's attribute, as `MediaDescription.attribute` does."""
        return _value(self.attributes, name)

    @property
    def control(self) -> str:
        """The session's own address (RFC 2326 section C.1.1); empty where there is none."""
        return (self.attribute("control") or "").strip()

    def direction(self, media: MediaDescription) -> Direction:
        """Return which way one of the media flows."""
        for attributes in (media.attributes, self.attributes):
            for attribute in attributes:
                if attribute.name in _DIRECTIONS:
                    return Direction(attribute.name)
        return Direction.SENDRECV


_DIRECTIONS: Final = frozenset(Direction)


def parse_sdp(data: bytes) -> SessionDescription:
    """Read a description; one without media, or empty, is none the worse.

    Raises:
        PeerError: It is no description.
        LimitExceeded: It is longer, or has more lines or media, than is taken.
    """
    if len(data) > MAX_SIZE:
        raise LimitExceeded(
            f"a description of {len(data)} bytes", reference="RFC 8866 5", limit=MAX_SIZE
        )
    parts: list[list[tuple[str, str]]] = [[]]
    found = False
    lines = data.decode("utf-8", "replace").split("\n")
    if len(lines) > MAX_LINES:
        raise LimitExceeded("too many lines", reference="RFC 8866 5", limit=MAX_LINES)
    for line in lines:
        line = line.strip("\r\0")
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        found = True
        kind, value = match[1], match[2]
        if kind == "m":
            if len(parts) > MAX_MEDIA:
                raise LimitExceeded("too many media", reference="RFC 8866 5", limit=MAX_MEDIA)
            parts.append([])
        parts[-1].append((kind, value))
    if data.strip(b"\r\n\0 ") and not found:
        raise PeerError("not a session description", reference="RFC 8866 5")
    start, stop = _times(parts[0])
    return SessionDescription(
        media=tuple(_media(lines) for lines in parts[1:]),
        origin=_origin(_first(parts[0], "o")),
        name=_first(parts[0], "s") or "-",
        information=_first(parts[0], "i"),
        connection=next(iter(_connections(parts[0])), None),
        bandwidths=_bandwidths(parts[0]),
        start=start,
        stop=stop,
        attributes=_attributes(parts[0]),
    )


def build_sdp(description: SessionDescription) -> bytes:
    """Write a description.

    Raises:
        UsageError: Something in it would end its line.
    """
    origin = description.origin
    lines = [
        "v=0",
        f"o={origin.username} {origin.session_id} {origin.session_version} IN "
        f"{origin.address_type} {origin.address}",
        f"s={description.name}",
    ]
    if description.information:
        lines.append(f"i={description.information}")
    if description.connection is not None:
        lines.append(_connection_line(description.connection))
    lines += [f"b={kind}:{value}" for kind, value in description.bandwidths]
    lines.append(f"t={description.start} {description.stop}")
    lines += map(_attribute_line, description.attributes)
    for media in description.media:
        count = f"/{media.port_count}" if media.port_count != 1 else ""
        formats = " ".join(media.formats)
        lines.append(f"m={media.kind} {media.port}{count} {media.protocol} {formats}")
        lines += map(_connection_line, media.connections)
        lines += [f"b={kind}:{value}" for kind, value in media.bandwidths]
        lines += map(_attribute_line, media.attributes)
    if any(map(_BREAKS.search, lines)):
        raise UsageError("a description cannot be written: a line would end early")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8")


def _value(attributes: Iterable[Attribute], name: str) -> str | None:
    for attribute in attributes:
        if attribute.name == name:
            return attribute.value or ""
    return None


def _number(text: str) -> int:
    """Read a number of up to 15 digits; -1 where it is none."""
    return int(text) if _NUMBER.fullmatch(text) else -1


def _first(lines: list[tuple[str, str]], wanted: str) -> str:
    return next((value for kind, value in lines if kind == wanted), "")


def _origin(value: str) -> Origin:
    words = value.split()
    if len(words) != 6:
        return Origin()
    username, session_id, version, _network, address_type, address = words
    return Origin(username, session_id, version, address_type, address)


def _times(lines: list[tuple[str, str]]) -> tuple[int, int]:
    words = _first(lines, "t").split()
    numbers = [max(_number(word), 0) for word in words[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def _connections(lines: list[tuple[str, str]]) -> tuple[Connection, ...]:
    found = []
    for kind, value in lines:
        words = value.split() if kind == "c" else ()
        if len(words) == 3:
            address, _slash, rest = words[2].partition("/")
            ttl = rest.partition("/")[0] if words[1] == "IP4" else ""
            found.append(Connection(words[1], address, _number(ttl)))
    return tuple(found)


def _connection_line(connection: Connection) -> str:
    ttl = f"/{connection.ttl}" if connection.ttl >= 0 else ""
    return f"c=IN {connection.address_type} {connection.address}{ttl}"


def _bandwidths(lines: list[tuple[str, str]]) -> tuple[Bandwidth, ...]:
    found = []
    for kind, value in lines:
        name, colon, number = value.partition(":") if kind == "b" else ("", "", "")
        if colon and _number(number.strip()) >= 0:
            found.append(Bandwidth(name, _number(number.strip())))
    return tuple(found)


def _attributes(lines: list[tuple[str, str]]) -> tuple[Attribute, ...]:
    found = []
    for kind, value in lines:
        if kind == "a":
            name, colon, rest = value.partition(":")
            found.append(Attribute(name.strip(), rest if colon else None))
    return tuple(found)


def _attribute_line(attribute: Attribute) -> str:
    value = "" if attribute.value is None else f":{attribute.value}"
    return f"a={attribute.name}{value}"


def _media(lines: list[tuple[str, str]]) -> MediaDescription:
    words = lines[0][1].split()
    if len(words) < 3:
        raise PeerError("a media line without its parts", reference="RFC 8866 5.14")
    if len(words) - 3 > MAX_FORMATS:
        raise LimitExceeded("too many formats", reference="RFC 8866 5.14", limit=MAX_FORMATS)
    port, _slash, count = words[1].partition("/")
    return MediaDescription(
        kind=words[0].lower(),
        formats=tuple(words[3:]),
        protocol=words[2],
        port=max(_number(port), 0),
        port_count=max(_number(count), 1),
        connections=_connections(lines),
        bandwidths=_bandwidths(lines),
        attributes=_attributes(lines),
    )
