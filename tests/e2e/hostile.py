"""Peers that do what no good client does: sockets that a test holds in its own hands."""

from __future__ import annotations

import os
import re
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import md5
from itertools import pairwise
from pathlib import Path

import pytest

from ntvmedia.formats.flv import Demuxer, Tag, TagType
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import Accepted
from tests.e2e.media import Frame, assert_monotone, assert_part, packets
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import ROOT, Server

# A small receive buffer makes the kernel hold less for a peer that does not read.
SMALL_BUFFER = 4096

RANDOM = bytes(range(256)) * 12

HANDSHAKE = b"\x03" + bytes(1536) + bytes(1536)
"""C0, C1 and C2 of a client without digests; servers do not look at C2."""

_open_peers: list[socket.socket] = []


def connect(port: int, receive_buffer: int = 0, seconds: float = 20.0) -> socket.socket:
    """Connect to a port of this machine.

    Args:
        port: Where to.
        receive_buffer: Bytes that the kernel keeps for us; 0 for what it likes.
        seconds: The longest that any call may take.
    """
    peer = socket.socket()
    if receive_buffer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    peer.settimeout(seconds)
    _open_peers.append(peer)
    peer.connect(("127.0.0.1", port))
    return peer


def close_all() -> None:
    """Close what `connect` opened and the test did not close, perhaps since it failed."""
    while _open_peers:
        _open_peers.pop().close()


def reset(peer: socket.socket) -> None:
    """Break a connection with a RST in place of a FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class RTMPPeer:
    """A client that publishes or plays, and moves only when it is told to.

    Args:
        server: Where to.
        name: "APP/STREAM".
        publishing: Publish; otherwise play.
        receive_buffer: As of `connect`.

    Attributes:
        socket: The connection.
        session: The protocol.
        events: What the server told, and sent, so far.
    """

    def __init__(
        self, server: Server, name: str, *, publishing: bool = False, receive_buffer: int = 0
    ) -> None:
        app, _slash, stream = name.partition("/")
        address = f"rtmp://127.0.0.1:{server.rtmp_port}/{app}"
        self.session = ClientSession(
            RANDOM, publishing=publishing, app=app, name=stream, tc_url=address
        )
        self.events: list[object] = []
        self.socket = connect(server.rtmp_port, receive_buffer)
        self.flush()

    def flush(self) -> None:
        """Send what there is to send."""
        self.socket.sendall(self.session.data_to_send())

    def read(self, size: int = 65536) -> bool:
        """Take bytes, at most so many; False at the end of the connection."""
        data = self.socket.recv(size)
        self.session.receive_data(data)
        self.events += self.session.events()
        self.flush()
        return bool(data)

    def wait_for(self, kind: type) -> None:
        """Read until the server tells something of a kind.

        Raises:
            Failed: It disconnects before.
        """
        while not any(isinstance(event, kind) for event in self.events):
            if not self.read():
                raise Failed(f"the server sent no {kind.__name__}, but {self.events[:5]}")

    def close(self) -> None:
        """Disconnect."""
        self.socket.close()

    @property
    def packets(self) -> list[Packet]:
        """The media that came so far."""
        return [event for event in self.events if isinstance(event, Packet)]


def play_rtmp(server: Server, name: str, receive_buffer: int = 0) -> RTMPPeer:
    """Play a stream, up to its first track."""
    peer = RTMPPeer(server, name, receive_buffer=receive_buffer)
    peer.wait_for(Track)
    return peer


def publish_rtmp(server: Server, name: str) -> RTMPPeer:
    """Publish a stream, up to the server's consent."""
    peer = RTMPPeer(server, name, publishing=True)
    peer.wait_for(Accepted)
    return peer


def flv_request(name: str) -> bytes:
    """Return a request for HTTP-FLV without chunks: the body ends with the connection."""
    return f"GET /{name}.flv HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode("ascii")


def play_flv(server: Server, name: str, receive_buffer: int = 0) -> socket.socket:
    """Ask for HTTP-FLV, up to the first bytes of the answer, which are left to be read."""
    peer = connect(server.http_port, receive_buffer)
    peer.sendall(flv_request(name))
    assert peer.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200"
    return peer


