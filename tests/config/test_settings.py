"""Tests of ntvmedia.config.settings and of the sections themselves."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from ntvmedia.config import (
    SECTIONS,
    RTMPSettings,
    Settings,
    Text,
    describe_section,
    override,
    parse_section,
    parse_settings,
)
from ntvmedia.errors import ConfigError


def refusal(raw: Mapping[str, object], **arguments: object) -> str:
    """Return the one line that refuses a configuration."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(raw, **arguments)  # type: ignore[arg-type]
    line = str(caught.value)
    assert line.isprintable()
    return line


def test_defaults() -> None:
    """An empty configuration is the default one, and the numbers are those of cases.md 0.2."""
    settings = parse_settings({})
    assert settings == Settings()
    assert settings.http.listen == ("tcp:8080",)
    assert settings.rtmp.listen == ("tcp:1935",)
    assert (settings.https.listen, settings.rtmps.listen) == ((), ())
    assert (settings.rtmp.handshake_timeout, settings.rtmp.idle_timeout) == (15, 30)
    assert (settings.rtmp.ping_interval, settings.rtmp.ping_timeout) == (30, 30)
    assert (settings.rtmp.chunk_size, settings.rtmp.max_message_size) == (60000, 10485760)
    assert (settings.hub.first_packet_timeout, settings.hub.publisher_silence) == (20, 10)
    assert (settings.hub.publisher_grace, settings.hub.play_wait) == (15, 15)
    assert (settings.hub.idle_delay, settings.hub.analyze) == (20, 1)
    assert (settings.hub.gop_cache_frames, settings.hub.gop_cache_bytes) == (2500, 33554432)
    assert (settings.hub.queue_seconds, settings.hub.queue_bytes) == (10, 8388608)


@pytest.mark.parametrize("name", SECTIONS)
def test_defaults_are_allowed(name: str) -> None:
    """Every default can be written into the file: it is of its kind and in its range."""
    raw = {item.key: item.default for item in describe_section(SECTIONS[name])}
    assert parse_section(SECTIONS[name], name, raw) == SECTIONS[name]()


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_is_described(name: str) -> None:
    """Each setting says what it is for, in whole sentences."""
    for item in describe_section(SECTIONS[name]):
        assert item.rule.text[0].isupper() or item.rule.text[0] == "`"
        assert item.rule.text.endswith(".")


def test_override() -> None:
    """The command line wins over the file, the last of a key over those before it."""
    raw = tomllib.loads('[hub]\nlatency = "low"\nanalyze = 2\n[rtmp]\nchunk_size = 4096\n')
    changed = override(raw, ["hub.latency=auto", "http.listen=tcp:1", "hub.latency=low"])
    assert raw["hub"] == {"latency": "low", "analyze": 2}
    settings = parse_settings(override(changed, ["hub.latency=auto", " rtmp.listen=tcp:2=x"][:1]))
    assert settings.hub.latency == "auto"
    assert settings.hub.analyze == 2
    assert settings.rtmp.chunk_size == 4096
    assert settings.http.listen == ("tcp:1",)


def test_override_keeps_what_follows_the_first_equals_sign() -> None:
    """A value may hold equals signs and dots, as endpoint descriptions do."""
    changed = override({}, ["rtmp.listen=tcp:1:interface=127.0.0.1"])
    assert changed == {"rtmp": {"listen": Text("tcp:1:interface=127.0.0.1")}}


@pytest.mark.parametrize("text", ["", "rtmp", "rtmp.listen", "rtmp=1", ".listen=1", "rtmp.=1", "="])
def test_override_refusals(text: str) -> None:
    """What is no assignment is named as it was given."""
    with pytest.raises(ConfigError) as caught:
        override({}, [text])
    assert str(caught.value) == f"--set {text}: expected SECTION.KEY=VALUE"


def test_override_of_no_section() -> None:
    """A key at the top of the file cannot have settings below it."""
    with pytest.raises(ConfigError) as caught:
        override({"hub": 3}, ["hub.latency=low"])
    assert str(caught.value) == "hub: expected a section"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"rtm": {}}, "rtm: unknown section; did you mean rtmp?"),
        (
            {"smtp9": {}},
            "smtp9: unknown section; expected one of "
            "server, http, https, rtmp, rtmps, rtsp, rtsps, tls, hub, database, outbound, relay, "
            "log",
        ),
        ({"hub": 3}, "hub: expected a section"),
        ({"data": {}}, "data: unknown section; did you mean database?"),
        ({"hub": {"latency": "none"}}, 'hub.latency: expected "auto" or "low", not \'none\''),
        ({"https": {"listen": "tcp:1"}}, "https.listen: needs tls.certificate and tls.key"),
        ({"rtmps": {"listen": "tcp:1"}}, "rtmps.listen: needs tls.certificate and tls.key"),
        ({"tls": {"certificate": "a"}}, "tls.key: expected one for each tls.certificate: 1, not 0"),
        (
            {"rtmp": {"proxy_protocol": "on"}},
            "rtmp.proxy_protocol: needs rtmp.trusted_proxies",
        ),
        ({"log": {"level": "loud"}}, 'log.level: expected "debug" or "info" or "warn" or "error"'),
    ],
)
def test_refusals(raw: Mapping[str, object], line: str) -> None:
    """What is wrong is one line that begins with its place."""
    assert refusal(raw).startswith(line)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("tcp:x", "tcp:x: "),
        ("tcp", "tcp: "),
        ("smoke:1", "smoke:1: Unknown endpoint type: 'smoke'"),
        ("ssl:443:privateKey=/nonexistent/key.pem", "No such file or directory"),
        ("tcp:65536", "tcp:65536: a port is 0 to 65535"),
        ("tcp:-1", "a port is 0 to 65535"),
        ("tcp6:interface=\\:\\:1:port=70000", "a port is 0 to 65535"),
        ("haproxy:tcp:99999", "a port is 0 to 65535"),
    ],
)
def test_descriptions(description: str, reason: str) -> None:
    """A wrong endpoint description is found before anything listens."""
    line = refusal({"rtmp": {"listen": description}})
    assert line.startswith("rtmp.listen: expected an endpoint description such as ")
    assert reason in line


@pytest.mark.parametrize(
    "description",
    [
        *("tcp:1935", "tcp:0", "tcp:port=65535", "tcp:80:interface=\\:\\:"),
        *("unix:/run/ntv", "unix:99999", "haproxy:tcp:80"),
    ],
)
def test_good_descriptions(description: str) -> None:
    """What Twisted listens on is taken as it is."""
    assert parse_settings({"rtmp": {"listen": description}}).rtmp.listen == (description,)


def test_endpoints() -> None:
    """The section of a plugin is the plugin's to check, and one may share a section of ours."""
    seen: list[object] = []

    def parse(raw: Mapping[str, object]) -> object:
        seen.append(raw)
        return parse_section(RTMPSettings, "rtmp", raw)

    settings = parse_settings(
        {"rtmp": {"chunk_size": 4096}, "extra": {"key": 1}},
        {"rtmp": parse, "extra": dict},
        Path("/srv/ntv"),
    )
    assert seen == [{"chunk_size": 4096}]
    assert settings.endpoints == {"rtmp": settings.rtmp, "extra": {"key": 1}}
    assert settings.data == Path("/srv/ntv")
