"""Tests of addresses."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtsp.urls import (
    MAX_URL,
    RTSPURL,
    base_of,
    parse_url,
    resolve_control,
    same_track,
    split_control,
    target_of,
    track_control,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://h/live/test", RTSPURL("rtsp", "h", 554, "/live/test")),
        ("RTSPS://h:8555/a?b=c?d/e", RTSPURL("rtsps", "h", 8555, "/a", "b=c?d/e")),
        ("rtsps://h", RTSPURL("rtsps", "h", 322, "")),
        ("rtsp://[2001:db8::1]:8554/", RTSPURL("rtsp", "2001:db8::1", 8554, "/")),
        (
            "rtsp://us%40er:p%3A@ss@h/a",
            RTSPURL("rtsp", "h", 554, "/a", user="us@er", password="p:@ss"),
        ),
        ("rtsp://h:/a#part", RTSPURL("rtsp", "h", 554, "/a")),
    ],
)
def test_parsed(text: str, expected: RTSPURL) -> None:
    """RFC 2326 3.2."""
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "/live/test", "http://h/a", "file:///etc", "rtsp://", "rtsp:///a", "rtsp://h:0/a",
        "rtsp://h:65536/a", "rtsp://h:x/a", "rtsp://h:1:2/a", "rtsp://[::1/a", "rtsp://a b/c",
        "rtsp://h/a b", "rtsp://h/a\n", "rtsp://h/" + "a" * MAX_URL,
    ],
)  # fmt: skip
def test_wrong(text: str) -> None:
    """D-RQ-15: nothing but RTSP is an address of RTSP."""
    with pytest.raises(PeerError):
        parse_url(text)


def test_secrets_are_not_shown() -> None:
    """F-AC-03: neither text nor log has the user and the password; no log has the query."""
    url = parse_url("rtsp://user:secret@h:8554/live/test?password=secret2")
    assert str(url) == "rtsp://h:8554/live/test?password=secret2"
    assert "secret" not in repr(url)


@given(
    st.sampled_from(("rtsp", "rtsps")),
    st.sampled_from(("h", "192.0.2.1", "::1", "a.example")),
    st.integers(1, 65535),
    st.text("abc=%:.-", max_size=9).map("/".__add__),
    st.text("abc=%?/&", max_size=9),
)
def test_round_trip(scheme: str, host: str, port: int, path: str, query: str) -> None:
    """What is written is read as it was."""
    url = RTSPURL(scheme, host, port, path, query)
    assert parse_url(str(url)) == url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("rtsp://h:1/live/test?a=b", "/live/test?a=b"),
        ("/live/test?a=b", "/live/test?a=b"),
        ("*", "*"),
        ("rtsp://h", ""),
    ],
)
def test_targets(url: str, target: str) -> None:
    """What a request is about, however it names this server."""
    assert target_of(url) == target


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("rtsp://h:8554/live/test", "rtsp://h:8554/live/test/"),
        ("rtsp://h/live/test/", "rtsp://h/live/test/"),
        ("rtsp://u:p@h/live/test?a=b", "rtsp://h/live/test/"),
        ("/live/test?a=b", "rtsp://default:8554/live/test/"),
        ("live/test", "rtsp://default:8554/live/test/"),
        ("rtsp://h:0/live/test", "rtsp://default:8554/live/test/"),
    ],
)
def test_bases(url: str, base: str) -> None:
    """D-RQ-12: a full address that ends in a slash, and has no query to trip over."""
    assert base_of(url, "rtsp://default:8554") == base


@pytest.mark.parametrize(
    ("target", "stream", "track"),
    [
        ("/live/test", "/live/test", None),
        ("/live/test/", "/live/test", None),
        ("/live/test/trackID=0", "/live/test", 0),
        ("/live/test/TrackId=12/", "/live/test", 12),
        ("/live/test?a=b/trackID=1", "/live/test?a=b", 1),  # ffmpeg, were the query in the base
        ("/live/test/trackID=1?a=b", "/live/test?a=b", 1),  # GStreamer's publisher
        ("/live/test?a=b/", "/live/test?a=b", None),
        ("/live/test?trackID=2", "/live/test", 2),
        ("/live/test?a=b&trackID=2", "/live/test?a=b", 2),
        ("/live/xtrackID=1", "/live/xtrackID=1", None),
        ("/live/trackID=x", "/live/trackID=x", None),
        ("/live/trackID=1234", "/live/trackID=1234", None),
        ("/trackID=1", "", 1),
        ("trackID=1", "", 1),
        ("*", "*", None),
        ("", "", None),
    ],
)
def test_split_control(target: str, stream: str, track: int | None) -> None:
    """D-RQ-12: a track's address of ours comes back in every way that clients put it together."""
    assert split_control(target) == (stream, track)


