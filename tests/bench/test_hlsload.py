"""The loop that drives HLS viewers, against a server of a few lines."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import time
from collections.abc import Callable

import pytest

from bench.flv import BadStream
from bench.hls import Known
from bench.hlsload import HLSPlan, HLSResult, open_viewer, run_hls
from bench.hlsloop import multivariant_path
from tests.bench.answering import answer_with, server

MASTER = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nbench0/~s/av/index.m3u8\n"
MEDIA = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:3\n#EXTINF:2,\n3.ts\n#EXTINF:2,\n4.ts\n"
SEGMENT = (b"\x47\x40\0\x10" + bytes(184)) * 3000
FOLDER = "/liveshow/bench0/~s/av/"
FILES = {
    multivariant_path(): MASTER,
    FOLDER + "index.m3u8": MEDIA,
    FOLDER + "3.ts": SEGMENT,
    FOLDER + "4.ts": SEGMENT[:1880],
}


def good(path: str) -> bytes:
    """Answer with a file."""
    body = FILES[path]
    return answer_with(body)


def watch(plan: HLSPlan, seconds: float = 0.5) -> HLSResult | Exception:
    """Run viewers in this process; return what the parent is sent last."""
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=run_hls, args=(plan, theirs))
    thread.start()
    try:
        answer = ours.recv()
        if answer == "ready":
            begin = time.monotonic() + 0.1
            ours.send((begin, begin + seconds))
            answer = ours.recv()
    finally:
        thread.join()
        gc.enable()  # as it is in all processes but theirs
    assert isinstance(answer, HLSResult | Exception)
    return answer


def test_segments() -> None:
    """Requests come at the given rate, and answers are counted with their heads."""
    with server(good) as port:
        result = watch(HLSPlan(port, 3, 40.0, 0.2))
    assert isinstance(result, HLSResult)
    assert result.seconds == pytest.approx(0.5, abs=0.3)
    # Those of the time before that were late may be among them.
    assert 3 <= result.answers <= 40.0 * result.seconds + 10
    assert result.received > len(SEGMENT)
    assert 0.0 < result.delay_p50 <= result.delay_p99 < 5.0
    assert result.looked_at >= 1


def test_as_fast_as_answered() -> None:
    """Without a rate all viewers always have a request under way."""
    with server(good) as port:
        result = watch(HLSPlan(port, 2, 0.0, 0.0))
    assert isinstance(result, HLSResult)
    size = len(good(FOLDER + "index.m3u8"))
    assert result.answers > 40
    assert result.received == pytest.approx(result.answers * size, abs=2 * size)
    assert result.looked_at >= result.answers // 64


def spoiled(bad: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """Answer well only until each of the viewers has its playlists."""
    asked: list[str] = []

    def answer(path: str) -> bytes:
        asked.append(path)
        return good(path) if len(asked) <= 4 else bad(path)

    return answer


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda _path: b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", "404"),
        (lambda _path: b"HTTP/1.1 200 OK\r\n\r\n", "Content-Length"),
        (lambda _path: b"", "closed"),
        (lambda path: good(path) + b"x", "more than"),
        (lambda _path: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "empty"),
        (lambda _path: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "not "),
    ],
)
def test_bad_answers(bad: Callable[[str], bytes], reason: str) -> None:
    """Anything but a complete and right answer ends the measurement, and is not counted."""
    with server(spoiled(bad)) as port:
        result = watch(HLSPlan(port, 2, 400.0, 0.0))
    assert isinstance(result, BadStream)
    assert reason in str(result)


def test_nothing_answered() -> None:
    """A server that is silent within the window is not measured as a fast one."""

    def slow(path: str) -> bytes:
        time.sleep(5.0)
        return good(path)

    with server(spoiled(slow)) as port:
        result = watch(HLSPlan(port, 2, 50.0, 0.0), 0.2)
    assert isinstance(result, BadStream)
    assert "nothing" in str(result)


def test_open_viewer() -> None:
    """A viewer asks for both playlists; one that is refused is told why."""
    paths: list[str] = []

    def answer(path: str) -> bytes:
        paths.append(path)
        return good(path)

    with server(answer) as port:
        connection, viewer = open_viewer(port, Known(), 2.0)
        connection.close()
    assert paths == [multivariant_path(), FOLDER + "index.m3u8"]
    assert viewer.request(time.monotonic()).startswith(f"GET {FOLDER}3.ts ".encode())
    refuse = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with server(lambda _path: refuse) as port, pytest.raises(BadStream, match="403"):
        open_viewer(port, Known(), 2.0)
