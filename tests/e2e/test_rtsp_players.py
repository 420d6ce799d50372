"""What real players get over RTSP, within TCP and TLS: all that was published, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.config.pem import make_pair
from tests.e2e import rtsp
from tests.e2e.clients import FFMPEG9, PLAY_WAIT, publish_command, wait_for_viewers
from tests.e2e.media import Frame, assert_part, assert_same, make_clip, packets, pictures, sounds
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.rtsp import FFMPEG, FFMPEG_9, GSTREAMER, MPV, PYAV, Player, Recording
from tests.e2e.server import Server, free_port

SECONDS = 2.0
PICTURE = f"testsrc2=size=320x240:rate=30:duration={SECONDS}"
TONE = f"aevalsrc=0.3*sin(2*PI*t*(300+100*t)):s=48000:d={SECONDS}"

# Who plays what is published how, within TCP and within TLS.
PLAYERS = {
    "rtsp": (rtsp.ALL, (FFMPEG, GSTREAMER)),
    "rtmp": ((FFMPEG, PYAV), (GSTREAMER,)),
    "gstreamer": ((FFMPEG_9, GSTREAMER), ()),
}

# D-RQ-12: what a player puts behind the name and means nothing here is no part of it.
QUERIES = {"rtsp": "", "rtmp": "?token=a/b&x=trackID", "gstreamer": ""}

# What FFmpeg keeps to itself of the sound when it ends.
LOST_BY_FFMPEG = 4


class Site:
    """A server with RTSP and RTSPS.

    Attributes:
        server: It.
    """

    def __init__(self, folder: Path) -> None:
        certificate, key = make_pair(folder, "localhost")
        self._tls_port = free_port()
        self.server = Server(
            folder,
            [
                PLAY_WAIT,
                "hub.publisher_grace=1",
                f"rtsps.listen=tcp:{self._tls_port}:interface=127.0.0.1",
                f"tls.certificate={certificate}",
                f"tls.key={key}",
            ],
        )

    def rtsps(self, name: str) -> str:
        """Return the RTSPS address of "APP/STREAM"."""
        return f"rtsps://127.0.0.1:{self._tls_port}/{name}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests here."""
    site = Site(tmp_path_factory.mktemp("server"))
    yield site
    site.server.close()


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "short.flv", SECONDS)


@pytest.fixture(scope="module")
def seen(short_clip: Path) -> list[Frame]:
    """The pictures of the clip."""
    return pictures(short_clip)


@pytest.fixture(scope="module", params=PLAYERS)
def recordings(
    request: pytest.FixtureRequest,
    site: Site,
    short_clip: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, dict[str, Recording]]]:
    """All players play one stream at the same time, from before it is published to its end."""
    how: str = request.param
    name = f"liveshow/{how}"
    server = site.server
    folders = [tmp_path_factory.mktemp(how) for _ in range(2)]
    with ExitStack() as programs:
        plain, over_tls = PLAYERS[how]
        found = rtsp.start_all(server, plain, server.rtsp(name + QUERIES[how]), folders[0])
        for recording in found.values():
            programs.enter_context(recording.program)
        for player in over_tls:
            recording = player.start(site.rtsps(name + QUERIES[how]), folders[1])
            programs.enter_context(recording.program)
            found[f"{player.name}-tls"] = recording
        # By then they wait, or else they come in time for the first keyframe.
        wait_until(lambda: server.api("status")["waiting"] >= len(found), "all players waited")
        if how == "rtsp":
            run(rtsp.publish_command(short_clip, server.rtsp(f"{name}?user=c/d")), folders[0])
        elif how == "rtmp":
            run(publish_command(short_clip, server.rtmp(name)), folders[0])
        else:
            rtsp.publish_gstreamer(short_clip, server.rtsp(name), folders[0])
        yield how, found


def test_h264_and_aac(
    recordings: tuple[str, dict[str, Recording]], seen: list[Frame], short_clip: Path
) -> None:
    """D-RT-12, D-RT-13: every picture and sound, B-frames included, and a good end."""
    how, found = recordings
    sent = packets(short_clip, "a")
    for name, recording in found.items():
        recording.finish()
        came = recording.pictures()
        if name == MPV.name:
            assert assert_part(came, seen, len(seen) - 30) in (0, 30)
        else:
            assert_same(came, seen)
        heard = recording.sounds()
        # What is heard before the first keyframe is nobody's.
        start = assert_part(heard, sent, len(sent) - 6 - LOST_BY_FFMPEG)
        if how == "rtmp":
            assert (start, len(heard)) == (0, len(sent)), name
        elif how == "gstreamer":
            assert start + len(heard) == len(sent), name


