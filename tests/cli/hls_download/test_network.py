"""Tests of ntvmedia.cli.hls_download.network."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Mapping
from http.cookiejar import CookieJar
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from twisted.internet.testing import MemoryReactorClock

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.network import manner, new_outbound
from ntvmedia.cli.hls_download.options import add_options
from ntvmedia.clients.hls.loader import Manner
from ntvmedia.config import OutboundSettings
from ntvmedia.outbound.policy import Policy

URL = "https://example.org/index.m3u8"
PRIVATE = "http://192.168.1.2:8080/index.m3u8"


def options(*words: str, url: str = URL) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args([url, *words])


def manner_of(*words: str, url: str = URL) -> Manner:
    """Return how servers are asked."""
    return manner(options(*words, url=url))


class Known:
    """Names, and what is made of them.

    Attributes:
        asked: What was looked up.
        settings: What the client was made with.
        proxy: Likewise.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, names: Mapping[str, list[str]]) -> None:
        self.asked: list[str] = []
        self.settings = OutboundSettings()
        self.proxy = ""

        def look_up(host: str, port: int, **_options: Any) -> list[Any]:
            self.asked.append(host)
            found = names.get(host, [host] if _is_literal(host) else [])
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(0, 0, 0, "", (address, port)) for address in found]

        def make(_reactor: Any, settings: OutboundSettings, *, proxy: str) -> Any:
            self.settings, self.proxy = settings, proxy

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr("ntvmedia.cli.hls_download.network.Outbound", make)

    def may_ask(self, address: str) -> bool:
        """Whether an address may be asked."""
        return not Policy(self.settings.allow).problem_of(ip_address(address))


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


# Whom


def test_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a public server names may be on others, but not in here."""
    known = Known(monkeypatch, {"example.org": ["93.184.216.34", "2606:2800::1"]})
    new_outbound(None, options())
    assert known.settings.allow == ()
    assert not known.may_ask("127.0.0.1")
    assert not known.may_ask("192.168.1.2")


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("192.168.1.2", ["192.168.1.2"]),
        ("[fd00::1]", ["fd00::1"]),
        ("nas.example", ["10.0.0.7", "fd00::7", "93.184.216.34"]),
        ("link.example", ["fe80::1%eth0"]),
    ],
)
def test_private(monkeypatch: pytest.MonkeyPatch, host: str, addresses: list[str]) -> None:
    """Whoever types a private server means it: that address, and none beside it."""
    known = Known(monkeypatch, {host: addresses, "fd00::1": ["fd00::1"]})
    new_outbound(None, options(url=f"http://{host}/x"))
    for address in addresses:
        assert known.may_ask(address.partition("%")[0])
    for other in ("192.168.1.3", "10.0.0.8", "fd00::2", "127.0.0.1", "169.254.169.254"):
        assert not known.may_ask(other)


def test_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--allow` adds networks to that."""
    known = Known(monkeypatch, {})
    new_outbound(None, options("--allow", "10.0.0.0/8", "--timeout", "7", url=PRIVATE))
    assert known.may_ask("10.255.0.1")
    assert known.may_ask("192.168.1.2")
    assert not known.may_ask("192.168.1.1")
    assert known.settings.timeout == 7.0


def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy, only that is looked up; a target that is an address may be asked too."""
    known = Known(monkeypatch, {"proxy.example": ["10.1.1.1"]})
    proxy = "http://me:secret@proxy.example:3128"
    new_outbound(None, options("--proxy", proxy, url="https://only-there.example/x"))
    assert known.asked == ["proxy.example"]
    assert known.proxy == proxy
    assert known.may_ask("10.1.1.1")
    new_outbound(None, options("--proxy", proxy, url=PRIVATE))
    assert known.may_ask("192.168.1.2")


def test_unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told, without path and query."""
    Known(monkeypatch, {})
    with pytest.raises(Failed) as caught:
        new_outbound(None, options(url="https://nowhere.example/x?secret"))
    assert str(caught.value) == (
        "nowhere.example: its name cannot be looked up: Name or service not known"
    )


