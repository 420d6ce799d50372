"""E-ST-08: servers that pull from each other, and push to each other, in a ring.

Whole ends of RTMP, in memory: our clients and our endpoint, each server with its relays and pushes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.clients.rtmp.source import RTMPSource
from ntvmedia.clients.rtmp.target import RTMPTarget
from ntvmedia.errors import RemoteError
from ntvmedia.media import StreamKey
from ntvmedia.media.relaying import MAX_HOPS
from ntvmedia.relay.push_service import PushService
from ntvmedia.relay.service import RelayService
from tests.callbacks.rig import QuickStore
from tests.endpoints.rtmp.server import Server, frame, sound

STEP = 0.25
NOW = 1.8e9


class Transport(StringTransport):
    """One end of a connection."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        """Keep it; nothing is sent any more once the connection is told to close."""
        if not self.disconnecting and not self.disconnected:
            super().write(data)


class Wire:
    """A connection between two ends."""

    def __init__(self, *ends: Any) -> None:
        self.ends = ends
        self.transports = tuple(
            Transport(peerAddress=IPv4Address("TCP", "192.0.2.1", 50000)) for _end in ends
        )
        self.is_open = True
        for end, transport in zip(ends, self.transports, strict=True):
            end.makeConnection(transport)

    def carry(self) -> bool:
        """Move what was written; returns whether there was something."""
        moved = False
        for number, transport in enumerate(self.transports):
            data = transport.value()
            transport.clear()
            if data and self.is_open:
                moved = True
                self.ends[1 - number].dataReceived(data)
            is_closing = transport.disconnecting or transport.disconnected
            if self.is_open and is_closing and not transport.value():
                self.is_open = False
                for end in self.ends:
                    end.connectionLost(Failure(ConnectionDone()))
        return moved


class Node(Server):
    """A server with relays and pushes."""

    _count = 0

    def __init__(self, number: int, connector: Any, store: Any) -> None:
        super().__init__()
        self.server_id = f"{number:016x}"
        self.store = store
        self.connector = connector
        self.limits: Any = lambda _request: None

        self.relays = RelayService(self, self.wall_clock, [RTMPSource()], [RTMPTarget()])
        self.pushes = PushService(self, self.wall_clock, [RTMPTarget()], "box")
        for service in (self.relays, self.pushes):
            service.load()
            service.startService()

    def wall_clock(self) -> float:
        """Return the seconds since 1970."""
        return NOW + self.reactor.seconds()

    def random(self, count: int) -> bytes:
        """Return other bytes each time."""
        self._count += 1
        return (self._count.to_bytes(8, "big") * (count // 8 + 1))[-count:]


class RingCase(SynchronousTestCase):
    """Servers that know each other by name: a, b, c ..."""

    def setUp(self) -> None:
        self.reactor = Clock()
        self.wires: list[Wire] = []
        self.asked: list[str] = []
        self.nodes: dict[str, Node] = {}
        self.aliases: dict[str, str] = {}

    def make(self, names: str) -> None:
        """Start servers."""
        with patch("tests.endpoints.rtmp.server.Clock", lambda: self.reactor):
            for number, name in enumerate(names, 10):
                store = QuickStore()
                self.addCleanup(store.close)
                self.nodes[name] = Node(number, self, store)

    def connect(
        self, host: str, port: int, factory: Any, *, tls: bool = False, timeout_seconds: float
    ) -> Deferred[Any]:
        """Connect to a server, as a `StreamConnector` does."""
        node = self.nodes.get(self.aliases.get(host, host))
        self.asked.append(host)
        if node is None:
            return fail(RemoteError("its name cannot be looked up"))
        client = factory.buildProtocol(IPv4Address("TCP", "192.0.2.2", port))
        self.wires.append(Wire(node.build(), client))
        return succeed(client)

    def relay(self, name: str, source: str, stream: str, **fields: Any) -> str:
        """Have a server pull."""
        target = {"application": "liveshow", "stream": stream}
        registry = self.nodes[name].relays.registry
        return str(
            self.successResultOf(registry.add({"source": source, "target": target, **fields})).id
        )

    def push(self, name: str, to: str, **fields: Any) -> str:
        """Have a server push."""
        registry = self.nodes[name].pushes.registry
        return str(self.successResultOf(registry.add({"server": f"rtmp://{to}", **fields})).id)

    def run_for(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let time go by."""
        for _step in range(int(seconds / STEP)):
            meanwhile()
            self.carry()
            self.reactor.advance(STEP)
            for node in self.nodes.values():
                node.hub.tick()
        self.carry()

    def carry(self) -> None:
        """Move what was written until nobody has any more; a ring would go on for ever."""
        for _round in range(200):
            if not any([wire.carry() for wire in self.wires]):
                break
        else:
            self.fail("it goes round and round")
        self.wires = [wire for wire in self.wires if wire.is_open]

    def finish(self) -> None:
        """Stop all servers: nothing is left."""
        stopping = [
            service.stopService()
            for node in self.nodes.values()
            for service in (node.pushes, node.relays)
        ]
        self.run_for(10)
        for one in stopping:
            self.successResultOf(one)
        for node in self.nodes.values():
            node.hub.stop("end")


