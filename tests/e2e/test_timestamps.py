"""Times that do not fit into 24, 31 bits: long streams, and what real players make of them.

The stream's clock is brought forward by a publisher that sends almost empty frames, each as much
later than the one before as the server still takes for time that passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import pytest

from ntvmedia.formats.flv import Tag, TagType
from ntvmedia.wire.rtmp.writer import message_bytes
from tests.e2e.clients import (
    CURL,
    FFMPEG9_FLV,
    FFMPEG9_RTMP,
    FFMPEG_FLV,
    FFMPEG_RTMP,
    MPV_FLV,
    MPV_RTMP,
    PLAY_WAIT,
    RTMP2SRC,
    RTMPDUMP,
    Command,
    Player,
    pass_through,
    publish_command,
    wait_for_viewers,
    wait_for_waiting,
)
from tests.e2e.media import (
    assert_but,
    assert_monotone,
    assert_part,
    assert_same,
    make_clip,
    packets,
    pictures,
)
from tests.e2e.peers import Publisher, read_flv
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import Server

HOUR_30 = 30 * 3600 * 1000
DAY_26 = 26 * 24 * 3600 * 1000
EXTENDED = 0xFFFFFF

# Milliseconds: longer steps than two seconds, and what passed since, are jumps of a clock.
STEP = 1990

# A frame of H.264 that is no keyframe: an access unit delimiter, and nothing in the unit. As a
# message on chunk stream 6 with an extended timestamp, which goes before the body.
EMPTY = b"\x27\x01\x00\x00\x00\x00\x00\x00\x02\x09\xf0"
EMPTY_HEADER = b"\x06\xff\xff\xff\x00\x00\x0b\x09\x01\x00\x00\x00"
EMPTY_MESSAGE = Struct(f">{len(EMPTY_HEADER)}sI{len(EMPTY)}s")

SMALL_CHUNKS = 128


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that sends chunks so small that every picture takes many, and lets days pass."""
    settings = [PLAY_WAIT, f"rtmp.chunk_size={SMALL_CHUNKS}", "hub.max_publisher_packets=0"]
    server = Server(tmp_path_factory.mktemp("server"), settings)
    yield server
    server.close()


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "short.flv", 2)


def bring_forward(publisher: Publisher, tags: list[Tag], until: int) -> None:
    """Begin a stream with the sequence headers of a clip, and let its clock come to a time."""
    for tag in tags:
        if tag.kind is not TagType.SCRIPT and tag.body[1] == 0:
            publisher.send_tag(tag, 0)
    first_sound = next(tag for tag in tags if tag.kind is TagType.AUDIO and tag.body[1] == 1)
    first_picture = next(tag for tag in tags if tag.kind is TagType.VIDEO and tag.body[1] == 1)
    publisher.send_tag(first_picture, 0)
    publisher.send_tag(first_sound, 0)
    times = [*range(STEP, until, STEP), until]
    pack = EMPTY_MESSAGE.pack
    for at in range(0, len(times), 1000):
        some = times[at : at + 1000]
        publisher.send(b"".join([pack(EMPTY_HEADER, time, EMPTY) for time in some]))


def media_tags(clip: Path) -> list[Tag]:
    """Return the tags of a clip without metadata and without the mark at its end."""
    tags = read_flv(clip)[1]
    return [x for x in tags if x.kind is not TagType.SCRIPT and x.body[:2] != b"\x17\x02"]


class Joined(NamedTuple):
    """What was recorded, and when the clip began for it, in milliseconds."""

    start: int
    paths: dict[str, Path]


PLAYERS = (
    CURL,
    RTMPDUMP,
    RTMP2SRC,
    FFMPEG_RTMP,
    FFMPEG_FLV,
    FFMPEG9_RTMP,
    FFMPEG9_FLV,
    MPV_RTMP,
    MPV_FLV,
)
BROWSER = Path(__file__).parent / "node" / "play.cjs"


@pytest.fixture(
    scope="module",
    params=[HOUR_30, DAY_26, EXTENDED - 1000],
    ids=["hour 30", "day 26", "crossing 0xFFFFFF"],
)
def joined(
    request: pytest.FixtureRequest,
    server: Server,
    short_clip: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Joined]:
    """A stream whose clock is brought forward; all players join; then the clip is sent."""
    start: int = request.param
    folder = tmp_path_factory.mktemp("joined")
    name = f"liveshow/at-{start}"
    tags = media_tags(short_clip)
    with ExitStack() as programs:
        publisher = programs.enter_context(Publisher(server.rtmp_port, name))
        bring_forward(publisher, tags, start - 1000)
        wait_until(lambda: has_come_to(server, name, start - 1000), "the clock had come there", 120)
        assert server.api(f"streams/{name}")["clock_jumps"] == 0
        recordings = {player.name: player.start(server, name, folder) for player in PLAYERS}
        command: Command = ["node", BROWSER, server.flv(name), folder]
        browser = Program(command, folder, "mpegts.js")
        for program in (browser, *(x.program for x in recordings.values())):
            programs.enter_context(program)
        wait_for_viewers(server, name, len(PLAYERS) + 1)
        publisher.play(tags, offset=start)
        publisher.leave()
        for recording in recordings.values():
            recording.finish()
        browser.finish()
        paths = {name: recording.path for name, recording in recordings.items()}
        yield Joined(start, {**paths, "mpegts.js": folder / "video.mp4"})


