"""Reading media that comes in in rounds, where nobody waits for each frame.

A wake-up of the reactor for one message costs several times what parsing it costs. The connection
of a publisher, or to a server that a stream is pulled from, is taken out of the reactor while its
stream has no viewer, or so many that its blocks are gathered anyway: its socket is read a few times
a second, many messages at once. SRS calls this merged read.
"""

from __future__ import annotations

from typing import Any, Protocol as Shape

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.tcp import Connection
from twisted.logger import Logger

# So many sockets are read in a row: some 0.5 ms, during which nobody else is served.
SLICE = 16


# What Twisted asks of a socket at once: a read of this size probably left something behind.
READ_BYTES = Connection.bufferSize

# A round takes no more of one connection: 1 MiB, or 80 Mb/s at ten rounds a second.
MOST_READS = 16


class Reader(Shape):
    """A connection that can be read in rounds.

    Attributes:
        last_read: How many bytes `dataReceived` was given last.
    """

    transport: Any
    last_read: int


class MergedReads:
    """The connections that are read every so many seconds.

    Args:
        reactor: Clock.
        period: Seconds between two reads of one connection.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime, period: float) -> None:
        self._reactor = reactor
        self._period = period
        self._members: dict[Reader, None] = {}
        self._round: list[Reader] = []
        self._slice = 0
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._members)

    @staticmethod
    def can_take(transport: Any) -> bool:
        """Whether a transport can be read from outside of the reactor: plain TCP only."""
        return isinstance(transport, Connection) and not transport.TLS

    def add(self, reader: Reader) -> None:
        """Take a connection out of the reactor, and read it from here on."""
        reader.transport.pauseProducing()
        self._members[reader] = None
        if self._timer is None:
            self._timer = self._reactor.callLater(self._period, self._tick)

    def remove(self, reader: Reader) -> None:
        """Give it back to the reactor, unless it is closed. Idempotent."""
        if reader in self._members:
            del self._members[reader]
            reader.transport.resumeProducing()

    def forget(self, reader: Reader) -> None:
        """Let go of a connection that is lost. Idempotent."""
        self._members.pop(reader, None)

    def _tick(self) -> None:
        """Read one slice; the slices of a round are spread over the period."""
        self._timer = None
        if not self._round:
            self._round = list(self._members)
            self._slice = max(SLICE, -(-len(self._round) // int(self._period / 0.005)))
        now, self._round = self._round[: self._slice], self._round[self._slice :]
        for reader in now:
            if reader in self._members:
                self._read(reader)
        if self._members or self._round:
            slices = max(1, -(-len(self._members) // max(self._slice, 1)))
            self._timer = self._reactor.callLater(self._period / slices, self._tick)

    def _read(self, reader: Reader) -> None:
        over = None
        try:
            for _ in range(MOST_READS):
                reader.last_read = 0
                over = reader.transport.doRead()
                if reader.last_read < READ_BYTES or reader not in self._members:
                    break
        except Exception:
            # The reactor would do the same.
            self._log.failure("reading a connection failed")
            reader.transport.abortConnection()
            return
        if over is not None:
            self.remove(reader)  # the reactor meets the end again, and closes it
