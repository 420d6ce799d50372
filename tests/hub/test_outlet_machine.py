"""Whatever a peer takes and whenever: what reaches the wire is in order, whole, and decodable."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ntvmedia.hub.blocks import Block
from ntvmedia.hub.outlet import Outlet, fan_out
from ntvmedia.hub.policy import OutletPolicy
from tests.hub.fakes import UNLIMITED, FakeConnection, FakeReactor, FakeTLS

QUEUE_BYTES = 200_000
SIZES = st.sampled_from([0, 1, 100, 5_000, 30_000, 65_536, 70_000, 150_000, 250_000])

# Kind, index, generation, whether it carries the change to that generation, length of what follows.
_RECORD = struct.Struct(">cIIBI")


def record(kind: bytes, index: int, generation: int, changes: bool, size: int) -> bytes:
    """Make bytes that say of themselves what they are."""
    return _RECORD.pack(kind, index, generation, changes, size) + kind * size


def parse(wire: bytes) -> list[tuple[bytes, int, int, bool]]:
    """Read records back; the last may be cut, but everything must be as it was made."""
    seen = []
    at = 0
    while at + _RECORD.size <= len(wire):
        kind, index, generation, changes, size = _RECORD.unpack_from(wire, at)
        body = wire[at + _RECORD.size : at + _RECORD.size + size]
        assert body == kind * len(body), "bytes of another record inside this one"
        at += _RECORD.size + size
        if at > len(wire):
            break
        seen.append((kind, index, generation, bool(changes)))
    return seen


class OutletMachine(RuleBasedStateMachine):
    """A plain TCP connection; blocks are `B` and keyframe blocks `K`, control messages `C`."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor = FakeReactor()
        self.policy = OutletPolicy(
            self.reactor.seconds, queue_bytes=QUEUE_BYTES, queue_seconds=10.0, stall_timeout=1e9
        )
        self.make()
        self.transport.outlet = self.outlet = Outlet(self.transport, self.policy)
        self.generation = 0
        self.flushed = 0
        self.index = 0
        self.controls = 0
        self.control_bytes = 0
        self.largest = 0
        self.cached: list[Block] = []
        self.closing = False

    def make(self) -> None:
        """Make the transport."""
        self.transport: Any = FakeConnection(self.reactor)

    def wire(self) -> bytes:
        """What the peer was sent."""
        return bytes(self.transport.wire)

    def give_room(self, count: int) -> None:
        """Let the peer take so many bytes more."""
        self.transport.kernel.room += count
        self.transport.run()

    def control(self, size: int, *, header: bool = False) -> bytes:
        """Make a control message; headers say which generation they are for."""
        data = record(b"H" if header else b"C", self.controls, self.generation, False, size)
        self.controls += 1
        self.control_bytes += len(data)
        return data

    def catch_up(self, generation: int) -> bytes:
        """Return the headers that changed since."""
        return b"" if generation >= self.generation else self.control(50, header=True)

    @initialize(cached=st.lists(SIZES, max_size=4), room=st.sampled_from([0, 1, 20, 1000, 10**6]))
    def begin(self, cached: list[int], room: int) -> None:
        """A viewer joins."""
        if hasattr(self.transport, "kernel"):
            self.transport.kernel.room = room
        for number, size in enumerate(cached):
            self.cached.append(self.block(size, keyframe=not number))
        self.join()

    @rule()
    @precondition(lambda self: not self.closing)
    def join(self) -> None:
        """The same connection plays again."""
        self.outlet.catch_up = self.catch_up
        self.outlet.begin(self.control(13, header=True), self.cached, self.generation)

    def block(self, size: int, *, keyframe: bool) -> Block:
        """Make the rendition's next block."""
        changes = self.flushed != self.generation
        self.flushed = self.generation
        data = record(b"K" if keyframe else b"B", self.index, self.generation, changes, size)
        self.index += 1
        self.largest = max(self.largest, len(data))
        return Block(data, keyframe, self.generation)

    @rule(size=SIZES, keyframe=st.booleans())
    def send(self, size: int, keyframe: bool) -> None:
        """A block is flushed."""
        block = self.block(size, keyframe=keyframe)
        if keyframe:
            self.cached = []
        if keyframe or self.cached:
            self.cached.append(block)
        fan_out([self.outlet], block)

    @rule()
    def change(self) -> None:
        """A track has a new configuration: the cache begins anew, the next block says so."""
        self.generation += 1
        self.cached = []

    @rule(size=SIZES)
    def write(self, size: int) -> None:
        """A control message is sent."""
        if not self.closing:
            self.outlet.write(self.control(size))

    @rule(count=st.sampled_from([1, 14, 500, 20_000, 65_536, 200_000]))
    def take(self, count: int) -> None:
        """The peer takes something."""
        self.give_room(count)

    @rule()
    def resume(self) -> None:
        """The viewer paused and goes on."""
        self.outlet.skip_to_keyframe()

    @rule(seconds=st.sampled_from([1.0, 9.0, 11.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.reactor.advance(seconds)

    @invariant()
    def in_order(self) -> None:
        """The wire holds whole records, in order; after a gap comes a keyframe and its headers."""
        controls = 0
        last = None
        known = 0
        for kind, index, generation, changes in parse(self.wire()):
            if kind in b"CH":
                assert index == controls, "a control message is missing or out of order"
                controls += 1
                if kind == b"H":
                    known = generation
                    last = None if last is None else last
                continue
            if last is None or index != last + 1:
                assert kind == b"K", "after a gap a block that does not begin with a keyframe"
            last = index
            if changes:
                known = generation
            assert known == generation, "a block whose headers were never sent"

    @invariant()
    def bounded(self) -> None:
        """What waits is bounded, and counted right."""
        queue = self.outlet._queue or ()
        assert self.outlet.queued_bytes == sum(len(item.data) for item in queue)
        assert self.outlet.queued_bytes <= QUEUE_BYTES + self.largest + self.control_bytes
        droppable = sum(len(item.data) for item in queue if item.block is not None)
        assert droppable <= max(QUEUE_BYTES, self.largest)
        assert (self.outlet in self.policy.waiting) is self.outlet.blocked

    def teardown(self) -> None:
        """Once the peer takes everything, every control message is there, and nothing waits."""
        self.give_room(UNLIMITED)
        self.in_order()
        self.bounded()
        seen = [x for x in parse(self.wire()) if x[0] in b"CH"]
        assert len(seen) == self.controls
        assert not self.outlet.blocked
        assert self.outlet.queued_bytes == 0
        assert not self.policy.waiting
        assert self.outlet.sent_bytes == len(self.wire())
        # It goes on with the next keyframe, of any size.
        before = len(parse(self.wire()))
        block = self.block(300_000, keyframe=True)
        fan_out([self.outlet], block)
        self.give_room(UNLIMITED)
        assert parse(self.wire())[before:][-1][:2] == (b"K", self.index - 1)
        self.in_order()
        self.outlet.close()
        self.give_room(UNLIMITED)
        self.closed()

    def closed(self) -> None:
        """The connection has ended, and has left nothing behind."""
        assert self.transport.lost == 1
        assert not self.reactor.writers
        assert not self.policy.waiting


class WrappedMachine(OutletMachine):
    """The same over a transport that wraps another, as TLS does."""

    def make(self) -> None:
        self.transport = FakeTLS()

    def give_room(self, count: int) -> None:
        left = count
        while left > 0 and self.transport.buffer:
            taken = min(left, len(self.transport.buffer))
            left -= taken
            self.transport.drain(taken)

    def closed(self) -> None:
        assert self.transport.closed
        assert not self.transport.aborted
        self.outlet.lost()
        assert not self.policy.waiting


_DOSE = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOutlet = OutletMachine.TestCase
TestOutlet.settings = _DOSE
TestWrapped = WrappedMachine.TestCase
TestWrapped.settings = _DOSE