def has_come_to(server: Server, name: str, time: int) -> bool:
    """Say whether a stream's clock shows that many milliseconds, or more."""
    streams = server.api("streams")["streams"]
    return any(x["name"] == name and x["position_seconds"] * 1000 >= time for x in streams)


@pytest.mark.parametrize("player", PLAYERS, ids=lambda player: player.name)
def test_join(joined: Joined, short_clip: Path, player: Player) -> None:
    """B-FL-05, A-MD-18, A-CK-01, A-CK-05: who joins late in a long stream gets it, in order."""
    path = joined.paths[player.name]
    for kind, late in (("v", 0), ("a", 5)):
        received, sent = packets(path, kind), packets(short_clip, kind)
        if player is RTMP2SRC:  # which forgets a message that it has at the stream's end
            received, sent = received[:-1], sent[: len(received) - 1]
        start = assert_part(received, sent, len(sent) - late)
        assert start + len(received) == len(sent)
        assert_monotone(received)
    assert_but(pictures(path), pictures(short_clip), 1 if player is RTMP2SRC else 0)


def test_timestamps(joined: Joined) -> None:
    """Times are the stream's own over both protocols, with the upper bits where they belong."""
    for name in (CURL.name, RTMPDUMP.name):
        _header, tags = read_flv(joined.paths[name])
        first = next(tag for tag in tags if tag.body[:2] == b"\x17\x01")
        assert first.timestamp == joined.start
        times = [tag.timestamp for tag in tags if tag.kind is TagType.VIDEO]
        assert times == sorted(times)
        assert times[-1] - first.timestamp == 1967


def test_browser(joined: Joined, short_clip: Path) -> None:
    """mpegts.js, which takes the time of FLV for a signed number, plays on from 0."""
    path = joined.paths["mpegts.js"]
    sent = packets(short_clip)
    received = packets(path)
    assert assert_part(received, sent, len(sent) - 1) == 0
    assert_monotone(received)
    assert received[0].dts < 2000
    assert_but(pictures(path), pictures(short_clip), 1)


def test_ffmpeg_offset(server: Server, short_clip: Path, tmp_path: Path) -> None:
    """A-CK-01, A-MD-15: FFmpeg's own extended times come in, and viewers' times begin near 0."""
    name = "liveshow/ffmpeg-offset"
    options = ("-output_ts_offset", "16776")  # 1.2 seconds below 2**24 milliseconds
    command = publish_command(short_clip, server.rtmp(name), *options)
    copy = pass_through(server, name, command, tmp_path)
    received = packets(copy)
    assert_same(received, packets(short_clip))
    assert_monotone(received)
    assert received[0].dts < 2000
    assert_same(packets(copy, "a"), packets(short_clip, "a"))
    assert_same(pictures(copy), pictures(short_clip))


def librtmp_chunks(tag: Tag, timestamp: int) -> bytes:
    """Write a message as librtmp does: no extended timestamp in continuation chunks."""
    whole = message_bytes(6 if tag.kind is TagType.VIDEO else 4, 0, tag.kind, 1, tag.body, 1 << 24)
    header = bytearray(whole[:12])
    extended = b""
    if timestamp >= EXTENDED:
        header[1:4] = b"\xff\xff\xff"
        extended = timestamp.to_bytes(4, "big")
    else:
        header[1:4] = timestamp.to_bytes(3, "big")
    pieces = [tag.body[at : at + SMALL_CHUNKS] for at in range(0, len(tag.body), SMALL_CHUNKS)]
    return bytes(header) + extended + bytes((0xC0 | header[0],)).join(pieces)


@pytest.mark.parametrize("dialect", ["repeated", "left out"])
def test_dialects(server: Server, short_clip: Path, tmp_path: Path, dialect: str) -> None:
    """A-CK-01, A-CK-02: both dialects of extended timestamps come in while the clock crosses."""
    name = f"liveshow/dialect-{dialect.replace(' ', '-')}"
    recording = RTMPDUMP.start(server, name, tmp_path)
    offset = EXTENDED - 1000
    with recording.program:
        wait_for_waiting(server, 1)
        with Publisher(server.rtmp_port, name, chunk_size=SMALL_CHUNKS) as publisher:
            for tag in media_tags(short_clip):
                if dialect == "repeated":
                    publisher.send_tag(tag, tag.timestamp + offset)
                else:
                    publisher.send(librtmp_chunks(tag, tag.timestamp + offset))
        path = recording.finish()
    for kind in ("v", "a"):
        received = packets(path, kind)
        assert_same(received, packets(short_clip, kind))
        assert_monotone(received)
    assert_same(pictures(path), pictures(short_clip))
