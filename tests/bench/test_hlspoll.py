"""Viewers who poll, against a server of a few lines."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from bench.flv import BadStream
from bench.hlsloop import multivariant_path
from bench.hlspoll import PollingViewer, PollPlan, PollResult, Shared, run_polling
from tests.bench.answering import answer_with, server

PATH = "/live/s/~abc/ts-av/index.m3u8"
SEGMENT = (b"\x47\x40\0\x10" + bytes(184)) * 2000
INIT = b"\0\0\0\x08ftyp\0\0\0\x08moov"
TARGET = 0.2


def playlist(first: int, count: int = 3, header: str = "", target: float = 2.0) -> bytes:
    """Write a media playlist of so many segments."""
    lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{target}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    if header:
        lines.append(f'#EXT-X-MAP:URI="{header}"')
    for number in range(first, first + count):
        lines += [f"#EXTINF:{target},", f"{number}-x.ts"]
    return "\n".join([*lines, ""]).encode()


def asked(name: str) -> bytes:
    """Write out a request for something in the folder."""
    return f"GET /live/s/~abc/ts-av/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def wanted(viewer: PollingViewer) -> list[bytes]:
    """Ask for all that is new."""
    return list(iter(viewer.following, None))


def test_new_once() -> None:
    """The newest segment first, then each new one once; where nothing is new half the wait."""
    viewer = PollingViewer(PATH, playlist(5), Shared())
    assert (viewer.target_seconds, viewer.wait_seconds) == (2.0, 2.0)
    assert wanted(viewer) == [asked("7-x.ts")]
    assert (viewer.awaits_segment, viewer.playlist()) == (True, asked("index.m3u8"))
    assert (viewer.awaits_segment, viewer.following()) == (False, None)
    viewer.content(playlist(7))
    assert wanted(viewer) == [asked("8-x.ts"), asked("9-x.ts")]
    viewer.playlist()
    viewer.content(playlist(7))
    assert (viewer.following(), viewer.wait_seconds) == (None, 1.0)
    viewer.content(playlist(8))
    assert viewer.wait_seconds == 2.0


def test_header() -> None:
    """What fMP4 needs first is asked for once, and again when it is another."""
    viewer = PollingViewer(PATH, playlist(5, header="init0.mp4"), Shared())
    assert viewer.following() == asked("init0.mp4")
    assert not viewer.awaits_segment
    viewer.content(INIT)
    assert wanted(viewer) == [asked("7-x.ts")]
    viewer.playlist()
    viewer.content(playlist(6, header="init0.mp4"))
    assert wanted(viewer) == [asked("8-x.ts")]
    viewer.playlist()
    viewer.content(playlist(7, header="init1.mp4"))
    assert wanted(viewer) == [asked("init1.mp4"), asked("9-x.ts")]


def test_what_is_wrong() -> None:
    """A list that goes back or on without us, and answers unlike those of others."""
    shared = Shared()
    viewer, other = (PollingViewer(PATH, playlist(5), shared) for _number in range(2))
    for one in (viewer, other):
        one.following()
    viewer.length_told(376)
    viewer.content(SEGMENT)
    with pytest.raises(BadStream, match="375 bytes, and 376 before"):
        other.length_told(375)
    with pytest.raises(BadStream, match="another content"):
        other.content(SEGMENT[:-1] + b"x")
    with pytest.raises(BadStream, match="neither"):
        other.content(b"<html>")
    with pytest.raises(BadStream, match="empty"):
        other.length_told(0)
    viewer.playlist()
    viewer.length_told(9)
    with pytest.raises(BadStream, match="from 8 to 7"):
        viewer.content(playlist(4))
    with pytest.raises(BadStream, match="segment 8 was gone"):
        viewer.content(playlist(9))


class Live:
    """A stream with a segment each 0.2 s, and a session for each who asks."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.stops = float("inf")
        self.paths: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, path: str) -> bytes:
        with self._lock:
            self.paths[path] += 1
            count = self.paths[path]
        if path == multivariant_path():
            return answer_with(b"#EXTM3U\nbench0/~%d/ts-av/index.m3u8\n" % count)
        if path.endswith("index.m3u8"):
            number = int((min(time.monotonic(), self.stops) - self.started) / TARGET)
            return answer_with(playlist(number, target=TARGET))
        return answer_with(SEGMENT)


def watch(
    plan: PollPlan, seconds: float = 1.0, begun: Callable[[], None] = lambda: None
) -> PollResult | Exception:
    """Run viewers in this process; return what the parent is sent last."""
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=run_polling, args=(plan, theirs))
    thread.start()
    try:
        answer = ours.recv()
        if answer == "ready":
            begun()
            begin = time.monotonic() + 0.2
            ours.send((begin, begin + seconds))
            answer = ours.recv()
    finally:
        thread.join()
        gc.enable()  # as it is in all processes but theirs
    assert isinstance(answer, PollResult | Exception)
    return answer


def test_watching() -> None:
    """Each viewer is given each segment once, and asks for little else."""
    live = Live()
    with server(live) as port:
        result = watch(PollPlan(port, 8))
    assert isinstance(result, PollResult)
    assert result.target_seconds == TARGET
    assert result.segments == pytest.approx(8 * result.seconds / TARGET, rel=0.3)
    assert result.segments < result.answers <= 3 * result.segments
    assert result.received > result.segments * len(SEGMENT)
    assert 0.0 < result.delay_p50 <= result.delay_p99 < 5.0
    assert result.looked_at > 8
    segments = {path: count for path, count in live.paths.items() if path.endswith(".ts")}
    assert len({path.split("/")[3] for path in segments}) == 8
    assert set(segments.values()) == {1}


def test_sessions() -> None:
    """Viewers who are given one address are no viewers with sessions, unless that is right."""
    live = Live()

    def shared(path: str) -> bytes:
        if path == multivariant_path():
            return answer_with(b"#EXTM3U\nbench0/~0/ts-av/index.m3u8\n")
        return live(path)

    with server(shared) as port:
        result = watch(PollPlan(port, 3))
        assert isinstance(result, BadStream)
        assert "3 viewers have 1 sessions" in str(result)
        assert isinstance(watch(PollPlan(port, 3, sessions=False), 0.5), PollResult)


def test_nothing_new() -> None:
    """A stream that stands still within the window is no measurement."""
    live = Live()

    def stop() -> None:
        live.stops = time.monotonic()

    with server(live) as port:
        result = watch(PollPlan(port, 2), 0.5, stop)
    assert isinstance(result, BadStream)
    assert "no segment" in str(result)
