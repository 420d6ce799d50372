"""Tests of ntvmedia.outbound.addresses: what an address means, and what is none."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st
from twisted.web.client import URI

from ntvmedia.outbound import OutboundError, Target, origin_of, parse_target

labels = st.text("ab1x-\u00e9\u4e2d\uff11", min_size=1, max_size=5)
hosts = st.one_of(
    st.lists(labels, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map("[{}]".format),
    st.text("ab.1:@[]0x%-_/\\\u3002 ", max_size=12),
)
paths = st.text("ab/?&=#%2F;+~.:@!$'()*,[]{}|^`\"<>\u00e9", max_size=20).map("/{}".format)
urls = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", "http:/", "file://", "//", ""]),
    st.sampled_from(["", "", "user@", "user:password@", "a:b@c@", "%40:%3A@"]),
    hosts,
    st.sampled_from(["", ":80", ":443", ":8080", ":0", ":65536", ":-1", ":\u0663", ":"]),
    st.one_of(st.just(""), paths, st.text(st.characters(exclude_categories=()), max_size=10)),
)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.org", Target("http", "example.org", 80, "/")),
        ("https://EXAMPLE.org.:8443/a?b=c", Target("https", "example.org", 8443, "/a?b=c")),
        ("http://example.org/%2e/a%20b?%zz", Target("http", "example.org", 80, "/%2e/a%20b?%zz")),
        ("http://[2001:DB8::1]:8080/", Target("http", "2001:db8::1", 8080, "/")),
        ("http://[::ffff:127.0.0.1]/", Target("http", "::ffff:7f00:1", 80, "/")),
        ("http://127.0.0.1/", Target("http", "127.0.0.1", 80, "/")),
        ("http://\uff11\uff12\uff17.0.0.1/", Target("http", "127.0.0.1", 80, "/")),
        ("http://bücher.example/ü", Target("http", "xn--bcher-kva.example", 80, "/%C3%BC")),
        ("http://x/#there", Target("http", "x", 80, "/")),
        ("http://me:s%20e@x/", Target("http", "x", 80, "/", "Basic bWU6cyBl")),
        ("http://me@x/", Target("http", "x", 80, "/", "Basic bWU6")),
        ("http://x/{key}?<a>", Target("http", "x", 80, "/%7Bkey%7D?%3Ca%3E")),
    ],
)
def test_good(url: str, target: Target) -> None:
    """What is good is read in one way, and written in one way."""
    assert parse_target(url) == target


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("file:///etc/passwd", "neither http"),
        ("gopher://x/", "neither http"),
        ("javascript:alert(1)", "neither http"),
        ("//x/", "neither http"),
        ("example.org/a", "neither http"),
        ("", "neither http"),
        ("http:///a", "no host"),
        ("http://:80/", "no host"),
        ("http://me@/", "no host"),
        ("http://x:0/", "port 0"),
        ("http://x:65536/", "malformed"),
        ("http://x:a/", "malformed"),
        ("http://[::1/", "malformed"),
        ("http://[fe80::1%25eth0]/", "no IPv6 address"),
        ("http://[fe80::1%eth0]/", "no IPv6 address"),
        ("http://[127.0.0.1]/", "malformed|no IPv6 address"),
        ("http://x\\@y/", "not allowed"),
        ("http://x y/", "not allowed"),
        (" http://x/", "not allowed"),
        ("http://x/\r\nHost: y", "not allowed"),
        ("ht\ntp://x/", "not allowed"),
        ("http://x/\0", "not allowed"),
        ("http://x/\x7f", "not allowed"),
        ("http://x/\ud800", "not allowed"),
        ("http://\udfff@x/", "not allowed"),
        ("http://[a]@x/", "malformed|no IPv6 address"),
        ("http://a..b/", "no name"),
        ("http://.a/", "no name"),
        ("http://-a/", "no name"),
        ("http://a_b/", "no name"),
        ("http://a%2eb/", "no name"),
        ("http://%31%32%37.0.0.1/", "no name"),
        (f"http://{'a' * 64}/", "no name"),
        (f"http://{'a.' * 130}a/", "no name"),
        ("http://a\u200db/", "no name"),
        ("http://x/" + "a" * 8000, "longer than"),
    ],
)
def test_bad(url: str, problem: str) -> None:
    """What is not read in one way is not read."""
    with pytest.raises(OutboundError, match=problem):
        parse_target(url)


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "017700000001", "0x7f000001", "127.1", "127.0.1", "0177.0.0.1"),
        *("0x7f.0.0.1", "127.0.0.1.", "127.0.0.01", "127.0.0.256", "1.1.1.1.1", "a.1", "a.0x1"),
        *("\uff10x7f.1", "\u2460\u2461\u2466.0.0.1", "0x", "127\u30020\u30020\u30020x1"),
    ],
)
def test_unusual_addresses(host: str) -> None:
    """F-SS-03: decimal, octal and hexadecimal spellings are refused, or become the usual one."""
    try:
        target = parse_target(f"http://{host}/")
    except OutboundError as error:
        assert "unusual spelling" in str(error)
    else:
        assert target.host == "127.0.0.1"


@given(urls)
def test_one_meaning(url: str) -> None:
    """Whatever is read means the same to all who read it again: we and Twisted."""
    try:
        target = parse_target(url)
    except OutboundError as error:
        assert len(str(error)) < 80
        return
    plain = target._replace(authorization="")
    assert parse_target(target.url) == plain
    assert urlsplit(target.url).hostname == target.host
    uri = URI.fromBytes(target.url.encode("ascii"))
    assert (uri.scheme.decode(), uri.host.decode(), uri.port) == target[:3]
    assert uri.originForm.decode() == target.path


@given(urls)
def test_secrets(url: str) -> None:
    """An origin has neither password nor path nor query in it."""
    origin = origin_of(url)
    assert origin == "an address that is none" or not {*origin.removeprefix("http")} & {*"@?#%"}


def test_origin() -> None:
    """It is what a log may show."""
    assert origin_of("https://me:secret@keys.example:8443/a?token=b") == "https://keys.example:8443"
    assert origin_of("http://[::1]:80/") == "http://[::1]"
    assert origin_of("http://x:secret/") == "an address that is none"
