"""HLS: real players get all of a stream, come late, and go on over a publisher that returns."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urljoin

import pytest

from tests.e2e.clients import (
    FFMPEG9,
    FFMPEG9_HLS,
    FFMPEG_HLS,
    GSTREAMER_HLS,
    GSTREAMER_HLS_VIDEO,
    HLS,
    MPV_HLS,
    PLAY_WAIT,
    VLC_HLS,
    VLC_HLS_TS,
    Player,
    Recording,
    publish_command,
    wait_for_viewers,
    wait_for_waiting,
)
from tests.e2e.media import (
    FRAME_RATE,
    GOP_FRAMES,
    Frame,
    assert_monotone,
    assert_part,
    assert_same,
    make_clip,
    packets,
    pictures,
    sounds,
)
from tests.e2e.peers import Publisher, read_flv
from tests.e2e.processes import Failed, Program, run, wait_until
from tests.e2e.server import Server
from tests.e2e.test_applications import app
from tests.hls.m3u8 import MediaPlaylist, parse_media, parse_multivariant
from tests.hls.ts import read_segment

NOBODY = 65534
SECONDS = 8

# VLC 3 and GStreamer 1.22 know no gaps.
OVER_GAPS = (FFMPEG_HLS, FFMPEG9_HLS, MPV_HLS)

# A player asks again after a target duration, and some of them only after several.
END_SECONDS = 90.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose lists end, so that players do; in `tv` they are made all the time."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT])
    try:
        app(server, "set", "liveshow", "hls_end_list=true")
        app(server, "set", "tv", "hls_end_list=true", "hls_always=true")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "long.flv", SECONDS)


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that VLC, which runs as nobody, may write to."""
    with TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def position(server: Server, name: str) -> float:
    """Return how many seconds of a stream have come; 0 while it is not published."""
    found = [x for x in server.api("streams")["streams"] if x["name"] == name]
    return float(found[0]["position_seconds"]) if found else 0.0


def start_all(
    programs: ExitStack, players: Sequence[Player], server: Server, name: str, folder: Path
) -> dict[Player, Recording]:
    """Start players that wait for a stream, one after the other."""
    found = {}
    for number, player in enumerate(players, 1):
        found[player] = player.start(server, name, folder)
        programs.enter_context(found[player].program)
        wait_for_waiting(server, number)
    return found


def playlist_of(server: Server, name: str) -> tuple[str, MediaPlaylist]:
    """Read both playlists of a stream in a session of its own; return the path of the second."""
    path = f"/{name}.m3u8"
    status, body = server.get(path)
    assert status == 200, body
    path = urljoin(path, parse_multivariant(body).variants[0].uri)
    status, body = server.get(path)
    assert status == 200, body
    return path, parse_media(body)


@pytest.fixture(scope="module")
def recordings(server: Server, long_clip: Path, open_folder: Path) -> dict[Player, Path]:
    """What players recorded that asked before the stream was published."""
    with ExitStack() as programs:
        found = start_all(programs, HLS, server, "liveshow/all", open_folder)
        run(publish_command(long_clip, server.rtmp("liveshow/all")), open_folder)
        return {player: x.finish(END_SECONDS) for player, x in found.items()}


@pytest.mark.parametrize("player", HLS, ids=lambda player: player.name)
def test_all(recordings: dict[Player, Path], long_clip: Path, player: Player) -> None:
    """C-PL-01, C-TS-05: every picture and every sound, from the first one to EXT-X-ENDLIST."""
    path = recordings[player]
    assert_same(pictures(path), pictures(long_clip))
    assert_monotone(packets(path, "v"))
    heard, said = sounds(path), sounds(long_clip)
    # VLC's own muxer loses the last sounds.
    assert assert_part(heard, said, len(said) - (12 if player is VLC_HLS else 0)) == 0


@pytest.mark.parametrize(
    "player",
    [
        FFMPEG_HLS,
        pytest.param(FFMPEG9_HLS, marks=pytest.mark.long),
        pytest.param(MPV_HLS, marks=pytest.mark.long),
        VLC_HLS,
        GSTREAMER_HLS,
    ],
    ids=lambda player: player.name,
)
def test_late(server: Server, long_clip: Path, open_folder: Path, player: Player) -> None:
    """Who comes late begins with a keyframe that is listed, and then has all."""
    name = f"tv/late-{player.name}"
    with Program(publish_command(long_clip, server.rtmp(name)), open_folder, "late") as publisher:
        wait_until(lambda: position(server, name) > 5.0, "some segments were there")
        recording = player.start(server, name, open_folder)
        with recording.program:
            publisher.finish()
            path = recording.finish(END_SECONDS)
    shown, sent = pictures(path), pictures(long_clip)
    start = assert_part(shown, sent, 2 * GOP_FRAMES)
    assert start % GOP_FRAMES == 0
    # GStreamer's parsers lose what they still have at the end.
    assert start + len(shown) >= len(sent) - (2 if player is GSTREAMER_HLS else 0)


