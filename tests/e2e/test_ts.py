"""HTTP-TS: real players get all pictures and all sound, from the first keyframe to the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.clients import (
    CURL_TS,
    FFMPEG9,
    FFMPEG_TS,
    GSTREAMER_TS,
    PLAY_WAIT,
    TS,
    VLC_TS,
    Player,
    publish_command,
    wait_for_waiting,
)
from tests.e2e.hostile import state_of
from tests.e2e.media import (
    Frame,
    assert_but,
    assert_monotone,
    assert_part,
    assert_same,
    make_clip,
    packets,
    pictures,
    sounds,
)
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.server import Server

SECONDS = 3
NOBODY = 65534
PACKET_BYTES = 188

# What FFmpeg 9 makes of the clip, for each kind of stream.
SOURCES = {
    "h264": "-c copy",
    "hevc": "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=30:bframes=2"
    " -c:a copy",
    "": "-vn -c copy",
}
AV1 = "-c:v libsvtav1 -preset 12 -g 30 -svtav1-params lookahead=0 -c:a copy"
KINDS = {"h264": "h264", "hevc": "hevc", "": "audio only"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT])
    yield server
    server.close()


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that VLC, which runs as nobody, may write to."""
    with TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def make_source(folder: Path, video: str) -> Path:
    """Make a clip with one kind of video, or none, and AAC."""
    clip = make_clip(folder / "clip.flv", SECONDS)
    path = folder / "source.flv"
    run([FFMPEG9, "-v", "error", "-i", clip, *SOURCES[video].split(), path], folder)
    return path


class Played:
    """One stream, and what each player made of it.

    Attributes:
        video: Its codec; empty for sound alone.
        source: What was published.
        paths: What was recorded, by player.
    """

    def __init__(self, video: str, source: Path, paths: dict[Player, Path]) -> None:
        self.video = video
        self.source = source
        self.paths = paths


@pytest.fixture(scope="module", params=list(KINDS), ids=list(KINDS.values()))
def played(
    request: pytest.FixtureRequest,
    server: Server,
    open_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Played]:
    """All players play one stream at the same time, from before it is published to its end."""
    video: str = request.param
    source = make_source(tmp_path_factory.mktemp("source"), video)
    name = f"liveshow/{video or 'audio'}"
    players = (*TS, GSTREAMER_TS[video])
    with ExitStack() as programs:
        recordings = {}
        for number, player in enumerate(players, 1):
            recordings[player] = player.start(server, name, open_folder)
            programs.enter_context(recordings[player].program)
            wait_for_waiting(server, number)
        program = FFMPEG9 if video == "hevc" else "ffmpeg"
        run(publish_command(source, server.rtmp(name), program=program), open_folder)
        yield Played(video, source, {x: y.finish() for x, y in recordings.items()})


@pytest.mark.parametrize("player", [*TS, None], ids=lambda x: x.name if x else "gstreamer-ts")
def test_players(played: Played, player: Player | None) -> None:
    """C-TS-04, C-TS-05: each gets every picture and every sound, in order and in time.

    The audio-only stream begins at once, since nothing says that there is video.
    """
    path = played.paths[player or GSTREAMER_TS[played.video]]
    # At the end of a stream VLC's muxer, and GStreamer's parsers, lose what they still have, and
    # the latter the first sound.
    lost_pictures, lost_sounds = {VLC_TS: (0, 12), None: (1, 2)}.get(player, (0, 0))
    # Of sound alone the hub keeps the last second while it waits whether there are pictures.
    late = 0 if played.video else 48
    if player is None:
        late += 3
    said = packets(played.source, "a", program=FFMPEG9)
    if player is CURL_TS:  # in its file are ADTS headers, too
        assert len(packets(path, "a")) == len(sounds(path))
        heard = packets(adts_free(path), "a")
    else:
        heard = packets(path, "a")
    begin = assert_part(heard, said)
    assert begin <= late
    assert begin + len(heard) >= len(said) - lost_sounds
    if played.video:
        assert_monotone(packets(path, "v"))
        assert_but(pictures(path, program=FFMPEG9), shown(played), lost_pictures)
    assert_even(heard, path)


