"""Everybody comes and goes for a while, in every way; afterwards nothing is left of them."""

from __future__ import annotations

import random
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtmp.events import Accepted
from tests.e2e.conftest import StartServer
from tests.e2e.hostile import (
    HANDSHAKE,
    SMALL_BUFFER,
    Base,
    RTMPPeer,
    close_all,
    connect,
    flv_request,
    reset,
    undisturbed,
)
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import Server
from tests.e2e.test_faults import feed

NAMES = [f"liveshow/soak{number}" for number in range(5)]

SHORT_SECONDS, LONG_SECONDS = 60.0, 20 * 60.0


@pytest.fixture(autouse=True)
def close_peers(start_server: StartServer) -> Iterator[None]:
    """Leave no connection to the next test, nor to the stop of the server."""
    yield
    close_all()


class Crowd:
    """Threads that each do the same again and again, with dice of their own.

    Args:
        server: Where.
        clip: For FFmpeg.
        folder: For FFmpeg's output.
    """

    def __init__(self, server: Server, clip: Path, folder: Path) -> None:
        self._server = server
        self._clip = clip
        self._folder = folder
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.errors: list[BaseException] = []
        self.done: dict[str, int] = {}

    def add(self, act: Callable[[random.Random], None], count: int) -> None:
        """Have so many threads do something until `stop`."""
        for _ in range(count):
            dice = random.Random(len(self._threads))
            thread = threading.Thread(target=self._repeat, args=(act, dice))
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Wait for all to come to an end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, act: Callable[[random.Random], None], dice: random.Random) -> None:
        while not self._stopping.is_set():
            try:
                act(dice)
            except (TimeoutError, ConnectionError):
                pass  # cut off by the server, as it should
            except BaseException as error:
                self.errors.append(error)
                return
            with self._lock:
                self.done[act.__name__] = self.done.get(act.__name__, 0) + 1

    def _leave(self, peer: socket.socket, dice: random.Random) -> None:
        (reset if dice.random() < 0.5 else socket.socket.close)(peer)

    def publish(self, dice: random.Random) -> None:
        """Publish for some seconds, and leave in one of five ways."""
        peer = RTMPPeer(self._server, dice.choice(NAMES), publishing=True)
        peer.socket.settimeout(3)
        while not any(isinstance(event, Accepted) for event in peer.events):
            if not peer.read():
                peer.close()
                self._stopping.wait(0.2)
                return
        for second in range(dice.randrange(6)):
            feed(peer, second)
            self._stopping.wait(1)
        how = dice.randrange(5)
        if how == 0:
            peer.session.leave()
            peer.flush()
        elif how == 1:
            self._stopping.wait(4)  # until it is cut for its silence
        elif how == 2:
            peer.socket.sendall(b"\xff" * 100)
        self._leave(peer.socket, dice)

    def encode(self, dice: random.Random) -> None:
        """Publish by FFmpeg, and kill it or let it end."""
        url = self._server.rtmp(dice.choice(NAMES))
        command = f"ffmpeg -v error -re -i {self._clip} -c copy -f flv {url}"
        with Program(command.split(), self._folder, "soak") as program:
            self._stopping.wait(dice.uniform(1, 7))
            if dice.random() < 0.5:
                program.stop(9)

    def play(self, dice: random.Random) -> None:
        """Watch something by RTMP, whether it is there or not; perhaps without reading."""
        small = dice.random() < 0.3
        peer = RTMPPeer(
            self._server, dice.choice(NAMES), receive_buffer=SMALL_BUFFER if small else 0
        )
        self._watch(peer.socket, peer.read, dice, stalls=small)

    def watch(self, dice: random.Random) -> None:
        """The same by HTTP-FLV."""
        small = dice.random() < 0.3
        peer = connect(self._server.http_port, SMALL_BUFFER if small else 0)
        peer.sendall(flv_request(dice.choice(NAMES)))
        self._watch(peer, lambda: bool(peer.recv(65536)), dice, stalls=small)

    def _watch(
        self,
        peer: socket.socket,
        read: Callable[[], bool],
        dice: random.Random,
        *,
        stalls: bool,
    ) -> None:
        peer.settimeout(1)
        end = time.monotonic() + dice.choice((0, 0.1, 1, 3, 6))
        while time.monotonic() < end and not self._stopping.is_set():
            if stalls and dice.random() < 0.1:
                self._stopping.wait(end - time.monotonic())
                break
            with suppress(TimeoutError):
                if not read():
                    break
        self._leave(peer, dice)

    def disturb(self, dice: random.Random) -> None:
        """Speak nonsense, or stop in the middle."""
        port = dice.choice((self._server.rtmp_port, self._server.http_port))
        peer = connect(port, seconds=1)
        beginning = dice.choice((b"", HANDSHAKE, b"\x03", b"GET /liveshow/soak1.flv HTTP/1.1\r\n"))
        with suppress(TimeoutError, ConnectionError, PeerError):
            peer.sendall(beginning + dice.randbytes(dice.choice((0, 1, 100, 100_000))))
            peer.recv(1000)
        self._stopping.wait(dice.choice((0, 0.1, 2)))
        self._leave(peer, dice)

    def ask(self, dice: random.Random) -> None:
        """Look at the server, as its operator does."""
        path = dice.choice(("/metrics", "/mserver/api/v1/streams", "/healthz"))
        if path == "/healthz":
            self._server.get(path)
        else:
            self._server.control(path)
        self._stopping.wait(0.2)


