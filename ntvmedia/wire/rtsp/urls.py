"""Addresses of RTSP (RFC 2326 section 3.2), and those of tracks below them (D-RQ-12).

How the address of a track is made of a description's base and its `a=control` differs: by RFC 2326
section C.1.1 as a relative URL of HTTP, by FFmpeg, live555 and most cameras as text behind the
base. Both are the same for a base that has no query and ends in a slash, so that is what a server
gives. Seen of ffmpeg 5.1 and 9, mpv and GStreamer 1.22, of which the last cuts the stream's name
off where the base has a query: of "rtsp://h/live/test?a=b/" it makes "rtsp://h/live/trackID=0".
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from ntvmedia.errors import PeerError

MAX_URL: Final = 4096
"""Characters, as of any address here."""

DEFAULT_PORTS: Final = {"rtsp": 554, "rtspu": 554, "rtsps": 322}
"""Of RFC 2326 section 3.2 and RFC 7826 section 4.2."""

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@\s]+)(?::([0-9]{0,5}))?")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_TRACK: Final = "trackID="
_TRACK_AT_END: Final = re.compile(r"[/?&]?trackID=([0-9]{1,3})/?", re.IGNORECASE)


class RTSPURL(NamedTuple):
    """An absolute address.

    Attributes:
        scheme: "rtsp", "rtsps" or "rtspu".
        host: Without brackets.
        port: 1 to 65535: that of the scheme where none is given.
        path: With its first slash, as sent; may be empty.
        query: As sent, without its question mark; empty for none.
        user: Decoded; empty for none.
        password: As `user`. Neither is ever part of `str`.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    user: str = ""
    password: str = ""

    @property
    def authority(self) -> str:
        """Scheme, host and port, as in "rtsp://[2001:db8::1]:8554"; 554 is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def __str__(self) -> str:
        return self.authority + self.target

    def __repr__(self) -> str:
        return f"<RTSPURL {self.authority}{self.path}>"


def parse_url(text: str) -> RTSPURL:
    """Read an absolute address.

    Raises:
        PeerError: It is none of RTSP.
    """
    match = _URL.fullmatch(text) if len(text) <= MAX_URL else None
    if match is None or _CONTROL.search(text):
        raise _wrong()
    scheme = match[1].lower()
    userinfo, _at, place = match[2].rpartition("@")
    authority = _AUTHORITY.fullmatch(place)
    if scheme not in DEFAULT_PORTS or authority is None:
        raise _wrong()
    port = int(authority[2] or DEFAULT_PORTS[scheme])
    if not 0 < port <= 65535:
        raise _wrong()
    user, _colon, password = userinfo.partition(":")
    host = authority[1].strip("[]")
    return RTSPURL(scheme, host, port, match[3], match[4] or "", unquote(user), unquote(password))


def target_of(url: str) -> str:
    """Return path and query of the URL of a request, absolute or not; "*" stays what it is."""
    match = _URL.fullmatch(url)
    if match is None:
        return url
    return f"{match[3]}?{match[4]}" if match[4] else match[3]


def base_of(url: str, authority: str) -> str:
    """Return the `Content-Base` for a described stream: absolute, without query, with a slash.

    Args:
        url: Of the DESCRIBE request.
        authority: Scheme, host and port for a request that has only a path.
    """
    path = target_of(url).partition("?")[0].rstrip("/")
    try:
        authority = parse_url(url).authority
    except PeerError:
        path = path if path.startswith("/") else f"/{path}"
    return f"{authority}{path}/"


def track_control(index: int) -> str:
    """Return the `a=control` of a track that a server describes.

    No stream's name can be like it: "=" is no character of those.
    """
    return f"{_TRACK}{index}"


def split_control(target: str) -> tuple[str, int | None]:
    """Take apart what a client asks to set up: the stream's path with its query, and a track.

    The track stands behind the path or behind the query ("/live/test?a=b/trackID=1" of FFmpeg),
    depending on what the client does with a base.

    Args:
        target: Path and query.

    Returns:
        What names the stream, without the slash at its end; and the number of the track, or None
        where the address is the stream's own.
    """
    path, mark, query = target.partition("?")
    path, track = _cut(path)
    if mark:
        query, of_query = _cut(query)
        track = of_query if track is None else track
    path = path.rstrip("/")
    query = query.rstrip("/")
    return (f"{path}?{query}" if query else path), track


def _cut(text: str) -> tuple[str, int | None]:
    at = text.lower().rfind(_TRACK.lower())
    match = _TRACK_AT_END.fullmatch(text, max(at - 1, 0)) if at >= 0 else None
    return (text, None) if match is None else (text[: match.start()], int(match[1]))


def resolve_control(base: str, control: str) -> str:
    """Return the address of a track as a client has to ask for it.

    Args:
        base: `Content-Base`, `Content-Location` or the address that was described; absolute.
        control: The attribute of the track; empty or "*" for the base itself.

    Returns:
        `control` itself where it is absolute; with the base's host for one that begins with a
        slash; otherwise base and control with one slash between, behind the query too, as FFmpeg,
        live555 and the cameras have it.
    """
    control = control.strip()
    if control in ("", "*"):
        return base
    if _ABSOLUTE.match(control):
        return control
    if control.startswith("/"):
        match = _URL.fullmatch(base)
        return control if match is None else f"{match[1]}://{match[2]}{control}"
    if control.startswith("?"):
        return base.partition("?")[0] + control
    return f"{base}{'' if base.endswith('/') else '/'}{control}"


def writable(url: str) -> str:
    """Return an address as it can stand in a request: what would end it there is encoded."""
    return _CONTROL.sub(lambda match: f"%{ord(match[0]):02X}", url)


def same_track(url: str, base: str, control: str) -> bool:
    """Say whether a SETUP asks for an announced track, however the client made its address.

    Scheme, host, port and user do not matter: what a client calls this server may differ from
    request to request.

    Args:
        url: Of the SETUP request.
        base: Of the ANNOUNCE request.
        control: Of the track, as announced.
    """
    wanted = target_of(url).rstrip("/")
    plain = base.partition("?")[0]
    candidates = {resolve_control(base, control), resolve_control(plain, control)}
    query = target_of(base).partition("?")[2]
    if query:
        # GStreamer puts the control before the query.
        candidates.add(f"{resolve_control(plain, control)}?{query}")
    return any(target_of(candidate).rstrip("/") == wanted for candidate in candidates)


def _wrong() -> PeerError:
    return PeerError("not an address of RTSP", reference="RFC 2326 3.2")
