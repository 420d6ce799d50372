"""Where the server under test is reached, and what its streams are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
APPLICATION: Final = "liveshow"


@dataclass(frozen=True, slots=True)
class Address:
    """A server's ports; `http_port` is zero where it has no HTTP-FLV, as is `rtsp_port`."""

    rtmp_port: int
    http_port: int
    rtsp_port: int = 0


def stream_name(number: int) -> str:
    """Name the stream of one publisher."""
    return f"bench{number}"
