"""HTTP-FLV: what the answer says, and that mpegts.js, the player of browsers, plays it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ntvmedia.formats import amf0
from ntvmedia.formats.flv import Tag, TagType
from tests.e2e.clients import (
    CURL,
    FFMPEG_FLV,
    FFMPEG_RTMP,
    MPV_FLV,
    PLAY_WAIT,
    RTMPDUMP,
    Player,
    publish_command,
    wait_for_waiting,
)
from tests.e2e.media import (
    assert_but,
    assert_monotone,
    assert_part,
    make_clip,
    packets,
    pictures,
    sounds,
)
from tests.e2e.peers import Publisher, metadata_tag, read_flv
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.server import Server

BROWSER = Path(__file__).parent / "node" / "play.cjs"


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


def browser(server: Server, name: str, folder: Path) -> Program:
    """Play by mpegts.js under Node, into folder/video.mp4 and folder/audio.mp4."""
    return Program(["node", BROWSER, server.flv(name), folder], folder, "mpegts.js")


def report_of(player: Program) -> Any:
    """Wait for the end of the stream, and return what mpegts.js says of it."""
    report = json.loads(player.finish().output)
    assert report["errors"] == []
    assert report["complete"]
    return report


# mpegts.js keeps the last packet of a track until it knows from the next how long it lasts.
KEPT = 1

# What encoders were seen to say in onMetaData, whatever they then sent.
LIES: dict[str, dict[str, amf0.Value] | None] = {
    "nothing": None,
    "both": {"videocodecid": 7.0, "audiocodecid": 10.0, "width": 320.0, "height": 240.0},
    "other codecs": {"videocodecid": 2.0, "audiocodecid": 15.0, "framerate": 0.0},
    "zeros": {"videocodecid": 0.0, "audiocodecid": 0.0, "hasVideo": False, "hasAudio": False},
    "text": {"videocodecid": "hvc1", "audiocodecid": "mp4a", "stereo": "yes"},
    "no tracks": {"duration": 0.0, "encoder": "liar"},
}
TRACKS = {"va": (TagType.VIDEO, TagType.AUDIO), "v": (TagType.VIDEO,), "a": (TagType.AUDIO,)}


@pytest.mark.parametrize(
    ("tracks", "lie"),
    [
        *(("va", lie) for lie in LIES),
        *((tracks, lie) for tracks in ("v", "a") for lie in ("both", "zeros")),
    ],
)
def test_metadata(server: Server, short_clip: Path, tmp_path: Path, tracks: str, lie: str) -> None:
    """A-AM-16, A-MD-11, B-FL-02, B-FL-03: tracks are what comes, whatever metadata claim.

    The header and the metadata that a viewer gets are true, within a second of the first media,
    and mpegts.js waits for nothing that does not come.
    """
    name = f"liveshow/{tracks}-{lie.replace(' ', '-')}"
    _header, (_script, *tags) = read_flv(short_clip)
    tags = [tag for tag in tags if tag.kind in TRACKS[tracks] and tag.timestamp < 1800]
    fields = LIES[lie]
    with (
        browser(server, name, tmp_path) as player,
        CURL.start(server, name, tmp_path).program as curl,
    ):
        wait_for_waiting(server, 2)
        with Publisher(server.rtmp_port, name) as publisher:
            if fields is not None:
                publisher.send_tag(metadata_tag(fields))
            began = time.monotonic()
            soon = [tag for tag in tags if tag.timestamp < 900]
            publisher.play(soon)
            wait_until(lambda: server.api("status")["waiting"] == 0, "the stream was there")
            # A second after the first media, and what a busy machine adds.
            assert time.monotonic() - began < 2.5
            publisher.play(tags[len(soon) :], since=tags[len(soon)].timestamp)
        report = report_of(player)
        curl.finish()
    assert_header_is_true(tmp_path / "curl.flv", tracks)
    assert set(report["buffers"]) == {{"v": "video", "a": "audio"}[kind] for kind in tracks}
    media = report["media"]
    assert (media["hasVideo"], media["hasAudio"]) == ("v" in tracks, "a" in tracks)
    assert_browser_has(tmp_path, tags, tracks)


def assert_header_is_true(path: Path, tracks: str) -> None:
    """Check flags and metadata of a file that curl wrote."""
    header, tags = read_flv(path)
    assert (header.has_video, header.has_audio) == ("v" in tracks, "a" in tracks)
    said = tags[0].body
    assert tags[0].kind is TagType.SCRIPT
    assert (b"videocodecid\x00\x40\x1c" in said) is ("v" in tracks)
    assert (b"audiocodecid\x00\x40\x24" in said) is ("a" in tracks)
    assert {tag.kind for tag in tags[1:]} == set(TRACKS[tracks])


def assert_browser_has(folder: Path, tags: list[Tag], tracks: str) -> None:
    """Check that mpegts.js gave to the decoders all that was sent."""
    if "v" in tracks:
        frames = pictures(folder / "video.mp4")
        sent = [tag for tag in tags if tag.kind is TagType.VIDEO and tag.body[1] == 1]
        assert len(sent) - KEPT <= len(frames) <= len(sent)
        assert_monotone(packets(folder / "video.mp4", "v"))
        # B-FL-05: it begins near 0.
        assert frames[0].pts <= 1200
    if "a" in tracks:
        heard = packets(folder / "audio.mp4", "a")
        sent = [tag for tag in tags if tag.kind is TagType.AUDIO and tag.body[1] == 1]
        # What comes before the first picture is not sent where there are pictures.
        assert len(sent) - 3 - KEPT <= len(heard) <= len(sent)
        assert_monotone(heard)
        assert sounds(folder / "audio.mp4")


def test_browser(server: Server, short_clip: Path, tmp_path: Path) -> None:
    """Acceptance 16: mpegts.js hands all of the clip to the decoders, byte for byte."""
    name = "liveshow/browser"
    with browser(server, name, tmp_path) as player:
        wait_for_waiting(server, 1)
        run(publish_command(short_clip, server.rtmp(name)), tmp_path)
        media = report_of(player)["media"]
    assert (media["width"], media["height"], media["fps"]) == (320, 240, 30)
    assert media["mimeType"] == 'video/x-flv; codecs="avc1.640014,mp4a.40.2"'
    for name, kind in (("video.mp4", "v"), ("audio.mp4", "a")):
        sent = packets(short_clip, kind)
        assert assert_part(packets(tmp_path / name, kind), sent, len(sent) - KEPT) == 0
    assert_but(pictures(tmp_path / "video.mp4"), pictures(short_clip), KEPT)


@pytest.mark.parametrize(
    "player",
    [None, CURL, RTMPDUMP, FFMPEG_FLV, FFMPEG_RTMP, MPV_FLV],
    ids=lambda player: player.name if player else "mpegts.js",
)
def test_sequence_header_changes(changed: dict[str, Any], player: Player | None) -> None:
    """A-MD-04, B-FL-09: players go on when 320x240 becomes 640x360 in the middle of a stream."""
    if player is None:
        report = report_of(changed["mpegts.js"])
        assert (report["media"]["width"], report["media"]["height"]) == (640, 360)
        path = changed["folder"] / "video.mp4"
    else:
        path = changed[player.name].finish()
    if player in (CURL, RTMPDUMP):
        _header, tags = read_flv(path)
        starts = [tag for tag in tags if tag.kind is TagType.VIDEO and tag.body[1] == 0]
        assert len({tag.body for tag in starts}) == len(starts) == 2
        # In its place: at the time of its keyframe, or just before.
        following = next(
            tag for tag in tags[tags.index(starts[1]) + 1 :] if tag.kind is TagType.VIDEO
        )
        assert following.body[0] == 0x17
        assert 0 <= following.timestamp - starts[1].timestamp <= 100
        assert all(a.timestamp <= b.timestamp for a, b in pairwise(tags))
    received = packets(path)
    assert_monotone(received)
    sent = [*packets(changed["first"]), *packets(changed["second"])]
    assert assert_part(received, sent, 120 - (0 if player else KEPT)) == 0
    if player in (CURL, RTMPDUMP):
        # FFmpeg scales all of an output to the size that it has at first: counted, not compared.
        assert len(pictures(path)) == len(sent) == 120


@pytest.fixture(scope="module")
def changed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Publish two clips of different sizes as one stream, and let players play it."""
    folder = tmp_path_factory.mktemp("changed")
    first = make_clip(folder / "first.flv", 2, ["-an"])
    second = make_clip(folder / "second.flv", 2, ["-an", "-s", "640x360"])
    name = "liveshow/changed"
    players = (CURL, RTMPDUMP, FFMPEG_FLV, FFMPEG_RTMP, MPV_FLV)
    found: dict[str, Any] = {"folder": folder, "first": first, "second": second}
    # Without sound the tracks are known after a second: a first group of pictures of 2 seconds
    # is what a viewer begins with.
    _header, (_script, *tags) = read_flv(first)
    _header, (_script, *others) = read_flv(second)
    found["mpegts.js"] = browser(server, name, folder)
    for player in players:
        found[player.name] = player.start(server, name, folder)
    wait_for_waiting(server, len(players) + 1)
    with Publisher(server.rtmp_port, name) as publisher:
        publisher.play([tag for tag in tags if tag.timestamp < 900])
        wait_until(lambda: server.api("status")["waiting"] == 0, "the stream was there")
        publisher.play([tag for tag in tags if tag.timestamp >= 900], since=900)
        publisher.play(others, offset=2000)
    yield found
    found["mpegts.js"].stop()
    for player in players:
        found[player.name].program.stop()
