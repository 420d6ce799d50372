"""Tests of ntvmedia.access.applications: fields and their values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ntvmedia.access import (
    BUILT_IN,
    FIELDS,
    OUTPUTS,
    SECRETS,
    Application,
    ApplicationType,
    WrongField,
    describe,
    read_fields,
)
from ntvmedia.access.applications import MAX_SEGMENT_SECONDS
from ntvmedia.access.fields import MAX_PASSWORD_LENGTH, MAX_REFERERS, shown_key_url
from ntvmedia.config import Text, describe_section
from ntvmedia.endpoints.http.hls.segmenter import LONGEST_SEGMENT_SECONDS

KEYS = "https://me:p%40ss@keys.example:8443/{application}/{stream}?key={key}&token=a+b"


def test_defaults() -> None:
    """P-204: a new application is open to all, on every output."""
    assert Application("a") == Application(
        name="a",
        type=ApplicationType.LIVE,
        enabled=True,
        outputs=("rtmp", "flv", "ts", "hls", "rtsp"),
        recording="manual",
        publish_password="",
        rtmp_authentication=False,
        referers=(),
        allow_empty_referer=True,
        signed=False,
        encrypted=False,
        hls_key_segments=10,
        hls_key_url="",
        hls_format="ts",
        hls_segment_seconds=2.0,
        hls_segment_count=7,
        hls_part_seconds=0.2,
        hls_blocking=True,
        hls_variants=(),
        hls_audio_variant=True,
        hls_always=False,
        hls_sessions=True,
        hls_end_list=False,
        rtsp_multicast=False,
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
        ("encrypted", True, True),
        ("hls_key_segments", 1, 1),
        ("hls_key_segments", 10_000, 10_000),
        ("hls_key_url", "", ""),
        ("hls_key_url", KEYS, KEYS),
        ("hls_key_url", "http://[2001:db8::1]:8080/{key}", "http://[2001:db8::1]:8080/{key}"),
        ("hls_key_url", "http://k/{key}".ljust(1000, "x"), "http://k/{key}".ljust(1000, "x")),
        ("hls_format", "fmp4", "fmp4"),
        ("hls_part_seconds", 0.1, 0.1),
        ("hls_part_seconds", 2, 2.0),
        ("hls_blocking", False, False),
        ("hls_variants", [], ()),
        ("hls_variants", ["_720p", "_480p", "_1080p"], ("_720p", "_480p", "_1080p")),
        ("hls_variants", [".hd", "-ä", "_e\u0301"], (".hd", "-ä", "_\u00e9")),
        ("hls_variants", ["x" * 32], ("x" * 32,)),
        ("hls_variants", [f"_{n}" for n in range(10)], tuple(f"_{n}" for n in range(10))),
        ("hls_audio_variant", False, False),
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
        ("encrypted", Text("true"), True),
        ("hls_key_segments", Text("500"), 500),
        ("hls_key_url", Text(KEYS), KEYS),
        ("hls_format", Text("ll"), "ll"),
        ("hls_part_seconds", Text("0.333"), 0.333),
        ("hls_blocking", Text("false"), False),
        ("hls_variants", Text("_720p, _480p"), ("_720p", "_480p")),
        ("hls_variants", Text(""), ()),
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
        ("encrypted", 0, "expected true or false, not 0"),
        ("hls_key_segments", 0, "expected a whole number, 1 to 10,000, not 0"),
        ("hls_key_segments", 10_001, "1 to 10,000"),
        ("hls_format", "dash", 'expected "ts" or "fmp4" or "ll", not \'dash\''),
        ("hls_format", ["ts"], "not ['ts']"),
        ("hls_format", None, "not None"),
        ("hls_part_seconds", 0.099, "expected seconds, 0.1 to 2, not 0.099"),
        ("hls_part_seconds", 2.001, "0.1 to 2"),
        ("hls_blocking", "false", "not 'false'"),
        ("hls_variants", "_720p;_480p", "a character that is not allowed: ';'"),
        ("hls_variants", ["_720p", "_480p", "_720p"], "'_720p' is given twice"),
        ("hls_variants", ["_\u00e9", "_e\u0301"], r"'_\xe9' is given twice"),
        ("hls_variants", ["a/b"], "with 'a/b' a stream name has a character that is not allowed"),
        ("hls_variants", ["\x1b[2J"], r"not ['\x1b[2J']"),
        ("hls_variants", ["\u202e"], r"with '\u202e' a stream name has a character"),
        ("hls_variants", ["_720p.ts"], "with '_720p.ts' a stream name may not end in \".ts\""),
        ("hls_variants", [".M3U8"], 'a stream name may not end in ".m3u8"'),
        ("hls_variants", ["\u0301"], r"'\u0301' begins with a mark that belongs to a letter"),
        ("hls_variants", ["x" * 33], "is longer than 32 characters"),
        ("hls_variants", ["x" * 100_000], "is longer than 32 characters"),
        ("hls_variants", [""], "not ['']"),
        ("hls_variants", Text("_720p,"), "such as \"_720p\", not '_720p,'"),
        ("hls_variants", [7], "not [7]"),
        ("hls_variants", {"_720p": 1}, "a list of at most 10 ends of streams' names"),
        ("hls_variants", [f"_{n}" for n in range(11)], "there are 11"),
        ("hls_audio_variant", 1, "not 1"),
        ("hls_key_url", 5, "an http:// or https:// address with {key} in it, or nothing; it is no"),
        ("hls_key_url", None, "it is no text"),
        ("hls_key_url", f"{KEYS}{'x' * 1000}", "it is longer than 1,000 characters"),
        (
            "hls_key_url",
            "ftp://k.example/{key}",
            "the address begins with neither http:// nor https://",
        ),
        ("hls_key_url", "//k.example/{key}", "the address begins with neither"),
        ("hls_key_url", "file:///etc/{key}", "the address begins with neither"),
        ("hls_key_url", " http://k.example/{key}", "a character that an address has not"),
        ("hls_key_url", "http://k.example/{key}\r\nX: y", "a character that an address has not"),
        ("hls_key_url", "http://k\u00e9.example/{key}", "a character that an address has not"),
        ("hls_key_url", "http://k.example\\@e.example/{key}", "a character that an address has"),
        ("hls_key_url", "http://k.example/#{key}", "or a #"),
        ("hls_key_url", "http://k.example/", "it has no {key}, so all keys would be one"),
        ("hls_key_url", "http://k.example/{stream}", "it has no {key}"),
        ("hls_key_url", "http://k.example/{key}/{number}", "braces other than {application}, {str"),
        ("hls_key_url", "http://k.example/{{key}}", "braces other than"),
        ("hls_key_url", "http://k.example/{key}/{", "braces other than"),
        ("hls_key_url", "http://k.example/{Key}", "braces other than"),
        ("hls_key_url", "http:///{key}", "the address has no host"),
        ("hls_key_url", "http://user@/{key}", "the address has no host"),
        ("hls_key_url", "http://:80/{key}", "the address has no host"),
        ("hls_key_url", "http://k.example:0/{key}", "the address has port 0"),
        ("hls_key_url", "http://k.example:65536/{key}", "the address is malformed"),
        ("hls_key_url", "http://k.example:x/{key}", "the address is malformed"),
        ("hls_key_url", "http://[::1/{key}", "the address is malformed"),
        ("hls_key_url", "http://a_b.example/{key}", "the host is no name"),
        ("hls_key_url", "http://0177.1/{key}", "an IPv4 address in an unusual spelling"),
        ("hls_key_url", "http:k.example/{key}", "the address has no host"),
        ("hls_key_url", "http://{stream}.example/{key}", "{stream} or {key} before its path"),
        ("hls_key_url", "http://{key}", "{stream} or {key} before its path"),
        ("hls_key_url", "http://{key}@k.example/", "{stream} or {key} before its path"),
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
        ("hls_key_url_shown", "", "unknown field; did you mean hls_key_url?"),
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
    assert len(str(error)) < 700


def test_a_wrong_password_is_not_quoted() -> None:
    """F-AC-03: an answer or a log does not have the password that was refused."""
    for value in ("sEcReT\n", "sEcReT" * 99, Text("sEcReT\x7f"), ["sEcReT"], {"x": "sEcReT"}):
        with pytest.raises(WrongField) as refused:
            read_fields({"publish_password": value})
        assert "sEcReT" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *("sEcReT", "ftp://sEcReT@k/{key}", "http://sEcReT:99999/{key}", "http://k/{sEcReT}{key}"),
        *("http://k/{key}?sEcReT=\n", "http://k/?sEcReT", "http://k/{key}#sEcReT", ["sEcReT"]),
        *("http://[sEcReT]/{key}", "http://{stream}.sEcReT/{key}", {"x": "sEcReT"}),
        "http://k/{key}?" + "sEcReT" * 200,
    ],
)
def test_a_wrong_key_server_is_not_quoted(url: object) -> None:
    """F-AC-03: nor is an address, whose token may be right where the rest is not."""
    with pytest.raises(WrongField) as refused:
        read_fields({"hls_key_url": url})
    assert "sEcReT" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", ""),
        ("http://k.example", "http://k.example"),
        ("https://k.example:8443/a/{key}", "https://k.example:8443/a/{key}"),
        ("https://u:sEcReT@k.example/{key}", "https://<hidden>@k.example/{key}"),
        ("https://u:sE@cReT@k.example/{key}", "https://<hidden>@k.example/{key}"),
        ("https://sEcReT@k.example?sEcReT={key}", "https://<hidden>@k.example?<hidden>"),
        ("https://k.example/{key}?t=sEcReT", "https://k.example/{key}?<hidden>"),
        ("https://k.example/{key}?t=sEcReT?/@sEcReT", "https://k.example/{key}?<hidden>"),
        ("https://k.example/@a/{key}", "https://k.example/@a/{key}"),
        ("https://[::1]/{key}", "https://[::1]/{key}"),
    ],
)
def test_shown_key_server(url: str, text: str) -> None:
    """An operator sees which key server there is; what is hidden is not taken for the address."""
    assert shown_key_url(url) == text
    if text != url:
        with pytest.raises(WrongField, match="a character that an address has not"):
            read_fields({"hls_key_url": text})


@given(
    st.text("aZ5-._~!$&'()*+,;=%:@", max_size=20),
    st.text("aZ5-._~!$&'()*+,;=%:@/?", max_size=20),
)
def test_no_secret_is_shown(user: str, query: str) -> None:
    """F-AC-03: whatever the password and the token are made of, nothing of them comes through."""
    url = f"https://{user}@keys.example/{{key}}?{query}"
    assert read_fields({"hls_key_url": url}) == {"hls_key_url": url}
    assert shown_key_url(url) == "https://<hidden>@keys.example/{key}?<hidden>"


def test_only_what_was_given() -> None:
    """What was not given is not there: a change leaves it as it was."""
    assert read_fields({}) == {}
    assert list(read_fields({"signed": True, "enabled": True})) == ["signed", "enabled"]


def test_describe() -> None:
    """F-AC-03: everything may be shown but the password, and what is secret of a key server."""
    application = Application(
        "tv",
        publish_password="sEcReT",
        referers=("a.example",),
        hls_key_url="https://u:sEcReT@k.example/{key}?t=sEcReT",
        hls_variants=("_720p",),
        authorize_url="http://crm.example:81/may?key=sEcReT",
        jwks_url="https://u:sEcReT@id.example/keys?t=sEcReT",
    )
    shown = describe(application)
    assert shown["jwks_url"] == "https://<hidden>@id.example/keys?<hidden>"
    assert shown["authorize_url_set"] is True
    assert shown["authorize_url_shown"] == "http://crm.example:81/may?<hidden>"
    assert shown["hls_key_url_set"] is True
    assert shown["hls_key_url_shown"] == "https://<hidden>@k.example/{key}?<hidden>"
    assert shown["hls_variants"] == ["_720p"]
    assert "sEcReT" not in repr(shown) + repr(application)
    assert (shown["publish_password_set"], shown["built_in"]) == (True, True)
    assert (shown["outputs"], shown["referers"]) == (list(OUTPUTS), ["a.example"])
    more = {f"{name}_set" for name in SECRETS} | {"hls_key_url_shown", "authorize_url_shown"}
    assert set(shown) == {*FIELDS, *more, "built_in"} - set(SECRETS)
    shown = describe(Application("a"))
    assert (shown["publish_password_set"], shown["built_in"]) == (False, False)
    assert (shown["hls_key_url_set"], shown["hls_key_url_shown"]) == (False, "")


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