@pytest.mark.parametrize(
    "url", ["index.m3u8", "file:///etc/passwd", "ftp://x/", "http://", "http:// x/", ""]
)
def test_no_address(url: str) -> None:
    """What is typed must be one of HTTP."""
    for words in ((), ("--proxy", "http://127.0.0.1:1")):
        with pytest.raises(Failed):
            new_outbound(MemoryReactorClock(), options(*words, url=url))


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "127.0.0.1:3128", "http://127.0.0.1:1/path?x", "http://"]
)
def test_no_proxy(proxy: str) -> None:
    """A proxy has an address of HTTP, too."""
    with pytest.raises(Failed):
        new_outbound(MemoryReactorClock(), options("--proxy", proxy, url="http://127.0.0.1/"))


# How


def test_plain() -> None:
    """What nobody said: no fields, cookies of this run, and our patience."""
    found = manner_of()
    assert (found.fields, found.key, found.idle_seconds) == ({}, b"", 30.0)
    assert dict(found.private_fields) == {"https://example.org": {}}
    assert isinstance(found.cookies, CookieJar)
    assert len(found.cookies) == 0
    assert found.retries.times == 8


def test_fields() -> None:
    """E-SR-08: all servers get all but what says who somebody is: that is for one of them."""
    found = manner_of(
        *("-H", "X-A: 1", "-H", "authorization: Bearer x", "-H", "Cookie: a=b"),
        *("-H", "Proxy-Authorization: y", "--referer", "https://r/", "--user-agent", "me"),
        *("--retries", "3", "--timeout", "5", "--key", "00" * 16),
    )
    assert found.fields == {"X-A": "1", "Referer": "https://r/", "User-Agent": "me"}
    assert found.private_fields == {
        "https://example.org": {
            "authorization": "Bearer x",
            "Cookie": "a=b",
            "Proxy-Authorization": "y",
        }
    }
    assert (found.retries.times, found.idle_seconds, found.key) == (3, 5.0, bytes(16))


def test_origin() -> None:
    """The server of the address, as it is asked: its port, its name in lower case, no password."""
    for url, origin in (
        ("http://ME:x@Example.ORG:8080/a?b", "http://example.org:8080"),
        ("https://example.org:443/", "https://example.org"),
        ("https://b\u00fccher.example/", "https://xn--bcher-kva.example"),
    ):
        found = manner_of("--cookies", "a=b", url=url)
        assert found.private_fields == {origin: {"Cookie": "a=b"}}


def test_cookies_of_a_browser(tmp_path: Path) -> None:
    """A file of cookies.txt's form, as curl and browsers' extensions write it."""
    path = tmp_path / "cookies.txt"
    lines = (
        "# Netscape HTTP Cookie File",
        "#HttpOnly_.example.org\tTRUE\t/\tTRUE\t4102444800\tlong\t1",
        ".example.org\tTRUE\t/\tFALSE\t0\tsession\t2",
        "other.example\tFALSE\t/\tFALSE\t\tsession2\t3",
        "example.org\tFALSE\t/\tFALSE\t1000000000\told\t4",
        "",
    )
    path.write_text("\n".join(lines), "utf-8")
    found = manner_of("--cookies", str(path))
    assert found.private_fields == {"https://example.org": {}}
    assert found.cookies is not None
    cookies = {(cookie.domain, cookie.name, cookie.value) for cookie in found.cookies}
    assert cookies == {
        (".example.org", "long", "1"),
        (".example.org", "session", "2"),
        ("other.example", "session2", "3"),
    }


@pytest.mark.parametrize("content", [b"<html>", b"", b"{}", None])
def test_no_cookies(tmp_path: Path, content: bytes | None) -> None:
    """What else is in the file is told with its name."""
    path = tmp_path / "cookies.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Failed) as caught:
        manner_of("--cookies", str(path))
    assert str(caught.value).startswith(f"--cookies {path}: ")


def test_cookies_not_of_text(tmp_path: Path) -> None:
    """Nor does a file of other bytes end in a traceback."""
    path = tmp_path / "cookies.txt"
    path.write_bytes(b"# Netscape HTTP Cookie File\n\xff\xfe\t\n")
    with pytest.raises(Failed):
        manner_of("--cookies", str(path))


def test_file_named_with_equals() -> None:
    """As curl tells them apart: what has an equals sign is cookies, and no file is opened."""
    with mock.patch.object(Path, "open", side_effect=AssertionError):
        found = manner_of("--cookies", "a=b; c=d=e")
    assert found.private_fields == {"https://example.org": {"Cookie": "a=b; c=d=e"}}