class PullTests(RingCase):
    """Servers that pull."""

    def test_itself(self) -> None:
        """A server that pulls from itself finds out, by whatever name it asks; it asks seldom."""
        self.make("a")
        for host in ("127.0.0.1", "127.1.2.3", "a.example", "::1"):
            self.aliases[host] = "a"
            shown = f"[{host}]" if ":" in host else host
            id_ = self.relay("a", f"rtmp://{shown}/liveshow/x", "x")
            self.run_for(120)
            state = self.nodes["a"].relays.state(id_)
            self.assertEqual(state.state, "waiting")
            self.assertIn("a loop", state.reason)
            self.assertLess(len(self.asked), 10)
            self.successResultOf(self.nodes["a"].relays.registry.remove(id_))
            self.asked.clear()
        self.finish()

    def ring(self, names: str) -> None:
        """See that a stream that nobody has comes to an end at once."""
        self.make(names)
        ids = {
            name: self.relay(name, f"rtmp://{after}/liveshow/x", "x", on_demand=True)
            for name, after in zip(names, names[1:] + names[0], strict=True)
        }
        first = self.nodes[names[0]]
        waiting = first.hub.wait_for(StreamKey("liveshow", "x"))
        self.run_for(1)
        # Once around, and not again.
        self.assertEqual(self.asked, [*names[1:], names[0]][: MAX_HOPS + 1])
        last = self.nodes[names[min(len(names) - 1, MAX_HOPS)]]
        self.assertIn("a loop", last.relays.state(ids[names[min(len(names) - 1, MAX_HOPS)]]).reason)
        self.run_for(120)
        self.failureResultOf(waiting)
        self.assertLess(len(self.asked), 10 * len(names))
        self.assertEqual(
            [dict(node.hub.streams) for node in self.nodes.values()], [{}] * len(names)
        )
        self.finish()

    def test_two(self) -> None:
        """A wants from B, which wants from A."""
        self.ring("ab")

    def test_three(self) -> None:
        """A wants from B, which wants from C, which wants from A."""
        self.ring("abc")

    def test_long_way(self) -> None:
        """There is an end to the way even where no server is met twice."""
        self.ring("abcdefg")

    def test_always(self) -> None:
        """Two that always pull the same name from each other: without a publisher it ends."""
        self.make("ab")
        publisher = self.nodes["a"].publisher()
        a = self.relay("a", "rtmp://b/liveshow/test", "test")
        b = self.relay("b", "rtmp://a/liveshow/test", "test")
        at = 0

        def media() -> None:
            nonlocal at
            publisher.send(frame(at, is_keyframe=True), sound(at))
            at += int(STEP * 1000)

        self.run_for(20, media)
        nodes, key = self.nodes, StreamKey("liveshow", "test")
        self.assertEqual(nodes["b"].hub.streams[key].hops, (nodes["a"].server_id,))
        self.assertEqual(nodes["b"].relays.state(b).state, "running")
        publisher.protocol.connectionLost(Failure(ConnectionDone()))
        reasons = set()
        self.run_for(60, lambda: reasons.add(nodes["a"].relays.state(a).reason))
        self.assertTrue(any("a loop" in reason for reason in reasons), reasons)
        self.assertEqual([dict(node.hub.streams) for node in nodes.values()], [{}, {}])
        self.finish()

    def test_changed_way(self) -> None:
        """A ring that was open at another place hears of the new way, and so does not close."""
        self.make("abc")
        nodes, key = self.nodes, StreamKey("liveshow", "test")
        publishers = {name: nodes[name].publisher() for name in "ac"}
        for name, source in ("ac", "ba", "cb"):
            self.relay(name, f"rtmp://{source}/liveshow/test", "test")
        at = 0

        def media() -> None:
            nonlocal at
            for publisher in publishers.values():
                publisher.send(frame(at, is_keyframe=True), sound(at))
            at += int(STEP * 1000)

        def ids(names: str) -> tuple[str, ...]:
            return tuple(nodes[name].server_id for name in names)

        self.run_for(20, media)
        self.assertEqual(nodes["b"].hub.streams[key].hops, ids("a"))
        publishers.pop("a").protocol.connectionLost(Failure(ConnectionDone()))
        self.run_for(40, media)
        self.assertEqual(nodes["a"].hub.streams[key].hops, ids("c"))
        self.assertEqual(nodes["b"].hub.streams[key].hops, ids("ca"))
        publishers.pop("c").protocol.connectionLost(Failure(ConnectionDone()))
        self.run_for(120)
        self.assertEqual([dict(node.hub.streams) for node in nodes.values()], [{}] * 3)
        self.finish()


