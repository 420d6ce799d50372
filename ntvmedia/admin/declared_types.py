"""Types of the API, made of dataclasses whose fields say themselves what they may be.

So there is one declaration, and the API knows a new field, its range and what it is for, as soon as
it is there. See `ntvmedia.config.reading.setting`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType


def types_of(kind: type[Any], replaced: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the types that JSON has for the fields of a dataclass, with ranges and texts.

    Args:
        kind: Its fields were made by `setting`; those without a rule are left out.
        replaced: Types of some fields, without their texts, by name.

    Returns:
        By name, in their order.
    """
    hints = get_type_hints(kind, include_extras=True)
    found: dict[str, Any] = {}
    for field in fields(kind):
        rule = field.metadata.get("rule")
        if rule is not None:
            plain = (replaced or {}).get(field.name) or _plain(hints[field.name])
            least, most = (_bound(plain, x) for x in (rule.minimum, rule.maximum))
            found[field.name] = Annotated[plain, Meta(ge=least, le=most, description=rule.text)]
    return found


def new_struct(
    name: str,
    text: str,
    kind: type[Any],
    types: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    required: Collection[str] = (),
) -> Any:
    """Return the type of what makes one; what is not given has the default of the declaration.

    Args:
        name: Of the type.
        text: What it is.
        kind: The dataclass.
        types: Of its fields, by name; those that are not here are not taken.
        defaults: Instead of those of the declaration.
        required: The names of those that have none.
    """
    declared = {field.name: field.default for field in fields(kind)} | dict(defaults or {})
    rows = [(x, types[x]) if x in required else (x, types[x], declared[x]) for x in types]
    return _struct(name, text, rows, is_strict=True)


def change_struct(name: str, text: str, types: Mapping[str, Any]) -> Any:
    """Return the type of what changes some fields: those that are given.

    Args:
        name: Of the type.
        text: What it is.
        types: Of the fields, by name.
    """
    return _struct(name, text, [(x, types[x] | UnsetType, UNSET) for x in types], is_strict=True)


def shown_struct(name: str, text: str, types: Mapping[str, Any]) -> Any:
    """Return the type of what is shown.

    Args:
        name: Of the type.
        text: What it is.
        types: Of the fields, by name.
    """
    return _struct(name, text, list(types.items()), is_strict=False)


def given(body: Any) -> Any:
    """Return what a body has, with the bodies inside it, as plain JSON would have it.

    Fields that were not given are not there.
    """
    if isinstance(body, msgspec.Struct):
        values = ((name, getattr(body, name)) for name in body.__struct_fields__)
        return {name: given(value) for name, value in values if value is not UNSET}
    if isinstance(body, list | tuple):
        return [given(item) for item in body]
    return body


def _struct(name: str, text: str, rows: list[Any], *, is_strict: bool) -> Any:
    return msgspec.defstruct(
        name,
        rows,
        namespace={"__doc__": text},
        module=__name__,
        forbid_unknown_fields=is_strict,
        kw_only=True,
        # So that one may be the default of a field of another.
        frozen=is_strict,
    )


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _bound(plain: Any, bound: float | None) -> float | None:
    return int(bound) if bound is not None and plain is int else bound
