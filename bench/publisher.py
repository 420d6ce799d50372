"""N RTMP publishers in one process, each sending every frame when it is due."""

from __future__ import annotations

import gc
import heapq
import socket
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

from bench.address import APPLICATION, HOST
from bench.flv import AUDIO, SCRIPT, VIDEO, BadStream
from bench.rtmp import (
    DEFAULT_CHUNK_BYTES,
    SET_CHUNK_SIZE,
    Role,
    RTMPClient,
    amf,
    chunked,
    chunked_after,
)
from bench.source import GOP_SECONDS, Source

# One chunk stream per track, as ffmpeg and OBS do.
_CHUNK_STREAMS: Final = {SCRIPT: 5, AUDIO: 4, VIDEO: 6}
_CONNECT_SECONDS: Final = 10.0

# How often what the server says (acknowledgements, pings) and what the parent says is read.
_LISTEN_SECONDS: Final = 0.5
_CONTROL_SECONDS: Final = 0.02

# A server that is this much behind does not serve one publisher any more: the run has failed.
_MAX_BACKLOG_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class PublishersPlan:
    """What the publishers do.

    Attributes:
        port: The server's, for RTMP.
        names: The stream of each publisher.
        chunk_bytes: Their chunk size.
        tick_seconds: Each publisher sends this seldom, and then all that is due in one write; with
            0 every frame goes alone when it is due, as encoders send.
    """

    port: int
    names: tuple[str, ...]
    chunk_bytes: int
    tick_seconds: float = 0.0


@dataclass(slots=True)
class PublishersResult:
    """What was sent.

    Attributes:
        started: When each publisher's first frame was due, by the monotonic clock.
        last: The number of each publisher's last frame, counted over all loops from 0.
        bytes_sent: Of all, on the wire.
        late_ms: The largest delay of a frame behind its time.
    """

    started: list[float] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    bytes_sent: int = 0
    late_ms: float = 0.0


class WireFrames:
    """The loop as bytes ready to send: only the first pass differs from the others."""

    def __init__(self, source: Source, chunk_bytes: int, stream: int) -> None:
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        self.opening = b"".join(
            [
                chunked(2, SET_CHUNK_SIZE, chunk_bytes.to_bytes(4, "big"), DEFAULT_CHUNK_BYTES),
                *(
                    self._full(head.kind, _published(head.kind, head.body))
                    for head in source.headers
                ),
            ]
        )
        last = {frame.kind: frame.at - source.loop_ms for frame in source.frames}
        self.loop: list[bytes] = []
        for frame in source.frames:
            number, delta = _CHUNK_STREAMS[frame.kind], frame.at - last[frame.kind]
            last[frame.kind] = frame.at
            self.loop.append(chunked_after(number, frame.kind, frame.body, chunk_bytes, delta))
        # The headers were sent at time 0, so a track's first frame is one delta after that.
        self.first_pass = list(self.loop)
        for kind in (AUDIO, VIDEO):
            place = next(i for i, frame in enumerate(source.frames) if frame.kind == kind)
            frame = source.frames[place]
            self.first_pass[place] = chunked_after(
                _CHUNK_STREAMS[kind], kind, frame.body, chunk_bytes, frame.at
            )

    def _full(self, kind: int, body: bytes) -> bytes:
        number = _CHUNK_STREAMS[kind]
        return chunked(number, kind, body, self._chunk_bytes, stream=self._stream)


def _published(kind: int, body: bytes) -> bytes:
    """Make of a file's metadata what an encoder sends: `@setDataFrame` before it."""
    return amf("@setDataFrame") + body if kind == SCRIPT else body