class PushTests(RingCase):
    """Servers that push."""

    def test_forward(self) -> None:
        """A pushes to B, which pushes all that it has to A: it ends there, and nobody notices."""
        self.make("ab")
        there = self.push("a", "b", target_stream="$STREAM-b")
        back = self.push("b", "a", target_stream="$STREAM-a")
        publisher = self.nodes["a"].publisher()
        at = 0

        def media() -> None:
            nonlocal at
            publisher.send(frame(at, is_keyframe=True), sound(at))
            at += int(STEP * 1000)

        self.run_for(100, media)
        a, b = self.nodes["a"], self.nodes["b"]
        self.assertEqual([x.stream for x in a.hub.streams], ["test"])
        self.assertEqual([x.stream for x in b.hub.streams], ["test-b"])
        self.assertEqual(b.hub.streams[StreamKey("liveshow", "test-b")].hops, (a.server_id,))
        self.assertEqual(a.pushes.state(there).state, "running")
        state = b.pushes.state(back)
        self.assertEqual(state.state, "waiting")
        self.assertIn("a loop", state.reason)
        self.assertEqual(self.asked.count("b"), 1)
        self.assertLess(self.asked.count("a"), 12)
        self.assertFalse(publisher.transport.disconnecting)
        self.finish()

    def test_pulled_and_pushed(self) -> None:
        """What is pushed on from where it was pushed to remembers all of the way."""
        self.make("abc")
        self.push("a", "b")
        self.push("b", "c")
        publisher = self.nodes["a"].publisher()
        at = 0

        def media() -> None:
            nonlocal at
            publisher.send(frame(at, is_keyframe=True), sound(at))
            at += int(STEP * 1000)

        self.run_for(10, media)
        [stream] = self.nodes["c"].hub.streams.values()
        self.assertEqual(stream.hops, tuple(self.nodes[x].server_id for x in "ab"))
        self.finish()
