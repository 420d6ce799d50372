"""Tests of ntvmedia.endpoints.draining."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.endpoints.draining import Connections, DrainingService


class Connection:
    """A connection that ends when the test says so."""

    def __init__(self, host: str = "192.0.2.1") -> None:
        self.host = host
        self.reasons: list[str] = []
        self.error: Exception | None = None

    def close(self, reason: str) -> None:
        """Note it."""
        self.reasons.append(reason)
        if self.error is not None:
            raise self.error


class Hasty(Connection):
    """One that is gone as soon as it is told."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self.connections = connections

    def close(self, reason: str) -> None:
        self.connections.remove(self)


class Listener(Service):
    """A port's service."""

    def __init__(self, stopped: Deferred[None]) -> None:
        self.stopped = stopped
        self.calls: list[str] = []

    def privilegedStartService(self) -> None:
        self.calls.append("privileged")

    def startService(self) -> None:
        self.calls.append("start")

    def stopService(self) -> Deferred[None]:
        self.calls.append("stop")
        return self.stopped


class ConnectionsTests(SynchronousTestCase):
    """How many there are, and how they end."""

    def test_limits(self) -> None:
        """G-RS-03: the counts fall with every connection that ends, however often it says so."""
        connections = Connections(3, most_per_host=2)
        first, second, other = Connection(), Connection(), Connection("192.0.2.2")
        for connection in (first, second):
            self.assertTrue(connections.has_room("192.0.2.1"))
            connections.add(connection)
            connections.add(connection)
        self.assertFalse(connections.has_room("192.0.2.1"))
        self.assertTrue(connections.has_room("192.0.2.2"))
        connections.add(other)
        self.assertFalse(connections.has_room("192.0.2.3"))
        self.assertEqual((len(connections), connections.refused), (3, 2))
        self.assertEqual(set(connections), {first, second, other})
        for _time in range(2):
            connections.remove(first)
        self.assertTrue(connections.has_room("192.0.2.1"))
        connections.remove(second)
        connections.remove(other)
        self.assertEqual(len(connections), 0)

    def test_host_learnt_later(self) -> None:
        """A connection is taken off the host for which it was counted, whatever it says now."""
        connections = Connections(9, most_per_host=1)
        connection = Connection()
        connections.add(connection)
        connection.host = "192.0.2.7"
        connections.remove(connection)
        self.assertTrue(connections.has_room("192.0.2.1"))
        self.assertTrue(connections.has_room("192.0.2.7"))

    def test_close(self) -> None:
        """All are asked once; it is done when the last is gone; nobody else gets in."""
        connections = Connections(9)
        live = [Connection(), Connection()]
        for connection in live:
            connections.add(connection)
        done = connections.close("stopping")
        self.assertEqual([x.reasons for x in live], [["stopping"], ["stopping"]])
        self.assertFalse(connections.has_room("192.0.2.1"))
        connections.remove(live[0])
        self.assertNoResult(done)
        connections.remove(live[1])
        self.assertIsNone(self.successResultOf(done))

    def test_none_left(self) -> None:
        """It is done at once where there is nobody, or all go at once."""
        connections = Connections(9)
        self.successResultOf(connections.close("stopping"))
        connections.add(Hasty(connections))
        connections.add(Hasty(connections))
        self.successResultOf(connections.close("stopping"))

    def test_bug(self) -> None:
        """G-LC-08: one that fails does not keep the others from being told."""
        connections = Connections(9)
        live = [Connection(), Connection(), Connection()]
        live[0].error = ZeroDivisionError()
        for connection in live:
            connections.add(connection)
        done = connections.close("stopping")
        self.assertEqual([len(x.reasons) for x in live], [1, 1, 1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNoResult(done)
        for connection in live:
            connections.remove(connection)
        self.successResultOf(done)

    def test_cancel(self) -> None:
        """Who gives up waiting is not called later."""
        connections = Connections(9)
        connection = Connection()
        connections.add(connection)
        done = connections.close("stopping")
        done.addErrback(lambda _failure: None)
        done.cancel()
        connections.remove(connection)


class DrainingServiceTests(SynchronousTestCase):
    """The port first, then the connections."""

    def setUp(self) -> None:
        self.stopped: Deferred[None] = Deferred()
        self.listener = Listener(self.stopped)
        self.connections = Connections(9)
        self.connection = Connection()
        self.connections.add(self.connection)
        self.service = DrainingService(self.listener, self.connections)
        self.service.privilegedStartService()
        self.service.startService()

    def test_order(self) -> None:
        """Connections are told once the port is closed, and the stop ends with the last."""
        self.assertEqual(self.listener.calls, ["privileged", "start"])
        stopping = self.service.stopService()
        self.assertEqual(self.connection.reasons, [])
        self.stopped.callback(None)
        self.assertEqual(self.connection.reasons, ["server is stopping"])
        self.assertNoResult(stopping)
        self.connections.remove(self.connection)
        self.successResultOf(stopping)
        self.assertFalse(self.service.running)

    def test_port_fails(self) -> None:
        """A port that cannot be closed does not leave its connections untold."""
        self.listener.stopped = fail(ZeroDivisionError())
        stopping = self.service.stopService()
        self.assertEqual(self.connection.reasons, ["server is stopping"])
        self.failureResultOf(stopping, ZeroDivisionError)

    def test_cancel(self) -> None:
        """When the grace is over the stop can be cancelled."""
        stopping = self.service.stopService()
        self.stopped.callback(None)
        stopping.addErrback(lambda _failure: None)
        stopping.cancel()
        self.successResultOf(stopping)
