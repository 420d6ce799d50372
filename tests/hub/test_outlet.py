"""Tests of ntvmedia.hub.outlet: single cases; the orders of many are in test_outlet_machine."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.hub.blocks import Block
from ntvmedia.hub.outlet import JOINED_BYTES, MAX_BUFFERS, PIECE_BYTES, Outlet, fan_out
from ntvmedia.hub.policy import OutletPolicy
from tests.hub.fakes import UNLIMITED, FakeConnection, FakeReactor, FakeTLS


class OutletTests(SynchronousTestCase):
    """One connection."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.policy = OutletPolicy(
            self.reactor.seconds, queue_bytes=100_000, queue_seconds=10.0, stall_timeout=20.0
        )
        self.transport = FakeConnection(self.reactor)
        self.outlet = self.transport.outlet = Outlet(self.transport, self.policy)
        self.kernel = self.transport.kernel

    def over_tls(self) -> tuple[FakeTLS, Outlet]:
        """Make an outlet on a wrapping transport."""
        transport = FakeTLS()
        return transport, Outlet(transport, self.policy)

    def open_up(self) -> None:
        """Let the peer take everything."""
        self.kernel.room = UNLIMITED
        self.transport.run()

    def test_straight_to_the_socket(self) -> None:
        """What the kernel takes does not touch the transport."""
        self.outlet.write(b"answer")
        self.outlet.write(b"")
        fan_out([self.outlet], Block(b"block", False, 0))
        self.assertEqual(self.transport.wire, b"answerblock")
        self.assertEqual((self.kernel.calls, self.reactor.writers), (2, set()))
        self.assertEqual(self.outlet.sent_bytes, 11)

    def test_begin_is_one_call(self) -> None:
        """Header and cache go in one system call, wherever the kernel cuts them."""
        blocks = [Block(b"K1", True, 0), Block(b"b2", False, 0), Block(b"b3", False, 0)]
        for room in range(11):
            self.setUp()
            self.kernel.room = room
            self.outlet.begin(b"head", blocks, 0)
            self.assertEqual(self.transport.wire, b"headK1b2b3"[:room])
            self.open_up()
            self.assertEqual(self.transport.wire, b"headK1b2b3")
            self.assertTrue(self.outlet.ready)
            self.assertEqual(self.outlet.sent_bytes, 10)

    def test_head_and_body(self) -> None:
        """Whatever the kernel takes, all of both arrives in order; in one call if it can."""
        head = b"head" * 50
        for size in (0, 10, JOINED_BYTES - 1, JOINED_BYTES, 300_000):
            body = random.Random(size).randbytes(size)
            for room in (0, 1, 199, 200, 201, 5000, 1 << 20):
                self.setUp()
                kernel, transport = self.kernel, self.transport
                kernel.room = room
                self.outlet.write_both(head, body)
                self.assertEqual(kernel.calls, 1)
                self.outlet.write(b"next")
                kernel.room = 1 << 20
                transport.run()
                self.assertEqual(transport.wire, head + body + b"next")
                self.assertEqual(self.outlet.sent_bytes, len(head) + size + 4)
                self.assertFalse(self.outlet.blocked)

    def test_head_and_body_in_vain(self) -> None:
        """A broken connection is closed; over TLS the transport has both."""
        for size in (10, 300_000):
            self.setUp()
            self.kernel.error = OSError("reset")
            self.outlet.write_both(b"head", bytes(size))
            self.assertTrue(self.outlet.closed)
        transport, outlet = self.over_tls()
        outlet.write_both(b"head", b"body")
        transport.drain()
        self.assertEqual(outlet.sent_bytes, 8)

    def test_more_blocks_than_one_call_takes(self) -> None:
        """A long cache is sent all the same."""
        blocks = [Block(b"%04d" % number, not number, 0) for number in range(MAX_BUFFERS + 5)]
        self.outlet.begin(b"head", blocks, 0)
        self.assertEqual(self.transport.wire, b"head" + b"".join(block.data for block in blocks))
        self.assertTrue(self.outlet.ready)

    def test_pieces(self) -> None:
        """B-SL-02: the transport never holds more than a piece, however much waits."""
        self.kernel.room = 10
        fan_out([self.outlet], Block(bytes(1_000_000), True, 0))
        self.assertEqual(self.transport._tempDataLen, PIECE_BYTES)
        for _time in range(40):
            self.kernel.room += 30_000
            self.transport.run()
            held = self.transport._tempDataLen + len(self.transport.dataBuffer)
            self.assertLessEqual(held, PIECE_BYTES)
        self.assertEqual(len(self.transport.wire), 1_000_000)
        self.assertEqual(self.outlet.sent_bytes, 1_000_000)
        self.assertTrue(self.outlet.ready)

    def test_close_sends_what_waits(self) -> None:
        """After a close nothing is taken, and what waits is still sent."""
        self.kernel.room = 2
        self.outlet.write(b"abcdef")
        self.outlet.write(b"ghi")
        self.outlet.close()
        self.outlet.close()
        self.outlet.write(b"too late")
        fan_out([self.outlet], Block(b"too late", True, 0))
        self.assertEqual(self.transport.lost, 0)
        self.open_up()
        self.assertEqual((self.transport.wire, self.transport.lost), (b"abcdefghi", 1))
        self.assertEqual(self.policy.waiting, set())

    def test_close_over_tls(self) -> None:
        """TLS says goodbye, since no producer is in its way."""
        transport, outlet = self.over_tls()
        outlet.write(b"answer")
        outlet.close()
        transport.drain()
        self.assertEqual((transport.wire, transport.closed), (b"answer", True))

    def test_close_of_a_blocked_one_over_tls(self) -> None:
        """It does so after all that waits."""
        transport, outlet = self.over_tls()
        outlet.write(bytes(70_000))
        outlet.write(b"end")
        outlet.close()
        self.assertFalse(transport.disconnecting)
        transport.drain()
        transport.drain()
        self.assertEqual((len(transport.wire), transport.closed), (70_003, True))

    def test_close_of_a_dead_peer(self) -> None:
        """One that never takes the last bytes is cut like any other."""
        transport, outlet = self.over_tls()
        outlet.write(b"answer")
        outlet.close()
        self.reactor.advance(19.9)
        self.policy.cut_stalled()
        self.assertFalse(transport.aborted)
        self.reactor.advance(0.1)
        self.policy.cut_stalled()
        self.assertTrue(transport.aborted)
        self.assertEqual(self.policy.waiting, set())

    def test_progress(self) -> None:
        """B-SL-01: a slow viewer that takes something is not cut, one that stops is."""
        fan_out([self.outlet], Block(b"x", True, 0))
        self.kernel.room = 0
        fan_out([self.outlet], Block(bytes(PIECE_BYTES * 8), True, 0))
        for _time in range(6):
            self.reactor.advance(15.0)
            self.policy.cut_stalled()
            self.assertFalse(self.outlet.closed)
            self.kernel.room = PIECE_BYTES
            self.transport.run()
        self.reactor.advance(20.0)
        self.policy.cut_stalled()
        self.assertTrue(self.outlet.stalled)
        self.reactor.advance(0)
        self.assertEqual(self.transport.lost, 1)

    def test_lost_while_blocked(self) -> None:
        """A connection that breaks gives everything back."""
        self.kernel.room = 1
        self.outlet.catch_up = lambda _generation: b""
        self.outlet.on_drained = lambda: None
        fan_out([self.outlet], Block(bytes(90_000), True, 0))
        self.outlet.write(b"control")
        self.transport.connection_lost()
        self.assertTrue(self.outlet.closed)
        self.assertEqual((self.outlet.queued_bytes, self.outlet.catch_up), (0, None))
        self.assertEqual(self.policy.waiting, set())
        self.outlet.write(b"too late")
        self.outlet.resumeProducing()
        self.outlet.pauseProducing()
        self.outlet.abort()
        fan_out([self.outlet], Block(b"too late", True, 0))
        self.assertEqual((self.transport.wire, self.policy.waiting), (b"\0", set()))

    def test_transport_gone(self) -> None:
        """A transport that is found to be disconnected leaves nobody waiting."""
        self.kernel.room = 0
        self.transport.disconnected = 1
        self.outlet.write(b"x")
        self.assertTrue(self.outlet.closed)
        self.assertEqual(self.policy.waiting, set())

    def test_errors(self) -> None:
        """Whatever call fails, the connection is aborted and nothing is raised (B-WS-06)."""
        block = Block(b"x", True, 0)
        actions: list[Any] = [
            lambda outlet: outlet.write(b"x"),
            lambda outlet: outlet.begin(b"head", [block], 0),
            lambda outlet: outlet.begin(b"head", [], 0),
            lambda outlet: fan_out([outlet], block),
        ]
        for action in actions:
            self.setUp()
            self.kernel.error = ConnectionResetError()
            action(self.outlet)
            self.reactor.advance(0)
            self.assertEqual((self.outlet.closed, self.transport.lost), (True, 1))
        self.setUp()
        self.kernel.room = 0
        self.outlet.write(b"x")
        self.outlet.write(b"y")
        self.kernel.room = UNLIMITED
        self.transport._tempDataBuffer = []  # as if it were sent: the next one fails
        self.transport._tempDataLen = 0
        self.kernel.error = ConnectionResetError()
        self.outlet.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual((self.outlet.closed, self.transport.lost), (True, 1))

    def test_bug_of_a_transport(self) -> None:
        """A wrapper that raises is closed with one traceback, and the next viewer is served."""
        transport, outlet = self.over_tls()
        transport.error = ZeroDivisionError()
        fan_out([outlet, self.outlet], Block(b"x", True, 0))
        self.assertTrue(transport.aborted)
        self.assertEqual(self.transport.wire, b"x")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_drained(self) -> None:
        """Who waits for room is told when everything has gone, not before."""
        told: list[int] = []
        self.outlet.on_drained = lambda: told.append(self.outlet.queued_bytes)
        self.kernel.room = 1
        self.outlet.write(b"abc")
        self.outlet.write(b"def")
        self.assertTrue(self.outlet.blocked)
        self.kernel.room = 3
        self.transport.run()
        self.assertEqual(told, [])
        self.open_up()
        self.assertEqual((told, self.transport.wire), ([0], b"abcdef"))
        self.assertIsNone(self.transport.producer)

    def test_written_when_drained(self) -> None:
        """What the one who is told writes at once keeps its place."""

        def more() -> None:
            self.outlet.on_drained = None
            self.kernel.room = 1
            self.outlet.write(b"ghi")

        self.outlet.on_drained = more
        self.kernel.room = 0
        self.outlet.write(b"abc")
        self.open_up()
        self.open_up()
        self.assertEqual(self.transport.wire, b"abcghi")
        self.assertEqual(self.policy.waiting, set())

    def test_next_answer(self) -> None:
        """After a play that ended in a gap the connection answers as fast as before."""
        self.outlet.begin(b"head", [], 0)
        self.assertTrue(self.outlet.skipping)
        self.outlet.write(b"answer")
        self.outlet.begin(b"head", [Block(b"K", True, 0)], 0)
        self.assertTrue(self.outlet.ready)
        self.assertEqual(self.transport.wire, b"headanswerheadK")

    def test_blocks_of_an_earlier_play(self) -> None:
        """They are sent before the next play's header, and its headers are not mixed up."""
        self.kernel.room = 1
        self.outlet.begin(b"A", [Block(b"k5", True, 5)], 5)
        fan_out([self.outlet], Block(b"b5", False, 5))
        self.outlet.catch_up = lambda generation: b"<%d>" % generation
        self.outlet.begin(b"B", [], 1)
        self.open_up()
        fan_out([self.outlet], Block(b"k2", True, 2))
        self.assertEqual(self.transport.wire, b"Ak5b5B<1>k2")

    def test_proxied_connection_is_not_direct(self) -> None:
        """A wrapper that lends the attributes of the transport inside is not taken for it."""
        transport, outlet = self.over_tls()
        transport.TLS = False  # type: ignore[attr-defined]
        self.assertFalse(outlet.ready)
        with self.assertRaises(OSError):
            outlet.send(b"past the wrapper")
