"""Tests of ntvmedia.media.names."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import product
from urllib.parse import quote

import pytest
from hypothesis import assume, given, strategies as st

from ntvmedia.errors import Refused
from ntvmedia.media.names import (
    MAX_NAME_BYTES,
    MAX_NAME_LENGTH,
    MAX_SPELLING_BYTES,
    RESERVED_APPLICATIONS,
    SERVED_EXTENSIONS,
    Address,
    BadName,
    StreamKey,
    parse_path,
    parse_rtmp,
    stream_key,
)

KEY = StreamKey("live", "s")

LETTERS = "abzABZ019_-." + "äßéłИя日本語हिन्दी한ไทย"
names = (
    st.text(st.sampled_from(LETTERS), min_size=1, max_size=12)
    .map(lambda name: unicodedata.normalize("NFC", name))
    .filter(lambda name: _is_good(name))
)

# Ways to write a name that mean the same.
SPELLINGS: list[Callable[[str], str]] = [
    str,
    quote,
    lambda name: quote(name, safe=""),
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: "".join(f"%{byte:02x}" for byte in name.encode()),
]


def _is_good(name: str) -> bool:
    """Whether both parts of a key may have this name."""
    try:
        return stream_key(name, name) == (name, name)
    except BadName:
        return False


def test_golden_key() -> None:
    """Both parts are kept as they are, and shown with a slash."""
    key = stream_key("Live", "Täst_1-a.b")
    assert (key.application, key.stream) == ("Live", "Täst_1-a.b")
    assert str(key) == "Live/Täst_1-a.b"


def test_query_on_the_stream() -> None:
    """A-UR-01: `rtmp://h/live/s?token=1`."""
    assert parse_rtmp("live", "s?token=1") == Address(KEY, {"token": "1"})
    assert parse_rtmp("live", "s?a=1&b=2&a=3") == Address(KEY, {"a": "3", "b": "2"})


@pytest.mark.parametrize(
    ("app", "name", "tc_url"),
    [
        ("live?token=1&u=x", "s", ""),
        ("live?token=1&u=x/s", "", ""),
        ("live", "s?token=1&u=x", ""),
        ("live", "s", "rtmp://h/live?token=1&u=x"),
        ("live", "", "rtmp://h/live?token=1&u=x/s"),
        ("", "s", "rtmp://h/live?token=1&u=x"),
        ("live?token=1", "s?u=x", "rtmp://h/live?token=1"),
        ("live?token=2", "s?token=1&u=x", "rtmp://h/live?token=2"),
    ],
)
def test_query_elsewhere(app: str, name: str, tc_url: str) -> None:
    """A-UR-02: a query in the app or in tcUrl, with several parameters, gives the same."""
    assert parse_rtmp(app, name, tc_url) == Address(KEY, {"token": "1", "u": "x"})


def test_slashes_in_a_query() -> None:
    """A-UR-02: where the path is complete, slashes in the app's query belong to its values."""
    assert parse_rtmp("live?token=ab/cd==", "s") == Address(KEY, {"token": "ab/cd=="})
    assert parse_rtmp("live?token=ab/cd==/s", "") == Address(KEY, {"token": "ab/cd=="})
    assert parse_rtmp("live", "s?url=http://x/y") == Address(KEY, {"url": "http://x/y"})


@pytest.mark.parametrize("name", ["?key=g&vid=x", "/?key=g", "?key=a/b"])
def test_only_a_query(name: str) -> None:
    """A-UR-03: a key that is only a query is refused, and the message says what to do."""
    with pytest.raises(BadName, match="stream name is empty: put it before the question mark"):
        parse_rtmp("ingest", name)


def test_single_segment() -> None:
    """A-UR-04: one segment is refused with a reason (the design wants exactly two)."""
    with pytest.raises(BadName, match="an application and a stream name"):
        parse_rtmp("mystream?user=a&pass=b", "", "rtmp://h/mystream?user=a&pass=b")
    with pytest.raises(BadName, match="an application and a stream name"):
        parse_path("/mystream?user=a&pass=b")


