"""The way out to one connection, and the loop that sends one block to all of them.

The only module that calls `socket.send` of a connection; datagrams have one of their own. A plain
TCP connection with nothing queued is written to at once, without the transport; what the kernel
does not take is handed to the transport in small pieces, since `transport.write` copies, and the
rest waits here, shared with every other connection that waits for the same block.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from socket import MSG_MORE
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from zope.interface import implementer

from ntvmedia.hub.blocks import Block, BlockOutlet, Waiting, WaitingQueue
from ntvmedia.hub.policy import OutletPolicy, unacknowledged

# What a transport is given at once: as much as Twisted itself sends in one call.
PIECE_BYTES: Final = 65536

# Linux takes 1024 buffers in one sendmsg (IOV_MAX).
MAX_BUFFERS: Final = 1000

# A body is joined to its head below this.
JOINED_BYTES: Final = 16384

_log = Logger()


@implementer(IPushProducer)
class Outlet:
    """Everything that is sent on one connection goes through its outlet, in order.

    Args:
        transport: Connected. A plain TCP one is written to directly.
        policy: Its limits are for blocks. What `write` queues is the caller's to bound, by
            `queued_bytes`.

    Attributes:
        ready: It takes a block by `send` right now. Only for plain TCP.
        send: The socket's `send`; to be called only while `ready`.
        sent_bytes: Given to the kernel or to the transport so far.
        dropped_blocks: Left out because the peer was too slow.
        closed: Nothing is sent any more.
        stalled: It was cut since its peer took nothing for too long.
        progressed_at: When the peer last took something, by the clock, while it is not ready.
        generation: Of the headers that the peer has, or is sure to get.
        catch_up: Returns the headers that changed after a generation; set by the viewer.
        on_drained: Called, if set, whenever all that waited has gone.
    """

    __slots__ = (
        "__weakref__",
        "_blocked",
        "_closing",
        "_direct",
        "_policy",
        "_queue",
        "_skipping",
        "_taken",
        "_taken_at",
        "_transport",
        "catch_up",
        "closed",
        "dropped_blocks",
        "generation",
        "on_drained",
        "progressed_at",
        "ready",
        "send",
        "sent_bytes",
        "stalled",
    )

    def __init__(self, transport: Any, policy: OutletPolicy) -> None:
        self._transport = transport
        self._policy = policy
        # A wrapper (TLS, PROXY protocol) lends its inner transport's attributes: ask the class.
        self._direct = isinstance(transport, Connection) and not transport.TLS
        self.send: Callable[[bytes | memoryview], int] = (
            transport.socket.send if self._direct else _never_ready
        )
        self.ready = self._direct
        self._queue: WaitingQueue | None = None
        self._blocked = False
        self._skipping = False
        self._closing = False
        self.generation = 0
        self.closed = False
        self.stalled = False
        self.sent_bytes = 0
        self.dropped_blocks = 0
        self.progressed_at = 0.0
        self._taken = -1
        self._taken_at = 0.0
        self.catch_up: Callable[[int], bytes] | None = None
        self.on_drained: Callable[[], None] | None = None
        if not self._direct:
            transport.registerProducer(self, True)

    @property
    def blocked(self) -> bool:
        """Whether the peer has not yet taken what was sent."""
        return self._blocked

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait here."""
        queue = self._queue
        return 0 if queue is None else queue.bytes

    @property
    def skipping(self) -> bool:
        """Whether blocks are left out until the next that begins with a keyframe."""
        return self._skipping

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes that may not be left out: answers, control messages, headers."""
        if self.closed or self._closing or not data:
            return
        self._put(data, None)

    def write_both(self, head: bytes, body: bytes | memoryview, descriptor: int = -1) -> None:
        """Send two pieces that may not be left out.

        Large ones are not joined: a call with two buffers costs as much as copying some 20 kB.

        Args:
            descriptor: Of an open file that holds the body too, which saves copying it; or -1.
        """
        if not self.ready:
            self.write(head)
            self.write(body)
            return
        if len(body) < JOINED_BYTES:
            self._send_direct(head + body)
            return
        connection = self._transport.socket
        sent = 0
        try:
            if descriptor < 0:
                sent = connection.sendmsg((head, body))
            else:
                sent = connection.send(head, MSG_MORE)
                if sent == len(head):
                    sent += os.sendfile(connection.fileno(), descriptor, 0, len(body))
        except BlockingIOError:
            pass
        except OSError:
            self.abort()
            return
        self.sent_bytes += sent
        rest = sent - len(head)
        if rest < 0:
            self._blocked_by(memoryview(head)[sent:])
            self._put(body, None)
        elif rest < len(body):
            self._blocked_by(memoryview(body)[rest:])

    def begin(self, header: bytes, blocks: Sequence[Block], generation: int) -> None:
        """Send what a new viewer needs first; the rendition's next blocks follow.

        Args:
            header: May not be left out.
            blocks: From a keyframe on. If there is none, or they are more than may wait, nothing
                follows until a block that begins with a keyframe.
            generation: Of the header.
        """
        if self._queue:
            # They belong to what was played before.
            self._queue.keep_all()
        self.generation = generation
        self._skipping = not blocks
        if not self.ready or len(blocks) >= MAX_BUFFERS:
            self.write(header)
            for block in blocks:
                self._one_block(block)
        elif header or blocks:
            self._gather(header, blocks)
        if self._skipping:
            self.ready = False

    def skip_to_keyframe(self) -> None:
        """Leave blocks out until one begins with a keyframe."""
        self._skipping = True
        self.ready = False

    def queue_block(self, block: Block) -> None:
        """Take one block while not `ready`: queue it, or leave it out, or go on after a gap."""
        if self.closed or self._closing:
            return
        if self._skipping:
            if not block.is_keyframe or self._over_limit(len(block.data)):
                self.dropped_blocks += 1
                return
            self._skipping = False
            if block.generation != self.generation and self.catch_up is not None:
                self._put(self.catch_up(self.generation), None)
                self.generation = block.generation
        elif self._over_limit(len(block.data)):
            self._drop_blocks()
            self.dropped_blocks += 1
            self._skipping = True
            return
        self._put(block.data, block)
        self.ready = self._direct and not self._blocked and not self.closed

    def _one_block(self, block: Block) -> None:
        if not self.ready:
            self.queue_block(block)
        else:
            self._send_direct(block.data)

    def _gather(self, header: bytes, blocks: Sequence[Block]) -> None:
        """Send header and blocks in one system call, without joining them first."""
        try:
            sent = self._transport.socket.sendmsg([header, *(block.data for block in blocks)])
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return
        self.sent_bytes += sent
        if sent < len(header):
            self._blocked_by(memoryview(header)[sent:])
            sent = 0
        else:
            sent -= len(header)
        for block in blocks:
            size = len(block.data)
            if sent >= size:
                sent -= size
            elif sent:
                self.hold(block, sent)
                sent = 0
            else:
                self._one_block(block)

    def hold(self, block: Block, sent: int) -> None:
        """Keep the rest of a block of which `send` took only a part, perhaps nothing."""
        self._begun(block)
        self._blocked_by(memoryview(block.data)[sent:])

    def close(self) -> None:
        """Send what waits, then disconnect. Blocks are not taken any more."""
        if self.closed or self._closing:
            return
        self._closing = True
        self.ready = False
        if not self._blocked:
            self._disconnect()

    def abort(self) -> None:
        """Disconnect at once; what waits is given up."""
        if not self.closed:
            self.lost()
            self._transport.abortConnection()

    def cut(self) -> None:
        """Disconnect a peer that takes nothing."""
        self.stalled = True
        self._policy.cut += 1
        self.abort()

    def look(self) -> None:
        """Cut a peer that takes nothing although the kernel still takes all that is sent to it.

        The send buffer of Linux grows to 4 MiB, half a minute of an ordinary stream: until it is
        full nothing is queued here. To be called every few seconds while blocks are sent.
        """
        if not self._direct or self.closed:
            return
        try:
            waiting = unacknowledged(self._transport.socket)
        except (OSError, ValueError):
            return  # it is gone, and the reactor is about to say so
        now = self._policy.clock()
        taken = self.sent_bytes - waiting
        if not waiting or taken > self._taken:
            self._taken, self._taken_at = taken, now
        elif now - self._taken_at >= self._policy.stall_timeout:
            self.cut()

    def lost(self) -> None:
        """The connection is gone: let go of everything. Idempotent."""
        self.closed = True
        self._policy.waiting.discard(self)
        self.ready = False
        self.send = _never_ready
        self._queue = None
        self.catch_up = None
        self.on_drained = None

    def resumeProducing(self) -> None:
        """Go on: the transport has sent all that it was given."""
        if not self._blocked or self.closed:
            return
        self._unblock()
        while self._queue:
            data, block, _at = self._queue.take()
            if block is not None:
                self._begun(block)
            if not self._direct:
                self._transport.write(bytes(data))
                self.sent_bytes += len(data)
                if self.blocked:
                    return
                continue
            try:
                sent = self.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.abort()
                return
            self.sent_bytes += sent
            if sent < len(data):
                self._blocked_by(memoryview(data)[sent:])
                return
        self._queue = None
        if self._direct:
            self._transport.unregisterProducer()
        if self._closing:
            self._disconnect()
            return
        self.ready = self._direct and not self._skipping
        if self.on_drained is not None:
            self.on_drained()

    def pauseProducing(self) -> None:
        """Wait: the transport has more than it can send."""
        self.ready = False
        self._block()

    def stopProducing(self) -> None:
        """Stop for good: the connection is lost."""
        self.lost()

    def _put(self, data: bytes | memoryview, block: Block | None) -> None:
        """Send it now, or behind what waits."""
        if not data:
            return
        if self._blocked:
            if self._queue is None:
                self._queue = WaitingQueue()
            self._queue.put(Waiting(data, block, self._policy.clock()))
            return
        if block is not None:
            self._begun(block)
        if self._direct:
            self._send_direct(data)
        else:
            self._transport.write(bytes(data))
            self.sent_bytes += len(data)

    def _send_direct(self, data: bytes | memoryview) -> None:
        try:
            sent = self.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return
        self.sent_bytes += sent
        if sent < len(data):
            self._blocked_by(memoryview(data)[sent:])

    def _begun(self, block: Block) -> None:
        """Note that a block cannot be left out any more, nor the headers in it."""
        if block.generation > self.generation:
            self.generation = block.generation

    def _blocked_by(self, rest: memoryview) -> None:
        """Give the transport the next piece, which makes it wait for the peer."""
        self.ready = False
        if len(rest) > PIECE_BYTES:
            if self._queue is None:
                self._queue = WaitingQueue()
            # Once a part of it is on the wire the rest must follow.
            self._queue.put_first(Waiting(rest[PIECE_BYTES:], None, self._policy.clock()))
            rest = rest[:PIECE_BYTES]
        self._transport.write(bytes(rest))
        self.sent_bytes += len(rest)
        if not self._blocked:
            if self._transport.producer is None:
                # A pull producer is asked at once, too early: `_blocked` is not yet set.
                self._transport.registerProducer(self, False)
            self._block()

    def _block(self) -> None:
        if self.closed:  # the transport found out while it was written to
            return
        self._blocked = True
        self.progressed_at = self._policy.clock()
        self._policy.waiting.add(self)

    def _unblock(self) -> None:
        self._blocked = False
        self._policy.waiting.discard(self)

    def _over_limit(self, more: int) -> bool:
        """Whether too much waits already; one block of any size may."""
        queue = self._queue
        if queue is None or not queue.bytes:
            return False
        if queue.bytes + more > self._policy.queue_bytes:
            return True
        return self._policy.clock() - queue.since > self._policy.queue_seconds

    def _drop_blocks(self) -> None:
        if self._queue is not None:
            self.dropped_blocks += self._queue.drop_blocks()

    def _disconnect(self) -> None:
        if not self._direct:
            self._transport.unregisterProducer()  # TLS waits for it before it says goodbye
        self._transport.loseConnection()
        if not self.closed:
            # The transport may still hold something: a peer that never takes it is cut.
            self.progressed_at = self._policy.clock()
            self._policy.waiting.add(self)


def fan_out(outlets: Iterable[BlockOutlet], block: Block) -> None:
    """Send one block to all outlets.

    The hot loop of the server: no Deferred, no coroutine, no log line, no copy for a viewer that
    keeps up. An outlet that fails is closed; the others do not notice.
    """
    data = block.data
    size = len(data)
    for outlet in outlets:
        try:
            if outlet.ready:
                try:
                    sent = outlet.send(data)
                except BlockingIOError:
                    sent = 0
                outlet.sent_bytes += sent
                if sent != size:
                    outlet.hold(block, sent)
            else:
                outlet.queue_block(block)
        except OSError:
            outlet.abort()
        except Exception:
            _log.failure("an outlet failed")
            outlet.abort()


def _never_ready(_data: bytes | memoryview) -> int:
    raise OSError("the connection is closed")