def adts_free(path: Path) -> Path:
    """Return a copy of a transport stream's sound in Matroska."""
    copy = path.with_suffix(".mka")
    run(["ffmpeg", "-v", "error", "-y", "-i", path, "-vn", "-c", "copy", copy], path.parent)
    return copy


def shown(played: Played) -> list[Frame]:
    """Return the pictures of what was published."""
    return pictures(played.source, program=FFMPEG9)


def assert_even(frames: Sequence[Frame], path: Path) -> None:
    """Check that the sound goes on evenly: rounded times never make a gap (C-TS-05)."""
    assert_monotone(frames)
    ticks = (frames[-1].dts - frames[0].dts) / (len(frames) - 1)
    for number, frame in enumerate(frames):
        expected = frames[0].dts + number * ticks
        assert abs(frame.dts - expected) <= max(2.5, 0.1 * ticks), f"{path.name}: {number}"


def test_transport_stream(played: Played) -> None:
    """C-TS-01: whole packets; the program's tables first, which name only what there is."""
    data = played.paths[CURL_TS].read_bytes()
    assert len(data) % PACKET_BYTES == 0
    assert set(data[::PACKET_BYTES]) == {0x47}
    pids = {
        int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF
        for at in range(0, len(data), PACKET_BYTES)
    }
    assert len(pids) == 2 + 1 + bool(played.video)
    counters: dict[int, int] = {}
    for at in range(0, len(data), PACKET_BYTES):
        pid = int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF
        if data[at + 3] & 0x10:
            if pid in counters:
                assert data[at + 3] & 0xF == (counters[pid] + 1) & 0xF
            counters[pid] = data[at + 3] & 0xF


def test_late_viewer(server: Server, tmp_path: Path) -> None:
    """B-FL-06: who joins in the middle begins with a keyframe, and with tables before it."""
    source = make_clip(tmp_path / "source.flv", 5)
    name = "liveshow/late"
    with Program(publish_command(source, server.rtmp(name)), tmp_path, "publisher"):
        wait_until(lambda: state_of(server, name) == "live", f"{name} is published")
        time.sleep(1.5)
        path = FFMPEG_TS.start(server, name, tmp_path).finish()
    all_of_it = pictures(source)
    found = pictures(path)
    assert 30 <= len(found) < len(all_of_it)
    assert_same(found, all_of_it[-len(found) :])
    assert assert_part(found, all_of_it) % 30 == 0


def test_left_out(server: Server, tmp_path: Path) -> None:
    """C-TS-07: of AV1 and AAC the sound is played; of AV1 alone nothing, with 404 and a reason."""
    clip = make_clip(tmp_path / "clip.flv", 2)
    source = tmp_path / "av1.flv"
    run([FFMPEG9, "-v", "error", "-i", clip, *AV1.split(), source], tmp_path)
    silent = tmp_path / "silent.flv"
    run([FFMPEG9, "-v", "error", "-i", source, "-an", "-c", "copy", silent], tmp_path)
    recording = FFMPEG_TS.start(server, "liveshow/av1", tmp_path)
    wait_for_waiting(server, 1)
    run(publish_command(source, server.rtmp("liveshow/av1"), program=FFMPEG9), tmp_path)
    heard, said = packets(recording.finish(), "a"), packets(clip, "a")
    assert_part(heard, said, len(said) - 5)
    server.wait_for_log("liveshow/av1: its av1 is left out of ts")
    command = publish_command(silent, server.rtmp("liveshow/silent"), program=FFMPEG9)
    with Program(command, tmp_path, "publisher"):
        status, body = server.get("/liveshow/silent.ts")
    assert (status, b"ts cannot carry av1" in body) == (404, True)
