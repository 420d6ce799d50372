"""Tests of ntvmedia.access.applications: fields and their values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ntvmedia.access import (
    BUILT_IN,
    FIELDS,
    OUTPUTS,
    Application,
    ApplicationType,
    WrongField,
    describe,
    read_fields,
)
from ntvmedia.access.applications import MAX_SEGMENT_SECONDS
from ntvmedia.access.fields import MAX_PASSWORD_LENGTH, MAX_REFERERS
from ntvmedia.config import Text, describe_section
from ntvmedia.endpoints.http.hls.segmenter import LONGEST_SEGMENT_SECONDS


def test_defaults() -> None:
    """P-204: a new application is open to all, on every output."""
    assert Application("a") == Application(
        name="a",
        type=ApplicationType.LIVE,
        enabled=True,
        outputs=("rtmp", "flv", "ts", "hls", "rtsp"),
        recording="manual",
        publish_password="",
        referers=(),
        allow_empty_referer=True,
        signed=False,
        encrypted=False,
        hls_segment_seconds=2.0,
        hls_segment_count=7,
        hls_always=False,
        hls_sessions=True,
        hls_end_list=False,
    )


def test_longest_segment() -> None:
    """C-PL-04: nobody is promised a segment that the segmenter does not make."""
    assert MAX_SEGMENT_SECONDS == LONGEST_SEGMENT_SECONDS


def test_built_in() -> None:
    """P-202: four, each of its type."""
    assert {name: application.type for name, application in BUILT_IN.items()} == {
        "liveshow": "live",
        "tv": "time-shift",
        "audio": "audio",
        "vod": "vod",
    }
    assert all(name == application.name for name, application in BUILT_IN.items())


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("name", "studio_1.a-b", "studio_1.a-b"),
        ("name", "Cafe\u0301", "Caf\u00e9"),
        ("type", "time-shift", ApplicationType.TIME_SHIFT),
        ("enabled", False, False),
        ("outputs", ["rtsp", "rtmp", "rtsp"], ("rtmp", "rtsp")),
        ("outputs", [], ()),
        ("recording", "manual", "manual"),
        ("publish_password", "", ""),
        ("publish_password", "中 ü'\"\\%&=", "中 ü'\"\\%&="),
        ("publish_password", "x" * MAX_PASSWORD_LENGTH, "x" * MAX_PASSWORD_LENGTH),
        ("referers", ["B.example", "a.example", "b.example."], ("b.example", "a.example")),
        ("referers", [], ()),
        ("encrypted", False, False),
        ("hls_segment_seconds", 1, 1.0),
        ("hls_segment_seconds", 20.0, 20.0),
        ("hls_segment_count", 3, 3),
        ("hls_segment_count", 30, 30),
        # From a command line everything is text.
        ("enabled", Text("false"), False),
        ("outputs", Text("hls, rtmp"), ("rtmp", "hls")),
        ("outputs", Text(""), ()),
        ("outputs", Text('["hls"]'), ("hls",)),
        ("referers", Text("a.example,例子.cn"), ("a.example", "xn--fsqu00a.cn")),
        ("encrypted", Text("false"), False),
        ("hls_segment_seconds", Text("2.5"), 2.5),
        ("hls_segment_count", Text("12"), 12),
        ("publish_password", Text("true"), "true"),
    ],
)
def test_good(name: str, given: object, value: object) -> None:
    """Values are read, put into their one form, and are what they are called."""
    (found,) = read_fields({name: given}).values()
    assert found == value
    assert type(found) is type(value)
    assert read_fields({name: found}) == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "clause"),
    [
        ("name", "", "application name is empty"),
        ("name", "mserver", 'application name "mserver" is reserved'),
        ("name", "a/b", "a character that is not allowed: '/'"),
        ("name", "a\x1b[2J", r"not allowed: '\x1b'"),
        ("name", None, "not None"),
        ("type", "hologram", '"live" or "time-shift" or "vod" or "audio", not \'hologram\''),
        ("type", 1, "not 1"),
        ("enabled", 1, "expected true or false, not 1"),
        ("enabled", "true", "not 'true'"),
        ("enabled", Text("yes"), "not 'yes'"),
        ("enabled", None, "not None"),
        ("outputs", ["hsl"], "did you mean hls?"),
        ("outputs", ["\x1b"], r"or of some of them, not ['\x1b']"),
        ("outputs", [1], "not [1]"),
        ("outputs", {"rtmp": True}, "expected a list of rtmp, flv, ts, hls, rtsp"),
        ("outputs", Text("rtmp;hls"), "outputs: expected"),
        ("outputs", Text("rtmp,"), "outputs: expected"),
        ("recording", "automatic", "automatic recording is not served yet"),
        ("recording", "always", 'expected "manual" or "automatic", not \'always\''),
        ("publish_password", "x" * (MAX_PASSWORD_LENGTH + 1), "it is longer"),
        ("publish_password", "a\r\nb", "it has another character"),
        ("publish_password", "a\x00", "it has another character"),
        ("publish_password", "\ud800", "it has another character"),
        ("publish_password", "a\u2028b", "it has another character"),
        ("publish_password", "a\u202eb", "it has another character"),
        ("publish_password", 5, "it is no text"),
        ("publish_password", None, "it is no text"),
        ("referers", ["https://a.example/"], "not 'https://a.example/'"),
        ("referers", ["a.example:80"], "not 'a.example:80'"),
        ("referers", ["*.a.example"], "not '*.a.example'"),
        ("referers", ["a\r\nb"], "referers: expected"),
        ("referers", [""], "referers: expected"),
        ("referers", ["a.example"] * (MAX_REFERERS + 1), "there are 201"),
        ("referers", "x" * 100_000, "xxx"),
        ("allow_empty_referer", "no", "not 'no'"),
        ("signed", [], "not []"),
        ("encrypted", True, "encryption is not served yet"),
        ("encrypted", Text("true"), "encryption is not served yet"),
        ("encrypted", 0, "expected true or false, not 0"),
        ("hls_segment_seconds", 0.999, "expected seconds, 1 to 20, not 0.999"),
        ("hls_segment_seconds", 20.001, "1 to 20"),
        ("hls_segment_seconds", float("nan"), "1 to 20"),
        ("hls_segment_seconds", float("inf"), "1 to 20"),
        ("hls_segment_seconds", 10**400, "1 to 20"),
        ("hls_segment_seconds", True, "not True"),
        ("hls_segment_seconds", "2", "not '2'"),
        ("hls_segment_seconds", Text("2s"), "not '2s'"),
        ("hls_segment_count", 2, "expected a whole number, 3 to 30, not 2"),
        ("hls_segment_count", 31, "3 to 30"),
        ("hls_segment_count", 7.0, "not 7.0"),
        ("hls_segment_count", Text("9" * 5000), "3 to 30"),
        ("typ", "live", "unknown field; did you mean type?"),
        ("Enabled", True, "unknown field; did you mean enabled?"),
        ("publish_password_set", True, "unknown field; did you mean publish_password?"),
        ("created_at", 0, "unknown field; "),
        ("", 0, "unknown field; "),
        ("\x1b[2J\n", 0, "unknown field; "),
        ("x" * 100_000, 0, "unknown field; "),
    ],
)
def test_wrong(name: str, value: object, clause: str) -> None:
    """F-IN-06: what is refused names its field and says why, in one short line without controls."""
    with pytest.raises(WrongField) as refused:
        read_fields({"enabled": True, name: value})
    error = refused.value
    assert clause in str(error)
    assert str(error) == f"{error.field}: {error.clause}"
    assert error.field == (name if name in FIELDS else ascii(name[:60])[1:-1])
    assert str(error).isprintable()
    assert len(str(error)) < 500


def test_a_wrong_password_is_not_quoted() -> None:
    """F-AC-03: an answer or a log does not have the password that was refused."""
    for value in ("sEcReT\n", "sEcReT" * 99, Text("sEcReT\x7f"), ["sEcReT"], {"x": "sEcReT"}):
        with pytest.raises(WrongField) as refused:
            read_fields({"publish_password": value})
        assert "sEcReT" not in str(refused.value)


def test_only_what_was_given() -> None:
    """What was not given is not there: a change leaves it as it was."""
    assert read_fields({}) == {}
    assert list(read_fields({"signed": True, "enabled": True})) == ["signed", "enabled"]


def test_describe() -> None:
    """F-AC-03: everything may be shown but the password."""
    application = Application("tv", publish_password="sEcReT", referers=("a.example",))
    shown = describe(application)
    assert "sEcReT" not in repr(shown) + repr(application)
    assert (shown["publish_password_set"], shown["built_in"]) == (True, True)
    assert (shown["outputs"], shown["referers"]) == (list(OUTPUTS), ["a.example"])
    assert set(shown) == {*FIELDS, "publish_password_set", "built_in"} - {"publish_password"}
    shown = describe(Application("a"))
    assert (shown["publish_password_set"], shown["built_in"]) == (False, False)


def test_documented() -> None:
    """Every field says what it is for and what it may be, for the reference."""
    settings = {setting.key: setting for setting in describe_section(Application)}
    assert tuple(settings) == FIELDS
    assert settings["hls_segment_count"].expected == "a whole number, 3 to 30"
    for setting in settings.values():
        assert setting.rule.text.endswith(".")
        assert setting.expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=20), VALUES, max_size=4))
def test_whatever_is_sent(raw: dict[str, Any]) -> None:
    """Whatever JSON has is read, or refused with its field; and what is read is good again."""
    try:
        fields = read_fields(raw)
    except WrongField as error:
        assert str(error).isprintable()
        return
    assert fields.keys() == raw.keys()
    application = Application(**{"name": "a", **fields})
    assert read_fields({name: getattr(application, name) for name in FIELDS})
