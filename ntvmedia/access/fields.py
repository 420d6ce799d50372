"""What the fields of an application take: how each kind of value is read, and what it allows.

`ntvmedia.access.applications` declares its fields with these kinds, beside the general ones of
`ntvmedia.config.reading`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from ntvmedia.access.outputs import OUTPUTS
from ntvmedia.access.referers import normal_host
from ntvmedia.access.refusals import WrongField
from ntvmedia.config.reading import (
    Kind,
    Text,
    WrongValue,
    parse_section,
    read_texts,
    unknown_name,
)
from ntvmedia.errors import ConfigError, Refused
from ntvmedia.media.names import stream_key
from ntvmedia.outbound import OutboundError, parse_target

MAX_PASSWORD_LENGTH: Final = 128
"""Characters; it has to fit into an address."""

MAX_REFERERS: Final = 200
"""Sites that one application may name: each viewer is compared with all."""

MAX_VARIANTS: Final = 10
"""Endings of joined streams: each is a line that every player reads, and a stream to watch."""

MAX_VARIANT_LENGTH: Final = 32
"""Characters of an ending; it has to leave room for the name before it."""

MAX_KEY_URL_LENGTH: Final = 1000
"""Characters of a key server's address, before a stream's name is put in."""

MAX_ADDRESS_LENGTH: Final = 1000
"""Characters of the address of another system."""

MAX_CLAIM_LENGTH: Final = 256
"""Characters of an issuer or an audience: mostly the address of a site."""

# Unknown names are shown cut: an error is one line.
_SHOWN_CHARACTERS: Final = 60

# Stands for what is not shown of an address. No address has these characters: one that was shown
# and is sent back is refused, and does not replace the secret by this.
_HIDDEN: Final = "<hidden>"

# RFC 3986 2: what an address is made of. The braces belong to the placeholders.
_ADDRESS: Final = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%{}]*")
_AUTHORITY_ENDS: Final = re.compile(r"[/?]")
_PLACEHOLDER: Final = re.compile(r"\{(?:application|stream|key)\}")


class ApplicationType(StrEnum):
    """What an application does with its streams (P-204)."""

    LIVE = "live"
    TIME_SHIFT = "time-shift"
    VOD = "vod"
    AUDIO = "audio"


def read_some(
    kind: type[Any], names: tuple[str, ...], raw: Mapping[str, object], **needed: object
) -> dict[str, Any]:
    """Check the values of some fields of a thing that is declared as a section is.

    Args:
        kind: Its dataclass.
        names: The fields that there are.
        raw: Values by name, as JSON has them; `Text` for those of a command line.
        needed: Values for fields that have no default, where `raw` has none.

    Returns:
        Those of `raw`, as `kind` wants them.

    Raises:
        WrongField: There is no such field, or its value is not allowed.
    """
    for name in raw:
        if name not in names:
            clause = f"unknown field; {unknown_name(shown(name), list(names))}"
            raise WrongField(clause, shown(name))
    try:
        read = parse_section(kind, "", {**needed, **raw})
    except ConfigError as error:
        raise WrongField(str(error).partition(": ")[2], error.path[-1]) from None
    return {name: getattr(read, name) for name in raw}


def shown(text: str) -> str:
    """Return a text that somebody sent as an error may have it: cut, and in ASCII."""
    return ascii(text[:_SHOWN_CHARACTERS])[1:-1]


def shown_key_url(url: str) -> str:
    """Return the address of a key server as it may be shown.

    What stands before the host (a password) and in the query (a token) is not.

    Args:
        url: As `KeyURL` reads it.
    """
    scheme, colon, rest = url.partition("://")
    where, mark, _query = rest.partition("?")
    host, slash, path = where.partition("/")
    _user, at, host = host.rpartition("@")
    return "".join((scheme, colon, at and f"{_HIDDEN}@", host, slash, path, mark and f"?{_HIDDEN}"))


def _read_name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    try:
        return stream_key(str(value), "stream").application
    except Refused as error:
        raise WrongValue(str(error)) from None


def _read_type(value: object) -> ApplicationType:
    if not isinstance(value, str):
        raise ValueError
    return ApplicationType(str(value))


def _read_outputs(value: object) -> tuple[str, ...]:
    texts = _read_list(value)
    for text in texts:
        if text not in OUTPUTS:
            raise WrongValue(unknown_name(shown(text), list(OUTPUTS)))
    return tuple(output for output in OUTPUTS if output in texts)


def _read_referers(value: object) -> tuple[str, ...]:
    texts = _read_list(value)
    if len(texts) > MAX_REFERERS:
        raise WrongValue(f"there are {len(texts):,}")
    hosts: dict[str, None] = {}
    for text in texts:
        try:
            hosts[normal_host(text)] = None
        except ValueError:
            raise WrongValue(f"not {text[:_SHOWN_CHARACTERS]!a}") from None
    return tuple(hosts)


def _read_recording(value: object) -> str:
    if value == "automatic":
        raise WrongValue("automatic recording is not served yet")
    if value != "manual":
        raise ValueError
    return "manual"


def _read_password(value: object) -> str:
    # What was wrong with it is not told by quoting it (F-AC-03).
    if not isinstance(value, str):
        raise WrongValue("it is no text")
    if len(value) > MAX_PASSWORD_LENGTH:
        raise WrongValue("it is longer")
    if not value.isprintable():
        raise WrongValue("it has another character")
    return str(value)


def _read_variants(value: object) -> tuple[str, ...]:
    texts = _read_list(value)
    if len(texts) > MAX_VARIANTS:
        raise WrongValue(f"there are {len(texts):,}")
    endings: dict[str, None] = {}
    for text in texts:
        # Names are composed, and so are their ends, or none would be found.
        ending = unicodedata.normalize("NFC", text[: MAX_VARIANT_LENGTH + 1])
        if len(ending) > MAX_VARIANT_LENGTH:
            raise WrongValue(f"{shown(text)!a} is longer than {MAX_VARIANT_LENGTH} characters")
        # It would be drawn on the last letter of the name before it, or become one with it.
        if unicodedata.category(ending[0]).startswith("M"):
            raise WrongValue(f"{ending!a} begins with a mark that belongs to a letter")
        try:
            # Of a name with it: a dot may come first, and what looks like a file may not come last.
            stream_key("any", f"x{ending}")
        except Refused as error:
            raise WrongValue(f"with {ending!a} a {error}") from None
        if ending in endings:
            raise WrongValue(f"{ending!a} is given twice")
        endings[ending] = None
    return tuple(endings)


def _read_key_url(value: object) -> str:
    # As with a password: it may have one in it, and is not quoted.
    if not isinstance(value, str):
        raise WrongValue("it is no text")
    url = str(value)
    if not url:
        return url
    if len(url) > MAX_KEY_URL_LENGTH:
        raise WrongValue(f"it is longer than {MAX_KEY_URL_LENGTH:,} characters")
    if not _ADDRESS.fullmatch(url):
        raise WrongValue("it has a character that an address has not, or a #")
    bare = _PLACEHOLDER.sub("", url)
    if "{" in bare or "}" in bare:
        raise WrongValue("it has braces other than {application}, {stream} and {key}")
    if "{key}" not in url:
        raise WrongValue("it has no {key}, so all keys would be one")
    # Publishers choose the names of their streams, but not whom this server asks.
    if "{" in _AUTHORITY_ENDS.split(url.partition("://")[2])[0]:
        raise WrongValue("it has {application}, {stream} or {key} before its path")
    try:
        parse_target(_PLACEHOLDER.sub("x", url))
    except OutboundError as error:
        raise WrongValue(str(error)) from None
    return url


def _read_address(value: object) -> str:
    # As with a key server: not quoted.
    if not isinstance(value, str):
        raise WrongValue("it is no text")
    url = str(value)
    if not url:
        return url
    if len(url) > MAX_ADDRESS_LENGTH:
        raise WrongValue(f"it is longer than {MAX_ADDRESS_LENGTH:,} characters")
    if not _ADDRESS.fullmatch(url) or "{" in url or "}" in url:
        raise WrongValue("it has a character that an address has not, or a #")
    try:
        parse_target(url)
    except OutboundError as error:
        raise WrongValue(str(error)) from None
    return url


def _read_claim(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue("it is no text")
    if len(value) > MAX_CLAIM_LENGTH:
        raise WrongValue("it is longer")
    if not value.isprintable():
        raise WrongValue("it has another character")
    return str(value)


def _read_list(value: object) -> tuple[str, ...]:
    """Read a list, which has commas on the command line."""
    if isinstance(value, Text) and not value.startswith("["):
        value = [text.strip() for text in value.split(",")] if value else []
    return read_texts(value)


Name = Annotated[str, Kind('1 to 128 letters, digits, "_", "-" and "."', _read_name)]
"""The name of an application, composed (NFC)."""

Type = Annotated[
    ApplicationType, Kind(" or ".join(f'"{kind}"' for kind in ApplicationType), _read_type)
]
"""One of `ApplicationType`."""

Outputs = Annotated[
    tuple[str, ...], Kind(f"a list of {', '.join(OUTPUTS)}, or of some of them", _read_outputs)
]
"""Some of `OUTPUTS`, in their order, each once."""

Referers = Annotated[
    tuple[str, ...],
    Kind(f'a list of at most {MAX_REFERERS} hosts such as "example.org"', _read_referers),
]
"""Hosts as `normal_host` spells them, each once."""

Recording = Annotated[
    Literal["manual", "automatic"], Kind('"manual" or "automatic"', _read_recording)
]
"""When streams are recorded."""

Password = Annotated[
    str, Kind(f"text of at most {MAX_PASSWORD_LENGTH} printable characters", _read_password)
]
"""A secret: an error does not quote it."""

Variants = Annotated[
    tuple[str, ...],
    Kind(
        f"a list of at most {MAX_VARIANTS} ends of streams' names, each of 1 to "
        f'{MAX_VARIANT_LENGTH} letters, digits, "_", "-" and ".", such as "_720p"',
        _read_variants,
    ),
]
"""Ends of names, composed (NFC), in the order given, each once."""

KeyURL = Annotated[
    str, Kind("an http:// or https:// address with {key} in it, or nothing", _read_key_url)
]
"""A template of addresses, which may have a secret in it: an error does not quote it."""

Address = Annotated[str, Kind("an http:// or https:// address, or nothing", _read_address)]
"""Of another system, which may have a secret in it: an error does not quote it."""

Claim = Annotated[
    str, Kind(f"text of at most {MAX_CLAIM_LENGTH} printable characters", _read_claim)
]
"""What a claim of a token must be."""
