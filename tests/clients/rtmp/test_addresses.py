"""Tests of ntvmedia.clients.rtmp.addresses."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.clients.rtmp.addresses import MAX_URL, RTMPURL, moved, parse_url
from ntvmedia.errors import RemoteError

# What is typed, and what is told: tcUrl, app, and the stream's name.
READ = [
    ("rtmp://h/live/test", "rtmp://h/live", "live", "test"),
    ("RTMP://h:1935/live/test", "rtmp://h/live", "live", "test"),
    ("rtmp://h:1936/live/test", "rtmp://h:1936/live", "live", "test"),
    ("rtmps://h/live2/abcd-efgh", "rtmps://h/live2", "live2", "abcd-efgh"),
    ("rtmps://h:443/rtmp/K?s_bl=1&a=b", "rtmps://h/rtmp", "rtmp", "K?s_bl=1&a=b"),
    ("rtmp://h/app/_definst_/s", "rtmp://h/app/_definst_", "app/_definst_", "s"),
    ("rtmp://h/a/b/c/s?t=1/2", "rtmp://h/a/b/c", "a/b/c", "s?t=1/2"),
    ("rtmp://h/vod/mp4:films/one.mp4", "rtmp://h/vod", "vod", "mp4:films/one.mp4"),
    ("rtmp://[2001:db8::1]/live/test", "rtmp://[2001:db8::1]/live", "live", "test"),
    ("rtmp://[::1]:1936/live/test", "rtmp://[::1]:1936/live", "live", "test"),
    ("rtmp://h//live//test/", "rtmp://h/live", "live", "test"),
    ("rtmp://h/live/test?token=a%2Fb==", "rtmp://h/live", "live", "test?token=a%2Fb=="),
    ("rtmp://h/live/test?a?b", "rtmp://h/live", "live", "test?a?b"),
    ("rtmp://h/live/test?", "rtmp://h/live", "live", "test"),
    ("rtmp://h/live?a=1/test", "rtmp://h/live?a=1", "live?a=1", "test"),
    ("rtmp://h/live?a=1/test?b=2/3", "rtmp://h/live?a=1", "live?a=1", "test?b=2/3"),
    ("rtmp://h/live?vhost=v/test?b=2", "rtmp://h/live?vhost=v", "live?vhost=v", "test?b=2"),
    ("rtmp://h/live/test?vhost=v", "rtmp://h/live?vhost=v", "live?vhost=v", "test"),
    ("rtmp://h/live/t?vhost=v&b=2", "rtmp://h/live?vhost=v", "live?vhost=v", "t?b=2"),
    ("rtmp://h/live/t?a=1&vhost=v&b=2", "rtmp://h/live?vhost=v", "live?vhost=v", "t?a=1&b=2"),
    ("rtmp://h/live/t?a=1&vhost=v", "rtmp://h/live?vhost=v", "live?vhost=v", "t?a=1"),
    ("rtmp://h/test", "rtmp://h/", "", "test"),
    ("rtmp://h/live/test#part", "rtmp://h/live", "live", "test"),
]


@pytest.mark.parametrize(("typed", "tc_url", "app", "name"), READ)
def test_read(typed: str, tc_url: str, app: str, name: str) -> None:
    """E-ST-12: a query is passed on once, where it stands; a vhost is in tcUrl."""
    url = parse_url(typed)
    assert (url.tc_url, url.app, url.name) == (tc_url, app, name)


def test_user() -> None:
    """User and password are decoded, and shown nowhere."""
    url = parse_url("rtmp://me%40x:p%3A%2Fw@h/live/test")
    assert (url.user, url.password, url.host) == ("me@x", "p:/w", "h")
    assert "me" not in url.tc_url
    assert "p:/w" not in repr(url)
    assert "test" not in repr(url)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "h/live/test",
        "http://h/live/test",
        "rtmpt://h/live/secret",
        "rtmp://",
        "rtmp:///live/test",
        "rtmp://h",
        "rtmp://h/",
        "rtmp://h/?a=b",
        "rtmp://h/live?a=b/",
        "rtmp://h:0/live/secret",
        "rtmp://h:65536/live/secret",
        "rtmp://h:x/live/secret",
        "rtmp://a b/live/secret",
        "rtmp://h/live/se\ncret",
        "rtmp://[h/live/secret",
        "rtmp://h/live/" + "x" * MAX_URL,
    ],
)
def test_wrong(typed: str) -> None:
    """What is no address is refused for good, and not quoted."""
    with pytest.raises(RemoteError) as caught:
        parse_url(typed)
    assert caught.value.is_permanent
    assert "secret" not in str(caught.value)


# Where a client is, where it is sent, and what it asks there: tcUrl, and the name.
HERE = "rtmp://u:p@h/live/test?k=1"
MOVES = [
    ("", "rtmp://h/live", "test?k=1"),
    ("rtmp://other/live", "rtmp://other/live", "test?k=1"),
    ("rtmps://other:444/live2", "rtmps://other:444/live2", "test?k=1"),
    ("rtmp://other/live/test", "rtmp://other/live", "test?k=1"),
    ("rtmp://other/live/test?k=2", "rtmp://other/live", "test?k=2"),
    ("rtmp://other/a/b/test", "rtmp://other/a/b", "test?k=1"),
    ("rtmp://other/live?vhost=v", "rtmp://other/live?vhost=v", "test?k=1"),
    ("rtmp://other/", "rtmp://other/live", "test?k=1"),
    ("rtmp://other", "rtmp://other/live", "test?k=1"),
    ("//other:1936/x", "rtmp://other:1936/x", "test?k=1"),
    ("/elsewhere", "rtmp://h/elsewhere", "test?k=1"),
    ("rtmp://[2001:db8::2]/live/test", "rtmp://[2001:db8::2]/live", "test?k=1"),
]


@pytest.mark.parametrize(("to", "tc_url", "name"), MOVES)
def test_moved(to: str, tc_url: str, name: str) -> None:
    """E-RTMP v2, "Reconnect Request", and SRS's redirections: the same stream elsewhere."""
    url = moved(parse_url(HERE), to)
    assert (url.tc_url, url.name) == (tc_url, name)
    assert (url.user, url.password) == (("u", "p") if url.host == "h" else ("", ""))


