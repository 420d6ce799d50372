"""A player made of PyAV, as a program of its user would be; run by `tests.e2e.rtsp`.

It writes a line for each picture that it decoded and each packet of sound: kind, size, MD5.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import av


def play(address: str, path: Path) -> None:
    """Play until the stream ends."""
    lines: list[str] = []
    with av.open(address, options={"rtsp_transport": "tcp"}) as stream:
        for packet in stream.demux():
            if packet.stream.type == "audio":
                if packet.size:
                    lines.append(_line("a", bytes(packet)))
            else:
                lines += [_line("v", _planes(frame)) for frame in packet.decode()]
    path.write_text("\n".join(lines), "ascii")


def _planes(frame: Any) -> bytes:
    """Return the bytes of a picture as FFmpeg's `framemd5` has them: without what is between."""
    rows = []
    for plane in frame.planes:
        data = memoryview(plane)
        for row in range(plane.height):
            start = row * plane.line_size
            rows.append(data[start : start + plane.width])
    return b"".join(rows)


def _line(kind: str, data: bytes) -> str:
    return f"{kind} {len(data)} {hashlib.md5(data, usedforsecurity=False).hexdigest()}"


if __name__ == "__main__":
    play(sys.argv[1], Path(sys.argv[2]))