def slope_per_hour(samples: list[tuple[float, int]]) -> float:
    """Return how fast a number grows, of seconds and values."""
    seconds = [at for at, _value in samples]
    return statistics.linear_regression(seconds, [value for _at, value in samples]).slope * 3600


def test_soak(start_server: StartServer, clip: Path, tmp_path: Path, long_dose: bool) -> None:
    """G-RS-10, G-RS-03: an hour's worth of comings and goings; memory and files stay flat.

    One stream runs through it all, and is complete. In the end nobody is left, nobody waits, and
    no traceback was logged.
    """
    seconds = LONG_SECONDS if long_dose else SHORT_SECONDS
    server = start_server(
        "hub.publisher_grace=2",
        "hub.publisher_silence=3",
        "hub.play_wait=2",
        "hub.stall_timeout=2",
        "rtmp.handshake_timeout=2",
        "http.head_timeout=2",
    )
    with undisturbed(server, clip, tmp_path):
        base = Base(server)
        crowd = Crowd(server, clip, tmp_path)
        for act, count in (
            (crowd.publish, 5),
            (crowd.encode, 1),
            (crowd.play, 8),
            (crowd.watch, 8),
            (crowd.disturb, 4),
            (crowd.ask, 1),
        ):
            crowd.add(act, count)
        start = time.monotonic()
        memory: list[tuple[float, int]] = []
        try:
            while (passed := time.monotonic() - start) < seconds:
                memory.append((passed, server.rss_bytes))
                assert server.open_files < base.files + 60
                time.sleep(1)
        finally:
            crowd.stop()
        assert not crowd.errors, crowd.errors
        # Who is gone is forgotten: all but the one stream and its player.
        wait_until(lambda: server.api("status")["streams"] == 1, "the streams had ended", 10)
        base.wait_until_back(most_grown=24 << 20)
        assert all(crowd.done[name] > seconds / 12 for name in ("publish", "encode"))
        assert all(crowd.done[name] > seconds for name in ("play", "watch", "disturb"))
        # The first third fills caches and the allocator's pools.
        settled = memory[len(memory) // 3 :]
        grown = slope_per_hour(settled) * (settled[-1][0] - settled[0][0]) / 3600
        report = (
            f"{seconds:.0f} s: {crowd.done}; memory {memory[0][1] / 2**20:.1f} MiB, then "
            f"{settled[0][1] / 2**20:.1f} to {settled[-1][1] / 2**20:.1f}, "
            f"slope {slope_per_hour(settled) / 2**20:+.1f} MiB/h"
        )
        (tmp_path / "soak.txt").write_text(report, "utf-8")
        # Bounded caches (pages of the database, lines of the log, events) fill for a while longer:
        # 3.8 MiB from the 20th to the 60th second, 1.4 MiB from the 50th to the 150th.
        assert grown < (4 if long_dose else 6) << 20, report
    assert server.api("status")["viewers"] == 0
