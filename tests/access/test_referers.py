"""Tests of ntvmedia.access.referers: which pages may hold a player."""

from __future__ import annotations

import string
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, strategies as st

from ntvmedia.access.referers import host_of_page, is_allowed, normal_host

SITES = ("example.org", "xn--fsqu00a.cn", "192.0.2.7", "::1", "media")


@pytest.mark.parametrize(
    ("page", "allowed"),
    [
        ("https://example.org/", True),
        ("http://example.org", True),
        ("https://example.org/watch?site=evil.net#evil.net", True),
        ("https://www.example.org/", True),
        ("https://a.b.c.example.org/", True),
        ("HTTPS://EXAMPLE.ORG/", True),
        ("https://WWW.Example.Org:8443/", True),
        ("https://example.org:8443/x", True),
        ("https://example.org./", True),
        ("https://someone@example.org/", True),
        # Names that only look like it.
        ("https://example.org.evil.net/", False),
        ("https://evil-example.org/", False),
        ("https://evilexample.org/", False),
        ("https://example.org@evil.net/", False),
        ("https://example.org:80@evil.net/", False),
        ("https://example.org%40evil.net/", False),
        ("https://example.org%2eevil.net/", False),
        ("https://evil.net/https://example.org/", False),
        ("https://evil.net?example.org", False),
        ("https://evil.net#@example.org/", False),
        ("https://evil.net\\@example.org/", False),
        ("https://evil.net/\\example.org", False),
        ("https://exam\tple.org/", False),
        ("https://example.org\r\n.evil.net/", False),
        (" https://example.org/", False),
        ("https://xexample.org/", False),
        ("https://org/", False),
        ("https://example/", False),
        ("https://.example.org/", False),
        ("https://a..example.org/", False),
        # What is no address of a page.
        ("null", False),
        ("example.org", False),
        ("//example.org/", False),
        ("https:example.org", False),
        ("https:///example.org", False),
        ("https://", False),
        ("file://example.org/", False),
        ("javascript://example.org/", False),
        ("data:text/html,example.org", False),
        ("https://[example.org]/", False),
        ("https://[::1", False),
        ("https://example.org/" + "x" * 4096, False),
        ("https://" + "a." * 2000 + "example.org/", False),
        ("\udc80https://example.org/", False),
        # International names, as browsers send them and as others may.
        ("https://xn--fsqu00a.cn/", True),
        ("https://例子.cn/", True),
        ("https://www.例子.CN/", True),
        ("https://例子。cn/", True),
        ("https://ex\u0430mple.org/", False),  # with a Cyrillic letter
        # Addresses are exact.
        ("http://192.0.2.7:8080/", True),
        ("http://192.0.2.70/", False),
        ("http://x.192.0.2.7/", False),
        ("http://[::1]:8080/", True),
        ("http://[0:0:0:0:0:0:0:1]/", True),
        ("http://[::2]/", False),
        ("http://media/", True),
        ("http://evil.media/", True),
    ],
)
def test_pages(page: str, allowed: bool) -> None:
    """F-AC-07: parsed as an address; exact or below by a dot; nothing that only looks like it."""
    assert is_allowed(page, SITES) is allowed


def test_no_sites() -> None:
    """Where there are none, none is one of them."""
    assert not is_allowed("https://example.org/", ())


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("example.org", "example.org"),
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("例子.cn", "xn--fsqu00a.cn"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("faß.de", "xn--fa-hia.de"),  # the browsers' answer since 2016, not that of IDNA 2003
        ("my_host", "my_host"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("a" * 63 + ".b", "a" * 63 + ".b"),
    ],
)
def test_hosts(text: str, host: str) -> None:
    """Every host has one spelling, whichever an operator types."""
    assert normal_host(text) == host
    assert normal_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a..b", ".example.org", "*.example.org", "-a.org", "a-.org"),
        *("http://example.org", "example.org/", "example.org:80", "a b", "a\x00", "a\r\nb"),
        *("1.1", "256.1.1.1", "x.1", "[::1", "::1]", "fe80::1%eth0", "[fe80::1%\n]"),
        *(
            "a" * 64 + ".b",
            "a." * 127 + "bb",
            "x" * 10_000,
            "é" * 250,
            "\ud800",
            "xn--zz.org\u200d",
        ),
    ],
)
def test_no_hosts(text: str) -> None:
    """What is no host is refused when it is set, and not found out when it protects nothing."""
    with pytest.raises(ValueError):
        normal_host(text)


LABELS = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=8).filter(
    lambda label: label[0] != "-" and label[-1] != "-" and not label.isdecimal()
)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
URLS = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}://{}{}{}{}".format,
        st.sampled_from(["http", "https", "HTTP", "ftp", "x"]),
        st.sampled_from(["", "user@", "a:b@", "example.org@", "@"]),
        HOSTS | st.text(max_size=12),
        st.sampled_from(["", ":1", ":65536", ":x", ":", "."]),
        st.text(max_size=12),
    ),
)


@given(URLS)
@example("https://example.org\\@evil.net/")
@example("http://a\x00b/")
def test_oracle(url: str) -> None:
    """F-AC-07: the host is that of `urllib`, or there is none; whatever is sent."""
    host = host_of_page(url)
    assert host.isascii()
    assert host == host.lower()
    if host:
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https")
        assert parts.hostname is not None
        assert host == normal_host(parts.hostname)
        assert normal_host(host) == host


@given(HOSTS, HOSTS, st.lists(HOSTS, max_size=3))
def test_matching(host: str, site: str, more: list[str]) -> None:
    """Exact or below by a dot, as labels tell; and more sites never allow fewer pages."""
    page, sites = f"https://{host}/", tuple(normal_host(name) for name in (site, *more))
    labels, wanted = host.lower().split("."), [name.split(".") for name in sites]
    assert is_allowed(page, sites) is any(labels[-len(name) :] == name for name in wanted)
    assert is_allowed(page, sites) >= is_allowed(page, sites[:1])
    assert is_allowed(f"https://x.{site}/", sites)
