"""Pulls over HTTP from servers that are not ours: nginx, ffmpeg, VLC, and one that breaks rules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import hostile_server as hostile
from tests.e2e.hls_sources import SECONDS, SEGMENTS, Sources
from tests.e2e.hostile_server import HostileServer, LiveList
from tests.e2e.media import packets, pictures
from tests.e2e.processes import Program, is_listening, run, wait_until
from tests.e2e.pulls import Got, Pull
from tests.e2e.server import free_port

# A process of Python that starts beside others, and media that is given ahead.
START_SECONDS = 4.0
AHEAD_SECONDS = 1.0


def full(value: str) -> Any:
    """A parameter of the full dose: another one of its kind proves the same in the short one."""
    return pytest.param(value, marks=pytest.mark.long)


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


@pytest.mark.parametrize(
    "name", ["clip.ts", "first.mp4", *map(full, ("clip.flv", "junk.ts", "clip.mkv"))]
)
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
        "rotated",
        *map(
            full,
            ("multivariant", "ts", "one_key", "implicit", "fmp4", "fmp4_keys", "ranges", "event"),
        ),
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


@pytest.mark.parametrize(
    "kind",
    ["joined_fmp4", *map(full, ("joined", "joined_wrap", "joined_apart", "packed", "hevc"))],
)
def test_hls_put_together(sources: Sources, tmp_path: Path, kind: str) -> None:
    """E-SR-08: discontinuities, sound in its own list and other codecs, on one timeline."""
    with HostileServer(sources.folder(kind)) as server, Pull(server.url(), tmp_path, 90) as pull:
        end = pull.end(90)
    got = pull.packets()
    assert end.error == ""
    assert_in_time(got)
    assert_rising(got)
    for name in ("video", "audio"):
        times = [packet.dts for packet in got if packet.kind == name]
        if times:
            assert max(b - a for a, b in pairwise(times)) < 0.2, name
    if kind.startswith("joined") and kind != "joined_apart":
        one, other = sources.clip(), sources.clip("other")
        assert digests(pictures(pull.pictures)) == digests([*pictures(one), *pictures(other)])


def test_live(sources: Sources, tmp_path: Path) -> None:
    """A list that slides: each segment once, and a server that fails for a while is no end."""
    folder = sources.folder("one_second")
    with HostileServer(folder) as server:
        server.on("/index.m3u8", LiveList(sources.playlist("one_second"), window=6))
        with Pull(server.url(), tmp_path) as pull:
            pull.wait_for(100)
            server.on("/index.m3u8", hostile.status(503), times=2)
            got = pull.wait_for(350)
            whole = server.whole("*.ts")
            counts = server.counts("*.ts")
    assert len(whole) >= 12
    assert max(counts.values()) <= 2
    assert_in_time(got, AHEAD_SECONDS)
    assert_rising(got)
    times = [packet.dts for packet in got if packet.kind == "video"]
    assert max(b - a for a, b in pairwise(times)) < 0.1


def test_stall(files: Path, tmp_path: Path) -> None:
    """E-ST-01: a server that stops in the middle is left after the time that was set."""
    with HostileServer(files) as server:
        server.on("/clip.ts", hostile.stall_body)
        with Pull(server.url("/clip.ts"), tmp_path) as pull:
            end = pull.end()
    assert "nothing came for 6 seconds" in end.error
    assert not end.is_permanent


def test_no_media(files: Path, tmp_path: Path) -> None:
    """E-SR-09: a page is told to be one, at once and for good."""
    with HostileServer(files) as server, Pull(server.url("/page.flv"), tmp_path) as pull:
        end = pull.end()
    assert (end.error, end.is_permanent) == ("the answer is an HTML page", True)


@pytest.mark.parametrize("name", [full("clip.wmv"), "mpeg2.ts"])
def test_encoded_anew(files: Path, tmp_path: Path, name: str) -> None:
    """What no track of ours can carry is told, and encoded anew by the child that reads it."""
    with HostileServer(files) as server:
        if name == "clip.wmv":
            with Pull(server.url(f"/{name}"), tmp_path) as pull:
                end = pull.end()
            assert end.is_permanent
            assert "wm" in end.error
        with Pull(server.url(f"/{name}"), tmp_path, 60, "--h264") as pull:
            got = pull.wait_for(75)
            tracks = pull.lines("track")
    assert [track[1] for track in tracks if track[1] == "h264"] == ["h264"]
    assert_rising(got)
    assert len(pictures(pull.pictures)) >= 70


@pytest.mark.long
def test_hls_encoded_anew(sources: Sources, tmp_path: Path) -> None:
    """So it is with what comes by HLS, packet by packet."""
    folder = sources.folder("hevc")
    with HostileServer(folder) as server, Pull(server.url(), tmp_path, 60, "--h264") as pull:
        got = pull.wait_for(75)
    assert_rising(got)
    assert len(pictures(pull.pictures)) >= 70


@pytest.fixture
def nginx(files: Path, sources: Sources, tmp_path: Path) -> Iterator[str]:
    """The address of an nginx that serves files."""
    port = free_port()
    for name in ("clip.flv", "clip.ts", "first.mp4"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    folder = sources.folder("rotated")
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"""{"user root;" * (os.getuid() == 0)} daemon off;
pid {tmp_path}/nginx.pid; worker_processes 1;
error_log stderr; events {{ }}
http {{ access_log off; types {{ video/x-flv flv; video/mp2t ts; }}
client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f;
uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
server {{ listen 127.0.0.1:{port}; root {tmp_path};
location /away/ {{ return 302 /$arg_to; }} location /hls/ {{ alias {folder}/; }} }} }}
""",
        "utf-8",
    )
    with Program(["nginx", "-c", config, "-p", tmp_path], tmp_path):
        wait_until(lambda: is_listening(port), "nginx listens")
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "path", ["away/?to=clip.flv", *map(full, ("clip.flv", "clip.ts", "first.mp4"))]
)
def test_nginx(nginx: str, sources: Sources, tmp_path: Path, path: str) -> None:
    """Files of nginx, and one that it redirects to: each frame, in its time."""
    with Pull(f"{nginx}/{path}", tmp_path) as pull:
        end = pull.end()
    assert end.error == ""
    assert_in_time(pull.packets())
    assert digests(pictures(pull.pictures)) == digests(pictures(sources.clip()))


@pytest.mark.long
def test_nginx_hls(nginx: str, sources: Sources, tmp_path: Path) -> None:
    """Encrypted segments of FFmpeg, whose keys change, from nginx."""
    with Pull(f"{nginx}/hls/index.m3u8", tmp_path) as pull:
        end = pull.end()
    assert end.error == ""
    assert digests(pictures(pull.pictures)) == digests(pictures(sources.clip()))


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        pytest.param("mpegts", "video/mp2t", marks=pytest.mark.long),
        ("flv", "video/x-flv"),
    ],
)
def test_ffmpeg_listens(sources: Sources, tmp_path: Path, form: str, kind: str) -> None:
    """FFmpeg as a server of a live stream, in chunks without an end that is known."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/live"
    command: list[str | Path] = [
        "ffmpeg",
        "-v",
        "error",
        "-re",
        "-i",
        sources.clip(),
        "-c",
        "copy",
        "-f",
        form,
    ]
    more = ["-listen", "1", "-content_type", kind, url]
    with Program([*command, *more], tmp_path):
        wait_until(lambda: is_listening(port), "ffmpeg listens")
        with Pull(url, tmp_path) as pull:
            pull.wait_for(SECONDS * 25 - 5)
            pull.end()
    assert_rising(pull.packets())
    shown = digests(pictures(pull.pictures))
    wanted = digests(pictures(sources.clip()))
    # What stands at the end waits for a packet that does not come, where the format is FLV.
    assert shown == wanted[: len(shown)]
    assert len(shown) >= len(wanted) - 5


def test_asf(files: Path, tmp_path: Path) -> None:
    """ASF with WMV, live from FFmpeg: read and encoded anew in one child."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/live"
    command: list[str | Path] = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "5"]
    more: list[str | Path] = [
        "-i",
        files / "clip.wmv",
        "-c",
        "copy",
        "-f",
        "asf",
        "-listen",
        "1",
        url,
    ]
    with Program([*command, *more], tmp_path):
        wait_until(lambda: is_listening(port), "ffmpeg listens")
        with Pull(url, tmp_path, 60, "--h264") as pull:
            got = pull.wait_for(100)
    assert_rising(got)
    assert len(pictures(pull.pictures)) >= 90


def test_no_known_format(tmp_path: Path) -> None:
    """What the child cannot read ends the pull in its words, and nothing else happens."""
    (tmp_path / "noise").write_bytes(bytes(n * 7 % 251 for n in range(300_000)))
    with HostileServer(tmp_path) as server, Pull(server.url("/noise"), tmp_path) as pull:
        assert "no known format" in pull.end().error
