"""What a push may be, which streams it is for, and where these go."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, strategies as st

from ntvmedia.access.refusals import WrongField
from ntvmedia.media import StreamKey
from ntvmedia.relay.pushes import (
    FIELDS,
    MAX_PATTERNS,
    Push,
    check,
    describe,
    match,
    matches,
    place,
    read_fields,
    target_url,
    written,
)

KEY = StreamKey("liveshow", "cam")
PUSH = Push("1", server="rtmp://u:secret@cdn.example", query="token=secret")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "", True),
        ("*", "cam", True),
        ("cam", "cam", True),
        ("cam", "Cam", False),
        ("cam", "cams", False),
        ("c?m", "cam", True),
        ("c?m", "cm", False),
        ("?", "", False),
        ("cam*", "cam", True),
        ("*a*b*", "xaybz", True),
        ("*a*b", "abab", True),
        ("*ab", "aab", True),
        ("a*", "ba", False),
        ("***?", "x", True),
        ("cam-[0-9]", "cam-1", False),
    ],
)
def test_match(pattern: str, name: str, expected: bool) -> None:
    """A star stands for any characters, also none; a question mark for one; all else for itself."""
    assert match(pattern, name) is expected


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_match_as_others_do(pattern: str, name: str) -> None:
    """Without brackets, it is what shells do."""
    assert match(pattern, name) is fnmatchcase(name, pattern)


def test_hostile_pattern() -> None:
    """F-RE-14: the worst pattern and the longest name take no time."""
    began = perf_counter()
    for _time in range(100):
        assert not match("*a" * 60 + "*b", "a" * 128)
    assert perf_counter() - began < 2.0


def test_streams() -> None:
    """All streams by default; else those of one application, of some names."""
    assert matches(PUSH, KEY)
    some = replace(PUSH, application="liveshow", streams=("a*", "ca?"))
    assert matches(some, KEY)
    assert not matches(some, StreamKey("other", "cam"))
    assert not matches(some, StreamKey("liveshow", "b"))
    assert not matches(some, StreamKey("liveshow", "cams"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "rtmp://u:secret@cdn.example/liveshow/cam?token=secret"),
        ({"query": ""}, "rtmp://u:secret@cdn.example/liveshow/cam"),
        (
            {"query": "?a=$STREAM&b=$APP", "server": "rtsp://h"},
            "rtsp://h/liveshow/cam?a=cam&b=liveshow",
        ),
        (
            {"target_stream": "key?token=1", "query": "x=2"},
            "rtmp://u:secret@cdn.example/liveshow/key?token=1&x=2",
        ),
        (
            {"target_application": "in/$APP", "target_stream": "$APP_$STREAM", "query": ""},
            "rtmp://u:secret@cdn.example/in/liveshow/$APP_cam",
        ),
        (
            {"target_stream": "$APP-$STREAM.$STREAMS", "query": ""},
            "rtmp://u:secret@cdn.example/liveshow/liveshow-cam.$STREAMS",
        ),
    ],
)
def test_addresses(fields: dict[str, Any], expected: str) -> None:
    """E-ST-12: what is set is in the address once, and names are put in where asked for."""
    assert target_url(replace(PUSH, **fields), KEY) == expected


def test_other_scripts() -> None:
    """RTMP is told a name as it is, RTSP encoded; a query always encoded."""
    key = StreamKey("liveshow", "tür")
    push = replace(PUSH, query="n=$STREAM", server="rtmp://h")
    assert target_url(push, key) == "rtmp://h/liveshow/tür?n=t%C3%BCr"
    assert (
        target_url(replace(push, server="rtsp://h"), key) == "rtsp://h/liveshow/t%C3%BCr?n=t%C3%BCr"
    )


def test_no_second_round() -> None:
    """What is put in is not looked into again."""
    push = replace(PUSH, server="rtmp://h", target_application="$STREAM", query="")
    assert target_url(push, StreamKey("$STREAM", "$APP")) == "rtmp://h/$APP/$APP"


def test_places() -> None:
    """Another user, query or spelling of the host is no other place."""
    other = replace(PUSH, server="rtmp://CDN.example", query="")
    assert place(PUSH, KEY) == place(other, KEY) == "rtmp://cdn.example/liveshow/cam"
    assert place(replace(PUSH, target_stream="x$STREAM"), KEY) != place(PUSH, KEY)


@pytest.mark.parametrize(
    ("fields", "field", "clause"),
    [
        ({"server": ""}, "server", "is missing"),
        ({"target_stream": ""}, "target_stream", "is missing"),
        ({"target_stream": "key"}, "target_stream", "several streams"),
        (
            {"target_stream": "key", "application": "a", "streams": ("x*",)},
            "target_stream",
            "several streams",
        ),
        ({"target_stream": "$STREAMS"}, "target_stream", "several streams"),
        ({"target_application": "in"}, "target_stream", "several applications"),
    ],
)
def test_what_does_not_go_together(fields: dict[str, Any], field: str, clause: str) -> None:
    """Streams do not get in each other's way there."""
    with pytest.raises(WrongField, match=clause) as caught:
        check(replace(PUSH, **fields))
    assert caught.value.field == field


