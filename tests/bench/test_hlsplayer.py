"""One player of low latency, against a server of a few lines."""

from __future__ import annotations

import multiprocessing
import threading
import time

import pytest

from bench.flv import BadStream
from bench.hlsloop import open_playlist
from bench.hlsplayer import LowLatencyPlayer, run_player
from tests.bench.answering import LowLatency, answer_with, server


def test_playing() -> None:
    """Each part once, from the newest on, and what goes before them once."""
    live = LowLatency()
    ours, theirs = multiprocessing.Pipe()
    with server(live) as port:
        thread = threading.Thread(target=run_player, args=(port, theirs))
        thread.start()
        assert ours.recv() == "ready"
        begin = time.monotonic() + 0.1
        ours.send((begin, begin + 0.6))
        parts = ours.recv()
        thread.join()
    fetched = {path: count for path, count in live.paths.items() if path.endswith(".m4s")}
    assert set(fetched.values()) == {1}
    assert live.paths["/liveshow/bench0/~1/ll-av/init0.mp4"] == 1
    assert 6 <= parts <= 14
    assert parts < len(fetched) <= parts + 6


def test_refused() -> None:
    """A player that is refused says so instead."""
    ours, theirs = multiprocessing.Pipe()
    with server(lambda _path: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as port:
        run_player(port, theirs)
    error = ours.recv()
    assert isinstance(error, BadStream)
    assert "403" in str(error)


def test_part_gone() -> None:
    """A list that went on without the player is no play without stalls."""
    live = LowLatency()
    late = False

    def answer(path: str) -> bytes:
        if late and "_HLS_msn" in path:
            later = b'#EXT-X-PART:DURATION=0.05,URI="99.0.m4s"\n'
            head = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:98\n98.m4s\n"
            return answer_with(head + later)
        return live(path)

    with server(answer) as port:
        player = LowLatencyPlayer(*open_playlist(port, "ll"))
        late = True
        player.step()
        with pytest.raises(BadStream, match="was gone"):
            player.step()
        player.close()
