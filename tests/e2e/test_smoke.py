"""The shortest way through the whole server, with FFmpeg at both ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.media import assert_monotone, assert_same, packets, pictures, sounds
from tests.e2e.processes import Program
from tests.e2e.server import Server


@pytest.mark.parametrize("way", ["rtmp", "flv"])
def test_publish_and_play(shared_server: Server, clip: Path, tmp_path: Path, way: str) -> None:
    """A player that waits for the stream gets every packet of it, byte for byte."""
    name = f"liveshow/smoke-{way}"
    source = shared_server.rtmp(name) if way == "rtmp" else shared_server.flv(name)
    copy = tmp_path / "copy.flv"
    play = f"ffmpeg -v error -i {source} -map 0 -c copy -f flv {copy}"
    publish = f"ffmpeg -v error -re -i {clip} -c copy -f flv {shared_server.rtmp(name)}"
    with Program(play.split(), tmp_path, "player") as player:
        with Program(publish.split(), tmp_path, "publisher") as publisher:
            publisher.finish(30)
        player.finish(30)
    for kind in ("v", "a"):
        received = packets(copy, kind)
        assert_same(received, packets(clip, kind))
        assert_monotone(received)
    assert_same(pictures(copy), pictures(clip))
    assert_same(sounds(copy), sounds(clip))
