"""What a push is: which live streams are sent to which other server, and as what (P-701).

A `Push` is declared as an application is: annotations and metadata say what each field may be, so
the API and the documentation say the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal
from unicodedata import normalize
from urllib.parse import quote

from ntvmedia.access.fields import read_some
from ntvmedia.access.refusals import WrongField
from ntvmedia.config.reading import Kind, Rule, Seconds, WrongValue, setting
from ntvmedia.errors import Refused
from ntvmedia.media import StreamKey
from ntvmedia.media.names import MAX_NAME_LENGTH, stream_key
from ntvmedia.relay.addresses import HIDDEN, scheme_of, shown_address
from ntvmedia.relay.parts import Description, Server, TargetText

MAX_PATTERNS: Final = 50
"""Names and patterns of one push: each stream that begins is compared with all."""

APPLICATION: Final = "$APP"
"""In a target: the application of the stream."""

STREAM: Final = "$STREAM"
"""In a target: the stream's name there."""

_PLACEHOLDER: Final = re.compile(r"\$(?:APP|STREAM)(?![A-Za-z0-9_])")
_WILDCARDS: Final = re.compile(r"[*?]")

# RTMP's names are no part of an address: servers compare what was typed.
_PLAIN_SCHEMES: Final = ("rtmp", "rtmps")

# Besides letters, digits and "_.-~": what the names of streams have none of.
_NOTHING_SAFE: Final = ""


def _read_application(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue("it is no text")
    if not value:
        return ""
    try:
        return stream_key(value, "x").application
    except Refused as error:
        raise WrongValue(str(error)) from None


def _read_patterns(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value] if value else []
    if not isinstance(value, list | tuple):
        raise WrongValue("it is no list")
    if len(value) > MAX_PATTERNS:
        raise WrongValue(f"there are {len(value):,}")
    found: dict[str, None] = {}
    for number, item in enumerate(value, 1):
        try:
            found[_read_pattern(item)] = None
        except WrongValue as error:
            raise WrongValue(f"number {number}: {error}") from None
    return tuple(found)


def _read_pattern(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise WrongValue("it is no name")
    if len(value) > MAX_NAME_LENGTH:
        raise WrongValue(f"it is longer than {MAX_NAME_LENGTH} characters")
    try:
        # What its wildcards stand for are characters of a name.
        stream_key("x", _WILDCARDS.sub("x", value))
    except Refused as error:
        raise WrongValue(str(error)) from None
    return normalize("NFC", value)


Application = Annotated[str, Kind("the name of an application", _read_application)]
"""Of this server; empty for all."""

Patterns = Annotated[
    tuple[str, ...],
    Kind(f"a list of at most {MAX_PATTERNS} names, or patterns with * and ?", _read_patterns),
]
"""Streams of an application; none for all."""


@dataclass(frozen=True, slots=True)
class Push:
    """A push. What the fields are for is said by their rules.

    Attributes:
        id: Given by the server, for good.
    """

    id: str
    description: Description = setting("", "What it is for.")
    enabled: bool = setting(True, "Whether it sends streams, from the start of the server on.")
    application: Application = setting(
        "", "The application whose streams are sent; empty for all applications."
    )
    streams: Patterns = setting(
        (),
        "Which of its streams: names, and patterns in which `*` stands for any characters, also "
        "none, and `?` for one. An empty list stands for all.",
    )
    # Not in the text of a push that an exception or a log may show (F-AC-03).
    server: Server = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "The other server, as in `rtmp://HOST:PORT` or `rtsps://HOST`. User and password "
                "are never shown."
            )
        },
    )
    target_application: TargetText = setting(
        "", f"The application there; empty for that of the stream. `{APPLICATION}` is that too."
    )
    target_stream: TargetText = field(
        default=STREAM,
        # On many servers it is a key that lets anybody publish.
        repr=False,
        metadata={
            "rule": Rule(
                f"The name there: `{STREAM}` stands for the stream's name here, and "
                f"`{APPLICATION}` for its application. It has to be another for each stream that "
                "is sent."
            )
        },
    )
    query: TargetText = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "What follows the question mark in the address there, such as a token, in which "
                f"`{STREAM}` and `{APPLICATION}` may stand too. It is never shown."
            )
        },
    )
    transport: Literal["auto", "tcp", "udp"] = setting(
        "auto", "Of RTSP: `auto` tries TCP, then UDP."
    )
    stall_seconds: Seconds = setting(
        10.0,
        "A server that takes nothing for this time is asked anew.",
        minimum=1.0,
        maximum=600.0,
    )


