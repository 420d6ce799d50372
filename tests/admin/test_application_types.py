"""Tests of ntvmedia.admin.application_types: the API has the fields that applications have."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from msgspec import UNSET

from ntvmedia.access import BUILT_IN, FIELDS, SECRETS, Application, describe, read_fields
from ntvmedia.admin.application_types import (
    ApplicationChange,
    ApplicationQuery,
    ApplicationShown,
    NewApplication,
)


def names(kind: Any) -> tuple[str, ...]:
    """Return the fields of a type."""
    return tuple(field.name for field in msgspec.structs.fields(kind))


def test_same_fields() -> None:
    """All of them, in the same order, whoever adds one."""
    assert names(NewApplication) == FIELDS
    assert names(ApplicationChange) == FIELDS
    shown = (*describe(Application("x")), "created_at", "updated_at", "streams", "viewers")
    assert names(ApplicationShown) == shown
    assert set(names(ApplicationShown)) & set(SECRETS) == set()


def test_defaults() -> None:
    """What is not given has the default of the application; a change has none."""
    made = msgspec.structs.asdict(NewApplication(name="x"))
    assert Application(**read_fields(made)) == Application("x")
    assert all(value is UNSET for value in msgspec.structs.asdict(ApplicationChange()).values())


def test_what_is_shown_can_be_sent() -> None:
    """What a GET shows of the fields may be sent back as it is."""
    for application in BUILT_IN.values():
        sent = {name: value for name, value in describe(application).items() if name in FIELDS}
        for kind in (NewApplication, ApplicationChange):
            read = msgspec.convert(sent, kind)
            given = {name: getattr(read, name) for name in sent}
            assert Application(**read_fields(given)) == application


def test_ranges() -> None:
    """The ranges and texts are those that are declared."""
    schema = msgspec.json.schema(NewApplication)["$defs"]["NewApplication"]["properties"]
    for name in FIELDS:
        rule = Application.__dataclass_fields__[name].metadata["rule"]
        assert schema[name]["description"] == rule.text
        assert (schema[name].get("minimum"), schema[name].get("maximum")) == (
            rule.minimum,
            rule.maximum,
        )


def test_types_to_filter_by() -> None:
    """The list is filtered by each type that there is."""
    hint = next(x for x in msgspec.structs.fields(ApplicationQuery) if x.name == "type").type
    (allowed,) = (x for x in get_args(hint) if x is not type(None))
    assert set(get_args(allowed)) == {x.type.value for x in BUILT_IN.values()}
