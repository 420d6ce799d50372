"""`ntvmedia hls-download` of live playlists, and of our own server's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e import hostile_server as wrong
from tests.e2e.downloads import (
    assert_even,
    assert_is,
    assert_mp4,
    assert_plain,
    download,
    duration,
    heard,
    launch,
    parts_of,
    picture_times,
    shown,
    sound_times,
    start,
)
from tests.e2e.hls_sources import FRAME_RATE, SECONDS, Sources
from tests.e2e.hostile_server import HostileServer, LiveList
from tests.e2e.media import FRAME_RATE as CLIP_RATE, assert_part, make_clip, pictures
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import Server
from tests.e2e.test_applications import app
from tests.e2e.test_hls_players import position

# What a live stream is asked for, in seconds.
WANTED = 3

FORMS = {
    "ts": "open/x.m3u8?format=ts",
    "ll": "open/x.m3u8?format=ll",
    "encrypted fmp4": "secret/x.m3u8?format=fmp4",
}
MORE_FORMS = {
    "fmp4": "open/x.m3u8?format=fmp4",
    "encrypted ts": "secret/x.m3u8?format=ts",
    "encrypted ll": "secret/x.m3u8?format=ll",
    "sound alone": "open/x.m3u8?format=ts&audio=1",
}


@pytest.fixture
def web(sources: Sources) -> Iterator[HostileServer]:
    """A server of segments of a second."""
    with HostileServer(sources.folder("one_second")) as web:
        yield web


def test_live(sources: Sources, web: HostileServer, out: Path) -> None:
    """Of a list that slides `--duration` takes so much from now on, each segment once."""
    web.on("/live.m3u8", LiveList(sources.playlist("one_second")))
    begin = time.monotonic()
    download(web.url("/live.m3u8"), out, "--duration", str(WANTED))
    # What is listed already is there at once.
    assert time.monotonic() - begin < WANTED + 6
    assert_mp4(out)
    assert_part(pictures(out), pictures(sources.clip()), WANTED * FRAME_RATE)
    assert WANTED - 0.1 <= duration(out) <= WANTED + 1.1
    assert_even(picture_times(out), 1 / FRAME_RATE)
    assert set(web.counts("*.ts").values()) == {1}
    # It asks for the list as often as players do, not all the time.
    assert web.counts("/live.m3u8").total() <= 2 * (WANTED + 6)


def test_live_with_trouble(sources: Sources, web: HostileServer, out: Path) -> None:
    """Now and then the list or a segment is not to be had: nothing is missing in the end."""
    live = LiveList(sources.playlist("one_second"), window=5)
    web.on("/live.m3u8", live, times=2)
    web.on("/live.m3u8", wrong.status(500), times=1)
    web.on("/live.m3u8", live, times=1)
    web.on("/live.m3u8", wrong.break_off, times=1)
    web.on("/live.m3u8", live)
    web.on("/s4.ts", wrong.status(404), times=1)
    web.on("/s5.ts", wrong.break_off, times=1)
    download(web.url("/live.m3u8"), out, "--duration", "5")
    assert_part(pictures(out), pictures(sources.clip()), 5 * FRAME_RATE)


@pytest.mark.long
def test_live_over_the_end(sources: Sources, web: HostileServer, out: Path) -> None:
    """A live stream that begins anew, with times of its own, and then ends for good."""
    live = LiveList(sources.playlist("one_second"), step_seconds=0.7, laps=2)
    web.on("/live.m3u8", live)
    download(web.url("/live.m3u8"), out, "--duration", "100")
    sent = pictures(sources.clip())
    start_frame = assert_part(pictures(out), sent * 2, (2 * SECONDS - 4) * FRAME_RATE)
    assert start_frame + len(shown(out)) == 2 * len(sent)
    assert abs(duration(out) - len(shown(out)) / FRAME_RATE) <= 2 / FRAME_RATE


@pytest.mark.long
def test_live_that_stops(sources: Sources, web: HostileServer, out: Path) -> None:
    """A stream that says nothing new any more, and no end: what there was is the file."""
    text = sources.playlist("one_second").replace("#EXT-X-ENDLIST", "")
    web.on("/live.m3u8", wrong.body(text.encode()))
    program = download(web.url("/live.m3u8"), out, "--duration", "100", seconds=150)
    assert "over" in program.errors
    start_frame = assert_part(pictures(out), pictures(sources.clip()), 3 * FRAME_RATE)
    assert start_frame + len(shown(out)) == SECONDS * FRAME_RATE


def test_event_that_grows(sources: Sources, web: HostileServer, out: Path) -> None:
    """A list that grows, and keeps all that it had, is taken from its start to its end."""
    lines = sources.playlist("one_second").splitlines()
    places = [x for x, line in enumerate(lines) if line.endswith(".ts")]
    begin = time.monotonic()

    def grow(exchange: wrong.Exchange) -> None:
        count = min(10 + int(time.monotonic() - begin), len(places))
        text = lines[: places[count - 1] + 1]
        text.insert(1, "#EXT-X-PLAYLIST-TYPE:EVENT")
        if count == len(places):
            text.append("#EXT-X-ENDLIST")
        exchange.answer(200, "\n".join([*text, ""]).encode())

    web.on("/event.m3u8", grow)
    download(web.url("/event.m3u8"), out)
    assert_is(out, sources.clip())


def test_interrupted_live(sources: Sources, web: HostileServer, out: Path) -> None:
    """Ctrl-C in a live stream keeps what came; the same command goes on with it."""
    web.on("/live.m3u8", LiveList(sources.playlist("one_second"), window=6))
    words = ("--duration", "5")
    with launch(web.url("/live.m3u8"), out, *words, folder=out.parent.parent) as program:
        wait_until(lambda: len(web.whole("*.ts")) >= 2, "some segments came")
        time.sleep(0.5)
        program.send(2)
        assert program.wait(5) == 130, program.tail()
    assert_plain(program)
    assert parts_of(out).is_dir()
    download(web.url("/live.m3u8"), out, *words)
    assert_mp4(out)
    assert_part(pictures(out), pictures(sources.clip()), 5 * FRAME_RATE)
    assert set(web.counts("*.ts").values()) == {1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Our server, with an application in the clear and one that encrypts."""
    server = Server(tmp_path_factory.mktemp("server"))
    common = ("hls_segment_seconds=1", "hls_segment_count=6")
    try:
        app(server, "add", "open", *common)
        app(server, "add", "secret", *common, "encrypted=true", "hls_key_segments=2")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def published(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clip of six seconds that is published again and again."""
    folder = tmp_path_factory.mktemp("published")
    clip = make_clip(folder / "clip.flv", 6)
    command = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip)]
    for name in ("open/x", "secret/x"):
        command += ["-map", "0", "-c", "copy", "-f", "flv", server.rtmp(name)]
    with Program(command, folder, "publisher"):
        wait_until(lambda: position(server, "secret/x") > 3.5, "some segments were there")
        yield clip


def load_all(server: Server, folder: Path, forms: dict[str, str]) -> dict[str, Path]:
    """Download our server's stream in some forms at the same time."""
    programs = {}
    for number, (form, path) in enumerate(forms.items()):
        out = folder / f"{number}.mp4"
        address = server.http(f"/{path}")
        programs[form] = start(address, out, "--duration", str(WANTED), folder=folder), out
    try:
        return {form: finished(program, out) for form, (program, out) in programs.items()}
    finally:
        for program, _out in programs.values():
            program.stop()


def finished(program: Program, out: Path) -> Path:
    """Wait for the good end of a download."""
    program.finish(60)
    assert_plain(program)
    assert not parts_of(out).exists()
    return out


@pytest.fixture(scope="module")
def own(
    server: Server, published: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What was downloaded of our server."""
    return load_all(server, tmp_path_factory.mktemp("own"), FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_own_server(published: Path, own: dict[str, Path], form: str) -> None:
    """P-901: own servers too: what comes is what was published, whole and in step."""
    assert_published(own[form], published)


@pytest.mark.long
def test_own_server_long(server: Server, published: Path, tmp_path: Path) -> None:
    """The same in other forms."""
    for form, path in load_all(server, tmp_path, MORE_FORMS).items():
        assert_published(path, published, has_pictures=form != "sound alone")


def assert_published(path: Path, published: Path, *, has_pictures: bool = True) -> None:
    """Check that a download is a piece of a clip that was published again and again."""
    assert_mp4(path)
    sounds = heard(path)
    published_sounds = heard(published) * 4
    begin = published_sounds.index(sounds[0])
    assert sounds == published_sounds[begin : begin + len(sounds)]
    assert WANTED - 0.1 <= duration(path) <= WANTED + 1.6
    if not has_pictures:
        return
    assert_part(pictures(path), pictures(published) * 4, WANTED * CLIP_RATE)
    times = picture_times(path)
    # RTMP tells whole milliseconds, and a clip that begins anew does so when its sound is over.
    for before, after in pairwise(times):
        assert 0.01 < after - before < 0.08, (before, after)
    assert abs(times[0] - sound_times(path)[0]) < 0.1
