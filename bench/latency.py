"""How long a frame takes through the server: publisher and player in one process, one clock."""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import time
from dataclasses import dataclass, field

from bench.address import APPLICATION, HOST, Address, stream_name
from bench.flv import BadStream, FLVPlayer
from bench.players import RTMP
from bench.publisher import WireFrames, open_publisher
from bench.rtmp import RTMPClient
from bench.source import Source, fingerprint

_CONNECT_SECONDS = 10.0

# The player joins when there is a keyframe to join at, and its GOP cache is not measured.
_JOIN_SECONDS = 2.5
_SETTLE_SECONDS = 2.0

# After the last frame, what is still on its way.
_DRAIN_SECONDS = 0.5


@dataclass(slots=True)
class LatencyResult:
    """Seconds from before the frame's `send` to after the `recv` that completed it.

    Attributes:
        delays: One for each frame received.
        sent: Frames sent while it was measured; those not in `delays` were lost or changed.
    """

    delays: list[float] = field(default_factory=list)
    sent: int = 0


def measure_latency(
    address: Address, protocol: str, source: Source, chunk_bytes: int, seconds: float
) -> LatencyResult:
    """Publish and play one stream.

    Frames are recognised by their content, so a server may change timestamps; those whose content
    is in the loop twice are left out.

    Raises:
        BadStream: The server refused, or closed.
        OSError: It is not there.
    """
    name = stream_name(0)
    publisher = open_publisher(address.rtmp_port, name, source, chunk_bytes)
    gc.collect()
    gc.disable()
    try:
        publisher.setblocking(False)
        return _Probe(publisher, source, chunk_bytes).run(address, protocol, name, seconds)
    finally:
        gc.enable()
        publisher.close()


class _Probe:
    """One publisher's schedule, with one player read in between."""

    def __init__(self, publisher: socket.socket, source: Source, chunk_bytes: int) -> None:
        self._publisher = publisher
        self._source = source
        self._frames = WireFrames(source, chunk_bytes, 1)
        self._places = source.index()
        self._known = set(self._places.values())
        self._sent_at = [0.0] * len(source.frames)

    def run(self, address: Address, protocol: str, name: str, seconds: float) -> LatencyResult:
        """Send frames when due, and read between them."""
        result, clock, source = LatencyResult(), time.monotonic, self._source
        started = clock()
        measured_from = started + _JOIN_SECONDS + _SETTLE_SECONDS
        measured_to = measured_from + seconds
        number = 0
        player: socket.socket | None = None
        poll = select.epoll()
        try:
            while True:
                now = clock()
                due = started + source.due(number)
                if now >= due:
                    if now >= measured_to:
                        break
                    known = self._send(number)
                    result.sent += known and now >= measured_from
                    number += 1
                    continue
                if player is None and now - started >= _JOIN_SECONDS:
                    player, client = _join(address, protocol, name)
                    poll.register(player, select.EPOLLIN)
                for _fd, _mask in poll.poll(due - now):
                    assert player is not None
                    self._receive(player, client, measured_from, result)
            while player is not None and poll.poll(_DRAIN_SECONDS):
                self._receive(player, client, measured_from, result)
        finally:
            poll.close()
            if player is not None:
                player.close()
        return result

    def _send(self, number: int) -> bool:
        """Send one frame; tell whether it will be recognised."""
        loops, place = divmod(number, len(self._source.frames))
        data = (self._frames.loop if loops else self._frames.first_pass)[place]
        self._sent_at[place] = time.monotonic()
        if self._publisher.send(data) != len(data):
            raise BadStream("the server does not take what is published")
        with contextlib.suppress(BlockingIOError):
            self._publisher.recv(65536)
        return place in self._known

    def _receive(
        self,
        player: socket.socket,
        client: RTMPClient | FLVPlayer,
        measured_from: float,
        result: LatencyResult,
    ) -> None:
        data = player.recv(1 << 18)
        now = time.monotonic()
        if not data:
            raise BadStream("the server closed the player")
        media, reply = client.feed(data)
        if reply:
            player.sendall(reply)
        for message in media:
            place = self._places.get(fingerprint(message.kind, message.body))
            if place is not None and self._sent_at[place] >= measured_from:
                result.delays.append(now - self._sent_at[place])


def _join(
    address: Address, protocol: str, name: str
) -> tuple[socket.socket, RTMPClient | FLVPlayer]:
    """Connect a player and send its first bytes."""
    client: RTMPClient | FLVPlayer
    if protocol == RTMP:
        client, port = RTMPClient(HOST, APPLICATION, name), address.rtmp_port
    else:
        client, port = FLVPlayer(HOST, APPLICATION, name), address.http_port
    player = socket.create_connection((HOST, port), _CONNECT_SECONDS)
    player.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    player.sendall(client.greeting)
    return player, client
