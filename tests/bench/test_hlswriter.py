"""The live stream of files beside which nginx is measured."""

from __future__ import annotations

import multiprocessing
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from bench.flv import BadStream
from bench.hlswriter import LiveFiles, run_writer, write_whole
from bench.playlist import read_playlist

FOLDER = "/live/s/~x/ts-av/"
LIST = b"""#EXTM3U
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:98
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T06:00:00.000Z
#EXTINF:1.000,
98-ab.ts
#EXTINF:1.000,
99-cd.ts
"""
FILES = {
    "/live/s.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ns/~x/ts-av/index.m3u8\n",
    FOLDER + "index.m3u8": LIST,
    FOLDER + "98-ab.ts": b"first",
    FOLDER + "99-cd.ts": b"second",
}


def test_steps() -> None:
    """Each step lists a segment more, written before it, and one less; contents come again."""
    live, seen, listed = LiveFiles(FILES), [], [read_playlist(LIST)]
    assert live.target_seconds == 1.0
    for _number in range(3):
        (segment, content), (path, body) = live.step().items()
        assert path == FOLDER + "index.m3u8"
        listed.append(read_playlist(body))
        assert segment == FOLDER + listed[-1].names[-1]
        seen.append(content)
        # 98, 99, 100 and so on: else as many bytes as before.
        assert len(body) == len(LIST) + (listed[-1].sequence > 99)
    assert seen == [b"first", b"second", b"first"]
    assert [one.sequence for one in listed] == [98, 99, 100, 101]
    for before, after in pairwise(listed):
        assert after.names[0] == before.names[1]
    assert len({name for one in listed for name in one.names}) == 5


def test_no_playlist() -> None:
    """Segments alone are no stream."""
    with pytest.raises(BadStream, match="no media playlist"):
        LiveFiles({"/live/s.m3u8": FILES["/live/s.m3u8"]})


def test_writing(tmp_path: Path) -> None:
    """Files appear below the folder until the parent says something; none is half written."""
    files = FILES | {FOLDER + "index.m3u8": LIST.replace(b"ION:1\n", b"ION:0.05\n")}
    for path, content in files.items():
        file = tmp_path / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=run_writer, args=(tmp_path, files, theirs))
    thread.start()
    assert ours.recv() == "ready"
    index, folder = tmp_path / FOLDER[1:] / "index.m3u8", tmp_path / FOLDER[1:]
    while (listed := read_playlist(index.read_bytes())).sequence < 100:
        assert thread.is_alive()
    ours.send(None)
    thread.join()
    assert all((folder / name).read_bytes() in (b"first", b"second") for name in listed.names)
    assert not list(folder.glob("*.part"))
    run_writer(tmp_path, {}, theirs)
    assert isinstance(ours.recv(), BadStream)