@pytest.mark.parametrize("to", ["http://h/", "live", "rtmp://a b/x", "file:///etc/passwd"])
def test_moved_to_nothing(to: str) -> None:
    """Only to what is an address of RTMP."""
    with pytest.raises(RemoteError, match="redirects to what is no address") as caught:
        moved(parse_url(HERE), to)
    assert caught.value.is_permanent


@pytest.mark.parametrize("to", ["rtmp://h/live", "rtmp://other/live/test"])
def test_moved_into_clear(to: str) -> None:
    """As RTSP's D-RQ-15: a key that was to be sent with TLS is not sent without."""
    with pytest.raises(RemoteError, match="from rtmps to rtmp"):
        moved(parse_url("rtmps://h/live/key"), to)
    assert moved(parse_url("rtmps://h/live/key"), "//other/live").scheme == "rtmps"


@given(st.text(max_size=60), st.sampled_from(["", "rtmp://", "rtmp://h/", "rtmps://u:p@h:1/a/"]))
def test_only_documented_errors(text: str, before: str) -> None:
    """Whatever is typed: an address whose parts make it again, or the one error."""
    try:
        url = parse_url(before + text)
    except RemoteError:
        return
    assert url.name
    assert isinstance(moved(url, url.tc_url), RTMPURL)
    # A query that begins a name with a slash in it belongs to the application.
    again = parse_url(f"{url.tc_url}/{url.name}")
    assert (again.scheme, again.host, again.port) == (url.scheme, url.host, url.port)


@given(st.text(max_size=60))
def test_moves_raise_nothing_else(to: str) -> None:
    """Whatever a server says."""
    try:
        moved(parse_url(HERE), to)
    except RemoteError:
        return