def play_returning(
    players: Sequence[Player], server: Server, clip: Path, folder: Path, away: float
) -> tuple[dict[Player, Path], list[MediaPlaylist]]:
    """Let players play a stream whose publisher is killed, and comes back within its grace.

    Args:
        players: Who plays.
        server: The server.
        clip: What is published twice.
        folder: For what they record.
        away: Seconds for which nobody publishes.

    Returns:
        What each recorded, and the playlist from before and from after.
    """
    name = f"tv/returns-{len(players)}"
    command = publish_command(clip, server.rtmp(name))
    with ExitStack() as programs:
        with Program(command, folder, "publisher") as publisher:
            wait_until(lambda: position(server, name) > 4.5, "some segments were there")
            found = {x: x.start(server, name, folder) for x in players}
            for recording in found.values():
                programs.enter_context(recording.program)
            wait_for_viewers(server, name, len(players))
            publisher.stop(signal.SIGKILL)
        wait_until(lambda: server.api(f"streams/{name}")["publisher"] is None, "it was gone", 10)
        path, before = playlist_of(server, name)
        time.sleep(away)
        with Program(command, folder, "publisher") as publisher:
            publisher.finish()
        # In the session that there is: for a new one the stream may be over already.
        status, body = server.get(path)
        assert status == 200, body
        recorded = {x: y.finish(END_SECONDS) for x, y in found.items()}
        return recorded, [before, parse_media(body)]


@pytest.fixture(scope="module")
def returned(
    server: Server, long_clip: Path, open_folder: Path
) -> tuple[dict[Player, Path], list[MediaPlaylist]]:
    """What players recorded of a stream with a gap."""
    return play_returning(OVER_GAPS, server, long_clip, open_folder, 4.0)


@pytest.mark.parametrize("player", OVER_GAPS, ids=lambda player: player.name)
def test_publisher_returns(
    returned: tuple[dict[Player, Path], list[MediaPlaylist]], long_clip: Path, player: Player
) -> None:
    """C-PL-06, C-PL-10, C-PL-22: the end of the first part, over a gap, and all of the second."""
    paths, playlists = returned
    shown, sent = pictures(paths[player]), pictures(long_clip)
    assert_same(shown[-len(sent) :], sent)
    # The last pictures before it was killed lack those that they refer to.
    first = shown[: -len(sent) - 3]
    assert assert_part(first, sent, GOP_FRAMES) % GOP_FRAMES == 0
    assert any(x.gap for x in playlists[1].segments)
    assert_returned(playlists)


def assert_returned(playlists: list[MediaPlaylist]) -> None:
    """Check that the list went on, with one discontinuity."""
    before, after = playlists
    assert after.segments[-1].number > before.segments[-1].number
    assert sum(x.discontinuity for x in after.segments) == 1


def test_publisher_returns_at_once(server: Server, long_clip: Path, open_folder: Path) -> None:
    """The same for GStreamer and VLC, with a publisher that is back before there is a gap.

    GStreamer 1.22 and VLC 3 do not know EXT-X-GAP: they give up at one, whatever is there.
    """
    players = (GSTREAMER_HLS_VIDEO, VLC_HLS_TS)
    paths, playlists = play_returning(players, server, long_clip, open_folder, 0.0)
    assert not any(x.gap for x in playlists[1].segments)
    assert_returned(playlists)
    sent = [x.digest for x in pictures(long_clip)]
    for player, path in paths.items():
        shown = [x.digest for x in decoded(path)]
        # GStreamer leaves segments out after a discontinuity, and VLC what it has at the end.
        again = shown[shown.index(sent[0], 5) if sent[0] in shown[5:] else -1 :]
        assert len(again) > 4 * GOP_FRAMES, player
        assert player is GSTREAMER_HLS_VIDEO or set(sent[-GOP_FRAMES:-10]) & set(again)


def decoded(path: Path) -> list[Frame]:
    """Decode pictures as a player does, whatever is broken between two parts of a stream."""
    options = "-map 0:v -fps_mode passthrough -f framemd5 -"
    done = run(["ffmpeg", "-v", "quiet", "-i", path, *options.split()], path.parent)
    rows = [x.split(",") for x in done.output.decode("ascii").splitlines() if x[:1] != "#"]
    return [Frame(int(x[1]), int(x[2]), int(x[3]), int(x[4]), x[5].strip()) for x in rows]


PLAYERS_OF_TWO_SIZES = (FFMPEG_HLS, FFMPEG9_HLS)


