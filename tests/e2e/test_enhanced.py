"""Enhanced RTMP with real encoders and players: newer codecs, several tracks, capabilities."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from ntvmedia.formats.flv import TagType
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import Packet, Track
from tests.e2e.clients import (
    CURL,
    FFMPEG9,
    FFMPEG9_FLV,
    FFMPEG9_RTMP,
    FFMPEG_RTMP,
    PLAY_WAIT,
    RTMPDUMP,
    Player,
    ffmpeg_player,
    publish_command,
    wait_for_waiting,
)
from tests.e2e.media import (
    assert_monotone,
    assert_part,
    assert_same,
    make_clip,
    packets,
    pictures,
    sounds,
)
from tests.e2e.peers import Publisher, read_flv
from tests.e2e.processes import Program, run
from tests.e2e.server import Server

SECONDS = 2
VIDEO = {
    "hevc": "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=30:bframes=2",
    "av1": "-c:v libsvtav1 -preset 12 -g 30 -svtav1-params lookahead=0",
    "vp9": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30",
    "h264": "-c:v libx264 -preset ultrafast -g 30",
}
AUDIO = {
    "opus": "-c:a libopus",
    "ac3": "-c:a ac3",
    "eac3": "-c:a eac3",
    "flac": "-c:a flac",
    "mp3": "-c:a libmp3lame",
}
PAIRS = [("hevc", "opus"), ("av1", "flac"), ("vp9", "ac3"), ("h264", "eac3"), ("hevc", "mp3")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT])
    yield server
    server.close()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Two seconds of each pair of codecs."""
    folder = tmp_path_factory.mktemp("sources")
    found = {}
    for video, audio in PAIRS:
        path = found[video, audio] = folder / f"{video}-{audio}.flv"
        picture = f"testsrc2=size=320x240:rate=30:duration={SECONDS}"
        tone = f"sine=frequency=500:sample_rate=48000:duration={SECONDS}"
        words = f"{VIDEO[video]} {AUDIO[audio]} -pix_fmt yuv420p".split()
        inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone)
        run([FFMPEG9, "-v", "error", *inputs, *words, path], folder)
        # What comes is recorded in Matroska, which leaves AV1's temporal delimiters out.
        matroska = path.with_suffix(".mkv")
        run([FFMPEG9, "-v", "error", "-i", path, "-c", "copy", matroska], folder)
    return found


def play_while(server: Server, name: str, folder: Path, publish: Any) -> dict[Player, Path]:
    """Let FFmpeg 9 play over RTMP and HTTP-FLV, and curl, while `publish()` runs."""
    with (
        FFMPEG9_RTMP.start(server, name, folder).program as rtmp,
        FFMPEG9_FLV.start(server, name, folder).program as flv,
        CURL.start(server, name, folder).program as curl,
    ):
        wait_for_waiting(server, 3)
        publish()
        for program in (rtmp, flv, curl):
            program.finish()
    players = (FFMPEG9_RTMP, FFMPEG9_FLV, CURL)
    return {player: folder / f"{player.name}{player.suffix}" for player in players}


def assert_came(copies: dict[Player, Path], source: Path) -> None:
    """Check every packet and picture; what is heard before the first keyframe may be missing."""
    for player in (FFMPEG9_RTMP, FFMPEG9_FLV):
        for kind, late in (("v", 0), ("a", 5)):
            received = packets(copies[player], kind, program=FFMPEG9)
            sent = packets(source.with_suffix(".mkv"), kind, program=FFMPEG9)
            start = assert_part(received, sent, len(sent) - late)
            assert start + len(received) == len(sent)
            assert_monotone(received)
    # Decoded out of FLV, since FFmpeg 9 makes bad Matroska out of FLAC that came by FLV as the
    # document has it, with "fLaC" before the STREAMINFO.
    copy = copies[CURL]
    header, _tags = read_flv(copy)
    assert (header.has_audio, header.has_video) == (True, True)
    assert_same(pictures(copy, program=FFMPEG9), pictures(source, program=FFMPEG9))
    heard, sent = sounds(copy, program=FFMPEG9), sounds(source, program=FFMPEG9)
    assert len(sent) - 5 <= len(heard) <= len(sent)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_ffmpeg(
    server: Server, sources: dict[tuple[str, str], Path], tmp_path: Path, pair: tuple[str, str]
) -> None:
    """A-ER-14: FFmpeg 9 publishes each codec, and gets it back by both protocols."""
    source = sources[pair]
    name = "liveshow/" + "-".join(pair)
    command = publish_command(source, server.rtmp(name), program=FFMPEG9, realtime=False)
    copies = play_while(server, name, tmp_path, lambda: run(command, tmp_path))
    assert_came(copies, source)


@pytest.mark.parametrize("pair", [("hevc", "opus"), ("av1", "flac")], ids="-".join)
def test_pyav(
    server: Server, sources: dict[tuple[str, str], Path], tmp_path: Path, pair: tuple[str, str]
) -> None:
    """A-ER-14: the same from PyAV, packet by packet, as a program of its user would send it."""
    source = sources[pair]
    name = "liveshow/pyav-" + "-".join(pair)

    def publish() -> None:
        with (
            av.open(str(source)) as given,
            av.open(server.rtmp(name), "w", format="flv") as sent,
        ):
            tracks = {x.index: sent.add_stream_from_template(x, opaque=True) for x in given.streams}
            begin = time.monotonic()
            for packet in given.demux():
                if packet.dts is None:  # the mark at the end
                    continue
                wait = begin + float(packet.dts * packet.time_base) - time.monotonic()
                time.sleep(max(wait, 0))
                packet.stream = tracks[packet.stream.index]
                sent.mux(packet)

    copies = play_while(server, name, tmp_path, publish)
    assert_came(copies, source)


