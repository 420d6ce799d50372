"""What a publisher puts on the wire."""

from __future__ import annotations

import pytest

from bench.flv import SCRIPT
from bench.publisher import WireFrames
from bench.rtmp import SET_CHUNK_SIZE, ChunkReader
from tests.bench.media import small_source


@pytest.mark.parametrize("chunk_bytes", [128, 4096])
def test_loops(chunk_bytes: int) -> None:
    """Read back, three loops have every frame, at its time, and no seam between them."""
    source = small_source()
    frames = WireFrames(source, chunk_bytes, 1)
    reader = ChunkReader()
    opening = reader.feed(frames.opening)
    assert opening[0].kind == SET_CHUNK_SIZE
    assert [message.kind for message in opening[1:]] == [head.kind for head in source.headers]
    assert opening[1].kind == SCRIPT
    assert opening[1].body.startswith(b"\x02\0\x0d@setDataFrame\x02\0\nonMetaData")
    wire = b"".join(frames.first_pass) + b"".join(frames.loop) * 2
    messages = reader.feed(wire)
    expected = [
        (frame.kind, loop * source.loop_ms + frame.at, frame.body)
        for loop in range(3)
        for frame in source.frames
    ]
    assert [message[:3] for message in messages] == expected
