"""HLS in fragments of MP4, in parts, encrypted, with several tracks: players without a browser.

One clip is published once to two applications while all players play it at the same time: what
they recorded is looked at one by one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urljoin

import pytest

from tests.e2e.clients import (
    FFMPEG9,
    FFMPEG9_HLS,
    FFMPEG_HLS,
    GSTREAMER_HLS,
    MPV_HLS,
    PLAY_WAIT,
    VLC_HLS,
    Player,
    ffmpeg_player,
    wait_for_waiting,
)
from tests.e2e.media import (
    FRAME_RATE,
    GOP_FRAMES,
    Frame,
    assert_in_step,
    assert_monotone,
    assert_part,
    assert_same,
    beeps,
    flashes,
    make_clip,
    make_flashes,
    packets,
    pictures,
    sounds,
)
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.server import Server
from tests.e2e.test_applications import app
from tests.e2e.test_hls_players import END_SECONDS, NOBODY, position
from tests.hls.m3u8 import Key, MediaPlaylist, parse_media, parse_multivariant

SECONDS = 7

# VLC's own muxer loses the last sounds.
LOST_SOUNDS = {VLC_HLS: 12}

# GStreamer's parsers lose what they still have at the end.
LOST_PICTURES = 2

Way = tuple[str, Player]


@dataclass(frozen=True)
class Kept:
    """What a server still had of an ended stream.

    Attributes:
        playlist: Its last media playlist.
        files: Segments, parts, init segments and keys that are listed, by name.
    """

    playlist: MediaPlaylist
    files: dict[str, bytes]


@dataclass(frozen=True)
class Played:
    """What came of a stream.

    Attributes:
        recordings: Of each player.
        kept: By what was asked for.
    """

    recordings: dict[Way, Path]
    kept: dict[str, Kept]


WAYS: tuple[Way, ...] = (
    ("open/x?format=fmp4", FFMPEG_HLS),
    ("open/x?format=fmp4", FFMPEG9_HLS),
    ("open/x?format=fmp4", MPV_HLS),
    ("open/x?format=fmp4", VLC_HLS),
    ("open/x?format=ll", FFMPEG_HLS),
    ("open/x?format=ll", VLC_HLS),
    ("secret/x?format=ts", FFMPEG_HLS),
    ("secret/x?format=ts", VLC_HLS),
    ("secret/x?format=fmp4", FFMPEG_HLS),
    ("secret/x?format=fmp4", MPV_HLS),
)
MORE_WAYS: tuple[Way, ...] = (
    ("open/x?format=ll", FFMPEG9_HLS),
    ("open/x?format=ll", MPV_HLS),
    ("secret/x?format=ts", FFMPEG9_HLS),
    ("secret/x?format=ts", MPV_HLS),
    ("secret/x?format=fmp4", FFMPEG9_HLS),
    ("secret/x?format=ll", FFMPEG_HLS),
    ("open/x?format=fmp4&audio=1", FFMPEG_HLS),
    ("open/x?format=fmp4&audio=1", VLC_HLS),
)
LATE: tuple[Way, ...] = (
    ("open/x?format=fmp4", GSTREAMER_HLS),
    ("secret/x?format=ts", GSTREAMER_HLS),
)


def name_of(way: Way) -> str:
    """Return a word for a test or a folder."""
    path, player = way
    return f"{path.partition('/')[0]}-{path.partition('=')[2].replace('&', '-')}-{player.name}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose lists end and keep all of a short stream."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT])
    common = ("hls_end_list=true", "hls_segment_seconds=1", "hls_segment_count=30")
    try:
        app(server, "add", "open", *common)
        app(server, "add", "secret", *common, "encrypted=true", "hls_key_segments=2")
        app(server, "add", "joined", *common, "hls_variants=_240p,_120p")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "source.flv", SECONDS)


@pytest.fixture(scope="module")
def sent(source: Path) -> tuple[list[Frame], list[Frame]]:
    """Its pictures and its sounds."""
    return pictures(source), sounds(source)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that VLC, which runs as nobody, may write to."""
    with TemporaryDirectory() as name:
        yield open_to_all(Path(name))


def open_to_all(folder: Path) -> Path:
    """Give a folder to whom VLC runs as."""
    folder.mkdir(exist_ok=True)
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


def publish_all(source: Path, addresses: list[str], folder: Path) -> Program:
    """Publish a file to several addresses at once."""
    command = ["ffmpeg", "-v", "error", "-re", "-i", str(source)]
    for address in addresses:
        command += ["-map", "0", "-c", "copy", "-f", "flv", address]
    return Program(command, folder, "publisher")


