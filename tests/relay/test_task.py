"""What a task may be, and what is shown of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from ntvmedia.access.refusals import WrongField
from ntvmedia.media import StreamKey
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions
from ntvmedia.relay.addresses import fill_in, read_server, read_source, shown_address
from ntvmedia.relay.checks import check
from ntvmedia.relay.task import (
    FIELDS,
    Place,
    Relay,
    describe,
    keys,
    places,
    read_fields,
    stands_for,
    with_text,
    written,
)

TARGET = {"application": "liveshow", "stream": "cam"}
PATTERN = {"application": "liveshow", "stream": "cam-*"}
ON_DEMAND = {"target": PATTERN, "on_demand": True}
OTHER = {"server": "rtmp://h", "application": "live", "stream": "key"}


def make(**fields: Any) -> Relay:
    """Make one, with a source and a target where none is said."""
    return check(Relay("1", **read_fields({"source": "rtsp://h/s", "target": TARGET, **fields})))


def refusal(**fields: Any) -> str:
    """Return why there is none."""
    with pytest.raises(WrongField) as caught:
        make(**fields)
    return str(caught.value)


def test_defaults() -> None:
    """A source and a target are enough; all is passed on as it is."""
    relay = make()
    assert (relay.enabled, relay.on_demand, relay.loop) == (True, False, True)
    assert relay.stall_seconds == 10.0
    assert relay.outputs == (OutputOptions(),)
    assert relay.outputs[0].is_copy
    assert keys(relay) == (StreamKey("liveshow", "cam"),)
    # Each field of the options can be set, and has the same default.
    assert make(video={}, audio={}).outputs == (OutputOptions(VideoOptions(), AudioOptions()),)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"sauce": 1}, "sauce: unknown field; did you mean source?"),
        ({"id": "2"}, "id: unknown field"),
        ({"source": ""}, "source: expected the address of a source; it is empty"),
        ({"source": 7}, "source: expected the address of a source; it is no text"),
        ({"source": "cam"}, "source: expected the address of a source; it does not begin"),
        ({"source": "rtsp://h/a b"}, "source: expected the address of a source; it has a char"),
        ({"source": "rtsp://u:s/ecret@h/"}, "source: expected the address of a source; its host"),
        ({"source": "rtsp://<hidden>@h/"}, "source: expected the address of a source; it has a c"),
        ({"source": "x:" + "y" * 5000}, "source: expected the address of a source; it is longer"),
        ({"source": "stream:mserver/x"}, "source: expected the address of a source; application"),
        ({"source": "stream:x"}, "source: expected the address of a source; an address has"),
        ({"source": "stream:liveshow/cam"}, "source: is a stream that this task makes"),
        ({"source": "rtsp://h/$1"}, "source: $1 is for a target.stream with *"),
        ({"fallbacks": ["x:"] * 8}, "fallbacks: expected a list of at most 7 addresses"),
        ({"fallbacks": ["x:", "y z"]}, "fallbacks: expected a list of at most 7 addresses of so"),
        ({"fallbacks": ["rtsp://h/s"]}, "fallbacks: a source is given twice"),
        ({"fallbacks": "x:"}, "fallbacks: expected a list of at most 7 addresses of sources; it"),
        ({"description": "\0"}, "description: expected text of at most 200 printable characters"),
        ({"stall_seconds": 0}, "stall_seconds: expected seconds, 1 to 600, not 0"),
        ({"stall_seconds": -1}, "stall_seconds: expected seconds, 1 to 600, not -1"),
        ({"stall_seconds": 1e9}, "stall_seconds: expected seconds, 1 to 600, not 1000000000.0"),
        ({"transport": "sctp"}, 'transport: expected "auto" or "tcp" or "udp"'),
        ({"video": []}, "video: expected an object"),
        ({"video": {"size": 1}}, "video.size: unknown field; expected one of codec, bitrate_kbps"),
        ({"video": {"width": 641}}, "video.width: expected an even number, 0 to 7,680; it is odd"),
        ({"video": {"codec": "vp9"}}, 'video.codec: expected "copy" or "none" or "h264" or "hevc"'),
        ({"video": {"frame_rate": 500}}, "video.frame_rate: expected frames a second, 0 to 120"),
        ({"audio": {"channels": 6}}, "audio.channels: expected a whole number, 0 to 2, not 6"),
        (
            {"video": {"codec": "none"}, "audio": {"codec": "none"}},
            "audio.codec: with no video there has to be audio",
        ),
        ({"target": {"application": "x"}}, "target.stream: is missing"),
        ({"target": {"stream": "x"}}, "target.application: is missing"),
        ({"target": {**TARGET, "stream": "a/b"}}, "target.stream: stream name has a character"),
        ({"target": {**TARGET, "stream": "x.flv"}}, "target.stream: stream name may not end"),
        ({"target": {**TARGET, "application": "static"}}, "target.application: application name"),
        ({"target": {**TARGET, "query": "a"}}, "target.query: only with another server"),
        ({"target": {**TARGET, "server": "http://h"}}, "target.server: expected an address such"),
        ({"target": {**TARGET, "server": "rtmp://h/app"}}, "target.server: expected an address su"),
        ({"target": PATTERN}, "target.stream: a * needs on_demand"),
        (
            {"target": {**TARGET, "stream": "a*b*"}, "on_demand": True},
            "target.stream: has more than one *",
        ),
        ({"target": PATTERN, "on_demand": True}, "source: has no $1, so that all streams of"),
        (
            {"target": PATTERN, "on_demand": True, "source": "rtsp://$1/x"},
            "source: expected the address of a source; it has $1 before its path",
        ),
        (
            {**ON_DEMAND, "source": "x:$1", "renditions": [{"stream": "b"}]},
            "renditions[0].stream: needs a *, as target.stream has one",
        ),
        ({"renditions": [{"stream": "b*"}]}, "renditions[0].stream: has a *, and target.stream h"),
        ({"renditions": [{"stream": "cam"}]}, "renditions[0].stream: is the name of another str"),
        ({"renditions": [{}]}, "renditions[0].stream: is missing"),
        ({"renditions": [{"name": "b"}]}, "renditions[0].name: unknown field"),
        ({"renditions": {"stream": "b"}}, "renditions: expected a list"),
        ({"renditions": [{"stream": "b"}] * 9}, "renditions: expected at most 8; there are 9"),
        (
            {"renditions": [{"stream": "b", "video": {"height": 5}}]},
            "renditions[0].video.height: expected an even number",
        ),
        ({"target": OTHER, "renditions": [{"stream": "b"}]}, "renditions: only with this server"),
        ({"target": OTHER, "on_demand": True}, "on_demand: only with this server"),
    ],
)  # fmt: skip
def test_refusals(fields: dict[str, Any], line: str) -> None:
    """E-ST-06 and others: what is wrong is one clause that begins with the field's name."""
    found = refusal(**fields)
    assert found.startswith(line)
    # F-AC-03: no address is quoted.
    assert "ecret" not in found


