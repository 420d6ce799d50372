"""Names of streams: one rule for every protocol, and for files on disk.

Every spelling that a peer may use (RTMP's app, tcUrl and stream name, an RTSP or HTTP path, the
target of a relay) becomes a `StreamKey` here, or is refused with a reason that the peer can read.
Nothing else in the server interprets a path.
"""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from ntvmedia.errors import Refused

MAX_NAME_LENGTH: Final = 128

# A segment is cut to pieces only after this many bytes have been refused: long input costs nothing.
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
    return Address(
        _key([_decoded(segment) for segment in where.split("/") if segment]), _query(query)
    )


def parse_rtmp(app: str, stream_name: str, tc_url: str = "") -> Address:
    """Read RTMP's spelling: the `app` of `connect` and the name of `publish` or `play`.

    A query may stand behind either; that of the stream name wins. Encoders put surplus slashes
    and quotation marks around, prefix a file type (`mp4:`, `flv:`), or hide the query, with the
    stream's name behind it, in the app. Percent-encoding is decoded once.

    Args:
        app: Property `app` of the command object.
        stream_name: The name argument.
        tc_url: Property `tcUrl`, whose path stands in for an empty app.

    Raises:
        BadName: Both together are not exactly two good segments.
    """
    for text in (app, stream_name, tc_url):
        _limited(text)
    app = app.strip().strip("'\"")
    if not app.strip("/"):
        app = _path_of(tc_url)
    stream_name = stream_name.strip().strip("'\"")
    app_path, _mark, app_query = app.partition("?")
    name_path, _mark, name_query = stream_name.partition("?")
    # librtmp cuts "rtmp://h/live?token=1/s" after the query: what follows its last slash is path.
    app_query, slash, rest = app_query.partition("/")
    head, colon, tail = name_path.partition(":")
    if colon and head in ("mp4", "flv", "mp3"):
        name_path = tail
    segments = [
        _decoded(segment)
        for part in (app_path, rest if slash else "", name_path)
        for segment in part.split("/")
        if segment
    ]
    if name_path.strip("/") == "" and name_query and len(segments) == 1:
        raise BadName("the stream name is empty: put it before the question mark")
    return Address(_key(segments), {**_query(app_query), **_query(name_query)})


def _key(segments: list[str]) -> StreamKey:
    if len(segments) < 2:
        raise BadName("an address has an application and a stream name, as in liveshow/test")
    if len(segments) > 2:
        raise BadName("an address has exactly one application and one stream name")
    return stream_key(segments[0], segments[1])


def _limited(text: str) -> None:
    if len(text) > MAX_SPELLING_BYTES:
        raise BadName(f"the address is longer than {MAX_SPELLING_BYTES} characters")


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise BadName("the address is not UTF-8") from None


def _path_of(url: str) -> str:
    url = url.strip().strip("'\"")
    _scheme, mark, rest = url.partition("://")
    return rest.partition("/")[2] if mark else ""


def _query(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _checked(name: str, what: str) -> str:
    name = unicodedata.normalize("NFC", name)
    if not name:
        raise BadName(f"{what} name is empty")
    if len(name) > MAX_NAME_LENGTH or len(name.encode("utf-8", "surrogatepass")) > 255:
        raise BadName(f"{what} name is longer than {MAX_NAME_LENGTH} characters")
    if name[0] == ".":
        raise BadName(f"{what} name begins with a dot")
    for character in name:
        if character in _ASCII:
            continue
        if ord(character) < 128 or unicodedata.category(character) not in _LETTER_CATEGORIES:
            raise BadName(f"{what} name has a character that is not allowed: {ascii(character)}")
    return name