def make_source(path: Path, codecs: str) -> Path:
    """Make two seconds of pictures and sound, or of one of them."""
    inputs = []
    if "-c:v" in codecs:
        inputs += ["-f", "lavfi", "-i", PICTURE]
    if "-c:a" in codecs:
        inputs += ["-f", "lavfi", "-i", TONE]
    words = codecs.split()
    run([FFMPEG9, "-v", "error", *inputs, *words, "-pix_fmt", "yuv420p", path], path.parent)
    return path


def pass_through(
    site: Site,
    source: Path,
    folder: Path,
    players: tuple[Player, ...],
    codecs: tuple[str, ...],
    *options: str,
) -> dict[str, Recording]:
    """Publish a file over RTSP to players that wait for it, and return what they recorded."""
    server = site.server
    name = f"liveshow/{folder.name.replace('_', '-')}"
    found = rtsp.start_all(server, players, server.rtsp(name), folder, codecs)
    with ExitStack() as programs:
        for recording in found.values():
            programs.enter_context(recording.program)
        command = rtsp.publish_command(source, server.rtsp(name), *options, program=FFMPEG9)
        run(command, folder)
        return {name: recording.finish() for name, recording in found.items()}


def assert_heard(recording: Recording, source: Path, missing: float = 0.4) -> None:
    """Check that what is heard is part of what was sent, sample for sample, and nearly all."""
    if recording.audio.suffix == ".txt":
        return
    (sent, came) = (joined(path) for path in (source, recording.audio))
    assert came in sent
    assert len(came) >= len(sent) * (1 - missing / SECONDS)


def joined(path: Path) -> bytes:
    """Return the sound of a file as it is coded, in one piece."""
    command: list[str | Path] = [FFMPEG9, "-v", "error", "-i", path, "-map", "0:a", "-c", "copy"]
    return run([*command, "-f", "data", "-"], path.parent).output


def test_hevc_and_g711(site: Site, tmp_path: Path) -> None:
    """D-RT-12: HEVC with B-frames, and G.711."""
    codecs = (
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=30:bframes=2 "
        "-c:a pcm_alaw -ar 8000 -ac 1"
    )
    source = make_source(tmp_path / "source.mkv", codecs)
    players = (FFMPEG, FFMPEG_9, GSTREAMER, PYAV)
    found = pass_through(site, source, tmp_path, players, ("hevc", "pcm_alaw"))
    sent = pictures(source, program=FFMPEG9)
    for recording in found.values():
        assert_same(recording.pictures(), sent)
        assert_heard(recording, source)


def test_vp9_and_opus(site: Site, tmp_path: Path) -> None:
    """VP9 and Opus."""
    codecs = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -c:a libopus"
    source = make_source(tmp_path / "source.mkv", codecs)
    players = (FFMPEG, FFMPEG_9, GSTREAMER, PYAV)
    found = pass_through(
        site, source, tmp_path, players, ("vp9", "opus"), "-strict", "experimental"
    )
    sent = pictures(source, program=FFMPEG9)
    for recording in found.values():
        assert_same(recording.pictures(), sent)
        assert_part(recording.sounds(), packets(source, "a", program=FFMPEG9), 85)


def test_av1(site: Site, tmp_path: Path) -> None:
    """AV1, which FFmpeg knows in RTP since version 8."""
    codecs = "-c:v libsvtav1 -preset 12 -g 30 -svtav1-params lookahead=0 -c:a libopus"
    source = make_source(tmp_path / "source.mkv", codecs)
    found = pass_through(
        site, source, tmp_path, (FFMPEG_9, PYAV), ("av1", "opus"), "-strict", "experimental"
    )
    sent = pictures(source, program=FFMPEG9)
    for recording in found.values():
        assert_same(recording.pictures(), sent)
        assert_part(recording.sounds(), packets(source, "a", program=FFMPEG9), 85)