def open_publisher(port: int, name: str, source: Source, chunk_bytes: int) -> socket.socket:
    """Connect, publish, and send the metadata and decoder configurations.

    Raises:
        BadStream: The server refused or closed.
        OSError: It is not there, or silent for 10 s.
    """
    connection = socket.create_connection((HOST, port), _CONNECT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = RTMPClient(HOST, APPLICATION, name, Role.PUBLISH)
    connection.sendall(client.greeting)
    while not client.ready:
        data = connection.recv(65536)
        if not data:
            raise BadStream("closed before publishing began")
        connection.sendall(client.feed(data)[1])
    connection.sendall(WireFrames(source, chunk_bytes, client.stream).opening)
    return connection


def run_publishers(plan: PublishersPlan, source: Source, parent: Connection) -> None:
    """Publish until the parent sends a time to stop at; then report, and close when told again.

    Runs in a process of its own. What goes to the parent is the string `ready`, then the
    `PublishersResult`, or instead of either the exception that ended it.
    """
    gc.disable()
    try:
        publishers = _Publishers(plan, source)
        parent.send("ready")
        parent.send(publishers.run(parent))
    except (BadStream, OSError) as error:
        parent.send(error)
    parent.recv()


class _Publishers:
    """The schedule of all publishers of one process."""

    def __init__(self, plan: PublishersPlan, source: Source) -> None:
        self._source = source
        self._tick = plan.tick_seconds
        self._sockets = [
            open_publisher(plan.port, name, source, plan.chunk_bytes) for name in plan.names
        ]
        # The message stream id stands in full headers only, and those are sent already.
        self._frames = WireFrames(source, plan.chunk_bytes, 1)
        self._backlog = [b""] * len(plan.names)
        for connection in self._sockets:
            connection.setblocking(False)

    def run(self, parent: Connection) -> PublishersResult:
        """Send frames until the parent's time has come."""
        source, result, count = self._source, PublishersResult(), len(self._sockets)
        frames, per_loop, tick = self._frames, len(source.frames), self._tick
        offsets = [source.due(number) for number in range(per_loop)]
        origin = time.monotonic() + 0.1
        # Their keyframes are spread over the GOP: no two publishers of the world are in step.
        result.started = [origin + GOP_SECONDS * k / count for k in range(count)]
        result.last = [-1] * count
        queue = [(started, k) for k, started in enumerate(result.started)]
        clock, replace, loop_seconds = time.monotonic, heapq.heapreplace, source.loop_ms / 1000
        stop_at, control_at, listen_at = float("inf"), origin, origin
        while True:
            due, k = queue[0]
            now = clock()
            if now >= control_at:
                control_at = now + _CONTROL_SECONDS
                if parent.poll():
                    stop_at = parent.recv() or now
                if now >= listen_at:
                    listen_at = now + _LISTEN_SECONDS
                    self._listen()
            if now >= stop_at:
                break
            if due > now:
                time.sleep(min(due - now, max(0.0, control_at - now)))
                continue
            result.late_ms = max(result.late_ms, (now - due) * 1000)
            parts: list[bytes] = []
            at, number = due, result.last[k]
            while at <= now and (tick or not parts):
                number += 1
                loops, place = divmod(number, per_loop)
                parts.append((frames.loop if loops else frames.first_pass)[place])
                loops, place = divmod(number + 1, per_loop)
                at = result.started[k] + loops * loop_seconds + offsets[place]
            data = b"".join(parts)
            result.bytes_sent += len(data)
            self._send(k, data)
            result.last[k] = number
            replace(queue, (max(at, due + tick), k))
        return result

    def _send(self, k: int, data: bytes) -> None:
        if self._backlog[k]:
            data = self._backlog[k] + data
        try:
            sent = self._sockets[k].send(data)
        except BlockingIOError:
            sent = 0
        self._backlog[k] = data[sent:]
        if len(self._backlog[k]) > _MAX_BACKLOG_BYTES:
            raise BadStream("the server does not take what is published")

    def _listen(self) -> None:
        """Read acknowledgements and the like; an encoder that never reads is cut by some."""
        for connection in self._sockets:
            try:
                if not connection.recv(65536):
                    raise BadStream("the server closed a publisher")
            except BlockingIOError:
                continue