def flv_packets(data: bytes) -> list[Packet]:
    """Return the media of an answer to `flv_request`, whose last tag may be a part.

    Raises:
        PeerError: It is not FLV.
    """
    head, _empty, body = data.partition(b"\r\n\r\n")
    assert b" 200 " in head
    demuxer, reader = Demuxer(), TagReader()
    demuxer.receive_data(body)
    found: list[Packet] = []
    for event in demuxer.events():
        if isinstance(event, Tag) and event.kind is not TagType.SCRIPT:
            read = reader.video if event.kind is TagType.VIDEO else reader.audio
            found += (
                item for item in read(event.timestamp, event.body) if isinstance(item, Packet)
            )
    assert not reader.dropped, reader.last_problem
    return found


def count_gaps(found: Sequence[Packet], sent: Sequence[Frame], frame_seconds: float) -> int:
    """Check what a viewer got that was too slow, and count its gaps.

    All is whole; it begins with a keyframe, and goes on with one after every gap.

    Args:
        found: In the order in which it came.
        sent: The frames of the published clip.
        frame_seconds: The time from one frame to the next.
    """
    video = [packet for packet in found if packet.track.kind == "video"]
    known = {frame.digest for frame in sent}
    count = 0
    for packet in video:
        assert md5(packet.payload, usedforsecurity=False).hexdigest() in known
    assert video[0].is_keyframe
    for before, after in pairwise(video):
        assert after.dts > before.dts
        if (after.dts - before.dts) / after.track.clock_rate > 1.5 * frame_seconds:
            assert after.is_keyframe, f"after a gap at {after.dts} there is no keyframe"
            count += 1
    return count


def closing_times(peers: Sequence[socket.socket], seconds: float) -> list[float]:
    """Wait until the server has closed all of some connections; what it sends is thrown away.

    Returns:
        How long each took, in seconds from now, in the order of `peers`.

    Raises:
        Failed: Some are still open after `seconds`.
    """
    start = time.monotonic()
    found: dict[socket.socket, float] = {}
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            peer.setblocking(False)
            selector.register(peer, selectors.EVENT_READ, peer)
        while len(found) < len(peers):
            left = start + seconds - time.monotonic()
            if left < 0:
                raise Failed(f"{len(peers) - len(found)} of {len(peers)} connections stay open")
            for key, _events in selector.select(left):
                peer = key.data
                try:
                    data = peer.recv(65536)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(peer)
                    found[peer] = time.monotonic() - start
    return [found[peer] for peer in peers]


class Watchers:
    """Viewers by HTTP-FLV that read all that comes at once, in a thread, and time it.

    Best used in a `with` statement, which ends them.

    Args:
        server: Where to.
        name: "APP/STREAM".
        count: How many.
    """

    def __init__(self, server: Server, name: str, count: int) -> None:
        self._peers = [play_flv(server, name) for _ in range(count)]
        self._last = dict.fromkeys(self._peers, time.monotonic())
        self._largest = dict.fromkeys(self._peers, 0.0)
        self._ended: set[socket.socket] = set()
        self._stopping = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Watchers:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping = True
        self._thread.join()
        for peer in self._peers:
            peer.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for peer in self._peers:
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_READ, peer)
            while not self._stopping:
                for key, _events in selector.select(0.1):
                    peer = key.data
                    try:
                        data = peer.recv(1 << 20)
                    except OSError:
                        data = b""
                    now = time.monotonic()
                    with self._lock:
                        if data:
                            passed = now - self._last[peer]
                            self._largest[peer] = max(self._largest[peer], passed)
                            self._last[peer] = now
                        else:
                            selector.unregister(peer)
                            self._ended.add(peer)

    def largest_gap(self) -> float:
        """Return the longest time, since this was called last, in which nothing came to one.

        Raises:
            Failed: One of them was cut.
        """
        with self._lock:
            if self._ended:
                raise Failed(f"{len(self._ended)} viewers that read all were cut")
            now = time.monotonic()
            found = max(max(self._largest[peer], now - self._last[peer]) for peer in self._peers)
            self._largest = dict.fromkeys(self._peers, 0.0)
            return found


@contextmanager
def publisher(
    server: Server, clip: Path, folder: Path, name: str = "liveshow/steady"
) -> Iterator[Program]:
    """Have FFmpeg publish a clip again and again, and wait until the stream can be played."""
    command = f"ffmpeg -v error -re -stream_loop -1 -i {clip} -c copy -f flv {server.rtmp(name)}"
    with Program(command.split(), folder, "publisher") as program:
        wait_until(lambda: state_of(server, name) == "live", f"{name} is published")
        yield program