def test_one_kind(site: Site, short_clip: Path, tmp_path: Path, seen: list[Frame]) -> None:
    """D-RT-12: pictures without sound, and sound without pictures."""
    server = site.server
    kinds = {"video": ("-an", ("h264",)), "audio": ("-vn", ("aac",))}
    heard = packets(short_clip, "a")
    with ExitStack() as programs:
        found: dict[str, list[Recording]] = {}
        publishers = []
        for kind, (option, codecs) in kinds.items():
            folder = tmp_path / kind
            folder.mkdir()
            source = folder / "source.flv"
            run(["ffmpeg", "-v", "error", "-i", short_clip, option, "-c", "copy", source], folder)
            address = server.rtsp(f"liveshow/{kind}")
            players = (FFMPEG, GSTREAMER, PYAV)
            found[kind] = [player.start(address, folder, codecs) for player in players]
            for recording in found[kind]:
                programs.enter_context(recording.program)
            publishers.append((rtsp.publish_command(source, address), folder))
        wait_until(lambda: server.api("status")["waiting"] >= 6, "all players waited")
        running = [Program(command, folder, "publisher") for command, folder in publishers]
        for program in running:
            programs.enter_context(program)
        for program in running:
            program.finish()
        # The tracks are known after a second, when another group may have begun.
        for recording in found["video"]:
            came = recording.finish().pictures()
            start = assert_part(came, seen, len(seen) - 30)
            assert start + len(came) == len(seen)
        for recording in found["audio"]:
            assert_part(recording.finish().sounds(), heard, len(heard) // 3)


def test_tracks_of_a_stream(site: Site, tmp_path: Path) -> None:
    """P-503: `track=1` is the second sound, the only pictures stay; `audio=1` leaves them out."""
    source = tmp_path / "source.mkv"
    tones = [f"sine=frequency={number}:sample_rate=48000:d={SECONDS}" for number in (300, 500)]
    run(
        [
            *(FFMPEG9, "-v", "error", "-f", "lavfi", "-i", PICTURE),
            *("-f", "lavfi", "-i", tones[0], "-f", "lavfi", "-i", tones[1]),
            *("-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-preset", "ultrafast"),
            *("-g", "30", "-pix_fmt", "yuv420p", "-c:a", "libopus", source),
        ],
        tmp_path,
    )
    server, name = site.server, "liveshow/tracks"
    wanted = (
        (FFMPEG, "?track=1", ("h264", "opus"), "a:1"),
        (PYAV, "?track=0", ("h264", "opus"), "a:0"),
        (GSTREAMER, "?audio=1", ("opus",), "a:0"),
        (FFMPEG_9, "?audio=1&track=1", ("opus",), "a:1"),
    )
    with ExitStack() as programs:
        found = []
        for player, query, codecs, track in wanted:
            recording = player.start(server.rtsp(name + query), tmp_path, codecs)
            programs.enter_context(recording.program)
            found.append((recording, codecs, track))
        wait_until(lambda: server.api("status")["waiting"] >= len(wanted), "all players waited")
        run(rtsp.publish_command(source, server.rtsp(name)), tmp_path)
        sent = pictures(source, program=FFMPEG9)
        for recording, codecs, track in found:
            recording.finish()
            if len(codecs) == 2:
                assert_same(recording.pictures(), sent)
            assert_part(recording.sounds(), packets(source, track, program=FFMPEG9), 85)


def position(server: Server, name: str) -> float:
    """Return how many seconds of a stream have come; 0 while it is not published."""
    found = [x for x in server.api("streams")["streams"] if x["name"] == name]
    return float(found[0]["position_seconds"]) if found else 0.0


def test_late(site: Site, tmp_path: Path) -> None:
    """D-PL-08: who comes late begins at once with the last keyframe, and misses nothing then."""
    server = site.server
    clip = make_clip(tmp_path / "clip.flv", 4.0)
    name = "liveshow/late"
    players = (FFMPEG, GSTREAMER, PYAV)
    with (
        ExitStack() as programs,
        Program(publish_command(clip, server.rtmp(name)), tmp_path, "publisher") as publisher,
    ):
        wait_until(lambda: position(server, name) > 1.3, "two groups of pictures were there")
        found = {player: player.start(server.rtsp(name), tmp_path) for player in players}
        for recording in found.values():
            programs.enter_context(recording.program)
        wait_for_viewers(server, name, len(players))
        publisher.finish()
        sent, heard = pictures(clip), sounds(clip)
        for recording in found.values():
            recording.finish()
            came = recording.pictures()
            start = assert_part(came, sent, 30)
            assert start in (30, 60, 90)
            assert start + len(came) == len(sent)
            assert len(recording.sounds()) >= len(heard) // 3
