"""Tests of ntvmedia.outbound.cookies: who is sent what another answer has set (E-SR-08)."""

from __future__ import annotations

from http.cookiejar import Cookie, CookieJar

import pytest
from hypothesis import given, strategies as st
from twisted.web.http_headers import Headers

from ntvmedia.outbound import OutboundError, parse_target
from ntvmedia.outbound.cookies import (
    MAX_COOKIE_BYTES,
    MAX_COOKIES,
    BrowserPolicy,
    cookie_field,
    keep_cookies,
)
from tests.outbound.rig import OutboundCase, ok, redirect
from tests.outbound.test_client import fields_of


def kept(url: str, *values: bytes, jar: CookieJar | None = None) -> CookieJar:
    """Return a jar with what an answer has set."""
    jar = CookieJar(BrowserPolicy()) if jar is None else jar
    keep_cookies(jar, parse_target(url), Headers({b"Set-Cookie": list(values)}))
    return jar


def sent(jar: CookieJar, url: str) -> bytes:
    """Return what a server is sent."""
    return cookie_field(jar, parse_target(url))


def cookie(name: str, value: str, domain: str = "a.example") -> Cookie:
    """Return one as a file of cookies has it."""
    return Cookie(
        0,
        name,
        value,
        None,
        False,
        domain,
        True,
        False,
        "/",
        True,
        False,
        None,
        True,
        None,
        None,
        {},
    )


@pytest.mark.parametrize(
    ("set_by", "value", "asked", "goes"),
    [
        # E-SR-08: per host.
        ("http://a.example/", b"k=v", "http://a.example/x", True),
        ("http://a.example/", b"k=v", "http://b.example/", False),
        ("http://a.example/", b"k=v", "http://x.a.example/", False),
        ("http://x.a.example/", b"k=v", "http://a.example/", False),
        ("http://a.example:81/", b"k=v", "http://a.example:82/", True),
        ("http://127.0.0.1/", b"k=v", "http://127.0.0.1:8080/", True),
        ("http://127.0.0.1/", b"k=v", "http://127.0.0.2/", False),
        ("http://[::1]/", b"k=v", "http://[::1]:8080/", True),
        ("http://localhost:1/", b"k=v", "http://localhost:2/", True),
        # RFC 6265 5.1.3, 5.3: a domain reaches what is below it, and nobody sets one of others.
        ("http://x.a.example/", b"k=v; Domain=a.example", "http://y.a.example/", True),
        ("http://x.a.example/", b"k=v; Domain=.a.example", "http://a.example/", True),
        ("http://x.a.example/", b"k=v; Domain=a.example", "http://ba.example/", False),
        ("http://a.example/", b"k=v; Domain=b.example", "http://b.example/", False),
        ("http://a.example/", b"k=v; Domain=example", "http://b.example/", False),
        ("http://a.co.uk/", b"k=v; Domain=co.uk", "http://b.co.uk/", False),
        ("http://10.0.0.1/", b"k=v; Domain=0.0.1", "http://11.0.0.1/", False),
        ("http://10.0.0.1/", b"k=v; Domain=10.0.0.1", "http://10.0.0.1/x", True),
        # RFC 6265 5.1.4.
        ("http://a.example/x/y", b"k=v", "http://a.example/x/z", True),
        ("http://a.example/x/y", b"k=v", "http://a.example/z", False),
        ("http://a.example/x/y", b"k=v; Path=/", "http://a.example/z", True),
        ("http://a.example/", b"k=v; Path=/x", "http://a.example/xy", False),
        # RFC 6265 5.4: Secure goes over TLS only.
        ("https://a.example/", b"k=v; Secure", "https://a.example/", True),
        ("https://a.example/", b"k=v; Secure", "http://a.example/", False),
        ("https://a.example/", b"k=v; HttpOnly; SameSite=Strict", "http://a.example/", True),
        # RFC 6265 5.3: what has expired is gone.
        ("http://a.example/", b"k=v; Max-Age=100", "http://a.example/", True),
        ("http://a.example/", b"k=v; Max-Age=0", "http://a.example/", False),
        (
            "http://a.example/",
            b"k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "http://a.example/",
            False,
        ),
    ],
)
def test_where(set_by: str, value: bytes, asked: str, goes: bool) -> None:
    """E-SR-08: a cookie goes where its attributes let it, and nowhere else."""
    assert sent(kept(set_by, value), asked) == (b"k=v" if goes else b"")


def test_several() -> None:
    """Several of one answer are one field; a later one of a name replaces the first."""
    jar = kept("http://a.example/", b"a=1", b"b=2; Path=/")
    kept("http://a.example/", b"a=3", jar=jar)
    assert sorted(sent(jar, "http://a.example/").split(b"; ")) == [b"a=3", b"b=2"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (b"", b"k=v"),
        (b"a=1", b"a=1; k=v"),
        (b"k=old", b"k=v"),
        (b" a=1;k = old;; b ; ", b"a=1; b; k=v"),
        (b"K=1; kk=2", b"K=1; kk=2; k=v"),
    ],
)
def test_own(own: bytes, expected: bytes) -> None:
    """Cookies that the caller wrote stay, but for those that the server has set since."""
    target = parse_target("http://a.example/")
    assert cookie_field(kept(target.url, b"k=v"), target, own) == expected
    assert cookie_field(CookieJar(), target, own) == own


