"""What a callback is: whom it tells and asks, of what, and how.

A `Callback` is declared as an application is: annotations and metadata say what each field may be,
so the API and the documentation say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from ntvmedia.access.fields import Address, Password, read_some, shown, shown_key_url
from ntvmedia.access.refusals import WrongField
from ntvmedia.config.reading import Kind, Rule, WrongValue, setting, unknown_name

EVENTS: Final[Mapping[str, str]] = {
    "publish": "A publisher was accepted.",
    "unpublish": "That publisher has gone.",
    "play": "A viewer was given a stream.",
    "stop": "That viewer has left, or was sent away.",
    "stream_not_found": "Somebody asks for a stream that is not there, and waits for it.",
    "nobody_watching": "A stream has had no viewer for a while.",
    "record_start": "A stream is being recorded.",
    "record_stop": "It is no more.",
    "record_file": "A file of a recording is complete.",
    "relay_up": "A relay task has its source.",
    "relay_down": "A relay task has lost its source, or was stopped.",
    "upload_done": "An uploaded file is ready.",
    "transcode_done": "A file was transcoded.",
    "server_start": "The server has started.",
    "server_stop": "The server stops.",
}
"""The events that a callback may be told of, and what they mean (P-303)."""

DECISIONS: Final = ("publish", "play")
"""The events that can be asked about before they happen."""

SRS_ACTIONS: Final[Mapping[str, str]] = {
    "publish": "on_publish",
    "unpublish": "on_unpublish",
    "play": "on_play",
    "stop": "on_stop",
    "record_file": "on_dvr",
}
"""The events that the dialect of SRS has, and its names for them."""

MAX_NAME_LENGTH: Final = 128


def _read_name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    if not value.strip():
        raise WrongValue("it is empty")
    if len(value) > MAX_NAME_LENGTH:
        raise WrongValue("it is longer")
    if not value.isprintable():
        raise WrongValue("it has another character")
    return value


def _read_url(value: object) -> str:
    url: str = _address(value)
    if not url:
        raise WrongValue("it is empty")
    return url


def _read_events(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(x, str) for x in value):
        raise ValueError
    for name in value:
        if name not in EVENTS:
            raise WrongValue(unknown_name(shown(name), list(EVENTS)))
    if not value:
        raise WrongValue("there is none")
    return tuple(event for event in EVENTS if event in value)


# What applications take for the addresses of other systems: the message never quotes it.
_KIND: Final[Kind] = Address.__metadata__[0]  # type: ignore[attr-defined]
_address: Final = _KIND.read

Name = Annotated[str, Kind(f"text of 1 to {MAX_NAME_LENGTH} printable characters", _read_name)]
"""What an operator calls it."""

Events = Annotated[tuple[str, ...], Kind("a list of events", _read_events)]
"""Some of `EVENTS`, in their order, each once; at least one."""

URL = Annotated[str, Kind("an http:// or https:// address", _read_url)]
"""Whom it asks. It may have a secret in it: an error does not quote it."""


@dataclass(frozen=True, slots=True)
class Callback:
    """Somebody who is told, and may be asked. What the fields are for is said by `FIELDS`.

    Attributes:
        id: Given by the server, for good.
    """

    id: str
    name: Name = setting("", "What it is called.")
    # Not in the text of a callback that an exception or a log may show (F-AC-03).
    url: URL = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule(
                "Who is told and asked. What stands before its host and in its query is never "
                "shown."
            )
        },
    )
    events: Events = setting((), "What it is told of.")
    method: Literal["POST", "GET"] = setting(
        "POST", "How: JSON is posted, or the same fields stand in the query of a GET."
    )
    dialect: Literal["ntvmedia", "srs"] = setting(
        "ntvmedia",
        "Whose fields: our own, or those of SRS, for systems that were made for that.",
    )
    secret: Password = field(
        default="",
        repr=False,
        metadata={
            "rule": Rule("What each request is signed with; empty for none. It is never shown.")
        },
    )
    decides: bool = setting(
        False,
        "Whether it is asked before somebody publishes or plays, where it has these events, and "
        "may refuse.",
    )
    on_failure: Literal["deny", "allow"] = setting(
        "deny", "With `decides`: what holds where it gives no answer."
    )
    enabled: bool = setting(
        True, "A disabled callback is neither told nor asked; what waits for it goes on waiting."
    )


FIELDS: Final = tuple(name for name in Callback.__dataclass_fields__ if name != "id")
"""The names of the fields that may be set, in the order in which they are shown."""


def read_fields(raw: Mapping[str, object]) -> dict[str, Any]:
    """Check the values of some fields.

    Args:
        raw: By name, as JSON has them.

    Returns:
        Those of `raw`, as `Callback` wants them.

    Raises:
        WrongField: There is no such field, or its value is not allowed.
    """
    return read_some(_Fields, FIELDS, raw)


def check(callback: Callback) -> Callback:
    """Return it, if its fields go together.

    Raises:
        WrongField: They do not.
    """
    for name in ("name", "url", "events"):
        if not getattr(callback, name):
            raise WrongField("is missing", name)
    if callback.dialect == "srs":
        if callback.method != "POST":
            raise WrongField('the dialect "srs" is posted', "method")
        for event in callback.events:
            if event not in SRS_ACTIONS:
                raise WrongField(
                    f'the dialect "srs" has no "{event}", only {", ".join(SRS_ACTIONS)}', "events"
                )
    if callback.decides and not any(event in DECISIONS for event in callback.events):
        raise WrongField('only what has "publish" or "play" among its events decides', "decides")
    return callback


def describe(callback: Callback) -> dict[str, Any]:
    """Return what may be shown of a callback, as JSON has it (F-AC-03).

    The secret is not: `secret_set` says whether there is one. The address is without password and
    query; shown so, it is no address that could be set by mistake.
    """
    described: dict[str, Any] = {"id": callback.id}
    for name in FIELDS:
        value = getattr(callback, name)
        if name == "secret":
            described["secret_set"] = bool(value)
        elif name == "url":
            described["url"] = shown_key_url(value)
        else:
            described[name] = list(value) if isinstance(value, tuple) else value
    return described


@dataclass(frozen=True, slots=True)
class _Fields(Callback):
    """A callback whose id is nobody's business, for `read_some`."""

    id: str = ""