def test_sequence_header_changes(server: Server, tmp_path: Path) -> None:
    """A-MD-04, C-PL-09: 320x240 becomes 640x360: one discontinuity, and all packets are there."""
    name = "liveshow/changes"
    first = make_clip(tmp_path / "first.flv", 4)
    second = make_clip(tmp_path / "second.flv", 4, ["-s", "640x360"])
    tags = [read_flv(path)[1][1:] for path in (first, second)]
    with ExitStack() as programs:
        found = start_all(programs, PLAYERS_OF_TWO_SIZES, server, name, tmp_path)
        with Publisher(server.rtmp_port, name) as publisher:
            publisher.play(tags[0])
            publisher.play(tags[1], offset=4000)
            _path, playlist = playlist_of(server, name)
        paths = [recording.finish(END_SECONDS) for recording in found.values()]
    assert sum(x.discontinuity for x in playlist.segments) == 1
    for path in paths:
        assert len(packets(path)) == 2 * 4 * FRAME_RATE
        assert_monotone(packets(path))


@pytest.mark.parametrize(
    "player",
    [
        FFMPEG_HLS,
        VLC_HLS,
        *(pytest.param(x, marks=pytest.mark.long) for x in (FFMPEG9_HLS, MPV_HLS)),
    ],
    ids=lambda player: player.name,
)
def test_audio_only(server: Server, clip: Path, open_folder: Path, player: Player) -> None:
    """P-503: `audio=1` leaves the pictures out."""
    name = f"liveshow/audio-{player.name}"
    recording = player.start(server, f"{name}?audio=1", open_folder)
    with recording.program:
        wait_for_waiting(server, 1)
        run(publish_command(clip, server.rtmp(name)), open_folder)
        path = recording.finish(END_SECONDS)
    with pytest.raises(Failed):
        packets(path, "v")
    heard, said = sounds(path), sounds(clip)
    assert assert_part(heard, said, len(said) - (12 if player is VLC_HLS else 0)) == 0


@pytest.mark.parametrize("player", [FFMPEG_HLS, FFMPEG9_HLS], ids=lambda player: player.name)
def test_hevc(server: Server, clip: Path, tmp_path: Path, player: Player) -> None:
    """HEVC goes into the transport stream too, for players that take it."""
    name = f"liveshow/hevc-{player.name}"
    source = tmp_path / "hevc.flv"
    coding = "log-level=error:keyint=30:min-keyint=30:bframes=2"
    options = f"-c:v libx265 -preset ultrafast -x265-params {coding}"
    run([FFMPEG9, "-v", "error", "-i", clip, *options.split(), "-c:a", "copy", source], tmp_path)
    recording = player.start(server, name, tmp_path)
    with recording.program:
        wait_for_waiting(server, 1)
        run(publish_command(source, server.rtmp(name), program=FFMPEG9), tmp_path)
        path = recording.finish(END_SECONDS)
    sent: list[Frame] = pictures(source, program=FFMPEG9)
    assert_same(pictures(path, program=FFMPEG9), sent)


def test_first_playlist(server: Server, tmp_path: Path) -> None:
    """With a GOP of 2 s there is a playlist with a segment within 2.5 s, whenever one comes."""
    name = "liveshow/first"
    clip = make_clip(tmp_path / "gop2.flv", 20, ["-g", "60", "-keyint_min", "60"])
    with Program(publish_command(clip, server.rtmp(name)), tmp_path, "publisher"):
        wait_until(lambda: position(server, name) > 2.5, "it was published")
        for wait in (0.0, 0.7, 0.6):
            time.sleep(wait)
            began = time.monotonic()
            path, playlist = playlist_of(server, name)
            # A machine that is busy with other tests adds to what is promised.
            assert time.monotonic() - began < 2.5 + 2.5
            status, body = server.get(urljoin(path, playlist.segments[-1].uri))
            assert status == 200
            assert read_segment(body).begins_with_key


def test_sent_away(server: Server, long_clip: Path, tmp_path: Path) -> None:
    """C-PL-20: a viewer of HLS is in the list of all; turned away it gets 403, and the player ends.

    When the application no longer has the output, nobody has it.
    """
    name = "studio/kick"
    app(server, "add", "studio")
    command = publish_command(long_clip, server.rtmp(name))
    command[command.index("-i") : command.index("-i")] = ["-stream_loop", "-1"]
    with Program(command, tmp_path, "publisher"):
        wait_until(lambda: position(server, name) > 1.0, "it was published")
        path, playlist = playlist_of(server, name)
        segment = urljoin(path, playlist.segments[-1].uri)
        with FFMPEG_HLS.start(server, name, tmp_path).program as player:
            wait_for_viewers(server, name, 2)
            viewers = [x for x in server.api("viewers")["viewers"] if x["application"] == "studio"]
            assert {x["protocol"] for x in viewers} == {"hls"}
            agents = {x["user_agent"] for x in viewers}
            assert any(x.startswith("Lavf/") for x in agents), agents
            assert server.get(segment)[0] == 200
            app(server, "set", "studio", "outputs=rtmp,flv")
            wait_until(lambda: not server.api(f"streams/{name}")["viewers"], "all were gone", 10)
            assert server.get(path)[0] == 403
            assert server.get(segment)[0] == 403
            assert server.get(f"/{name}.m3u8")[0] == 403
            player.stop(signal.SIGINT)