@pytest.mark.parametrize("app", ["", "/", "live/s", "other/place/live"])
def test_path_of_tc_url(app: str) -> None:
    """A-UR-05: an app that makes no address with the key gives way to the path of tcUrl."""
    address = parse_rtmp(app, "s?clientConfigId=1", "rtmp://h:1935/live")
    assert address == Address(KEY, {"clientConfigId": "1"})


def test_one_canonical_path() -> None:
    """A-UR-06: however a path is cut into app and name, it is the same, or refused the same."""
    for app, name in (("live", "s"), ("live/s", ""), ("", "live/s"), ("/live/", "/s/")):
        assert parse_rtmp(app, name).key == KEY
    for app, name in (("a/b", "c"), ("a", "b/c"), ("a/b/c", ""), ("", "a/b/c")):
        for tc_url in ("", "rtmp://h", f"rtmp://h/{app}"):
            with pytest.raises(BadName, match="exactly one application and one stream name"):
                parse_rtmp(app, name, tc_url)


@pytest.mark.parametrize(
    "name", ["a%2Fb", "a%2fb", "%2e%2e", "a+b", "a%20b", "a b", "%252e", "%41%"]
)
def test_percent_encoding(name: str) -> None:
    """A-UR-08: decoded once, then checked: an encoded slash is no separator, and is refused."""
    with pytest.raises(BadName):
        parse_rtmp("live", name)
    with pytest.raises(BadName):
        parse_path(f"/live/{name}")


def test_percent_encoding_of_letters() -> None:
    """A-UR-08: what is allowed may be written encoded."""
    expected = StreamKey("live", "tést")
    assert parse_path("/l%69ve/t%C3%A9st").key == expected
    assert parse_rtmp("l%69ve", "t%c3%a9st").key == expected
    assert parse_rtmp("live", "te\u0301st").key == expected


@pytest.mark.parametrize(
    "tc_url",
    [
        "rtmp://h/live",
        "rtmp://h:1935/live",
        "rtmps://[::1]/live",
        "rtmp://[::ffff:192.0.2.1]:19350/live/",
        "rtmp://user:p%40ss@h/live",
        "'rtmp://h/live'",
        ' "rtmp://h/live" ',
    ],
)
def test_hosts_of_tc_url(tc_url: str) -> None:
    """A-UR-09, A-AM-18: ports, IPv6 and quotation marks do not get into the path."""
    assert parse_rtmp("", "s", tc_url).key == KEY


def test_adobe_authentication() -> None:
    """A-UR-10: what FMLE and OBS append for authentication comes out as the query."""
    app = "live?authmod=adobe&user=u&challenge=/x+=&response=a/b=="
    query = {"authmod": "adobe", "user": "u", "challenge": "/x =", "response": "a/b=="}
    assert parse_rtmp(app, "s", f"rtmp://h/{app}") == Address(KEY, query)


@pytest.mark.parametrize("app", ["/live", "live/", "//live//", " live ", "'live'", '"live"'])
@pytest.mark.parametrize("name", ["s", "/s", "s/", "//s", "mp4:s", "flv:s", "flv:/s", " s ", "'s'"])
def test_surplus(app: str, name: str) -> None:
    """A-UR-11: surplus slashes, spaces, quotation marks and file types are taken off."""
    assert parse_rtmp(app, name).key == KEY


@pytest.mark.parametrize(
    "bad",
    [
        "%ff",
        "%c3",
        "%ed%a0%80",
        "\ud800",
        "a\x00",
        "a%00",
        "a\r\n",
        "s\n",
        "\ts",
        "a%0d%0aX",
        "\x7f",
    ],
)
def test_control_characters(bad: str) -> None:
    """A-UR-12: invalid UTF-8, NUL and line ends are refused, at the ends of a name too."""
    for app, name in ((bad, "s"), ("live", bad)):
        with pytest.raises(BadName):
            parse_rtmp(app, name)
        with pytest.raises(BadName):
            parse_path(f"/{app}/{name}")


