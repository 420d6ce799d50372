"""Tests of ntvmedia.admin.declared_types, relay_types and push_types: declared once."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import msgspec
import pytest
from msgspec import UNSET

from ntvmedia.admin import push_types, relay_types
from ntvmedia.admin.declared_types import given
from ntvmedia.admin.push_types import NewPush, PushChange, PushShown, PushStatus
from ntvmedia.admin.relay_types import NewRelay, RelayChange, RelayInstance, RelayShown
from ntvmedia.relay import push, pushes, states, task
from ntvmedia.relay.parts import Audio, Target, Video

TARGET = {"application": "liveshow", "stream": "one"}


def names(kind: Any) -> tuple[str, ...]:
    """Return the fields of a type."""
    return tuple(field.name for field in msgspec.structs.fields(kind))


def properties(kind: Any) -> Any:
    """Return what the description says of the fields of a type, with those inside."""
    return msgspec.json.schema(kind)["$defs"]


def test_same_fields() -> None:
    """All of them, in the same order, whoever adds one."""
    assert names(NewRelay) == names(RelayChange) == task.FIELDS
    assert names(NewPush) == names(PushChange) == pushes.FIELDS
    shown = task.describe(task.Relay("x"))
    assert set(names(RelayShown)) == {*shown, "created_at", "updated_at", "status"}
    described = pushes.describe(pushes.Push("x"))
    assert set(names(PushShown)) == {*described, "created_at", "updated_at", "status"}


def test_same_states() -> None:
    """What tasks say of themselves has its place, and its states are those that there are."""
    assert set(names(RelayInstance)) == {*states.RelayState._fields, "uptime_seconds"} - {
        "instances"
    }
    assert set(names(PushStatus)) == {*push.PushState._fields, "uptime_seconds"}
    assert set(get_args(relay_types.State)) == set(get_args(states.State))
    assert set(get_args(relay_types.State)) == set(get_args(push.State))


def test_defaults() -> None:
    """What is not given has the default of the declaration; a change has none."""
    made = msgspec.convert({"source": "test:", "target": TARGET}, NewRelay)
    read = task.Relay("", **task.read_fields(given(made)))
    assert read == task.Relay("", source="test:", target=Target("", "liveshow", "one"))
    pushed = msgspec.convert({"server": "rtmp://a"}, NewPush)
    assert pushes.Push("", **pushes.read_fields(given(pushed))) == pushes.Push(
        "", server="rtmp://a"
    )
    for kind in (RelayChange, PushChange):
        assert all(value is UNSET for value in msgspec.structs.asdict(kind()).values())
        assert given(kind()) == {}


def test_parts_of_a_change() -> None:
    """Of a part only what was sent is given on."""
    body = {"video": {"width": 640}, "target": {"query": ""}, "renditions": [{"stream": "a"}]}
    found = given(msgspec.convert(body, RelayChange))
    assert (found["video"], found["target"]) == ({"width": 640}, {"query": ""})
    assert found["renditions"][0]["video"]["codec"] == "copy"
    assert set(found) == set(body)


@pytest.mark.parametrize(
    ("declared", "kind", "name"),
    [
        (task.Relay, NewRelay, "NewRelay"),
        (Video, NewRelay, "RelayVideo"),
        (Audio, NewRelay, "RelayAudio"),
        (Video, RelayChange, "RelayVideoChange"),
        (pushes.Push, NewPush, "NewPush"),
    ],
)
def test_ranges(declared: Any, kind: Any, name: str) -> None:
    """The ranges and texts are those that are declared."""
    found = properties(kind)[name]["properties"]
    rules = {x.name: x.metadata["rule"] for x in fields(declared) if "rule" in x.metadata}
    assert list(found) == list(rules)
    for field, rule in rules.items():
        said = found[field]
        assert said["description"] == rule.text, field
        assert (said.get("minimum"), said.get("maximum")) == (rule.minimum, rule.maximum), field


def test_needed() -> None:
    """A task needs a source and a target, a push a server, and nothing else."""
    assert properties(NewRelay)["NewRelay"]["required"] == ["source", "target"]
    assert properties(NewRelay)["RelayTarget"]["required"] == ["application", "stream"]
    assert properties(NewPush)["NewPush"]["required"] == ["server"]


def test_no_secrets() -> None:
    """F-AC-03: what is shown has no room for a query."""
    for kind in (RelayShown, push_types.PushDetail):
        for part in properties(kind).values():
            assert "query" not in part.get("properties", {})
