"""What a relay task is: where a stream comes from, what is made of it, and where it goes.

A `Relay` is declared as an application is: annotations and metadata say what each field may be, so
the API and the documentation say the same. Its parts (`Video`, `Audio`, `Rendition`, `Target`) are
declared likewise; an error names a part's field with the part's: "video.width".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, TypeVar

from ntvmedia.access.fields import shown
from ntvmedia.access.refusals import WrongField
from ntvmedia.config.reading import Rule, Seconds, parse_section, setting, unknown_name
from ntvmedia.errors import ConfigError
from ntvmedia.media import StreamKey
from ntvmedia.media.names import stream_key
from ntvmedia.media.relaying import OutputOptions
from ntvmedia.relay.addresses import HIDDEN, fill_in, shown_address
from ntvmedia.relay.parts import (
    MAX_RENDITIONS,
    WILDCARD,
    Audio,
    Description,
    Fallbacks,
    Rendition,
    Source,
    Target,
    Video,
    values,
)

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay task. What the fields are for is said by their rules.

    Attributes:
        id: Given by the server, for good.
    """

    id: str
    description: Description = setting("", "What it is for.")
    enabled: bool = setting(True, "Whether it is started with the server.")
    on_demand: bool = setting(
        False, "Whether it pulls only while somebody watches; on this server only."
    )
    # Not in the text of a task that an exception or a log may show (F-AC-03).
    source: Source = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "Where the stream is pulled from. User, password and query are never shown."
            )
        },
    )
    fallbacks: Fallbacks = field(
        default=(),
        repr=False,
        metadata={"rule": Rule("Further sources: the first of all that works is taken.")},
    )
    recover_seconds: Seconds = setting(
        30.0,
        "With fallbacks: for how long the first source has to work before it is taken again.",
        minimum=1.0,
        maximum=3600.0,
    )
    transport: Literal["auto", "tcp", "udp"] = setting(
        "auto", "Of RTSP sources and targets: `auto` tries one after the other."
    )
    loop: bool = setting(
        True,
        "Whether a source that comes to its end, as a file does, begins anew; else the task is "
        "over then.",
    )
    stall_seconds: Seconds = setting(
        10.0,
        "A source from which no media come for this time is asked anew; it has 20 seconds for the "
        "first of them, or this time where that is longer.",
        minimum=1.0,
        maximum=600.0,
    )
    video: Video = setting(Video(), "What becomes of the video.")
    audio: Audio = setting(Audio(), "What becomes of the audio.")
    renditions: tuple[Rendition, ...] = setting(
        (), "Further streams of this server that are made of the same source, decoded once."
    )
    target: Target = setting(Target(), "Where the stream goes.")

    @property
    def sources(self) -> tuple[str, ...]:
        """The first source and the others."""
        return (self.source, *self.fallbacks)

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for as many streams as names match it."""
        return WILDCARD in self.target.stream and not self.target.server

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of all that it makes, the main one first; with `*` in a pattern."""
        return (self.target.stream, *(rendition.stream for rendition in self.renditions))

    @property
    def outputs(self) -> tuple[OutputOptions, ...]:
        """What each of `streams` is made into."""
        parts = ((self.video, self.audio), *((x.video, x.audio) for x in self.renditions))
        return tuple(OutputOptions(video.options(), audio.options()) for video, audio in parts)


class Place(NamedTuple):
    """What one task has for itself.

    Attributes:
        server: Of a target; empty for this one.
        application: There.
        stream: There; with `*` in a pattern.
    """

    server: str
    application: str
    stream: str


FIELDS: Final = tuple(name for name in Relay.__dataclass_fields__ if name != "id")
"""The names of the fields that may be set, in the order in which they are shown."""

_PARTS: Final[Mapping[str, type[Any]]] = {"video": Video, "audio": Audio, "target": Target}


def read_fields(raw: Mapping[str, object], before: Relay | None = None) -> dict[str, Any]:
    """Check the values of some fields.

    Args:
        raw: By name, as JSON has them. A part need not be whole: what it does not have stays as it
            is, or has its default; "renditions" and "fallbacks" are replaced.
        before: What they change.

    Returns:
        Those of `raw`, as `Relay` wants them.

    Raises:
        WrongField: There is no such field, or its value is not allowed.
    """
    plain = {name: value for name, value in raw.items() if name not in (*_PARTS, "renditions")}
    for name in plain:
        if name not in FIELDS:
            clause = f"unknown field; {unknown_name(shown(name), list(FIELDS))}"
            raise WrongField(clause, shown(name))
    section = _section(_Fields, plain, "")
    found = {name: getattr(section, name) for name in plain}
    for name, part in _PARTS.items():
        if name in raw:
            found[name] = _read_part(part, raw[name], name, getattr(before, name, None))
    if "renditions" in raw:
        found["renditions"] = tuple(_read_renditions(raw["renditions"]))
    return found


