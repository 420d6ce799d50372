"""Tests of ntvmedia.config.addresses."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ntvmedia.config import Settings, parse_settings
from ntvmedia.config.addresses import base_addresses


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, ["rtmp://box", "http://box:8080"]),
        (
            {"server": {"address": "media.example.org"}},
            ["rtmp://media.example.org", "http://media.example.org:8080"],
        ),
        (
            {"server": {"address": "2001:db8::1"}},
            ["rtmp://[2001:db8::1]", "http://[2001:db8::1]:8080"],
        ),
        ({"server": {"address": "[::1]"}}, ["rtmp://[::1]", "http://[::1]:8080"]),
        (
            {"http": {"listen": "tcp:80"}, "rtmp": {"listen": "tcp:1936"}},
            ["rtmp://box:1936", "http://box"],
        ),
        ({"http": {"listen": ""}, "rtmp": {"listen": ""}}, []),
        (
            {
                "http": {"listen": ""},
                "rtmp": {"listen": ["tcp:1:interface=127.0.0.1", "tcp6:2:interface=\\:\\:1"]},
            },
            ["rtmp://127.0.0.1:1", "rtmp://[::1]:2"],
        ),
        (
            {
                "http": {"listen": ""},
                "rtmp": {"listen": ["tcp:port=7:interface=0.0.0.0", "tcp6:7"]},
            },
            ["rtmp://box:7"],
        ),
        ({"http": {"listen": "unix:/run/ntv"}, "rtmp": {"listen": "tcp:0"}}, []),
        ({"http": {"listen": "haproxy:tcp:81"}, "rtmp": {"listen": ""}}, ["http://box:81"]),
    ],
)
def test_base_addresses(raw: Mapping[str, object], expected: list[str]) -> None:
    """An address names the host that clients see, and the port where it is not the default."""
    bases = base_addresses(parse_settings({"rtsp": {"listen": ""}, **raw}), "box")
    assert [base.text for base in bases] == expected


def test_tls() -> None:
    """The sections with TLS have their own schemes; so has a `ssl:` description."""
    raw = {
        "tls": {"certificate": "a", "key": "b"},
        "https": {"listen": "tcp:443"},
        "rtmps": {"listen": "tcp:1936"},
        "rtsps": {"listen": "tcp:322"},
    }
    bases = base_addresses(parse_settings(raw), "box")
    assert [base.text for base in bases][1::2] == [
        "rtmps://box:1936",
        "https://box",
        "rtsps://box",
    ]
    assert [base.scheme for base in bases] == ["rtmp", "rtmps", "http", "https", "rtsp", "rtsps"]


def test_ssl_description() -> None:
    """RTMP behind one of Twisted's `ssl:` descriptions is RTMPS for the player."""
    settings = Settings()
    object.__setattr__(settings.rtmp, "listen", ("ssl:443:privateKey=x",))
    assert base_addresses(settings, "box")[0] == ("rtmps", "rtmps://box")


def test_preferred() -> None:
    """What the API was told of the server's address goes before what the file says."""
    settings = parse_settings({"server": {"address": "old.example"}})
    assert base_addresses(settings, "box", "new.example")[0].text == "rtmp://new.example"
    assert base_addresses(settings, "box", "2001:db8::2")[0].text == "rtmp://[2001:db8::2]"
    assert base_addresses(settings, "box", "")[0].text == "rtmp://old.example"
