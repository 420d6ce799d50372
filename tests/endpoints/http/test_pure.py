"""Tests of ntvmedia.endpoints.http.answers, cors and routing."""

from __future__ import annotations

import pytest

from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.cors import OriginPolicy
from ntvmedia.endpoints.http.routing import media_target
from ntvmedia.errors import UsageError
from ntvmedia.media.names import BadName


def test_date() -> None:
    """RFC 9110 5.6.7: the example of the document."""
    assert answers.date_field(784111777.0) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_complete() -> None:
    """RFC 9110 8.6: 204 and 304 have neither a length nor a body."""
    data = answers.complete(304, "", "ETag: x\r\n", b"abc")
    assert data == b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"
    data = answers.complete(200, "", "", b"abc", connection="close", head_only=True)
    assert data == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("value", ["a\r\nb", "a\rb", "a\nb", "\0", "\t"])
def test_no_split(value: str) -> None:
    """A field cannot end its line, or the head."""
    with pytest.raises(UsageError):
        answers.fields({"A": value})
    with pytest.raises(UsageError):
        answers.fields({value: "a"})


def test_persistence() -> None:
    """Only what differs from the version's default is said."""
    found = [answers.persistence(minor, keep=keep) for minor in (0, 1) for keep in (False, True)]
    assert found == ["close", "keep-alive", "close", ""]


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        (("*",), None, "*"),
        (("*",), "null", "*"),
        (("https://a.example",), "https://a.example", "https://a.example"),
        (("https://A.example/",), "https://a.example", "https://a.example"),
        (("https://a.example",), "https://b.example", None),
        (("https://a.example",), "null", None),
        (("https://a.example",), None, None),
        (("null",), "null", "null"),
        ((), "https://a.example", None),
    ],
)
def test_origins(allowed: tuple[str, ...], origin: str | None, expected: str | None) -> None:
    """B-HT-03: who may read, and never with credentials."""
    text = OriginPolicy(allowed).fields(origin)
    named = f"Access-Control-Allow-Origin: {expected}\r\n"
    assert (named in text) is (expected is not None)
    assert ("Vary: Origin" in text) is (allowed != ("*",))
    assert "Credentials" not in OriginPolicy(allowed).preflight(origin)


@pytest.mark.parametrize(
    ("target", "extension", "name"),
    [
        ("/live/x.flv", "flv", "live/x"),
        ("/live/x.y.FLV?audio=1", "flv", "live/x.y"),
        ("//live//x.flv", "flv", "live/x"),
        ("/live/%E4%B8%AD.m3u8", "m3u8", "live/中"),
        ("/live/x.flv/", None, ""),
        ("/live/x", None, ""),
        ("/live/.flv", None, ""),
        ("/live/x.html", None, ""),
        ("/live/x?y=a.flv", None, ""),
        ("/x.flv", None, ""),
        ("/favicon.png", None, ""),
        ("/mserver/logo.png", None, ""),
        ("/MServer/logo.png", None, ""),
        ("/static/player.mp4", None, ""),
        ("/", None, ""),
    ],
)
def test_media_target(target: str, extension: str | None, name: str) -> None:
    """Which addresses are media, by their form alone."""
    found = media_target(target)
    if extension is None:
        assert found is None
        return
    assert found is not None
    assert found.extension == extension
    assert str(found.address().key) == name


def test_media_target_of_a_plugin() -> None:
    """An extension that only a plugin serves is media where that plugin is, and nowhere else."""
    found = media_target("/live/x.TXT?audio=1", {"txt": None})
    assert found is not None
    assert (found.extension, found.path) == ("txt", "/live/x?audio=1")
    assert media_target("/live/x.txt", {"flv": None}) is None
    assert media_target("/mserver/x.txt", {"txt": None}) is None


@pytest.mark.parametrize(
    "target", ["/a/b/c.flv", "/a/..%2fb.flv", "/a/%2e.flv", "/%6dserver/x.flv", "/a/x%2eflv.ts"]
)
def test_bad_names(target: str) -> None:
    """F-PA-01: there is one rule for names, whatever the spelling."""
    found = media_target(target)
    assert found is not None
    with pytest.raises(BadName):
        found.address()


@pytest.mark.parametrize(
    ("target", "key", "below"),
    [
        ("/live/x/~abc/av/index.m3u8", "live/x", "~abc/av/index.m3u8"),
        ("/live/x/~/av/7-a.ts", "live/x", "~/av/7-a.ts"),
        ("//live/x/~a?t=1/~", "live/x", "~a"),
        ("/live/x.y/%7Eabc/av/index.m3u8", "live/x.y", "%7Eabc/av/index.m3u8"),
        ("/live/%E4%B8%AD/%7eabc/a", "live/中", "%7eabc/a"),
    ],
)
def test_below_a_stream(target: str, key: str, below: str) -> None:
    """What begins with a tilde after a stream's name is a file of one of its outputs."""
    found = media_target(target)
    assert found is not None
    assert (found.extension, found.below) == ("", below)
    assert str(found.address().key) == key


@pytest.mark.parametrize("target", ["/mserver/x/~y", "/static/x/~y", "/x/~y", "/live/x/y/~z", "/~"])
def test_not_below_a_stream(target: str) -> None:
    """A tilde elsewhere, or below the server's own names, is nothing special."""
    assert media_target(target) is None