def test_split_long() -> None:
    """An address of nothing but tracks takes no longer than another."""
    assert split_control("/trackID=1" * 400)[1] == 1


@pytest.mark.parametrize(
    ("base", "control", "url"),
    [
        ("rtsp://h/a/", "trackID=1", "rtsp://h/a/trackID=1"),
        ("rtsp://h/a", "trackID=1", "rtsp://h/a/trackID=1"),
        # Dahua: rtsplib#121, retina#9
        (
            "rtsp://h/cam/realmonitor?channel=1&subtype=0/",
            "trackID=0",
            "rtsp://h/cam/realmonitor?channel=1&subtype=0/trackID=0",
        ),
        ("rtsp://h/a?user=x", "trackID=0", "rtsp://h/a?user=x/trackID=0"),
        ("rtsp://h/a/", "rtsp://h2/b/track1", "rtsp://h2/b/track1"),
        ("rtsp://h/a/", "*", "rtsp://h/a/"),
        ("rtsp://h/a/", "", "rtsp://h/a/"),
        ("rtsps://h:1/a/b/", "/c/track?d=e", "rtsps://h:1/c/track?d=e"),
        ("rtsp://h/a/", "t?ctype=video", "rtsp://h/a/t?ctype=video"),
        ("rtsp://h/a/?x=1", "?ctype=video", "rtsp://h/a/?ctype=video"),
        ("nonsense", "/a", "/a"),
    ],
)
def test_resolve(base: str, control: str, url: str) -> None:
    """D-RQ-12: every form of `a=control` that a client meets."""
    assert resolve_control(base, control) == url


@pytest.mark.parametrize(
    ("url", "base", "control"),
    [
        # ffmpeg 5.1
        (
            "rtsp://127.0.0.1:9101/live/test?password=x/streamid=0",
            "rtsp://127.0.0.1:9101/live/test?password=x",
            "streamid=0",
        ),
        # GStreamer 1.22
        ("rtsp://h/live/test/stream=0", "rtsp://h/live/test", "stream=0"),
        ("rtsp://h/live/test/stream=0?a=b", "rtsp://h/live/test?a=b", "stream=0"),
        # Another name of this host, another port, no host at all, a slash at the end
        ("rtsp://other:1/live/test/t/", "rtsp://h/live/test", "t"),
        ("/live/test/t", "rtsp://h/live/test/", "t"),
        ("rtsp://h/live/test/t", "rtsp://h/live/test", "rtsp://10.0.0.1:99/live/test/t"),
        ("rtsp://h/live/test/t", "rtsp://h/live/test?a=b", "t"),
        ("rtsp://h/live/test", "rtsp://h/live/test", "*"),
        ("rtsp://h/live/test/", "rtsp://h/live/test", ""),
    ],
)
def test_same_track(url: str, base: str, control: str) -> None:
    """D-RQ-12, D-RT-13: the tracks that publishers announce are known when they set them up."""
    assert same_track(url, base, control)
    assert not same_track(url + "x", base, control)


def test_track_control() -> None:
    """What a server describes is what it understands."""
    assert split_control(f"/live/test/{track_control(3)}") == ("/live/test", 3)


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """Whatever the text, only documented errors."""
    with suppress(PeerError):
        assert parse_url(str(parse_url(text))).host
    stream, track = split_control(target_of(text))
    assert track is None or track >= 0
    assert not stream.endswith("/")
    same_track(text, text, text)
    resolve_control(text, text)
    assert base_of(text, "rtsp://h").endswith("/")