FIELDS: Final = tuple(name for name in Push.__dataclass_fields__ if name != "id")
"""The names of the fields that may be set, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class _Fields(Push):
    """A push whose id is nobody's business, for `read_some`."""

    id: str = ""


def read_fields(raw: Mapping[str, object]) -> dict[str, Any]:
    """Check the values of some fields.

    Args:
        raw: By name, as JSON has them.

    Returns:
        Those of `raw`, as `Push` wants them.

    Raises:
        WrongField: There is no such field, or its value is not allowed.
    """
    return read_some(_Fields, FIELDS, raw)


def check(push: Push) -> Push:
    """Return it, if its fields go together.

    Raises:
        WrongField: They do not.
    """
    if not push.server:
        raise WrongField("is missing", "server")
    if not push.target_stream:
        raise WrongField("is missing", "target_stream")
    target = f"{push.target_application}/{push.target_stream}?{push.query}"
    named = set(_PLACEHOLDER.findall(target))
    one_name = len(push.streams) == 1 and not _WILDCARDS.search(push.streams[0])
    if not one_name and STREAM not in named:
        clause = f"needs {STREAM}: several streams would have the same name there"
        raise WrongField(clause, "target_stream")
    if not push.application and push.target_application and APPLICATION not in named:
        clause = f"needs {APPLICATION}: streams of several applications would have the same name"
        raise WrongField(clause, "target_stream")
    return push


def matches(push: Push, key: StreamKey) -> bool:
    """Say whether a stream is one that is sent."""
    if push.application and push.application != key.application:
        return False
    return not push.streams or any(match(pattern, key.stream) for pattern in push.streams)


def match(pattern: str, name: str) -> bool:
    """Say whether `*` and `?` of a pattern can stand for something that makes it a name.

    Without regular expressions, whose time nobody bounds (F-RE-14): at most as many steps as both
    lengths make when multiplied.
    """
    at = place = 0
    # Where the last star stands, and where what it stands for ends at the moment.
    star, star_end = -1, 0
    while place < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, star_end = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[place]):
            at += 1
            place += 1
        elif star >= 0:
            star_end += 1
            at, place = star + 1, star_end
        else:
            return False
    return all(character == "*" for character in pattern[at:])


def target_url(push: Push, key: StreamKey) -> str:
    """Return where a stream goes, with all secrets; the query once (E-ST-12)."""
    path, query = _target(push, key)
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{query}"


def place(push: Push, key: StreamKey) -> str:
    """Return what no other push may send another stream to, or the same one: the address alone."""
    path, _query = _target(push, key)
    scheme, _mark, rest = path.partition("://")
    authority, slash, rest = rest.partition("/")
    # No server is another one for another user, but names of hosts know no case.
    return f"{scheme}://{authority.rpartition('@')[2].lower()}{slash}{rest}"


def describe(push: Push) -> dict[str, Any]:
    """Return what may be shown of a push, as JSON has it (F-AC-03).

    The address is without user and password; shown so, it is none that could be set by mistake. A
    name that is not made of those here may be a key, and is hidden. Of the query `query_set` says
    whether there is one.
    """
    described = written(push)
    described["streams"] = list(push.streams)
    described["server"] = shown_address(push.server)
    if STREAM not in push.target_stream and APPLICATION not in push.target_stream:
        described["target_stream"] = HIDDEN
    described["query_set"] = bool(described.pop("query"))
    return {"id": push.id, **described}


def written(push: Push) -> dict[str, Any]:
    """Return all fields, secrets too: for the database."""
    values = asdict(push)
    return {name: values[name] for name in FIELDS}


def _target(push: Push, key: StreamKey) -> tuple[str, str]:
    is_plain = scheme_of(push.server) in _PLAIN_SCHEMES
    application = _filled(push.target_application or APPLICATION, key, is_plain=is_plain)
    stream = _filled(push.target_stream, key, is_plain=is_plain)
    query = _filled(push.query.removeprefix("?"), key, is_plain=False)
    return f"{push.server}/{application.strip('/')}/{stream.lstrip('/')}", query


def _filled(template: str, key: StreamKey, *, is_plain: bool) -> str:
    values = {APPLICATION: key.application, STREAM: key.stream}
    if not is_plain:
        values = {name: quote(value, safe=_NOTHING_SAFE) for name, value in values.items()}
    return _PLACEHOLDER.sub(lambda found: values[found[0]], template)
