"""Tests of the addresses of ntvmedia.clients.ffmpeg: file, udp and rtp, test, mms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

from ntvmedia.avtools.job import CardInput, DatagramInput
from ntvmedia.clients.ffmpeg.card import TestSource, card_of
from ntvmedia.clients.ffmpeg.file import FileSource, path_of
from ntvmedia.clients.ffmpeg.mms import MMSSource, place_of
from ntvmedia.clients.ffmpeg.udp import UDPSource, datagrams_of
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import ISource, ITranscodingSource

SOURCES = (MMSSource(), UDPSource(), FileSource(), TestSource())


def refusal_of(reading: Any, url: str) -> str:
    """Return why an address is none; no refusal shows it."""
    with pytest.raises(RemoteError) as caught:
        reading(url)
    assert caught.value.is_permanent
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


def test_plugins() -> None:
    """All are found by their schemes, and keep the interface."""
    found = {scheme: x for x in getPlugins(ISource) for scheme in x.schemes}
    for source in SOURCES:
        assert verifyObject(ITranscodingSource, source)
        assert IPlugin.providedBy(source)
        assert source.transcodes
        for scheme in source.schemes:
            assert isinstance(found[scheme], type(source))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:movie.mp4", "movie.mp4"),
        ("file:a/b%20c.mp4", "a/b c.mp4"),
        ("FILE:///srv/a.mp4", "/srv/a.mp4"),
        ("file://localhost/srv/a.mp4", "/srv/a.mp4"),
        ("file:/srv/a?.mp4", "/srv/a?.mp4"),
        ("file:%C3%A4.mp4", "ä.mp4"),
    ],
)
def test_files(url: str, path: str) -> None:
    """A file is named by a path, or by its name below a folder."""
    assert path_of(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "file:",
        "file:///",
        "file://",
        "file://host/a.mp4",
        "file:a%00.mp4",
        "file:a%0a.mp4",
        "file:%ff.mp4",
        "http://a/b",
        "file:" + "a" * 5000,
    ],
)
def test_no_files(url: str) -> None:
    """What names none is refused."""
    refusal_of(path_of, url)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("udp://@:5000", DatagramInput("", 5000)),
        ("udp://:5000", DatagramInput("", 5000)),
        ("udp://192.0.2.1:5000/", DatagramInput("192.0.2.1", 5000)),
        ("udp://@239.0.0.1:5000", DatagramInput("239.0.0.1", 5000)),
        (
            "udp://192.0.2.9@239.0.0.1:5000?interface=eth0&source=192.0.2.7,192.0.2.9",
            DatagramInput("239.0.0.1", 5000, "eth0", ("192.0.2.9", "192.0.2.7")),
        ),
        (
            "rtp://239.0.0.1:5000?localaddr=192.0.2.1&buffer_size=1000&ttl=2",
            DatagramInput("239.0.0.1", 5000, "192.0.2.1", (), True, 1000),
        ),
        (
            "udp://2001:db8::1@[FF3E::1]:5000?interface=eth0",
            DatagramInput("ff3e::1", 5000, "eth0", ("2001:db8::1",)),
        ),
    ],
)
def test_datagrams(url: str, found: DatagramInput) -> None:
    """A port, a group, its interface and its sources; by FFmpeg's names of them too."""
    assert datagrams_of(url) == found


@pytest.mark.parametrize(
    "url",
    [
        "udp://239.0.0.1",
        "udp://239.0.0.1:0",
        "udp://239.0.0.1:70000",
        "udp://host.test:5000",
        "udp://user:hunter2@239.0.0.1:5000",
        "udp://239.0.0.1:5000/path",
        "udp://239.0.0.1:5000?hunter2=1",
        "udp://239.0.0.1:5000?source=2001:db8::1",
        "udp://239.0.0.1:5000?source=" + ",".join(f"192.0.2.{x}" for x in range(20)),
        "udp://239.0.0.1:5000?interface=a/b",
        "udp://239.0.0.1:5000?interface=" + "a" * 100,
        "udp://239.0.0.1:5000?buffer_size=-1",
        "udp://239.0.0.1:5000?buffer_size=99999999999",
        "udp://0x7f.1:5000",
        "udp://[fe80::1%25eth0]:5000",
        "udp://[::1:5000",
        "http://239.0.0.1:5000",
    ],
)
def test_no_datagrams(url: str) -> None:
    """What is no port of this machine is refused."""
    refusal_of(datagrams_of, url)


def test_cards() -> None:
    """A test card is as large, as fast and as loud as is wanted."""
    assert card_of("test:") == card_of("test://") == CardInput()
    assert card_of("test:?size=321x200&rate=30&tone=0") == CardInput(320, 200, 30.0, 0)
    for url in (
        "test:x",
        "test:?size=640",
        "test:?size=0x0",
        "test:?size=99999x9",
        "test:?rate=0",
        "test:?rate=1e3",
        "test:?tone=-1",
        "test:?hunter2=1",
        "test:?rate=25#hunter2",
        "file:a",
    ):
        refusal_of(card_of, url)


def test_mms() -> None:
    """E-SR-01: `mms` is tried both ways, each at its port; the other two are what they say."""
    place = place_of("mms://user:hunter2@Media.test/a%20b?c=d")
    assert place.ways == ("mmsh", "mmst")
    assert place.http_url == "http://user:hunter2@media.test:80/a%20b?c=d"
    assert place.mmst_url("192.0.2.1") == "mmst://192.0.2.1:1755/a%20b?c=d"
    assert place.mmst_url("2001:db8::1") == "mmst://[2001:db8::1]:1755/a%20b?c=d"
    assert place_of("mms://[2001:db8::1]:81/a").http_url == "http://[2001:db8::1]:81/a"
    assert place_of("mms://h:8080/").port_of("mmsh") == 8080
    assert place_of("mms://h:8080/").port_of("mmst") == 8080
    assert place_of("mms://h:1755/").port_of("mmsh") == 80
    assert place_of("mms://h:80/").port_of("mmst") == 1755
    assert place_of("mmst://h:80/").port_of("mmst") == 80
    assert place_of("mmsh://h").ways == ("mmsh",)
    for url in (
        "mms:",
        "mms://",
        "mms:h/a",
        "mms://u:hunter2@h:0/",
        "mms://0177.0.0.1/",
        "mms://h\\@g/",
        "rtsp://h/",
        "mms:// h/",
    ):
        refusal_of(place_of, url)


@given(
    st.sampled_from(["mms:", "mmsh://", "udp://", "rtp://", "file:", "test:?", "test:?size="]),
    st.text(max_size=40) | st.text("@:/?&=[]%.0123456789abx,", max_size=40),
)
@settings(max_examples=200)
def test_anything(scheme: str, rest: str) -> None:
    """F-SS-03: whatever was typed, an address or a refusal, and no other error."""
    for source in SOURCES:
        try:
            source.check(scheme + rest)
        except RemoteError as error:
            assert error.is_permanent