def test_long() -> None:
    """A-UR-12: an address of more than 4 KiB is refused, whichever part it is in."""
    fits = "s?" + "q" * (MAX_SPELLING_BYTES - 2)
    assert parse_rtmp("live", fits).key == KEY
    assert parse_path("/live/" + fits[:-6]).key == KEY
    for arguments in ((fits + "q", "s"), ("live", fits + "q"), ("live", "s", fits + "q")):
        with pytest.raises(BadName, match="longer than 4096 bytes"):
            parse_rtmp(*arguments)
    with pytest.raises(BadName, match="longer than 4096 bytes"):
        parse_path("/live/s?" + "ä" * 2048)
    with pytest.raises(BadName, match="longer than 128 characters"):
        parse_rtmp("live", "s" * 4096)


def test_length_of_names() -> None:
    """A name has up to 128 characters, and fits into a file name of 255 bytes."""
    assert stream_key("a" * MAX_NAME_LENGTH, "b" * MAX_NAME_LENGTH)
    assert stream_key("live", "語" * (MAX_NAME_BYTES // 3))
    # Decomposed letters are counted as what they become.
    assert stream_key("live", "e\u0301" * 127).stream == "é" * 127
    for name in ("a" * 129, "語" * 86, "a" * 300):
        with pytest.raises(BadName, match="longer than 128 characters or 255 bytes"):
            stream_key("live", name)
        with pytest.raises(BadName, match="application name is longer"):
            stream_key(name, "s")


@pytest.mark.parametrize(
    "spelling",
    [
        "../../etc/x",
        "a/..",
        "a/.",
        "..%2f..%2fx/y",
        "%252e%252e/x",
        "..\\/x",
        "C:\\/x",
        "./x",
        "/",
        "",
        "~/x",
        "x/~",
        "a/b\x00",
        "a/\uff0e\uff0e",
        "a/" + "b" * 300,
        "mserver/x",
        "Metrics/x",
        "a/b:c",
        "a/b;c",
        "a/b#c",
        "a/*",
        "a/.hidden",
        ".a/b",
        "http://h/a/b",
    ],
)
def test_traversal(spelling: str) -> None:
    """F-PA-01: no spelling leads out of its place, through whichever gate it comes."""
    with pytest.raises(BadName):
        parse_path(spelling)
    with pytest.raises(BadName):
        parse_path("/" + spelling)
    app, _slash, name = spelling.rpartition("/")
    with pytest.raises(BadName):
        parse_rtmp(app, name)
    with pytest.raises(BadName):
        stream_key(app, name)


def test_file_types_do_not_hide_a_path() -> None:
    """F-PA-04: `mp4:../x` is refused like `../x`."""
    for name in ("mp4:../content1/file", "flv:..", "smil:x", "mp4:mp4:x"):
        with pytest.raises(BadName):
            parse_rtmp("vod", name)


def test_case_and_composition() -> None:
    """F-PA-06: names are case-sensitive, and composed to NFC."""
    assert stream_key("Live", "S") != stream_key("live", "s")
    assert stream_key("live", "e\u0301") == stream_key("live", "\u00e9")


@pytest.mark.parametrize("application", sorted(RESERVED_APPLICATIONS))
def test_reserved_applications(application: str) -> None:
    """The HTTP port's own routes are no applications, in any case; as streams they are fine."""
    for spelling in (application, application.upper(), application.title()):
        with pytest.raises(BadName, match="reserved"):
            stream_key(spelling, "s")
    assert stream_key("live", application)
    assert stream_key(application + "2", "s")


@pytest.mark.parametrize("extension", sorted(SERVED_EXTENSIONS))
def test_served_extensions(extension: str) -> None:
    """A name with the end of an output would be taken for that output of another stream."""
    for end in (extension, extension.upper()):
        with pytest.raises(BadName, match=f'may not end in ".{extension}"'):
            stream_key("live", f"s.{end}")
    assert stream_key("live", extension)
    assert stream_key("live", f"s.{extension}.x")
    assert stream_key(f"live.{extension}", "s")


@pytest.mark.parametrize(
    "name",
    ["a\u200bb", "a\u202eb", "a\ufe0f", "a\u034fb", "\u3164", "a\u00adb", "\u0301a", "a\u20dd"],
)
def test_characters_that_deceive(name: str) -> None:
    """What shows nothing, turns the writing or begins with a mark would make two names look one."""
    with pytest.raises(BadName):
        stream_key("live", name)


@pytest.mark.parametrize("name", ["हिन्दी", "ไทย", "日本語", "עברית", "Ελλάδα", "é", "x٣"])
def test_letters_of_the_world(name: str) -> None:
    """Letters with their marks, and digits, of every script."""
    assert stream_key(name, name) == (name, name)
    assert parse_path(f"/{quote(name)}/{quote(name)}").key == (name, name)


def test_refusals_are_for_the_peer() -> None:
    """The class that endpoints answer politely; the message shows no raw character."""
    with pytest.raises(Refused) as caught:
        stream_key("live", "a\u202eb\x1b")
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@given(names, names)
def test_idempotent(application: str, stream: str) -> None:
    """A-UR-06: a checked name, written out again in any way, is the same name."""
    key = StreamKey(application, stream)
    assert stream_key(*key) == key
    assert parse_path(str(key)).key == key
    assert parse_path("/" + quote(str(key))).key == key
    assert parse_rtmp(application, stream).key == key
    assert parse_rtmp("", str(key)).key == key
    assert parse_rtmp(str(key), "").key == key
    assert parse_rtmp("", stream, f"rtmp://h/{application}").key == key


@given(names, names, st.data())
def test_all_spellings_agree(application: str, stream: str, data: st.DataObject) -> None:
    """A-UR-06: slashes, encodings, composition and the place of the cut make no difference."""
    spell = st.sampled_from(SPELLINGS)
    app, name = data.draw(spell)(application), data.draw(spell)(stream)
    slashes = data.draw(st.sampled_from(["", "/", "//"]))
    expected = StreamKey(application, stream)
    assert parse_path(f"{slashes}{app}/{slashes}{name}{slashes}").key == expected
    for left, right in product((f"{slashes}{app}", f"{app}/{slashes}"), (f"{slashes}{name}", name)):
        assert parse_rtmp(left, right).key == expected
        assert parse_rtmp(f"{left}?a=b/c", right).key == expected
        assert parse_rtmp(left, f"{right}?a=b/c").key == expected


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_text(app: str, name: str, tc_url: str) -> None:
    """F-PA-01: whatever comes, either it is refused, or both parts are safe in every place."""
    attempts: list[Callable[[], StreamKey]] = [
        lambda: parse_rtmp(app, name, "rtmp://" + tc_url).key,
        lambda: parse_rtmp(app, name).key,
        lambda: parse_path(f"{app}/{name}").key,
        lambda: stream_key(app, name),
    ]
    for attempt in attempts:
        try:
            key = attempt()
        except BadName as error:
            assert str(error).isprintable()
            continue
        for part in key:
            assert part not in ("", ".", "..")
            assert part.isprintable()
            assert not set(part) & set('/\\\x00:*?"<>|%~ ')
            assert part[0] != "."
            assert len(part.encode()) <= MAX_NAME_BYTES
            assert unicodedata.is_normalized("NFC", part)
        assert parse_path(quote(str(key))).key == key


@given(names, st.text(max_size=3), st.text(max_size=3))
def test_hostile_ends(name: str, before: str, after: str) -> None:
    """A-UR-12: two spellings that differ in more than slashes and quoting are never one name."""
    assume(not set(before + after) & set("/?%:'\" "))
    try:
        found = parse_rtmp("live", before + name + after).key
    except BadName:
        return
    assert found.stream == unicodedata.normalize("NFC", before + name + after)