def play_all(
    server: Server, source: Path, folder: Path, early: tuple[Way, ...], late: tuple[Way, ...] = ()
) -> Played:
    """Publish once, while players play that waited for it, and others that come later."""
    paths = list(dict.fromkeys(path for path, _player in early))
    with ExitStack() as stack:
        recordings = {}
        for number, way in enumerate(early, 1):
            path, player = way
            place = open_to_all(folder / name_of(way))
            recordings[way] = player.start(server, path, place)
            stack.enter_context(recordings[way].program)
            wait_for_waiting(server, number)
        names = list(dict.fromkeys(path.partition("?")[0] for path in paths))
        with publish_all(source, [server.rtmp(x) for x in names], folder) as publisher:
            wait_until(lambda: position(server, names[-1]) > 3.5, "some segments were there")
            for way in late:
                path, player = way
                recordings[way] = player.start(server, path, open_to_all(folder / name_of(way)))
                stack.enter_context(recordings[way].program)
            # Asked for while it is live: who comes after the end is told that there is none.
            lists = {path: media_path(server, path) for path in paths if "audio" not in path}
            publisher.finish()
        for path in lists.values():
            wait_for_end(server, path)
        kept = {path: keep(server, x) for path, x in lists.items()}
        return Played({x: y.finish(END_SECONDS) for x, y in recordings.items()}, kept)


def wait_for_end(server: Server, path: str) -> None:
    """Wait until a media playlist says that there will be no more."""
    wait_until(lambda: read_list(server, path).ended, "the list ended", 20)


def keep(server: Server, path: str) -> Kept:
    """Fetch a media playlist and all that it lists."""
    playlist = read_list(server, path)
    names = []
    for segment in playlist.segments:
        key = segment.key.uri if segment.key else ""
        names += [segment.uri, segment.map, key, *(x.uri for x in segment.parts)]
    files = {}
    for name in filter(None, names):
        status, files[name] = server.get(urljoin(path, name))
        assert status == 200, (name, files[name])
    return Kept(playlist, files)


def media_path(server: Server, path: str) -> str:
    """Begin a session, and return the path of the first media playlist of "APP/STREAM?QUERY"."""
    name, _mark, query = path.partition("?")
    address = f"/{name}.m3u8?{query}"
    status, body = server.get(address)
    assert status == 200, body
    return urljoin(address, parse_multivariant(body).variants[0].uri)


def read_list(server: Server, path: str) -> MediaPlaylist:
    """Read a media playlist."""
    status, body = server.get(path)
    assert status == 200, body
    return parse_media(body)


@pytest.fixture(scope="module")
def played(server: Server, source: Path, folder: Path) -> Played:
    """What the players of the default dose recorded."""
    return play_all(server, source, folder, WAYS, LATE)


def assert_all(way: Way, path: Path, sent: tuple[list[Frame], list[Frame]]) -> None:
    """Check that a player has every picture and every sound, in order and in time."""
    _address, player = way
    seen, said = sent
    if "audio=1" not in way[0]:
        assert_same(pictures(path), seen)
        assert_monotone(packets(path, "v"))
    heard = sounds(path)
    assert assert_part(heard, said, len(said) - LOST_SOUNDS.get(player, 0)) == 0


@pytest.mark.parametrize("way", WAYS, ids=name_of)
def test_all(played: Played, sent: tuple[list[Frame], list[Frame]], way: Way) -> None:
    """C-FM-02, C-AE-04, C-LL-13: all of a stream, from the first segment to EXT-X-ENDLIST.

    The audio-only variant that is listed too keeps nobody from the pictures.
    """
    assert_all(way, played.recordings[way], sent)


@pytest.mark.parametrize("way", LATE, ids=name_of)
def test_late(played: Played, sent: tuple[list[Frame], list[Frame]], way: Way) -> None:
    """Who comes late begins with a keyframe, and then has all."""
    shown = pictures(played.recordings[way])
    start = assert_part(shown, sent[0], 2 * GOP_FRAMES)
    assert start % GOP_FRAMES == 0
    assert start + len(shown) >= len(sent[0]) - LOST_PICTURES


@pytest.mark.long
def test_all_long(
    server: Server, source: Path, sent: tuple[list[Frame], list[Frame]], folder: Path
) -> None:
    """The same with more players."""
    played = play_all(server, source, open_to_all(folder / "long"), MORE_WAYS)
    for way, path in played.recordings.items():
        assert_all(way, path, sent)


