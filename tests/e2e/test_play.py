"""What real players get: all of a stream they waited for, its beginning when they come late."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ntvmedia.formats.flv import TagType
from tests.e2e.clients import (
    ALL,
    CURL,
    EXACT,
    FFMPEG_RTMP,
    PLAY_WAIT,
    RTMP2SRC,
    RTMPDUMP,
    RTMPSRC,
    VLC,
    Player,
    Recording,
    pass_through,
    publish_command,
    wait_for_viewers,
    wait_for_waiting,
)
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
from tests.e2e.peers import read_flv
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.server import Server

NOBODY = 65534

LATE = (CURL, RTMPDUMP, FFMPEG_RTMP)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT])
    yield server
    server.close()


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "short.flv", 3)


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that VLC, which runs as nobody, may write to."""
    with TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.fixture(scope="module")
def recordings(
    server: Server, short_clip: Path, open_folder: Path
) -> Iterator[dict[str, Recording]]:
    """All players play one stream at the same time, from before it is published to its end."""
    with ExitStack() as programs:
        found = {}
        for number, player in enumerate(ALL, 1):
            recording = player.start(server, "liveshow/all", open_folder)
            programs.enter_context(recording.program)
            found[player.name] = recording
            # One after the other, so that a slow machine starts them all in time.
            wait_for_waiting(server, number)
        command = publish_command(short_clip, server.rtmp("liveshow/all"))
        run(command, open_folder)
        found[RTMPSRC.name].program.stop()
        yield found


@pytest.fixture(scope="module")
def sent(short_clip: Path) -> dict[str, list[Frame]]:
    """The packets of the clip, by kind."""
    return {kind: packets(short_clip, kind) for kind in ("v", "a")}


@pytest.mark.parametrize("player", EXACT, ids=lambda player: player.name)
def test_every_packet(
    recordings: dict[str, Recording],
    sent: dict[str, list[Frame]],
    short_clip: Path,
    player: Player,
) -> None:
    """A-SE-07: who plays before it is published gets all packets and a good end with the stream."""
    recording = recordings[player.name]
    if player is not RTMPSRC:  # which was stopped
        recording.finish()
    for kind in ("v", "a"):
        received = packets(recording.path, kind)
        assert_same(received, sent[kind])
        assert_monotone(received)
    assert_same(pictures(recording.path), pictures(short_clip))
    assert_same(sounds(recording.path), sounds(short_clip))


def test_gstreamer(
    recordings: dict[str, Recording], sent: dict[str, list[Frame]], short_clip: Path
) -> None:
    """GStreamer's rtmp2src: the same, but it forgets a message that it has at the stream's end."""
    path = recordings[RTMP2SRC.name].finish()
    for kind in ("v", "a"):
        received = packets(path, kind)
        assert assert_part(received, sent[kind], len(sent[kind]) - 1) == 0
        assert_monotone(received)
    assert_but(pictures(path), pictures(short_clip), 1)
    assert assert_part(sounds(path), sounds(short_clip), 130) == 0


@pytest.mark.parametrize("player", VLC, ids=lambda player: player.name)
def test_vlc(recordings: dict[str, Recording], short_clip: Path, player: Player) -> None:
    """VLC: every picture; its own muxer loses the last sounds, and writes packets anew."""
    path = recordings[player.name].finish()
    assert_monotone(packets(path, "v"))
    assert_same(pictures(path), pictures(short_clip))
    heard = sounds(short_clip)
    assert assert_part(sounds(path), heard, len(heard) - 12) == 0


def test_late(server: Server, clip: Path, tmp_path: Path) -> None:
    """A-SE-06, B-FL-06: metadata, both sequence headers, then at once from the last keyframe."""
    name = "liveshow/late"
    with (
        ExitStack() as programs,
        Program(publish_command(clip, server.rtmp(name)), tmp_path, "publisher") as publisher,
    ):
        wait_until(lambda: position(server, name) > 1.3, "two groups of pictures were there")
        late = {player: player.start(server, name, tmp_path) for player in LATE}
        for recording in late.values():
            programs.enter_context(recording.program)
        publisher.finish()
        for player, recording in late.items():
            recording.finish()
            if player is not FFMPEG_RTMP:  # which orders them anew
                assert_good_start(recording.path)
            assert_end_of(recording.path, clip)


