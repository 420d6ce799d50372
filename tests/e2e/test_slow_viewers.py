"""Viewers that read too slowly, or not at all: what they cost, and that nobody else notices."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ntvmedia.media import Packet
from tests.e2e.conftest import StartServer
from tests.e2e.hostile import (
    GIVE_BACK,
    SMALL_BUFFER,
    Base,
    Watchers,
    close_all,
    count_gaps,
    flv_packets,
    inject,
    metric,
    play_flv,
    play_rtmp,
    publisher,
    undisturbed,
)
from tests.e2e.media import FRAME_RATE, make_clip, packets
from tests.e2e.processes import Program, wait_until

NAME = "liveshow/steady"

STALLED = 20


@pytest.fixture(autouse=True)
def close_peers(start_server: StartServer) -> Iterator[None]:
    """Leave no connection to the next test, nor to the stop of the server."""
    yield
    close_all()


@pytest.fixture(scope="module")
def rich_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of about 4 Mb/s, which fill the buffers of the kernel soon."""
    path = tmp_path_factory.mktemp("rich") / "clip.flv"
    options = ["-vf", "noise=alls=40:allf=t", "-preset", "ultrafast"]
    return make_clip(path, options=[*options, "-b:v", "4M", "-maxrate", "4M", "-bufsize", "2M"])


def test_stalled_viewers(
    start_server: StartServer,
    rich_clip: Path,
    tmp_path: Path,
    long_dose: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B-SL-01, B-SL-02, G-RS-07: viewers stop reading, all at once.

    Each is cut in time; what they hold is bounded, and given back; the others notice nothing.
    """
    if long_dose:  # with the settings as they are
        limits: list[str] = []
        stall_seconds, most_each, others = 20.0, 8 << 20, 180
    else:
        limits = ["hub.stall_timeout=3", "hub.queue_bytes=1000000"]
        stall_seconds, most_each, others = 3.0, 1_500_000, 12
    inject(monkeypatch, tmp_path, GIVE_BACK)
    server = start_server(*limits)
    with undisturbed(server, rich_clip, tmp_path), Watchers(server, NAME, others) as watchers:
        time.sleep(3)
        watchers.largest_gap()
        time.sleep(stall_seconds + 3)
        usual_gap = watchers.largest_gap()
        base = Base(server)
        stopped = [
            Program(f"curl -s -o /dev/null {server.flv(NAME)}".split(), tmp_path) for _ in range(2)
        ]
        players = [play_rtmp(server, NAME, SMALL_BUFFER) for _ in range(STALLED // 2)]
        viewers = [play_flv(server, NAME, SMALL_BUFFER) for _ in range(STALLED // 2 - 2)]
        wait_until(lambda: server.api("status")["viewers"] == base.viewers + STALLED, "all play")
        for program in stopped:
            program.send(signal.SIGSTOP)
        start = time.monotonic()
        most_grown = most_queued = 0
        while server.api("status")["viewers"] > base.viewers:
            # The kernel takes some MB for each before it makes the server wait.
            assert time.monotonic() - start < stall_seconds + 25
            most_grown = max(most_grown, base.grown)
            listed = server.api(f"streams/{NAME}")["viewer_list"]
            most_queued = max(most_queued, *(viewer["queued_bytes"] for viewer in listed))
            time.sleep(0.2)
        assert most_queued <= most_each
        assert most_grown <= STALLED * most_each
        assert metric(server, "ntvmedia_stalled_connections_total") == STALLED
        assert watchers.largest_gap() <= 1.2 * usual_gap + 0.3
        assert server.api(f"streams/{NAME}")["stalled_viewers"] == STALLED
        for program in stopped:
            program.stop()
        for player in players:
            player.close()
        for viewer in viewers:
            viewer.close()
        server.program.send(signal.SIGUSR1)
        base.wait_until_back()


def read_slowly(
    read: Callable[[int], bool], slow_seconds: float, bytes_per_second: int, end: float
) -> None:
    """Read at some rate for a while, which may be 0, and then all that comes until `end`."""
    slow_until = time.monotonic() + slow_seconds
    while time.monotonic() < slow_until:
        time.sleep(0.1)
        if bytes_per_second:
            read(bytes_per_second // 10)
    while time.monotonic() < end:
        read(65536)


def read_socket(peer: socket.socket, into: bytearray) -> Callable[[int], bool]:
    """Return what reads from a socket, as `RTMPPeer.read`."""

    def read(size: int) -> bool:
        data = peer.recv(size)
        into.extend(data)
        return bool(data)

    return read


@pytest.mark.long
def test_skipping_viewers(start_server: StartServer, rich_clip: Path, tmp_path: Path) -> None:
    """A-SE-09, B-SL-04: a viewer at a low rate, and one that freezes, skip to keyframes.

    All that comes to them is whole, begins and goes on with keyframes, and ends with what is live
    now when they read fast again.
    """
    server = start_server("hub.queue_bytes=300000", "hub.queue_seconds=1", "hub.stall_timeout=30")
    found: dict[str, list[Packet]] = {}
    bodies = {"slow": bytearray(), "frozen": bytearray()}
    with publisher(server, rich_clip, tmp_path):
        players = {way: play_rtmp(server, NAME, SMALL_BUFFER) for way in bodies}
        viewers = {way: play_flv(server, NAME, SMALL_BUFFER) for way in bodies}
        end = time.monotonic() + 16
        threads = [
            threading.Thread(target=read_slowly, args=(read, 13, rate, end))
            for way, rate in (("slow", 60_000), ("frozen", 0))
            for read in (players[way].read, read_socket(viewers[way], bodies[way]))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        position = server.api(f"streams/{NAME}")["position_seconds"]
    for way in bodies:
        found[f"rtmp {way}"] = players[way].packets
        found[f"flv {way}"] = flv_packets(bytes(bodies[way]))
    sent = packets(rich_clip)
    for way, received in found.items():
        assert count_gaps(received, sent, 1 / FRAME_RATE), f"{way}: nothing was left out"
        last = received[-1]
        assert position - last.dts / last.track.clock_rate < 2, way
