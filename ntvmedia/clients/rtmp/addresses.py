"""Addresses of RTMP: what of one is told to a server, and where.

No document says where in "rtmp://host/a/b/c?d" the application ends. Here the last segment names
the stream and all before it is the application, as SRS and encoders with two fields have it; a
query behind the stream's name belongs to that, one behind the application to that. Nothing is
decoded or encoded: servers compare what was typed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from ntvmedia.errors import RemoteError

MAX_URL: Final = 4096
"""Characters, as of any address here."""

DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443}
"""Of RTMP 1.0 section 3; RTMPS is where HTTPS is, so that firewalls let it pass."""

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@\s]+)(?::([0-9]{0,5}))?")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")

# A name that begins so may have folders: "mp4:films/one.mp4" (Flash's servers, Wowza).
_WITH_TYPE: Final = re.compile(r"(?:^|/)(?:mp4|flv|mp3|f4v|id3|raw):")

_VHOST: Final = re.compile(r"(?:^|&)(vhost=[^&]*)")


class RTMPURL(NamedTuple):
    """An address, taken apart.

    Attributes:
        scheme: "rtmp" or "rtmps".
        host: Without brackets.
        port: 1 to 65535: that of the scheme where none is given.
        app: Property `app` of `connect`, with its query; may be empty.
        name: Of the stream, with its query. A secret, as a rule: a key to publish.
        user: Decoded; empty for none.
        password: As `user`.
    """

    scheme: str
    host: str
    port: int
    app: str
    name: str
    user: str = ""
    password: str = ""

    @property
    def authority(self) -> str:
        """Scheme, host and port, as in "rtmp://[2001:db8::1]:1936"; the usual port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def tc_url(self) -> str:
        """Property `tcUrl` of `connect`: the address of server and application."""
        return f"{self.authority}/{self.app}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of it may stand in no message, the longest first."""
        name, _mark, query = self.name.partition("?")
        app, _mark, app_query = self.app.partition("?")
        values = [pair.partition("=")[2] for part in (query, app_query) for pair in part.split("&")]
        found = {self.name, name, query, app, app_query, self.user, self.password, *values}
        return tuple(sorted((text for text in found if text), key=len, reverse=True))

    def __repr__(self) -> str:
        return f"<RTMPURL {self.authority}>"


def parse_url(text: str) -> RTMPURL:
    """Read "rtmp://[USER:PASSWORD@]HOST[:PORT]/APP[/MORE]/NAME[?QUERY]".

    A parameter `vhost` goes to the application, where servers look for it, and is told once
    (E-ST-12).

    Raises:
        RemoteError: It is none of RTMP; permanent, and the message does not quote it.
    """
    scheme, place, rest = _taken_apart(text)
    path, mark, query = rest.partition("?")
    segments = [segment for segment in path.split("/") if segment]
    if not segments:
        raise _wrong("an address of RTMP has an application and a stream: rtmp://host/app/stream")
    if len(segments) == 1 and "/" in query.partition("?")[0]:
        # The query is the application's, and the name stands behind it: "live?vhost=a/test?b=c".
        # A slash in that name's own query belongs to the query.
        before, mark, behind = query.partition("?")
        app_query, _slash, name = before.rpartition("/")
        if not name:
            raise _wrong("an address of RTMP has the name of a stream behind the application")
        return _made(scheme, place, f"{segments[0]}?{app_query}", name + mark + behind)
    joined = "/".join(segments)
    typed = _WITH_TYPE.search(joined)
    if typed is not None:
        at = typed.start()
        app, name = joined[:at], joined[at:].lstrip("/")
    else:
        app, _slash, name = joined.rpartition("/")
    vhost = _VHOST.search(query)
    if vhost is not None:
        query = (query[: vhost.start()] + query[vhost.end() :]).removeprefix("&")
        app = f"{app}?{vhost[1]}"
    return _made(scheme, place, app, name + (mark + query if query else ""))


def moved(url: RTMPURL, to: str) -> RTMPURL:
    """Return where a server sends the client.

    Args:
        url: Where it is.
        to: A new `tcUrl`, absolute or relative to the present one, or a whole address: one whose
            last segment is the stream's name. Empty for the same again.

    Returns:
        The new address, of the same stream; user and password go along on the same host alone.

    Raises:
        RemoteError: It is no address of RTMP, or one without the TLS that the operator typed.
    """
    if not to:
        return url
    if to.startswith("//"):
        to = f"{url.scheme}:{to}"
    elif to.startswith("/"):
        to = url.authority + to
    try:
        scheme, place, rest = _taken_apart(to)
        name, _mark, query = url.name.partition("?")
        path, mark, new_query = rest.partition("?")
        path = path.strip("/")
        if path == name or path.endswith(f"/{name}"):
            # Without a query it is the same stream with the same key, elsewhere.
            kept = new_query or query
            path += f"?{kept}" if kept else ""
            following = parse_url(f"{scheme}://{_written(*place[:2])}/{path}")
        else:
            following = _made(scheme, place, (path or url.app) + mark + new_query, url.name)
    except RemoteError:
        raise RemoteError(
            "it redirects to what is no address of RTMP", 302, is_permanent=True
        ) from None
    if url.scheme == "rtmps" and following.scheme != "rtmps":
        # The name may be a key, which would be sent in clear, wherever to.
        raise RemoteError("it redirects from rtmps to rtmp", 302, is_permanent=True)
    if following.authority == url.authority:
        return following._replace(user=url.user, password=url.password)
    return following._replace(user="", password="")


def _taken_apart(text: str) -> tuple[str, tuple[str, int, str, str], str]:
    """Return the scheme; host, port, user and password; and what follows."""
    match = _URL.fullmatch(text) if len(text) <= MAX_URL else None
    if match is None or _CONTROL.search(text):
        raise _wrong("not an address of RTMP")
    scheme = match[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise _wrong("an address begins with rtmp:// or rtmps://")
    userinfo, _at, place = match[2].rpartition("@")
    authority = _AUTHORITY.fullmatch(place)
    port = 0 if authority is None else int(authority[2] or DEFAULT_PORTS[scheme])
    if authority is None or not 0 < port <= 65535:
        raise _wrong("not an address of RTMP")
    user, _colon, password = userinfo.partition(":")
    host = authority[1].strip("[]")
    return scheme, (host, port, unquote(user), unquote(password)), match[3].partition("#")[0]


def _made(scheme: str, place: tuple[str, int, str, str], app: str, name: str) -> RTMPURL:
    host, port, user, password = place
    return RTMPURL(scheme, host, port, app, name, user, password)


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _wrong(why: str) -> RemoteError:
    return RemoteError(why, is_permanent=True)