def test_parts_are_changed_one_by_one() -> None:
    """A part need not be whole: what is not named stays, the secret of the target too."""
    relay = make(target={**OTHER, "query": "token=1"}, video={"codec": "h264", "width": 640})
    changed = replace(
        relay, **read_fields({"video": {"height": 360}, "target": {"stream": "b"}}, relay)
    )
    assert (changed.video.codec, changed.video.width, changed.video.height) == ("h264", 640, 360)
    assert (changed.target.stream, changed.target.query) == ("b", "token=1")
    assert changed.source == relay.source


def test_shown() -> None:
    """F-AC-03: user, password and query are shown nowhere; nor are they in the text of a task."""
    relay = make(
        source="rtsp://me:secret@h:554/s?token=secret",
        fallbacks=["http://h/x?secret", "test:?size=64x64"],
        target={**OTHER, "server": "rtsp://me:secret@h", "query": "secret"},
    )
    described = describe(relay)
    assert "secret" not in str(described)
    assert "secret" not in repr(relay)
    assert described["source"] == "rtsp://<hidden>@h:554/s?<hidden>"
    assert described["fallbacks"] == ["http://h/x?<hidden>", "test:?size=64x64"]
    assert described["target"] == {
        "server": "rtsp://<hidden>@h",
        "application": "live",
        "stream": "<hidden>",
        "query_set": True,
    }
    assert describe(make(target={"application": "live", "stream": "a"}))["target"]["stream"] == "a"
    assert list(described) == ["id", *FIELDS]
    for shown in (described["source"], described["fallbacks"][0]):
        assert refusal(source=shown).startswith("source:")