def assert_good_start(path: Path) -> None:
    """Check the order of what a player is given first."""
    _header, (script, audio, video, first, *_others) = read_flv(path)
    assert (script.kind, script.body[:13]) == (TagType.SCRIPT, b"\x02\x00\x0aonMetaData")
    assert (audio.kind, audio.body[:2]) == (TagType.AUDIO, b"\xaf\x00")
    assert (video.kind, video.body[:2]) == (TagType.VIDEO, b"\x17\x00")
    assert (first.kind, first.body[:2]) == (TagType.VIDEO, b"\x17\x01")
    assert first.timestamp >= 900


def assert_end_of(path: Path, clip: Path) -> None:
    """Check that a file has the clip from one of its keyframes to its end."""
    for kind in ("v", "a"):
        received, sent = packets(path, kind), packets(clip, kind)
        start = assert_part(received, sent, 60)
        assert start + len(received) == len(sent)
        assert_monotone(received)
        if kind == "v":
            assert start in (30, 60, 90)
            assert_same(pictures(path), pictures(clip)[start:])


def position(server: Server, name: str) -> float:
    """Return how many seconds of a stream have come; 0 while it is not published."""
    found = [x for x in server.api("streams")["streams"] if x["name"] == name]
    return float(found[0]["position_seconds"]) if found else 0.0


@pytest.mark.parametrize("player", [CURL, RTMPDUMP], ids=lambda player: player.name)
def test_audio_only(server: Server, short_clip: Path, tmp_path: Path, player: Player) -> None:
    """P-503: `audio=1` leaves the pictures out, and the header does not announce them."""
    name = f"liveshow/audio-{player.name}"
    recording = player.start(server, f"{name}?audio=1", tmp_path)
    with recording.program:
        wait_for_waiting(server, 1)
        run(publish_command(short_clip, server.rtmp(name), realtime=False), tmp_path)
        path = recording.finish()
    header, tags = read_flv(path)
    assert {tag.kind for tag in tags} == {TagType.SCRIPT, TagType.AUDIO}
    assert_same(packets(path, "a"), packets(short_clip, "a"))
    assert (header.has_audio, header.has_video) == (True, False)


@pytest.mark.parametrize("player", [CURL, RTMPDUMP], ids=lambda player: player.name)
def test_audio_application(
    server: Server, short_clip: Path, tmp_path: Path, player: Player
) -> None:
    """P-207: application `audio` serves only the sound of what was published with pictures."""
    name = f"audio/{player.name}"
    command = publish_command(short_clip, server.rtmp(name), realtime=False)
    path = pass_through(server, name, command, tmp_path, player)
    header, tags = read_flv(path)
    assert (header.has_audio, header.has_video) == (True, False)
    assert {tag.kind for tag in tags} == {TagType.SCRIPT, TagType.AUDIO}
    assert_same(packets(path, "a"), packets(short_clip, "a"))


def test_viewers_leave(server: Server, short_clip: Path, tmp_path: Path) -> None:
    """A player that is killed is forgotten at once, and nobody else notices."""
    name = "liveshow/leave"
    stays = CURL.start(server, name, tmp_path)
    with stays.program, RTMPDUMP.start(server, name, tmp_path).program as leaves:
        wait_for_waiting(server, 2)
        with Program(
            publish_command(short_clip, server.rtmp(name)), tmp_path, "publisher"
        ) as publisher:
            wait_until(lambda: position(server, name) > 0.5, "it was published")
            wait_for_viewers(server, name, 2)
            leaves.stop(9)
            wait_until(lambda: server.api(f"streams/{name}")["viewers"] == 1, "one was left", 10)
            publisher.finish()
        path = stays.finish()
    for kind in ("v", "a"):
        assert_same(packets(path, kind), packets(short_clip, kind))
