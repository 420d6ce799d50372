"""Which addresses are this server's."""

from __future__ import annotations

import pytest

from ntvmedia.config import Settings
from ntvmedia.config.sections import RTMPSettings, ServerSettings
from ntvmedia.relay.own import is_own

SETTINGS = Settings(
    server=ServerSettings(address="Live.Example.org"),
    rtmp=RTMPSettings(
        listen=(
            "tcp:1935",
            "tcp:1936:interface=192.0.2.7",
            "tcp:1937:interface=127.0.0.1",
            "unix:/x",
        )
    ),
)


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://127.0.0.1",
        "rtmp://127.9.8.7:1935",
        "rtmp://localhost",
        "rtmp://[::1]/x",
        "rtmp://[::ffff:127.0.0.1]",
        "rtmp://0.0.0.0",
        "rtmp://[::]",
        "rtmp://box",
        "rtmp://u:p@LIVE.example.org.",
        "rtmp://public.example",
        "rtmp://192.0.2.7:1936",
        "rtmp://localhost:1937",
    ],
)
def test_own(url: str) -> None:
    """E-ST-08: however this machine is called, as far as that is known."""
    assert is_own(url, SETTINGS, "box", "public.example")


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://192.0.2.7",
        "rtmp://127.0.0.1:1936",
        "rtmp://127.0.0.1:1999",
        "rtmp://127.0.0.2:1937",
        "rtsp://127.0.0.1:1935",
        "rtmp://box.example",
        "rtmp://any.invalid",
        "rtmp://[",
        "rtmp://h:99999",
        "",
    ],
)
def test_not_own(url: str) -> None:
    """Other ports, protocols and machines are not."""
    assert not is_own(url, SETTINGS, "box", "public.example")
