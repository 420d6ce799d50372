"""N players in one process: what each got, how soon, and how evenly."""

from __future__ import annotations

import errno
import gc
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from bench.address import APPLICATION, HOST, Address, stream_name
from bench.flv import BadStream, FLVPlayer, is_keyframe
from bench.rtmp import RTMPClient, acknowledgement
from bench.rtsp import RTSPDatagramPlayer, RTSPPlayer, VideoDatagrams
from bench.source import Print, fingerprint
from bench.websocket import PONG, WebSocketPlayer

RTMP: Final = "rtmp"
FLV: Final = "flv"
WEBSOCKET: Final = "websocket"
RTSP: Final = "rtsp"
RTSP_UDP: Final = "rtsp-udp"

_BUFFER_BYTES: Final = 1 << 20

# ffmpeg's interval for reports of bytes received. Servers ping a player that is silent for long;
# after the keyframe nobody here would see that ping, and with these reports there is none.
_ACKNOWLEDGE_BYTES: Final = 1 << 20

# Nor would anybody see the pings of a WebSocket: a pong is sent as often as browsers answer some,
# every 20 s at 1 Mb/s.
_PONG_BYTES: Final = 2_500_000

# What the first second after the keyframe brings is the server's GOP cache: bursts, not gaps.
_SETTLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class PlayersPlan:
    """What the players do, and when; all times by the monotonic clock.

    Attributes:
        protocol: `RTMP`, `FLV`, `WEBSOCKET`, `RTSP` or `RTSP_UDP`.
        streams: Player `i` plays stream `i % streams`.
        join_at: When the first one connects; the others follow at `rate` a second.
        window: Bytes are counted between these two times.
        finish_at: When all leave. Between the window's end and this only a player's total counts.
        stalled: So many of them, evenly chosen, stop reading at `stall_at`.
    """

    protocol: str
    address: Address
    count: int
    streams: int
    rate: float
    join_at: float
    window: tuple[float, float]
    finish_at: float
    stalled: int = 0
    stall_at: float = 0.0


@dataclass(slots=True)
class PlayerFigures:
    """What one player saw.

    Attributes:
        stream: The number of the stream.
        local_port: Of its connection.
        stalled: It stopped reading.
        connected: When `connect` was called.
        keyframe: The first one, and when the last byte of its message was there; None: never.
        chunk_bytes: The server's chunk size, 0 for FLV, in a WebSocket or not; below 0 for RTP.
        received: Bytes from the beginning of the first keyframe's message on.
        gap: The largest time between two reads, from 1 s after the keyframe to the window's end.
        closed: The server's end, or why this player left before its time; empty: neither.
    """

    stream: int
    local_port: int = 0
    stalled: bool = False
    connected: float = 0.0
    keyframe: tuple[Print, float] | None = None
    chunk_bytes: int = 0
    received: int = 0
    gap: float = 0.0
    closed: str = ""


@dataclass(slots=True)
class PlayersResult:
    """What all of them saw; `window_bytes` were delivered to the window in `window_seconds`."""

    players: list[PlayerFigures]
    window_bytes: int = 0
    window_seconds: float = 0.0


def run_players(plan: PlayersPlan, parent: Connection) -> None:
    """Play as planned, and send the parent the `PlayersResult`. Runs in a process of its own."""
    gc.disable()
    parent.send(_Players(plan).run())


_Client = (
    RTMPClient | FLVPlayer | WebSocketPlayer | RTSPPlayer | RTSPDatagramPlayer | VideoDatagrams
)

_CLIENTS: Final[dict[str, Callable[[str, str, str], _Client]]] = {
    RTMP: RTMPClient,
    FLV: FLVPlayer,
    WEBSOCKET: WebSocketPlayer,
    RTSP: RTSPPlayer,
    RTSP_UDP: RTSPDatagramPlayer,
}

# How many descriptors a player has at most.
_SOCKETS: Final = 5

# Something to do at a time of the plan.
_Mark = tuple[float, Callable[[PlayersResult], None]]