@contextmanager
def undisturbed(
    server: Server, clip: Path, folder: Path, name: str = "liveshow/steady"
) -> Iterator[None]:
    """Publish and play by FFmpeg, while something happens that must not disturb it.

    Raises:
        Failed: At the end, when not all that was sent since the player began has come to it.
    """
    copy = folder / "undisturbed.flv"
    play = f"ffmpeg -v error -y -i {server.flv(name)} -map 0 -c copy -f flv {copy}"
    with (
        publisher(server, clip, folder, name),
        Program(play.split(), folder, "player") as player,
    ):
        wait_until(lambda: copy.exists() and copy.stat().st_size, "something was played")
        began = time.monotonic()
        yield
        passed = time.monotonic() - began
        assert player.is_running, f"the player was cut{player.tail()}"
        player.stop()
    sent = packets(clip)
    received = packets(copy)
    rounds = len(received) // len(sent) + 2
    # All of the time but its ends: the player analyses for a moment before it writes.
    least = int(max(passed - 3, 0.2) * 25)
    assert_part(received, sent * rounds, least)
    assert_monotone(received)


def state_of(server: Server, name: str) -> str:
    """Return the state of a stream by the server's word; "none" when there is no such stream."""
    try:
        return str(server.api(f"streams/{name}")["state"])
    except Failed:
        return "none"


def metric(server: Server, name: str) -> float:
    """Return a metric without labels: "ntvmedia_stalled_connections_total"."""
    found = re.search(rf"^{name} (\S+)$", server.control("/metrics"), re.MULTILINE)
    assert found, f"there is no metric {name}"
    return float(found[1])


def refused_rtmp(server: Server) -> bool:
    """Whether a further RTMP connection is refused: in words, or it ends before it is greeted."""
    try:
        publish_rtmp(server, f"liveshow/probe{len(_open_peers)}").close()
    except (Failed, ConnectionError):
        return True
    return False


class Base:
    """What a server uses before something happens, to compare with afterwards.

    Args:
        server: Idle, but for what goes on.
    """

    def __init__(self, server: Server) -> None:
        # The first request of the API loads modules and fills caches; of another the database is
        # opened, as sooner or later by the statistics.
        server.control("/metrics")
        server.api("audit")
        self.server = server
        self.viewers = int(server.api("status")["viewers"])
        # Connections of the requests before are closed in a moment.
        self.files = min(_seen_files(server))
        self.rss_bytes = server.rss_bytes

    @property
    def grown(self) -> int:
        """Bytes of memory more than then; negative for less."""
        return self.server.rss_bytes - self.rss_bytes

    def wait_until_back(self, seconds: float = 20.0, most_grown: int = 8 << 20) -> None:
        """Wait until files, viewers and memory are back to what they were.

        Args:
            seconds: The longest that it may take.
            most_grown: Memory that allocators and caches may keep, in bytes.

        Raises:
            Failed: They are not.
        """
        server = self.server

        def is_back() -> bool:
            status = server.api("status")
            return (
                min(_seen_files(server)) <= self.files
                and status["viewers"] == self.viewers
                and status["waiting"] == 0
                and self.grown <= most_grown
            )

        try:
            wait_until(is_back, "all was as before", seconds)
        except Failed as error:
            status = server.api("status")
            raise Failed(
                f"{error}: files {self.files} -> {server.open_files}, viewers {self.viewers} -> "
                f"{status['viewers']}, waiting {status['waiting']}, memory {self.grown:+,} bytes"
            ) from None


def _seen_files(server: Server) -> Iterator[int]:
    for _ in range(5):
        yield server.open_files
        time.sleep(0.02)


# Makes SIGUSR1 give back what Python and the C library keep for later: what is left is in use.
GIVE_BACK = """
import ctypes, gc, signal
def give_back(_number, _frame):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
signal.signal(signal.SIGUSR1, give_back)
"""


def inject(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Have code run in every server that is started from now on, before anything else.

    Python imports `sitecustomize` at its start wherever it finds it first.

    Args:
        monkeypatch: Undoes it after the test.
        folder: To write the module to.
        code: Its text.
    """
    (folder / "sitecustomize.py").write_text(code, "utf-8")
    monkeypatch.setattr("tests.e2e.server.ROOT", f"{folder}{os.pathsep}{ROOT}")