def test_written() -> None:
    """What the database has is all of it, and makes the same task."""
    relay = make(
        source="rtsp://me:secret@h/$1",
        fallbacks=["fake:$1"],
        on_demand=True,
        target=PATTERN,
        renditions=[{"stream": "cam-*_s", "video": {"codec": "h264"}, "audio": {"codec": "none"}}],
    )
    assert check(Relay("1", **read_fields(written(relay)))) == relay


def test_patterns() -> None:
    """What a star stands for is put in wherever it belongs, percent-encoded in addresses."""
    relay = make(
        source="rtsp://h/$1/main",
        fallbacks=["http://h/$1?$1"],
        on_demand=True,
        target=PATTERN,
        renditions=[{"stream": "*_small"}],
    )
    one = with_text(relay, "ü")
    assert one.sources == ("rtsp://h/%C3%BC/main", "http://h/%C3%BC?%C3%BC")
    assert one.streams == ("cam-ü", "ü_small")
    assert keys(relay, "a") == (StreamKey("liveshow", "cam-a"), StreamKey("liveshow", "a_small"))
    assert places(relay)[0] == Place("", "liveshow", "cam-*")


@pytest.mark.parametrize(
    ("pattern", "name", "text"),
    [
        ("*", "a", "a"),
        ("cam-*", "cam-1", "1"),
        ("cam-*", "cam-", None),
        ("cam-*", "cam", None),
        ("*-hd", "x-hd", "x"),
        ("a*a", "a", None),
        ("a*a", "aa", None),
        ("a*a", "aba", "b"),
        ("x*", "x..", None),
        ("x*", "x.b", None),
    ],
)
def test_stands_for(pattern: str, name: str, text: str | None) -> None:
    """F-PA-01: a star is one character or more, and begins with no dot."""
    assert stands_for(pattern, name) == text


def test_names_are_composed() -> None:
    """F-PA-06: a name is kept as it is looked for."""
    assert make(target={**TARGET, "stream": "u\u0308"}).target.stream == "ü"
    assert make(target={**OTHER, "stream": "u\u0308"}).target.stream == "u\u0308"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://h/a@b", "rtsp://h/a@b"),
        ("rtsp://u@h", "rtsp://<hidden>@h"),
        ("rtsp://u:p@q@h/x#y", "rtsp://<hidden>@h/x?<hidden>"),
        ("rtmp://h?x", "rtmp://h?<hidden>"),
        ("udp://@239.1.1.1:5000?interface=eth0", "udp://@239.1.1.1:5000?interface=eth0"),
        ("other:x?y", "other:x?<hidden>"),
        ("file:///a/b?c", "file:///a/b?c"),
        ("", ""),
    ],
)
def test_shown_address(url: str, shown: str) -> None:
    """Of addresses that have no secrets in their query all is shown."""
    assert shown_address(url) == shown


@given(st.text(alphabet="ab:/?@#[]1.", max_size=20), st.text(alphabet="XY", min_size=1))
def test_no_password_is_shown(tail: str, password: str) -> None:
    """F-AC-03: whatever an address looks like, where it is taken its password is hidden."""
    url = f"rtsp://u:{password}@{tail}"
    try:
        read_source(url)
    except ValueError:
        return
    assert password not in shown_address(url)


@given(st.text(max_size=30))
def test_only_documented_errors(text: str) -> None:
    """Whatever is typed is read or refused, and what is read is not changed."""
    for read in (read_source, read_server):
        try:
            found = read(text)
        except ValueError:
            continue
        assert read(found) == found
    assert fill_in("x:$1", text).isascii()
