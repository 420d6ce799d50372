"""Listening services that outlive their port by the length of their connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol as Shape

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

if TYPE_CHECKING:
    from ntvmedia.endpoints.hosts import ConnectionsOfHosts

_log = Logger()

MOST_TOLD: Final = 32
"""So many connections that are one too many are told so at a time; more are closed at once."""


class Closable(Shape):
    """A connection that can be asked to finish."""

    host: str

    def close(self, reason: str) -> None:
        """End politely: say goodbye where the protocol can, then disconnect."""


class Connections:
    """The live connections of one endpoint, of all of its ports.

    Args:
        most: How many there may be.
        most_per_host: How many from one IP address; 0 for no limit.
        hosts: Counts those of each address on all ports, and limits them too.

    Attributes:
        refused: How many were one too many.
        closing: They have been asked to finish; a new one has to be refused.
    """

    def __init__(
        self, most: int, most_per_host: int = 0, hosts: ConnectionsOfHosts | None = None
    ) -> None:
        self._most = most
        self._of_hosts = hosts
        self._most_per_host = most_per_host
        self._live: dict[Closable, str] = {}  # and the host that each was counted for
        self._told: set[Closable] = set()
        self._hosts: Counter[str] = Counter()
        self._waiting: list[Deferred[None]] = []
        self.refused = 0
        self.closing = False

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Closable]:
        return iter(tuple(self._live))

    def has_room(self, host: str) -> bool:
        """Whether one more from that address is allowed; counted as refused if not."""
        if (
            not self.closing
            and len(self._live) - len(self._told) < self._most
            and (not self._most_per_host or self._hosts[host] < self._most_per_host)
            and (self._of_hosts is None or self._of_hosts.has_room(host))
        ):
            return True
        self.refused += 1
        return False

    @property
    def may_tell(self) -> bool:
        """Whether one for which there is no room may connect all the same, to be told so."""
        return not self.closing and len(self._told) < MOST_TOLD

    def add(self, connection: Closable, *, told: bool = False) -> None:
        """Count it as live until `remove`.

        Args:
            connection: A new one.
            told: There is no room for it: it takes none, and is told so.
        """
        if connection not in self._live:
            self._live[connection] = connection.host
            if told:
                self._told.add(connection)
                return
            self._hosts[connection.host] += 1
            if self._of_hosts is not None:
                self._of_hosts.add(connection.host)

    def remove(self, connection: Closable) -> None:
        """Forget it. Idempotent."""
        host = self._live.pop(connection, None)
        if host is None:
            return
        if connection in self._told:
            self._told.remove(connection)
        else:
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]
            if self._of_hosts is not None:
                self._of_hosts.remove(host)
        if not self._live:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    def close(self, reason: str) -> Deferred[None]:
        """Ask all to finish.

        Returns:
            Fires when none is left. May be cancelled.
        """
        self.closing = True
        done: Deferred[None] = Deferred(self._forget)
        self._waiting.append(done)
        for connection in tuple(self._live):
            try:
                connection.close(reason)
            except Exception:  # a bug of one connection is no reason to leave the others open
                _log.failure("a connection could not be closed")
        if not self._live and not done.called:
            self._waiting.remove(done)
            done.callback(None)
        return done

    def _forget(self, deferred: Deferred[None]) -> None:
        if deferred in self._waiting:
            self._waiting.remove(deferred)


class DrainingService(Service):
    """Stop listening first, then finish the connections.

    A port's own service only closes the port; its connections would live on until the process
    exits, and be cut in the middle of a packet.
    """

    def __init__(self, listener: IService, connections: Connections) -> None:
        self._listener = listener
        self._connections = connections

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._listener.privilegedStartService()

    def startService(self) -> None:
        super().startService()
        self._listener.startService()

    def stopService(self) -> Deferred[None]:
        """Close the port, then the connections.

        Returns:
            Fires when the port is closed and the last peer is gone. May be cancelled.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        try:
            await maybeDeferred(self._listener.stopService)
        finally:
            closed = self._connections.close("server is stopping")
        await closed