def decrypted(kept: Kept, name: str, key: Key, folder: Path) -> bytes:
    """Decrypt a file by openssl, which checks the padding."""
    value = kept.files[key.uri]
    assert len(value) == 16
    path = folder / name
    path.write_bytes(kept.files[name])
    command = ["openssl", "enc", "-d", "-aes-128-cbc", "-K", value.hex(), "-iv", key.iv.hex()]
    return run([*command, "-in", path], folder).output


@pytest.mark.parametrize("kind", ["ts", "fmp4"])
def test_openssl(
    played: Played, sent: tuple[list[Frame], list[Frame]], tmp_path: Path, kind: str
) -> None:
    """P-306, C-AE-01, C-AE-02: each segment is AES-128 with the key and IV that the list names.

    What openssl makes of it is what was published; two segments share a key, none an IV.
    """
    address = f"secret/x?format={kind}"
    kept = played.kept[address]
    segments = kept.playlist.segments
    keys = [x.key for x in segments if x.key]
    assert len(keys) == len(segments) >= SECONDS - 1
    assert len({x.iv for x in keys}) == len(keys)
    assert len(keys) // 2 <= len({x.uri for x in keys}) <= len(keys) // 2 + 1
    clear = b""
    if kind == "fmp4":
        (first,) = {x.map for x in segments}
        clear = kept.files[first]
        assert clear[4:8] == b"ftyp"
    for segment, key in zip(segments, keys, strict=True):
        clear += decrypted(kept, segment.uri, key, tmp_path)
    path = tmp_path / f"clear.{'ts' if kind == 'ts' else 'mp4'}"
    path.write_bytes(clear)
    assert_same(pictures(path), sent[0])
    # What FFmpeg took out of the encrypted stream.
    assert_same(sounds(path), sounds(played.recordings[address, FFMPEG_HLS]))


@pytest.mark.parametrize("kind", ["fmp4", pytest.param("ll", marks=pytest.mark.long)])
def test_sync(server: Server, tmp_path: Path, kind: str) -> None:
    """C-FM-01: with 2 and 3 B-frames a flash and a beep stay within 40 ms."""
    with ExitStack() as stack:
        recordings, publishers = {}, []
        for number in (2, 3):
            folder = tmp_path / str(number)
            folder.mkdir()
            make_flashes(folder / "flashes.flv", number, 5)
            recordings[number] = FFMPEG_HLS.start(
                server, f"open/sync-{kind}-{number}?format={kind}", folder
            )
            stack.enter_context(recordings[number].program)
        wait_for_waiting(server, 2)
        for number in (2, 3):
            address = server.rtmp(f"open/sync-{kind}-{number}")
            flashing = tmp_path / str(number) / "flashes.flv"
            publishers.append(stack.enter_context(publish_all(flashing, [address], tmp_path)))
        paths = [x.finish(END_SECONDS) for x in recordings.values()]
    for path in paths:
        assert_in_step(flashes(path), beeps(path), 4)


def make_tracks(path: Path) -> Path:
    """Make six seconds of H.264 and two tracks of AAC with tones of their own."""
    command = [FFMPEG9, "-v", "error", "-f", "lavfi"]
    command += ["-i", f"testsrc2=size=320x240:rate={FRAME_RATE}:duration=6"]
    for tone in (500, 1500):
        wave = f"aevalsrc=0.3*sin(2*PI*t*({tone}+50*t)):s=44100:d=6"
        command += ["-f", "lavfi", "-i", wave]
    coding = "-c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p -c:a aac"
    maps = ["-map", "0", "-map", "1", "-map", "2"]
    run([*command, *maps, *coding.split(), path], path.parent)
    return path


