"""The outputs that an application may have, and which protocol belongs to which."""

from __future__ import annotations

from typing import Final

OUTPUTS: Final = ("rtmp", "flv", "ts", "hls", "rtsp")
"""In the order in which they are shown. FLV and TS are those over HTTP, WebSocket included."""

# Those not here have the name of their output.
_OUTPUT_OF: Final = {
    "rtmps": "rtmp",
    "ws-flv": "flv",
    "ws-ts": "ts",
    "rtsps": "rtsp",
    "rtsp-http": "rtsp",
    "rtsp-https": "rtsp",
}


def output_of(protocol: str) -> str:
    """Return the output that a viewer's protocol belongs to.

    Args:
        protocol: As in `ntvmedia.access.Request` and in the list of viewers: "ws-flv".

    Returns:
        One of `OUTPUTS`; for the protocol of a plugin, which no application can turn off, its name.
    """
    return _OUTPUT_OF.get(protocol, protocol)
