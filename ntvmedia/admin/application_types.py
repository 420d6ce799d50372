"""What the API takes and shows of an application: made of the fields of `Application` itself.

So there is one declaration, in `ntvmedia.access.applications`, and the API knows a new field, its
range and what it is for, as soon as it is there.
"""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ntvmedia.access import FIELDS, Application, describe
from ntvmedia.admin.paging import Page, Paging


def _plain(hint: Any) -> Any:
    """Return the type that JSON has for a kind of field."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _meta(name: str) -> Meta:
    """Return the range and the text of a field, as it is declared."""
    rule = Application.__dataclass_fields__[name].metadata["rule"]
    return Meta(ge=_bound(name, rule.minimum), le=_bound(name, rule.maximum), description=rule.text)


def _bound(name: str, bound: float | None) -> float | None:
    return int(bound) if bound is not None and _PLAIN[name] is int else bound


_PLAIN: Final = {
    name: _plain(hint) for name, hint in get_type_hints(Application, include_extras=True).items()
}

TYPES: Final[dict[str, Any]] = {name: Annotated[_PLAIN[name], _meta(name)] for name in FIELDS}
"""The types of all fields, by name."""


def _default(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


NewApplication: Final[Any] = msgspec.defstruct(
    "NewApplication",
    [
        ("name", TYPES["name"]),
        *(
            (field.name, TYPES[field.name], field.default)
            for field in fields(Application)
            if field.name != "name"
        ),
    ],
    namespace={"__doc__": "An application to be made; what is not given has its default."},
    module=__name__,
    forbid_unknown_fields=True,
    kw_only=True,
)

ApplicationChange: Final[Any] = msgspec.defstruct(
    "ApplicationChange",
    [(name, TYPES[name] | UnsetType, UNSET) for name in FIELDS],
    namespace={"__doc__": "Fields of an application that are to be changed."},
    module=__name__,
    forbid_unknown_fields=True,
    kw_only=True,
)


def _shown() -> list[tuple[str, Any]]:
    """List what is shown: what `describe` says, secrets not among it."""
    found: list[tuple[str, Any]] = []
    for name, value in describe(Application("any")).items():
        found.append((name, TYPES.get(name, type(value))))
    return found


ApplicationShown: Final[Any] = msgspec.defstruct(
    "Application",
    [
        *_shown(),
        ("created_at", Annotated[float, Meta(description="Seconds since 1970.")]),
        ("updated_at", Annotated[float, Meta(description="Seconds since 1970.")]),
        ("streams", Annotated[int, Meta(ge=0, description="How many it has now.")]),
        ("viewers", Annotated[int, Meta(ge=0, description="How many it has now.")]),
    ],
    namespace={
        "__doc__": "An application. Of its secrets it is said whether they are set: `NAME_set`."
    },
    module=__name__,
    kw_only=True,
)

ApplicationList: Final[Any] = msgspec.defstruct(
    "ApplicationList",
    [("applications", list[ApplicationShown])],
    bases=(Page,),
    namespace={"__doc__": "Applications."},
    module=__name__,
    kw_only=True,
)


class ApplicationQuery(Paging, kw_only=True):
    """Which applications are listed."""

    type: Literal["live", "time-shift", "vod", "audio"] | None = None
    enabled: bool | None = None
