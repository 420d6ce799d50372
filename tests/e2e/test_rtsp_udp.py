"""RTSP with the media in datagrams: real players and publishers, over UDP and from groups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e import rtsp
from tests.e2e.clients import PLAY_WAIT, Command
from tests.e2e.media import Frame, assert_part, assert_same, make_clip, packets, pictures
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.rtsp import FFMPEG, FFMPEG_9, GSTREAMER, MPV, Player, Recording
from tests.e2e.server import Server
from tests.e2e.test_applications import app

SECONDS = 2.0

# What stands in a command of `tests.e2e.rtsp`, and what asks for another way instead.
UDP = {
    "tcp": "udp",
    "--rtsp-transport=tcp": "--rtsp-transport=udp",
    "protocols=tcp+tls": "protocols=udp",
}
MULTICAST = {
    "tcp": "udp_multicast",
    # The server of the test sends on the loopback interface.
    "protocols=tcp+tls": "protocols=udp-mcast multicast-iface=lo",
}

# What FFmpeg keeps to itself of the sound when it ends.
LOST_BY_FFMPEG = 4


def over(ways: dict[str, str], command: Command) -> Command:
    """Change the way in which a command carries media."""
    return [word for part in command for word in (ways.get(str(part), str(part)).split(" "))]


def player_over(name: str, ways: dict[str, str], player: Player) -> Player:
    """Return a player that plays in another way."""
    return replace(
        player,
        name=f"{player.name}-{name}",
        command=lambda address, stem, codecs: over(ways, player.command(address, stem, codecs)),
    )


UNICAST = [player_over("udp", UDP, x) for x in (FFMPEG, FFMPEG_9, GSTREAMER, MPV)]
GROUPS = [player_over("group", MULTICAST, x) for x in (FFMPEG, GSTREAMER)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT, "hub.publisher_grace=1"])
    app(server, "set", "liveshow", "rtsp_multicast=true")
    yield server
    server.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "short.flv", SECONDS)


@pytest.fixture(scope="module")
def seen(clip: Path) -> list[Frame]:
    """The pictures of the clip."""
    return pictures(clip)


def udp_sockets(server: Server) -> int:
    """How many sockets of UDP the server has open."""
    text = Path(f"/proc/{server.program.pid}/net/udp").read_text("ascii")
    inodes = {line.split()[9] for line in text.splitlines()[1:]}
    folder = Path(f"/proc/{server.program.pid}/fd")
    targets = []
    for path in folder.iterdir():
        try:
            targets.append(str(path.readlink()))
        except FileNotFoundError:
            continue  # closed meanwhile
    return len([x for x in targets if x.startswith("socket:[") and x[8:-1] in inodes])


def pass_through(
    server: Server, players: list[Player], name: str, clip: Path, folder: Path
) -> dict[str, Recording]:
    """Publish a clip over UDP to players that wait for it, and return what they recorded."""
    address = server.rtsp(f"liveshow/{name}")
    with ExitStack() as programs:
        found = rtsp.start_all(server, players, address, folder)
        for recording in found.values():
            programs.enter_context(recording.program)
        run(over(UDP, rtsp.publish_command(clip, address)), folder)
        return {name: recording.finish() for name, recording in found.items()}


def assert_whole(found: dict[str, Recording], seen: list[Frame], clip: Path) -> None:
    """Check that each player got every picture, and nearly all of the sound."""
    sent = packets(clip, "a")
    for name, recording in found.items():
        came = recording.pictures()
        if name.startswith(MPV.name):
            assert assert_part(came, seen, len(seen) - 30) in (0, 30)
        else:
            assert_same(came, seen)
        assert_part(recording.sounds(), sent, len(sent) - 6 - LOST_BY_FFMPEG)


def test_unicast(server: Server, clip: Path, seen: list[Frame], tmp_path: Path) -> None:
    """D-RT-12, D-RT-13: published over UDP, played over UDP: all of it; and a good end."""
    found = pass_through(server, UNICAST, "unicast", clip, tmp_path)
    assert_whole(found, seen, clip)
    wait_until(lambda: udp_sockets(server) == 0, "all ports were given back")


@pytest.mark.parametrize("player", GROUPS, ids=lambda player: player.name)
def test_group(
    server: Server, player: Player, clip: Path, seen: list[Frame], tmp_path: Path
) -> None:
    """From a multicast group: all of it, for the first who joins; and a good end."""
    found = pass_through(server, [player], player.name, clip, tmp_path)
    assert_whole(found, seen, clip)
    wait_until(lambda: udp_sockets(server) == 0, "all ports were given back")


def test_vanished(server: Server, clip: Path, tmp_path: Path) -> None:
    """D-TR-05: a player and a publisher that are killed leave nothing behind them."""
    address = server.rtsp("liveshow/vanished")
    publish = over(UDP, rtsp.publish_command(clip, address))
    publish[publish.index("-re") : publish.index("-re") + 1] = ["-re", "-stream_loop", "-1"]
    with (
        UNICAST[0].start(address, tmp_path).program as player,
        Program(publish, tmp_path, "publisher") as publisher,
    ):
        server.wait_for_log("plays liveshow/vanished")
        assert udp_sockets(server) == 6  # a pair for each track that comes, and one to send from
        player.stop(9)
        wait_until(lambda: udp_sockets(server) == 4, "the player's ports were given back")
        publisher.stop(9)
        wait_until(lambda: udp_sockets(server) == 0, "the publisher's ports were given back")