def test_what_goes_together() -> None:
    """One stream may go to a key; several have their names, or something of them in the query."""
    for fields in (
        {},
        {"application": "a", "streams": ("x",), "target_stream": "key"},
        {"application": "a", "target_application": "b"},
        {"target_application": "b", "target_stream": "$APP_x-$APP-$STREAM"},
        {"application": "a", "target_stream": "key", "query": "name=$STREAM"},
    ):
        push = replace(PUSH, **fields)
        assert check(push) == push


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("server", "http://h"),
        ("server", "rtmp://h/app"),
        ("server", 7),
        ("application", "a/b"),
        ("application", None),
        ("streams", ["a/b"]),
        ("streams", [""]),
        ("streams", [7]),
        ("streams", {"a": 1}),
        ("streams", ["x" * 129]),
        ("streams", [f"x{n}" for n in range(MAX_PATTERNS + 1)]),
        ("target_stream", "a b"),
        ("target_application", "x" * 513),
        ("query", "a\n"),
        ("transport", "sctp"),
        ("stall_seconds", 0),
        ("stall_seconds", -1),
        ("stall_seconds", 1e9),
        ("stall_seconds", float("nan")),
        ("enabled", "yes"),
        ("id", "2"),
        ("unknown", 1),
    ],
)
def test_wrong_values(field: str, value: object) -> None:
    """E-ST-06: what cannot be is refused by the name of its field."""
    with pytest.raises(WrongField) as caught:
        read_fields({field: value})
    assert caught.value.field == field


def test_another_server() -> None:
    """A push has no other: nobody is told to leave the server out."""
    with pytest.raises(WrongField) as caught:
        read_fields({"server": "http://h"})
    assert "rtmp://HOST:PORT; " in str(caught.value)
    assert "this server" not in str(caught.value)


def test_no_secret_is_quoted() -> None:
    """F-AC-03: neither an error nor the text of a push has what is secret in it."""
    for field, value in (
        ("server", "rtmp://u:secret@h/x"),
        ("query", "secret x"),
        ("target_stream", "secret x"),
    ):
        with pytest.raises(WrongField) as caught:
            read_fields({field: value})
        assert "secret" not in str(caught.value)
    assert "secret" not in repr(replace(PUSH, target_stream="secret"))


def test_values() -> None:
    """Names are kept as they are looked for, once each; one name may stand without a list."""
    read = read_fields({"streams": ["tu\u0308r*", "tür*", "b?"], "server": "RTMPS://h:444/"})
    assert read == {"streams": ("tür*", "b?"), "server": "rtmps://h:444"}
    assert read_fields({"streams": "cam"}) == {"streams": ("cam",)}
    assert read_fields({"streams": []}) == {"streams": ()}


def test_shown_and_written() -> None:
    """F-AC-03: of user, password and query nothing is shown; all of it is written."""
    shown = describe(PUSH)
    assert "secret" not in str(shown)
    assert shown["query_set"] is True
    assert shown["id"] == "1"
    assert describe(replace(PUSH, target_stream="key"))["target_stream"] == "<hidden>"
    assert describe(replace(PUSH, target_stream="$APP_x"))["target_stream"] == "$APP_x"
    assert shown["server"].endswith("@cdn.example")
    with pytest.raises(WrongField):
        read_fields({"server": shown["server"]})
    assert tuple(written(PUSH)) == FIELDS
    assert Push("1", **read_fields(written(PUSH))) == PUSH
