"""Applications: the first part of every stream's address, and what they are for.

An `Application` is declared as a section of the configuration is: annotations and metadata say
what each field may be, so the API, the command line and the documentation say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from ntvmedia.access.outputs import OUTPUTS
from ntvmedia.access.referers import normal_host
from ntvmedia.access.refusals import WrongField
from ntvmedia.config.reading import (
    Count,
    Kind,
    Rule,
    Seconds,
    Text,
    WrongValue,
    parse_section,
    read_texts,
    setting,
    unknown_name,
)
from ntvmedia.errors import ConfigError, Refused
from ntvmedia.media.names import stream_key

MAX_PASSWORD_LENGTH: Final = 128
"""Characters; it has to fit into an address."""

MAX_REFERERS: Final = 200
"""Sites that one application may name: each viewer is compared with all."""

MAX_SEGMENT_SECONDS: Final = 20.0
"""The segmenter makes none that is longer, whatever is asked for."""

# Unknown names are shown cut: an error is one line.
_SHOWN_CHARACTERS: Final = 60


class ApplicationType(StrEnum):
    """What an application does with its streams (P-204)."""

    LIVE = "live"
    TIME_SHIFT = "time-shift"
    VOD = "vod"
    AUDIO = "audio"


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
            raise WrongValue(unknown_name(_shown(text), list(OUTPUTS)))
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


def _read_encrypted(value: object) -> bool:
    if value is True or (isinstance(value, Text) and value == "true"):
        raise WrongValue("encryption is not served yet")
    if value is not False and not (isinstance(value, Text) and value == "false"):
        raise ValueError
    return False


def _read_list(value: object) -> tuple[str, ...]:
    """Read a list, which has commas on the command line."""
    if isinstance(value, Text) and not value.startswith("["):
        value = [text.strip() for text in value.split(",")] if value else []
    return read_texts(value)


_Name = Annotated[str, Kind('1 to 128 letters, digits, "_", "-" and "."', _read_name)]
_Type = Annotated[
    ApplicationType, Kind(" or ".join(f'"{kind}"' for kind in ApplicationType), _read_type)
]
_Outputs = Annotated[
    tuple[str, ...], Kind(f"a list of {', '.join(OUTPUTS)}, or of some of them", _read_outputs)
]
_Referers = Annotated[
    tuple[str, ...],
    Kind(f'a list of at most {MAX_REFERERS} hosts such as "example.org"', _read_referers),
]
_Recording = Annotated[
    Literal["manual", "automatic"], Kind('"manual" or "automatic"', _read_recording)
]
_Password = Annotated[
    str, Kind(f"text of at most {MAX_PASSWORD_LENGTH} printable characters", _read_password)
]
_Encrypted = Annotated[bool, Kind("true or false", _read_encrypted)]


@dataclass(frozen=True, slots=True)
class Application:
    """A named place for streams. What the fields are for is said by `FIELDS`."""

    name: _Name = field(metadata={"rule": Rule("The first part of the address of its streams.")})
    type: _Type = setting(
        ApplicationType.LIVE,
        "What it does with its streams: of those in an `audio` application only the sound is kept.",
    )
    enabled: bool = setting(
        True, "A disabled application refuses publishers and players, and drops those it has."
    )
    outputs: _Outputs = setting(
        OUTPUTS, "How its streams may be played; `flv` and `ts` are those over HTTP and WebSocket."
    )
    recording: _Recording = setting(
        "manual", "Whether streams are recorded by hand, or each of them."
    )
    # Not in the text of an application that an exception or a log may show.
    publish_password: _Password = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "A publisher must have it in its address, as `password=`; empty for none. It is "
                "never shown."
            )
        },
    )
    referers: _Referers = setting(
        (),
        "The hosts whose pages may play, with all names below them; empty for any. A page names "
        "itself in `Referer`, `Origin` or RTMP's `pageUrl`.",
    )
    allow_empty_referer: bool = setting(
        True, "With `referers`: whether players that name no page may play too."
    )
    signed: bool = setting(
        False, "Players need a signed address, as `ntvmedia sign` makes it: `expires=` and `sign=`."
    )
    encrypted: _Encrypted = setting(False, "Whether HLS is encrypted.")
    hls_segment_seconds: Seconds = setting(
        2.0,
        "The least length of a segment, which ends at the next keyframe.",
        minimum=1.0,
        maximum=MAX_SEGMENT_SECONDS,
    )
    hls_segment_count: Count = setting(7, "Segments in a playlist.", minimum=3, maximum=30)
    hls_always: bool = setting(
        False, "Make segments from the start of a stream, not only while somebody plays it by HLS."
    )
    hls_sessions: bool = setting(
        True,
        "Each viewer has addresses of its own, so that viewers are counted and can be sent away. "
        "Without, all have the same, as a CDN needs it.",
    )
    hls_end_list: bool = setting(
        False, "Say in the playlist that a stream has ended; players then do not wait for more."
    )


FIELDS: Final = tuple(Application.__dataclass_fields__)
"""The names of the fields, in the order in which they are shown."""

BUILT_IN: Final = {
    application.name: application
    for application in (
        Application("liveshow", ApplicationType.LIVE),
        Application("tv", ApplicationType.TIME_SHIFT),
        Application("audio", ApplicationType.AUDIO),
        Application("vod", ApplicationType.VOD),
    )
}
"""The applications that every server has, as they are at first, by name (P-202)."""


def read_fields(raw: Mapping[str, object]) -> dict[str, Any]:
    """Check the values of some fields.

    Args:
        raw: By name, as JSON has them; `Text` for those of a command line, where `true`, numbers
            and lists (with commas) are text.

    Returns:
        Those of `raw`, as `Application` wants them.

    Raises:
        WrongField: There is no such field, or its value is not allowed.
    """
    for name in raw:
        if name not in FIELDS:
            clause = f"unknown field; {unknown_name(name[:_SHOWN_CHARACTERS], list(FIELDS))}"
            raise WrongField(clause, _shown(name))
    try:
        read = parse_section(Application, "application", {"name": "any", **raw})
    except ConfigError as error:
        raise WrongField(str(error).partition(": ")[2], error.path[-1]) from None
    return {name: getattr(read, name) for name in raw}


def describe(application: Application) -> dict[str, Any]:
    """Return what may be shown of an application, as JSON has it.

    The publish password is not: `publish_password_set` says whether there is one.
    """
    shown: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(application, name)
        if name == "publish_password":
            shown["publish_password_set"] = bool(value)
        else:
            shown[name] = list(value) if isinstance(value, tuple) else value
    shown["built_in"] = application.name in BUILT_IN
    return shown


def _shown(text: str) -> str:
    return ascii(text[:_SHOWN_CHARACTERS])[1:-1]