def places(relay: Relay) -> tuple[Place, ...]:
    """Return what it makes, and no other task may make too (E-ST-09)."""
    target = relay.target
    return tuple(Place(target.server, target.application, name) for name in relay.streams)


def keys(relay: Relay, text: str = "") -> tuple[StreamKey, ...]:
    """Return the streams of this server that it makes, the main one first.

    Args:
        relay: One whose target is this server.
        text: What `*` stands for in a pattern.

    Raises:
        BadName: With that text a name is none.
    """
    application = relay.target.application
    return tuple(stream_key(application, x.replace(WILDCARD, text)) for x in relay.streams)


def stands_for(pattern: str, name: str) -> str | None:
    """Return what `*` stands for in a name that matches a pattern; None where it does not match.

    It is one character or more, and begins with no dot: it may be put into the path of a file.
    """
    head, _star, tail = pattern.partition(WILDCARD)
    text = name[len(head) : len(name) - len(tail)]
    if not text or text[0] == "." or name != f"{head}{text}{tail}":
        return None
    return text


def with_text(relay: Relay, text: str) -> Relay:
    """Return the task of one name that a pattern stands for."""
    return replace(
        relay,
        source=fill_in(relay.source, text),
        fallbacks=tuple(fill_in(x, text) for x in relay.fallbacks),
        renditions=tuple(
            replace(x, stream=x.stream.replace(WILDCARD, text)) for x in relay.renditions
        ),
        target=replace(relay.target, stream=relay.target.stream.replace(WILDCARD, text)),
    )


def describe(relay: Relay) -> dict[str, Any]:
    """Return what may be shown of a task, as JSON has it (F-AC-03).

    Addresses are without user, password and query; shown so, they are none that could be set by
    mistake. The name of a stream on another server may be a key, and is hidden. Of the query of a
    target `query_set` says whether there is one.
    """
    described = written(relay)
    described["source"] = shown_address(relay.source)
    described["fallbacks"] = [shown_address(x) for x in relay.fallbacks]
    target = described["target"]
    if relay.target.server:
        target["server"] = shown_address(relay.target.server)
        target["stream"] = HIDDEN
    target["query_set"] = bool(target.pop("query"))
    return {"id": relay.id, **described}


def written(relay: Relay) -> dict[str, Any]:
    """Return all fields as JSON has them, secrets too: for the database."""
    described: dict[str, Any] = {name: getattr(relay, name) for name in FIELDS}
    described["fallbacks"] = list(relay.fallbacks)
    for name in _PARTS:
        described[name] = values(described[name])
    described["renditions"] = [
        {"stream": x.stream, "video": values(x.video), "audio": values(x.audio)}
        for x in relay.renditions
    ]
    return described


def _section(kind: type[_Part], raw: Mapping[str, object], where: str) -> _Part:
    try:
        return parse_section(kind, "relay", raw)
    except ConfigError as error:
        raise WrongField(str(error).partition(": ")[2], f"{where}{error.path[-1]}") from None


def _read_part(kind: type[_Part], value: object, name: str, before: _Part | None) -> _Part:
    given = _object(value, name, [x.name for x in dataclasses.fields(kind)])  # type: ignore[arg-type]
    read = _section(kind, given, f"{name}.")
    if before is None:
        return read
    return replace(before, **{x: getattr(read, x) for x in given})  # type: ignore[type-var]


def _read_renditions(value: object) -> Iterator[Rendition]:
    if not isinstance(value, list | tuple):
        raise WrongField("expected a list", "renditions")
    if len(value) > MAX_RENDITIONS:
        clause = f"expected at most {MAX_RENDITIONS}; there are {len(value):,}"
        raise WrongField(clause, "renditions")
    for number, item in enumerate(value):
        where = f"renditions[{number}]"
        given = _object(item, where, ["stream", "video", "audio"])
        named = {"stream": given["stream"]} if "stream" in given else {}
        yield Rendition(
            _section(Rendition, named, f"{where}.").stream,
            _read_part(Video, given.get("video", {}), f"{where}.video", None),
            _read_part(Audio, given.get("audio", {}), f"{where}.audio", None),
        )


def _object(value: object, where: str, known: list[str]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise WrongField("expected an object", where)
    for name in value:
        if name not in known:
            clause = f"unknown field; {unknown_name(shown(str(name)), known)}"
            raise WrongField(clause, f"{where}.{shown(str(name))}")
    return value


@dataclass(frozen=True, slots=True)
class _Fields(Relay):
    """A task whose id is nobody's business, for `parse_section`."""

    id: str = ""
