"""Names of streams: one rule for every protocol, and for files on disk.

Every spelling that a peer may use (RTMP's app, tcUrl and stream name, an RTSP or HTTP path, the
target of a relay) becomes a `StreamKey` here, or is refused with a reason that the peer can read.
Nothing else in the server interprets a path.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from ntvmedia.errors import Refused

MAX_NAME_LENGTH: Final = 128
"""Characters of each part of a name."""

# What a file name may have on every file system in use.
MAX_NAME_BYTES: Final = 255

# Of a whole address, with its query: longer ones are refused before anything looks into them.
MAX_SPELLING_BYTES: Final = 4096

# First segments of the HTTP port's own routes.
RESERVED_APPLICATIONS: Final = frozenset(
    {"mserver", "metrics", "healthz", "readyz", "embed", "static"}
)

# An address with one of these at its end asks for an output of the stream before the dot.
SERVED_EXTENSIONS: Final = frozenset(
    {"flv", "ts", "m3u8", "mp4", "m4s", "mpd", "aac", "mp3", "key", "jpg", "png"}
)

_ASCII: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")

# Marks belong to letters in many scripts (Devanagari, Thai, decomposed Latin).
_LETTER_CATEGORIES: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})
_MARKS: Final = frozenset({"Mn", "Mc"})

# Letters and marks by category that show nothing (Unicode's Default_Ignorable_Code_Point): with
# them, two names would look the same to everybody who reads them.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class BadName(Refused):
    """A stream's address breaks the rule for names."""


class StreamKey(NamedTuple):
    """The checked name of a stream: both parts are safe in addresses, logs and file names.

    Make one with `stream_key` or one of the functions for a protocol's spelling.
    """

    application: str
    stream: str

    def __str__(self) -> str:
        return f"{self.application}/{self.stream}"


class Address(NamedTuple):
    """What a peer asked for: a stream, and the query that came with it, decoded.

    Where a name is given several times the last one counts.
    """

    key: StreamKey
    query: dict[str, str]


def stream_key(application: str, stream: str) -> StreamKey:
    """Check two decoded segments.

    Raises:
        BadName: One of them breaks the rule; the message says which and how.
    """
    application = _checked(application, "application")
    stream = _checked(stream, "stream")
    if application.lower() in RESERVED_APPLICATIONS:
        raise BadName(f'application name "{application}" is reserved')
    extension = stream.rpartition(".")[2].lower() if "." in stream else ""
    if extension in SERVED_EXTENSIONS:
        raise BadName(f'stream name may not end in ".{extension}"')
    return StreamKey(application, stream)


def parse_path(path: str) -> Address:
    """Read `/APP/STREAM?query` with percent-encoding: the path of an RTSP or HTTP address.

    Raises:
        BadName: It is not two good segments.
    """
    _limited(path)
    where, _mark, query = path.partition("?")
    return Address(_key(_segments(where)), _query(query))


def parse_rtmp(app: str, stream_name: str, tc_url: str = "") -> Address:
    """Read RTMP's spelling: the `app` of `connect` and the name of `publish` or `play`.

    A query may stand behind each; that of the stream name wins, then that of the app. Encoders
    put surplus slashes, spaces and quotation marks around, prefix a file type (`mp4:`, `flv:`), or
    hide the query, with the stream's name behind it, in the app. Percent-encoding is decoded once.

    Args:
        app: Property `app` of the command object.
        stream_name: The name argument.
        tc_url: Property `tcUrl`, whose path stands in for an app that is empty, or that together
            with the name makes no address.

    Raises:
        BadName: Both together are not exactly two good segments.
    """
    for text in (app, stream_name, tc_url):
        _limited(text)
    app_path, _mark, app_query = _bare(app).partition("?")
    url_path, _mark, url_query = _path_of(tc_url).partition("?")
    name_path, _mark, name_query = _bare(stream_name).partition("?")
    kind, colon, rest = name_path.partition(":")
    if colon and kind in ("mp4", "flv", "mp3"):
        name_path = rest
    name = _segments(name_path)
    query = app_query or url_query
    url = _segments(url_path)
    path = _segments(app_path) or url
    if len(path) + len(name) == 1 and "/" in query:
        # librtmp cuts "rtmp://h/live?token=1/s" after the query: what follows its last slash is
        # path. Where the path is complete without, slashes belong to values, as in base64.
        query, _slash, hidden = query.rpartition("/")
        path += _segments(hidden)
    if len(path) != 1 and len(url) == len(name) == 1:
        path = url
    if not name and name_query and len(path) == 1:
        raise BadName("the stream name is empty: put it before the question mark")
    return Address(_key(path + name), {**_query(query), **_query(name_query)})


def _key(segments: list[str]) -> StreamKey:
    if len(segments) < 2:
        raise BadName("an address has an application and a stream name, as in liveshow/test")
    if len(segments) > 2:
        raise BadName("an address has exactly one application and one stream name")
    return stream_key(_decoded(segments[0]), _decoded(segments[1]))


def _limited(text: str) -> None:
    size = len(text)
    if size > MAX_SPELLING_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_SPELLING_BYTES:
        raise BadName(f"the address is longer than {MAX_SPELLING_BYTES} bytes")


def _segments(path: str) -> list[str]:
    """Cut a path at its slashes, before anything is decoded: an encoded slash is none."""
    return [segment for segment in path.split("/") if segment]


def _bare(text: str) -> str:
    """Take off spaces and quotation marks around; other white space is no mistake of a person."""
    return text.strip(" ").strip("'\"")


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise BadName("the address is not UTF-8") from None


def _path_of(url: str) -> str:
    _scheme, mark, rest = _bare(url).partition("://")
    return rest.partition("/")[2] if mark else ""


def _query(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _checked(name: str, what: str) -> str:
    # Before the work of composing, which may make one letter of four characters, seldom of more.
    too_long = len(name) > 4 * MAX_NAME_LENGTH
    if not too_long:
        name = unicodedata.normalize("NFC", name)
        size = len(name.encode("utf-8", "surrogatepass"))
        too_long = len(name) > MAX_NAME_LENGTH or size > MAX_NAME_BYTES
    if too_long:
        raise BadName(
            f"{what} name is longer than {MAX_NAME_LENGTH} characters or {MAX_NAME_BYTES} bytes"
        )
    if not name:
        raise BadName(f"{what} name is empty")
    if name[0] == ".":
        raise BadName(f"{what} name begins with a dot")
    # It would be drawn on the character before the name.
    if unicodedata.category(name[0]) in _MARKS:
        raise BadName(f"{what} name begins with a mark that belongs to a letter")
    for character in name:
        if character in _ASCII:
            continue
        if (
            ord(character) < 128
            or unicodedata.category(character) not in _LETTER_CATEGORIES
            or _INVISIBLE.match(character)
        ):
            raise BadName(f"{what} name has a character that is not allowed: {character!a}")
    return name