def test_old_ffmpeg(server: Server, sources: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    """B-FL-08: Debian's FFmpeg 5.1 cannot play HEVC, as documented; it ends with an error."""
    name = "liveshow/hevc-for-the-old"
    source = sources["hevc", "opus"]
    with FFMPEG_RTMP.start(server, name, tmp_path).program as old:
        play = ffmpeg_player("ffmpeg", server.flv(name), tmp_path / "old.flv")
        with Program(play, tmp_path, "old") as other:
            wait_for_waiting(server, 2)
            run(publish_command(source, server.rtmp(name), program=FFMPEG9), tmp_path)
            assert old.wait() != 0
            assert other.wait() != 0


def test_player_that_does_not_decode(
    server: Server, sources: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    """A-ER-09: a player that announces codecs, and not the stream's, is told before it starts."""
    name = "liveshow/only-av1"
    source = sources["hevc", "mp3"]
    play = [FFMPEG9, "-v", "error", "-rtmp_enhanced_codecs", "av01"]
    play += ["-i", server.rtmp(name), "-f", "null", "-"]
    with Program(play, tmp_path, "player") as player:
        wait_for_waiting(server, 1)
        run(publish_command(source, server.rtmp(name), program=FFMPEG9), tmp_path)
        assert player.wait() != 0
    server.wait_for_log("play of liveshow/only-av1 refused: the player does not decode hevc")


def test_legacy_hevc(server: Server, sources: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    """A-ER-11: HEVC under codec id 12, as older encoders send it, comes out as Enhanced RTMP."""
    source = sources["hevc", "mp3"]
    name = "liveshow/legacy-hevc"
    _header, tags = read_flv(source)

    def publish() -> None:
        with Publisher(server.rtmp_port, name) as publisher:
            for tag in tags:
                publisher.send_tag(tag._replace(body=as_codec_12(tag.body)))

    copies = play_while(server, name, tmp_path, publish)
    assert_came(copies, source)


def as_codec_12(body: bytes) -> bytes:
    """Turn the body of an enhanced HEVC tag into the older form; leave any other."""
    head, packet_type = body[0] >> 4 << 4 & 0x70 | 12, body[0] & 15
    if body[1:5] != b"hvc1" or packet_type == 4:  # colours have no older form
        return body
    if packet_type == 1:  # its composition time stands where the older form has it
        return bytes((head, 1)) + body[5:]
    return bytes((head, min(packet_type, 1), 0, 0, 0)) + body[5:]


def media_of(path: Path, number: int) -> list[tuple[float, Track | Packet]]:
    """Return tracks and packets of an FLV file with their times, as tracks of a number."""
    reader = TagReader()
    found: list[tuple[float, Track | Packet]] = []
    for kind, timestamp, body in read_flv(path)[1]:
        if kind is TagType.SCRIPT:
            continue
        events = (reader.video if kind is TagType.VIDEO else reader.audio)(timestamp, body)
        for event in events:
            if isinstance(event, Packet):
                track = replace(event.track, number=number)
                found.append((timestamp, event._replace(track=track)))
            elif isinstance(event, Track):
                found.append((timestamp, replace(event, number=number)))
    return found


@pytest.mark.parametrize("player", [CURL, RTMPDUMP], ids=lambda player: player.name)
def test_multitrack(server: Server, tmp_path: Path, player: Player) -> None:
    """A-ER-05, A-ER-09: all tracks are kept; a player gets one of each kind, by `track=`."""
    clips = [
        make_clip(tmp_path / "one.flv", SECONDS),
        make_clip(tmp_path / "two.flv", SECONDS, ["-b:v", "100k", "-s", "160x120"]),
    ]
    name = f"liveshow/multi-{player.name}"
    media = sorted(
        [item for number, clip in enumerate(clips) for item in media_of(clip, number)],
        key=lambda item: (item[0], not isinstance(item[1], Track)),
    )
    wanted = ["", "?track=1", "?track=7"]
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    recordings = [
        player.start(server, name + query, folder)
        for query, folder in zip(wanted, folders, strict=True)
    ]
    with recordings[0].program, recordings[1].program, recordings[2].program:
        wait_for_waiting(server, 3)
        with Publisher(server.rtmp_port, name) as publisher:
            # Tracks that are announced one after another are those of the first second.
            publisher.send_media(item for at, item in media if at < 1000)
            time.sleep(1.5)
            publisher.send_media(item for at, item in media if at >= 1000)
            (stream,) = (x for x in server.api("streams")["streams"] if x["name"] == name)
            found = {(track["kind"], track["number"]) for track in stream["tracks"]}
            assert found == {("video", 0), ("video", 1), ("audio", 0), ("audio", 1)}
        paths = [recording.finish() for recording in recordings]
    for path, clip in zip(paths, [*clips, clips[0]], strict=True):
        for kind in ("v", "a"):
            assert_same(packets(path, kind), packets(clip, kind))
        assert_same(pictures(path), pictures(clip))
