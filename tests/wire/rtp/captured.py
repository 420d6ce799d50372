"""Real RTP packets: FFmpeg sends them to a socket of ours, as fast as it can."""

from __future__ import annotations

import re
import socket
import subprocess
from functools import cache
from typing import NamedTuple

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1", "-pix_fmt", "yuv420p")


def sound(rate: int) -> tuple[str, ...]:
    """Options for a tone of one second."""
    return ("-f", "lavfi", "-i", f"sine=duration=1:sample_rate={rate}")


class Capture(NamedTuple):
    """What a sender sent.

    Attributes:
        sdp: The session's description.
        packets: RTP, in order.
        reports: RTCP, in order.
    """

    sdp: str
    packets: tuple[bytes, ...]
    reports: tuple[bytes, ...]

    @property
    def payload_type(self) -> int:
        """Of the packets."""
        return self.packets[0][1] & 0x7F

    @property
    def rtpmap(self) -> str:
        """What the description says of the encoding; empty for static payload types."""
        found = re.search(r"a=rtpmap:\d+ (\S+)", self.sdp)
        return found[1] if found else ""

    @property
    def parameters(self) -> dict[str, str]:
        """The format's parameters in the description."""
        found = re.search(r"a=fmtp:\d+ (.+)", self.sdp)
        pairs = (found[1].strip() if found else "").split(";")
        fields = (pair.strip().partition("=") for pair in pairs if pair.strip())
        return {name.lower(): value for name, _mark, value in fields}


@cache
def capture(*options: str, program: str = "ffmpeg", muxer: str = "rtp") -> Capture:
    """Run ffmpeg with input and codec options, and catch what it sends."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control,
    ):
        for size in (media, control):
            size.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
            size.bind(("127.0.0.1", 0))
            size.settimeout(0.05)
        port, report_port = media.getsockname()[1], control.getsockname()[1]
        where = f"rtp://127.0.0.1:{port}?rtcpport={report_port}&pkt_size=1200"
        with subprocess.Popen(
            [program, "-v", "error", "-nostdin", *options, "-f", muxer, where],
            stdout=subprocess.PIPE,
            text=True,
        ) as sender:
            packets = _received(media, sender)
            reports = _received(control, sender)
            assert sender.stdout is not None
            sdp = sender.stdout.read()
            assert sender.wait() == 0
    assert packets
    return Capture(sdp, tuple(packets), tuple(reports))


def _received(port: socket.socket, sender: subprocess.Popen[str]) -> list[bytes]:
    """Read until the sender is gone and nothing is left."""
    found: list[bytes] = []
    while True:
        ended = sender.poll() is not None
        try:
            found.append(port.recv(65536))
        except TimeoutError:
            if ended:
                return found
