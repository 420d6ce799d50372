"""Tests of ntvmedia.callbacks.callback: fields, and which of them go together."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest

from ntvmedia.access.refusals import WrongField
from ntvmedia.admin.callback_types import Event, NewCallback
from ntvmedia.callbacks.callback import EVENTS, FIELDS, Callback, check, describe, read_fields

GOOD = Callback("1", "a", "http://r.example/", ("play",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " "),
        ("name", "x" * 129),
        ("name", "a\nb"),
        ("name", 5),
        ("url", ""),
        ("url", "ftp://r.example/"),
        ("url", "http://r.example/#x"),
        ("url", "http://r.example/\r\nX: y"),
        ("url", "http://0x7f.1/"),
        ("url", "http://<hidden>@r.example/?<hidden>"),
        ("url", "http://r.example/" + "x" * 1000),
        ("url", None),
        ("events", []),
        ("events", "play"),
        ("events", ["nothing"]),
        ("events", [["play"]]),
        ("method", "PUT"),
        ("dialect", "zlm"),
        ("secret", "x" * 129),
        ("secret", "a\0"),
        ("secret", 7),
        ("decides", "yes"),
        ("on_failure", "maybe"),
        ("enabled", 1),
        ("id", "2"),
        ("bogus", 1),
    ],
)
def test_wrong(field: str, value: Any) -> None:
    """What is not allowed is refused by the field's name, and a secret is not quoted (F-AC-03)."""
    with pytest.raises(WrongField) as caught:
        read_fields({field: value})
    assert caught.value.field == field
    if field in ("url", "secret") and isinstance(value, str) and value:
        assert value not in str(caught.value)


def test_good() -> None:
    """What is allowed is kept; events in one order, each once."""
    raw = {
        "name": "Büro",
        "url": "https://me:pw@r.example:8443/h?token=x",
        "events": ["stop", "play", "stop"],
        "method": "GET",
        "secret": "s" * 128,
        "decides": True,
        "on_failure": "allow",
        "enabled": False,
    }
    read = read_fields(raw)
    assert read["events"] == ("play", "stop")
    assert {name: read[name] for name in raw if name != "events"} == {
        name: raw[name] for name in raw if name != "events"
    }


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"url": ""}, "url"),
        ({"events": ()}, "events"),
        ({"dialect": "srs", "method": "GET"}, "method"),
        ({"dialect": "srs", "events": ("play", "server_start")}, "events"),
        ({"decides": True, "events": ("stop",)}, "decides"),
    ],
)
def test_together(fields: dict[str, Any], field: str) -> None:
    """Fields that do not go together are refused."""
    with pytest.raises(WrongField) as caught:
        check(replace(GOOD, **fields))
    assert caught.value.field == field


def test_shown() -> None:
    """F-AC-03: neither the secret nor what may be secret of the address is shown."""
    secret = replace(GOOD, url="https://me:pw@r.example/h?token=t", secret="topsecret")
    shown = describe(secret)
    assert list(shown) == ["id", *(x if x != "secret" else "secret_set" for x in FIELDS)]
    assert (shown["url"], shown["secret_set"]) == ("https://<hidden>@r.example/h?<hidden>", True)
    text = json.dumps(shown) + repr(secret)
    assert not [x for x in ("pw", "token=t", "topsecret") if x in text]
    # What is shown is not taken for the address when it is sent back.
    with pytest.raises(WrongField):
        read_fields({"url": shown["url"]})


def test_types_of_the_api() -> None:
    """The API knows the same events and fields."""
    assert get_args(Event) == tuple(EVENTS)
    assert NewCallback.__struct_fields__ == FIELDS
