"""Tests of how ntvmedia.hub.outlet finds peers for which the kernel takes everything."""

from __future__ import annotations

import socket
import time

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.hub import outlet as outlet_module
from ntvmedia.hub.blocks import Block
from ntvmedia.hub.outlet import Outlet, fan_out
from ntvmedia.hub.policy import OutletPolicy, unacknowledged
from tests.hub.fakes import FakeConnection, FakeReactor, FakeTLS


class LookTests(SynchronousTestCase):
    """B-SL-02: a send buffer of 4 MiB hides a peer that stopped reading."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.policy = OutletPolicy(
            self.reactor.seconds, queue_bytes=100_000, queue_seconds=10.0, stall_timeout=20.0
        )
        self.transport = FakeConnection(self.reactor)
        self.outlet = self.transport.outlet = Outlet(self.transport, self.policy)
        self.waiting = 0
        self.patch(outlet_module, "unacknowledged", lambda _socket: self.waiting)

    def send_and_look(self, *, taken: int) -> None:
        """Send 100 bytes; the peer takes some; 4 seconds pass."""
        fan_out([self.outlet], Block(bytes(100), True, 0))
        self.waiting += 100 - taken
        self.outlet.look()
        self.reactor.advance(4.0)

    def test_takes_nothing(self) -> None:
        """It is cut when it took nothing for the time that the settings give."""
        self.send_and_look(taken=100)
        for _ in range(4):
            self.send_and_look(taken=0)
        self.assertFalse(self.outlet.closed)
        self.send_and_look(taken=0)
        self.assertTrue(self.outlet.stalled)
        self.assertEqual(self.policy.cut, 1)
        self.assertEqual(self.transport.lost, 1)

    def test_takes_little(self) -> None:
        """One that takes something, however little, is not."""
        for _ in range(50):
            self.send_and_look(taken=1)
        self.assertFalse(self.outlet.closed)

    def test_nothing_to_take(self) -> None:
        """One for whom there is nothing is not, however long."""
        self.send_and_look(taken=100)
        self.reactor.advance(1000.0)
        self.outlet.look()
        self.assertFalse(self.outlet.closed)

    def test_not_plain(self) -> None:
        """Behind TLS the transport's own buffer tells; after the end nobody asks."""
        other = Outlet(FakeTLS(), self.policy)
        self.waiting = 5
        for _ in range(2):
            other.look()
            self.reactor.advance(100.0)
        self.assertFalse(other.closed)
        self.outlet.lost()
        self.outlet.look()

    def test_gone(self) -> None:
        """A socket that was closed under it is the reactor's to find."""

        def closed(_socket: object) -> int:
            raise OSError("closed")

        self.patch(outlet_module, "unacknowledged", closed)
        self.outlet.look()
        self.assertFalse(self.outlet.closed)


class KernelTests(SynchronousTestCase):
    """What Linux says."""

    def test_unacknowledged(self) -> None:
        """Bytes that a peer does not read wait here once its own buffer is full."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        peer = socket.socket()
        self.addCleanup(peer.close)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(listener.getsockname())
        ours, _address = listener.accept()
        self.addCleanup(ours.close)
        self.assertEqual(unacknowledged(ours), 0)
        ours.setblocking(False)
        sent = ours.send(bytes(1_000_000))
        waiting = unacknowledged(ours)
        self.assertGreater(waiting, 0)
        self.assertLessEqual(waiting, sent)
        received = 0
        while received < sent:
            received += len(peer.recv(65536))
        deadline = time.monotonic() + 5
        while unacknowledged(ours) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(unacknowledged(ours), 0)
