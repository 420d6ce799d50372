"""Transports without sockets, a serialiser without a format, and peers without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from ntvmedia.hub.outlet import Outlet
from ntvmedia.media import Codec, Packet, Track, to_milliseconds

VIDEO = Track(Codec.H264, config=b"v1")
AUDIO = Track(Codec.AAC, clock_rate=48000, config=b"a1", channels=2)

UNLIMITED = 1 << 40


class FakeReactor(Clock):
    """Time, and who waits to read or to write."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """Note it."""
        self.readers.add(reader)

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        self.writers.add(writer)

    def removeReader(self, reader: Any) -> None:
        """Forget it."""
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        self.writers.discard(writer)


class FakeSocket:
    """A socket whose kernel takes `room` bytes more, and notes them in `wire`."""

    def __init__(self) -> None:
        self.room = UNLIMITED
        self.wire = bytearray()
        self.error: Exception | None = None
        self.calls = 0

    def send(self, data: bytes | memoryview) -> int:
        """Take what there is room for."""
        return self.sendmsg([data])

    def sendmsg(self, buffers: Sequence[bytes | memoryview]) -> int:
        """Take what there is room for, of all buffers."""
        self.calls += 1
        assert len(buffers) <= 1024  # IOV_MAX: Linux answers EMSGSIZE
        if self.error is not None:
            raise self.error
        data = b"".join(buffers)
        taken = min(self.room, len(data))
        if data and not taken:
            raise BlockingIOError
        self.wire += data[:taken]
        self.room -= taken
        return taken

    def setblocking(self, _blocking: bool) -> None:
        """Do nothing."""

    def fileno(self) -> int:
        """Return a number that is no open file's."""
        return 1_000_000

    def setsockopt(self, *_arguments: object) -> None:
        """Do nothing."""

    def shutdown(self, _how: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """From now on nothing is taken."""
        self.error = OSError("closed")


class FakeConnection(Connection):
    """Twisted's own plain TCP transport, over a socket that is none."""

    def __init__(self, reactor: FakeReactor) -> None:
        self.kernel = FakeSocket()
        self.lost = 0
        self.outlet: Outlet | None = None
        super().__init__(self.kernel, self, reactor)  # type: ignore[arg-type]
        self.connected = 1
        self.startReading()

    @property
    def wire(self) -> bytes:
        """What the peer was sent."""
        return bytes(self.kernel.wire)

    def run(self) -> None:
        """Do what the reactor would do until nothing can be done without more room."""
        for _turn in range(10000):
            writers = self.reactor.writers  # type: ignore[attr-defined]
            if self not in writers or not (self.kernel.room or self.disconnecting):
                return
            before = len(self.kernel.wire)
            why = self.doWrite()
            if why is not None:
                self.connection_lost(Failure(why))
                return
            if self in writers and len(self.kernel.wire) == before and not self.kernel.room:
                return
        raise AssertionError("the transport never comes to rest")

    def connection_lost(self, reason: Failure | None = None) -> None:
        """Lose the connection as the reactor would."""
        Connection.connectionLost(self, reason or Failure(CONNECTION_LOST))

    def connectionLost(self, reason: Failure) -> None:
        """Be the transport at the first call, and the protocol at the one it makes itself."""
        if hasattr(self, "socket"):
            Connection.connectionLost(self, reason)
            return
        self.lost += 1
        if self.outlet is not None:
            self.outlet.lost()


class FakeTLS:
    """A wrapping transport: it buffers, pauses its producer, and closes only without one."""

    LIMIT = 65536

    def __init__(self) -> None:
        self.buffer = b""
        self.wire = b""
        self.producer: Any = None
        self.paused = False
        self.disconnecting = False
        self.closed = False
        self.aborted = False
        self.error: Exception | None = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take a push producer."""
        assert streaming
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Let it go, and close if that was wished."""
        self.producer = None
        self._maybe_close()

    def write(self, data: bytes) -> None:
        """Buffer."""
        assert type(data) is bytes
        if self.error is not None:
            raise self.error
        self.buffer += data
        if self.producer is not None and len(self.buffer) > self.LIMIT and not self.paused:
            self.paused = True
            self.producer.pauseProducing()

    def drain(self, count: int = UNLIMITED) -> None:
        """Let the peer take some."""
        self.wire += self.buffer[:count]
        self.buffer = self.buffer[count:]
        if not self.buffer and self.paused:
            self.paused = False
            self.producer.resumeProducing()
        self._maybe_close()

    def loseConnection(self) -> None:
        """Close, once there is no producer and nothing to send."""
        self.disconnecting = True
        self._maybe_close()

    def abortConnection(self) -> None:
        """Close at once."""
        self.aborted = self.closed = True

    def _maybe_close(self) -> None:
        if self.disconnecting and self.producer is None and not self.buffer:
            self.closed = True


class FakeSerialiser:
    """Text, so that a failed comparison can be read: `[H 0 v1 a1]v0k v40 a20 [C 80 v2]`."""

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self.options = dict(options or {})
        self.tracks: list[Track] = []
        self.fail = ""
        self.seen: list[int] = []

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        """Return the new configurations."""
        self._maybe_fail("tracks_changed")
        changed = [x for x in tracks if x not in self.tracks]
        self.tracks = list(tracks)
        if not changed:
            return b""
        names = " ".join(x.config.decode() for x in changed)
        return f"[C {timestamp} {names}]".encode()

    def header(self, timestamp: int) -> bytes:
        """Return all configurations."""
        self._maybe_fail("header")
        names = " ".join(x.config.decode() for x in self.tracks)
        return f"[H {timestamp} {names}]".encode()

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Write kind, time in milliseconds, and whether it is a key."""
        self._maybe_fail("packet")
        time = to_milliseconds(packet.dts, packet.track.clock_rate)
        key = "k" if packet.is_keyframe and packet.track.kind == "video" else ""
        parts.append(f"{packet.track.kind[0]}{time}{key} ".encode())

    def trailer(self) -> bytes:
        """Return a mark."""
        self._maybe_fail("trailer")
        return b"[END]"

    def frame(self, block: bytes) -> bytes:
        """Return it as it is."""
        self._maybe_fail("frame")
        return block

    def _maybe_fail(self, where: str) -> None:
        if self.fail == where:
            raise ZeroDivisionError(where)


class FakePublisher:
    """One who publishes."""

    protocol = "rtmp"

    def __init__(self, peer: str = "192.0.2.1:1") -> None:
        self.peer = peer
        self.dismissals: list[str] = []
        self.error: Exception | None = None

    def dismissed(self, reason: str) -> None:
        """Note it."""
        self.dismissals.append(reason)
        if self.error is not None:
            raise self.error


def video(milliseconds: int, *, key: bool = False, track: Track = VIDEO, size: int = 3) -> Packet:
    """Make a frame; decode and presentation time are the same."""
    ticks = milliseconds * 90
    return Packet(track, ticks, ticks, key, bytes(size))


def audio(milliseconds: int, *, track: Track = AUDIO, size: int = 2) -> Packet:
    """Make a frame of sound."""
    ticks = milliseconds * track.clock_rate // 1000
    return Packet(track, ticks, ticks, True, bytes(size))