def test_octets() -> None:
    """A cookie goes back as the bytes that it was, which need not be ASCII."""
    value = "n=\u4e2d".encode()
    assert sent(kept("http://a.example/", value), "http://a.example/") == value


def test_of_a_file() -> None:
    """A cookie from elsewhere may have any character, and is sent as UTF-8 where it must be."""
    jar = CookieJar()
    jar.set_cookie(cookie("n", "\u4e2d"))
    assert sent(jar, "http://a.example/") == "n=\u4e2d".encode()


@pytest.mark.parametrize("bad", ["\r\nX-A: 1", "\n", "\0", "\x7f"])
def test_smuggled(bad: str) -> None:
    """CVE-2022-21712's neighbour: a cookie does not become another field."""
    jar = CookieJar()
    jar.set_cookie(cookie("n", f"secret{bad}"))
    with pytest.raises(OutboundError) as caught:
        sent(jar, "http://a.example/x?secret")
    assert str(caught.value) == "http://a.example: a cookie has a character that is not allowed"
    assert caught.value.is_permanent


def test_most() -> None:
    """A server has no more cookies kept than a browser has room for, and none that is longer."""
    jar = CookieJar(BrowserPolicy())
    for start in range(0, MAX_COOKIES + 300, 100):
        values = [b"k%d=v" % number for number in range(start, start + 100)]
        kept("http://a.example/", *values, jar=jar)
    assert len(jar) == MAX_COOKIES
    assert len(kept("http://a.example/", b"k=" + b"v" * (MAX_COOKIE_BYTES - 2))) == 1
    assert len(kept("http://a.example/", b"k=" + b"v" * (MAX_COOKIE_BYTES - 1))) == 0


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_any_bytes(values: list[bytes]) -> None:
    """Whatever a server sets, what it is sent is one line, or an `OutboundError` says why not."""
    jar = kept("http://a.example/", *values)
    try:
        line = sent(jar, "http://a.example/")
    except OutboundError:
        return
    assert b"\n" not in line
    assert b"\r" not in line


class RequestTests(OutboundCase):
    """Cookies of real requests."""

    def test_jar(self) -> None:
        """What an answer sets is sent with the next request of the same jar, and of no other."""
        server = self.serve(ok(b"1", b"Set-Cookie: a=b; Path=/", b"Set-Cookie: c=d"))
        jar, other = CookieJar(), CookieJar()
        for cookies in (jar, jar, other, None):
            self.body(f"{server.url}/x", cookies=cookies)
        got = [fields_of(head).get("cookie", "") for head in server.requests]
        self.assertEqual([got[0], got[2], got[3]], ["", "", ""])
        self.assertEqual(sorted(got[1].split("; ")), ["a=b", "c=d"])

    def test_redirect(self) -> None:
        """CVE-2022-21712: a redirect to another server goes with that server's cookies only."""
        self.names.known = {"a.example": [["127.0.0.1"]], "b.example": [["127.0.0.1"]]}
        jar = CookieJar()
        server = self.serve(ok(b"1", b"Set-Cookie: who=b"))
        there = f"http://b.example:{server.port}"
        jar.set_cookie(cookie("who", "a"))
        first = self.serve(
            redirect("/again").replace(b"\r\n\r\n", b"\r\nSet-Cookie: by=redirect\r\n\r\n"),
            redirect(f"{there}/there"),
        )
        self.body(f"http://a.example:{first.port}/", cookies=jar)
        self.body(f"{there}/there", cookies=jar)
        cookies = [fields_of(head).get("cookie", "") for head in first.requests + server.requests]
        self.assertEqual(cookies[0], "who=a")
        self.assertEqual(sorted(cookies[1].split("; ")), ["by=redirect", "who=a"])
        self.assertEqual(cookies[2:], ["", "who=b"])

    def test_own_field(self) -> None:
        """A field that the caller wrote is for its server; what that sets is sent with it."""
        other = self.serve(ok(b"1"))
        server = self.serve(ok(b"1", b"Set-Cookie: session=2"), redirect(other.url))
        jar = CookieJar()
        for _time in range(2):
            self.body(server.url, cookies=jar, headers={"cookie": "a=mine; session=1"})
        cookies = [fields_of(head)["cookie"] for head in server.requests + other.requests]
        # The other server has another port, which a cookie does not look at.
        expected = ["a=mine; session=1", "a=mine; session=2", "session=2"]
        self.assertEqual(cookies, expected)