@pytest.mark.long
def test_audio_tracks(server: Server, tmp_path: Path) -> None:
    """P-207: whoever takes all that is listed has the second track too, from another playlist."""
    name = "open/tracks"
    source = make_tracks(tmp_path / "tracks.flv")
    paths = [tmp_path / f"{kind}.mkv" for kind in ("ts", "fmp4")]
    with ExitStack() as stack:
        players = []
        for number, path in enumerate(paths, 1):
            address = server.http(f"/{name}.m3u8?format={path.stem}")
            command = ["ffmpeg", "-v", "error", "-analyzeduration", "2M", "-i", address]
            command += ["-map", "0:v:0", "-map", "0:a", "-c", "copy", str(path)]
            players.append(stack.enter_context(Program(command, tmp_path, "player")))
            wait_for_waiting(server, number)
        publish = [FFMPEG9, "-v", "error", "-re", "-i", str(source), "-map", "0", "-c", "copy"]
        run([*publish, "-f", "flv", server.rtmp(name)], tmp_path)
        for player in players:
            player.finish(END_SECONDS)
    for path in paths:
        assert_same(pictures(path), pictures(source, program=FFMPEG9))
        found = [packets(path, f"a:{number}") for number in range(2)]
        for number in (0, 1):
            sent = packets(source, f"a:{number}", program=FFMPEG9)
            # Which of them a player has first is its own affair.
            heard = next(x for x in found if x[-1].digest == sent[-1].digest)
            # What sounds before the first picture is left out.
            assert assert_part(heard, sent, len(sent) - 3) <= 3


def test_joined(server: Server, clip: Path, tmp_path: Path) -> None:
    """P-207, C-PL-24: each of the joined streams is a variant, whole, at the same times."""
    small = tmp_path / "small.flv"
    options = "-s 160x120 -c:v libx264 -preset ultrafast -bf 2 -g 30 -keyint_min 30 -c:a copy"
    run(["ffmpeg", "-v", "error", "-i", clip, *options.split(), small], tmp_path)
    clips = {"_240p": clip, "_120p": small}
    command = ["ffmpeg", "-v", "error"]
    for path in clips.values():
        command += ["-re", "-i", str(path)]
    for number, ending in enumerate(clips):
        output = server.rtmp(f"joined/x{ending}")
        command += ["-map", str(number), "-c", "copy", "-f", "flv", output]
    with ExitStack() as stack:
        publisher = stack.enter_context(Program(command, tmp_path, "publisher"))
        wait_until(lambda: position(server, "joined/x_120p") > 0.3, "both were published")
        status, body = server.get("/joined/x.m3u8?format=fmp4")
        assert status == 200
        variants = [x for x in parse_multivariant(body).variants if "RESOLUTION" in x.attributes]
        assert [x.attributes["RESOLUTION"] for x in variants] == ["320x240", "160x120"]
        bases = [urljoin("/joined/x.m3u8", x.uri) for x in variants]
        players = []
        for number, base in enumerate(bases):
            path = tmp_path / f"{number}.mkv"
            play = ffmpeg_player("ffmpeg", server.http(base), path)
            play[play.index("-i") : play.index("-i")] = ["-live_start_index", "0"]
            players.append((path, stack.enter_context(Program(play, tmp_path, "player"))))
        publisher.finish()
        lists = [read_list(server, base) for base in bases]
        for _path, player in players:
            player.finish(END_SECONDS)
    for (path, _player), sent_clip in zip(players, clips.values(), strict=True):
        shown, sent = pictures(path), pictures(sent_clip)
        start = assert_part(shown, sent, len(sent) - 2 * GOP_FRAMES)
        assert start + len(shown) == len(sent)
    one, other = lists
    assert one.target == other.target
    dates = [{x.number: (x.date, x.duration) for x in playlist.segments} for playlist in lists]
    shared = set(dates[0]) & set(dates[1])
    assert len(shared) >= 4
    for number in shared:
        assert abs(dates[0][number][0] - dates[1][number][0]) <= 40, number
        assert abs(dates[0][number][1] - dates[1][number][1]) < 0.05, number


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ts", "fmp4"])
def test_playbin3(server: Server, source: Path, tmp_path: Path, kind: str) -> None:
    """GStreamer's player, which chooses by itself, shows pictures with the sound."""
    name = f"open/playbin-{kind}"
    loop = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(source), "-c", "copy"]
    with Program([*loop, "-f", "flv", server.rtmp(name)], tmp_path, "publisher"):
        wait_until(lambda: position(server, name) > 1.0, "it was published")
        assert server.get(f"/{name}.m3u8?format={kind}")[0] == 200
        wait_until(lambda: position(server, name) > 5.0, "some segments were there")
        address = server.http(f"/{name}.m3u8?format={kind}")
        sinks = ["video-sink=fakesink sync=true", "audio-sink=fakesink sync=true"]
        command = ["gst-launch-1.0", "-v", "playbin3", f"uri={address}", *sinks]
        with Program(command, tmp_path, "playbin3") as player:
            time.sleep(12)
            assert player.is_running, player.tail()
            said = player.output.decode("utf-8", "replace")
    assert "video/x-raw" in said
    assert "audio/x-raw" in said
