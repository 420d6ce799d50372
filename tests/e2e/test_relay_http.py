"""Pulls over HTTP from servers that are not ours: nginx, ffmpeg, VLC, and one that breaks rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e import hostile_server as hostile
from tests.e2e.hls_sources import SECONDS, SEGMENTS, Sources
from tests.e2e.hostile_server import HostileServer, LiveList
from tests.e2e.media import packets, pictures
from tests.e2e.processes import run
from tests.e2e.pulls import Got, Pull

# A process of Python that starts beside others, and media that is given ahead.
START_SECONDS = 4.0
AHEAD_SECONDS = 1.0


def digests(frames: Sequence[object]) -> list[str]:
    """Return what tells frames from others."""
    return [frame.digest for frame in frames]  # type: ignore[attr-defined]


def assert_in_time(got: Sequence[Got], ahead: float = AHEAD_SECONDS) -> None:
    """No packet came earlier than it is to be shown, but for what is given ahead."""
    first = got[0]
    for packet in got:
        assert packet.at - first.at >= packet.dts - first.dts - ahead - 0.1, packet


def assert_rising(got: Sequence[Got]) -> None:
    """Decode times only rise, in each track."""
    for kind in ("video", "audio"):
        times = [packet.dts for packet in got if packet.kind == kind]
        assert all(a < b for a, b in pairwise(times)), kind


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, sources: Sources) -> Path:
    """The clip in containers."""
    folder = tmp_path_factory.mktemp("files")
    clip = sources.clip()
    for name, options in {
        "clip.flv": "-c copy",
        "clip.ts": "-c copy",
        "first.mp4": "-c copy -movflags +faststart",
        "clip.mkv": "-c copy",
        "clip.wmv": "-c:v wmv2 -c:a wmav2 -t 4",
        "mpeg2.ts": "-c:v mpeg2video -c:a copy -b:v 4M",
    }.items():
        run(["ffmpeg", "-v", "error", "-i", clip, *options.split(), folder / name], folder)
    junk = bytes(range(1, 71)) * 100
    (folder / "junk.ts").write_bytes(junk + (folder / "clip.ts").read_bytes())
    (folder / "page.flv").write_bytes(b"<!DOCTYPE html><html><body>Please log in</body></html>")
    return folder


@pytest.mark.parametrize("name", ["clip.flv", "clip.ts", "junk.ts", "first.mp4", "clip.mkv"])
def test_file(files: Path, sources: Sources, tmp_path: Path, name: str) -> None:
    """E-SR-09: a file is given on in its time, and each frame is that of the file."""
    clip = sources.clip()
    with HostileServer(files) as server, Pull(server.url(f"/{name}"), tmp_path) as pull:
        end = pull.end()
        assert {request.headers["x-ntv-hops"] for request in server.requests} == {"one,two"}
    got = pull.packets()
    assert (end.error, end.is_permanent) == ("", False)
    assert SECONDS - AHEAD_SECONDS - 0.5 < got[-1].at - got[0].at < SECONDS + 2
    assert_in_time(got)
    assert_rising(got)
    assert digests(pictures(pull.pictures)) == digests(pictures(clip))
    assert digests(pull.packets("audio")) == digests(packets(clip, "a"))


@pytest.mark.parametrize(
    "kind",
    [
        "ts",
        "one_key",
        "rotated",
        "implicit",
        "fmp4",
        "fmp4_keys",
        "ranges",
        "event",
        "multivariant",
    ],
)
def test_hls(sources: Sources, tmp_path: Path, kind: str) -> None:
    """E-SR-08: playlists of all kinds, from their beginning, never faster than life."""
    clip = sources.clip()
    with HostileServer(sources.folder(kind)) as server, Pull(server.url(), tmp_path) as pull:
        end = pull.end()
        last = max(times[-1] for path, times in server.sent.items() if path.endswith(("ts", "m4s")))
        first = min(times[0] for path, times in server.sent.items())
    got = pull.packets()
    assert (end.error, end.is_permanent) == ("", False)
    assert_in_time(got)
    assert_rising(got)
    assert digests(pictures(pull.pictures)) == digests(pictures(clip))
    assert digests(pull.packets("audio")) == digests(packets(clip, "a"))
    if kind not in ("ranges",):
        # Two segments wait, and some of the one before: the last was not wanted at the beginning.
        assert last - first > SECONDS / SEGMENTS