class _Players:
    """One epoll loop. Everything of a player lies in lists, at its file descriptor."""

    def __init__(self, plan: PlayersPlan) -> None:
        self._plan = plan
        self._poll = select.epoll()
        self._figures: list[PlayerFigures] = []
        size = _SOCKETS * plan.count + 256
        self._sockets: list[socket.socket | None] = [None] * size
        self._owners: list[PlayerFigures | None] = [None] * size
        self._clients: list[_Client | None] = [None] * size
        self._total = [0] * size
        self._acknowledge_at = [0] * size
        self._last = [0.0] * size
        self._gaps = [0.0] * size
        self._buffer = bytearray(_BUFFER_BYTES)
        self._kept: list[RTSPDatagramPlayer] = []
        self._delivered_to_the_gone = 0

    def run(self) -> PlayersResult:
        """Join, read, count, leave."""
        plan, clock = self._plan, time.monotonic
        begin, end = plan.window
        result = PlayersResult(self._figures)
        marks: list[_Mark] = [(begin, self._begin_window), (end, self._end_window)]
        if plan.stalled:
            marks.append((plan.stall_at, self._stall))
        marks.sort(key=lambda mark: mark[0])
        while (now := clock()) < plan.finish_at:
            while marks and now >= marks[0][0]:
                marks.pop(0)[1](result)
            next_join = self._join(now)
            until = min(next_join, plan.finish_at, *(at for at, _mark in marks))
            self._read(max(0.0, until - now))
        for fd, owner in enumerate(self._owners):
            if owner is not None:
                self._leave(fd, "")
        return result

    def _join(self, now: float) -> float:
        """Connect those whose time has come; return when the next one's comes."""
        plan = self._plan
        while len(self._figures) < plan.count:
            due = plan.join_at + len(self._figures) / plan.rate
            if due > now:
                return due
            self._connect(PlayerFigures(len(self._figures) % plan.streams))
        return float("inf")

    def _connect(self, figures: PlayerFigures) -> None:
        self._figures.append(figures)
        plan = self._plan
        name = stream_name(figures.stream)
        client = _CLIENTS[plan.protocol](HOST, APPLICATION, name)
        address = plan.address
        rtsp_port = address.rtsp_port
        ports = {RTMP: address.rtmp_port, RTSP: rtsp_port, RTSP_UDP: rtsp_port}
        port = ports.get(plan.protocol, address.http_port)
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        figures.connected = time.monotonic()
        status = connection.connect_ex((HOST, port))
        if status not in (0, errno.EINPROGRESS):
            figures.closed = errno.errorcode.get(status, str(status))
            connection.close()
            return
        figures.local_port = connection.getsockname()[1]
        fd = connection.fileno()
        self._sockets[fd], self._owners[fd], self._clients[fd] = connection, figures, client
        self._total[fd] = 0
        self._poll.register(fd, select.EPOLLOUT)

    def _read(self, timeout: float) -> None:
        """Wait for bytes and take them: the one hot loop."""
        clients, total, last, gaps = self._clients, self._total, self._last, self._gaps
        sockets, buffer, clock = self._sockets, self._buffer, time.monotonic
        for fd, _mask in self._poll.poll(timeout, 512):
            if clients[fd] is not None:
                self._begin(fd)
                continue
            connection = sockets[fd]
            if connection is None:
                continue
            try:
                count = connection.recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError as error:
                self._leave(fd, str(error))
                continue
            if not count:
                self._leave(fd, "closed by the server")
                continue
            now = clock()
            gap = now - last[fd]
            if gap > 0.0:
                last[fd] = now
                if gap > gaps[fd]:
                    gaps[fd] = gap
            total[fd] += count
            if total[fd] >= self._acknowledge_at[fd]:
                self._acknowledge(fd)

    def _begin(self, fd: int) -> None:
        """Take one player further towards its first keyframe."""
        connection, client, figures = self._sockets[fd], self._clients[fd], self._owners[fd]
        assert connection is not None and client is not None and figures is not None
        try:
            if client.greeting:
                connection.send(client.greeting)
                client.greeting = b""
                self._poll.modify(fd, select.EPOLLIN)
                return
            # Not much at once: what lies behind the keyframe need not be parsed.
            data = connection.recv(16384)
            if not data:
                raise BadStream("closed by the server")
            media, reply = client.feed(data)
            if reply:
                connection.send(reply)
        except BlockingIOError:
            return
        except (BadStream, OSError) as error:
            self._leave(fd, str(error))
            return
        self._total[fd] += len(data)
        if isinstance(client, RTSPDatagramPlayer):
            if client.video >= 0:
                self._receive_datagrams(fd, client, figures)
            return
        key = next((message for message in media if is_keyframe(message)), None)
        if key is not None:
            now = time.monotonic()
            figures.keyframe = fingerprint(key.kind, key.body), now
            figures.chunk_bytes = client.chunk_bytes
            # `received` becomes the total at the end less what came before the keyframe.
            figures.received = client.received - key.start - self._total[fd]
            self._clients[fd] = None
            self._last[fd] = now + _SETTLE_SECONDS
            self._gaps[fd] = 0.0
            self._acknowledge(fd)

    def _receive_datagrams(
        self, fd: int, client: RTSPDatagramPlayer, figures: PlayerFigures
    ) -> None:
        """Read the datagrams of a player from now on; its connection says nothing more."""
        self._clients[fd] = None
        self._total[fd] = 0
        self._last[fd] = float("inf")
        for place, (media, _reports) in enumerate(client.tracks):
            number = media.fileno()
            self._sockets[number], self._owners[number] = media, figures
            self._clients[number] = VideoDatagrams() if place == client.video else None
            self._last[number] = float("inf")
            self._acknowledge_at[number] = 1 << 62
            self._poll.register(number, select.EPOLLIN)
        self._acknowledge_at[fd] = 1 << 62
        # The ports of the reports stay open as long as all others.
        self._kept.append(client)

    def _acknowledge(self, fd: int) -> None:
        """Report that bytes were received, and say when to do so again."""
        connection, protocol = self._sockets[fd], self._plan.protocol
        if protocol not in (RTMP, WEBSOCKET) or connection is None:
            self._acknowledge_at[fd] = 1 << 62
            return
        total = self._total[fd]
        every, report = _ACKNOWLEDGE_BYTES, acknowledgement(total)
        if protocol == WEBSOCKET:
            every, report = _PONG_BYTES, PONG
        self._acknowledge_at[fd] = total + every
        try:
            connection.send(report)
        except OSError as error:
            self._leave(fd, str(error))

    def _leave(self, fd: int, reason: str) -> None:
        connection, figures = self._sockets[fd], self._owners[fd]
        assert connection is not None and figures is not None
        figures.closed = reason
        figures.received = figures.received + self._total[fd] if figures.keyframe else 0
        connection.close()
        self._delivered_to_the_gone += self._total[fd]
        self._sockets[fd] = self._owners[fd] = self._clients[fd] = None
        self._total[fd] = 0

    def _delivered(self) -> int:
        return sum(self._total) + self._delivered_to_the_gone

    def _begin_window(self, result: PlayersResult) -> None:
        result.window_bytes = -self._delivered()
        result.window_seconds = -time.monotonic()

    def _end_window(self, result: PlayersResult) -> None:
        now = time.monotonic()
        result.window_bytes += self._delivered()
        result.window_seconds += now
        for fd, figures in enumerate(self._owners):
            if figures is not None and figures.keyframe is not None:
                figures.gap = max(figures.gap, self._gaps[fd], now - self._last[fd])

    def _stall(self, result: PlayersResult) -> None:
        """Let the chosen ones stop reading; their connections stay open on this side."""
        every = self._plan.count // self._plan.stalled
        chosen = {id(figures) for figures in self._figures[:: max(1, every)][: self._plan.stalled]}
        for fd, figures in enumerate(self._owners):
            if figures is not None and id(figures) in chosen:
                figures.stalled = True
                self._poll.unregister(fd)
