"""One connection that listens to events, and takes them as fast as it likes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ntvmedia.accounts import Identity

MAX_WAITING: Final = 512
"""Events that wait for one listener: some 100 kB."""

# As long as a browser waits before it comes back; it is told so once.
_RETRY_MILLISECONDS: Final = 3000


@implementer(IPushProducer)
class Listener:
    """One connection.

    Args:
        request: Of `twisted.web`; its head is set.
        identity: Who listens.
        peer_host: The address; empty over the control socket.
        left: Called once, when it listens no more.
        lost: Makes the event that says how many were not sent.

    Attributes:
        identity: As given.
        peer_host: As given.
        done: Fires when nothing more is sent; it is cancelled where the client leaves.
    """

    def __init__(
        self,
        request: Any,
        identity: Identity,
        peer_host: str,
        left: Callable[[Listener], None],
        lost: Callable[[int], bytes],
    ) -> None:
        self.identity = identity
        self.peer_host = peer_host
        self.done: Deferred[None] = Deferred(lambda _done: self._leave())
        self._request = request
        self._left = left
        self._make_lost = lost
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._is_paused = False
        self._is_over = False

    def begin(self, events: bytes) -> None:
        """Send the first ones."""
        # nginx would keep what is written until it has a page full of it.
        self._request.setHeader("x-accel-buffering", "no")
        self._request.registerProducer(self, True)
        self._request.write(b"retry: %d\n\n" % _RETRY_MILLISECONDS + events)

    def tell(self, event: bytes) -> None:
        """Send an event, or have it wait; over `MAX_WAITING` the oldest is lost."""
        if not self._is_paused:
            self._request.write(event)
            return
        self._waiting.append(event)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1

    def end(self) -> None:
        """Send no more."""
        if not self._is_over:
            self._leave()
            self._request.unregisterProducer()
            self.done.callback(None)

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        if self._lost:
            lost, self._lost = self._lost, 0
            self._request.write(self._make_lost(lost))
        while self._waiting and not self._is_paused:
            self._request.write(self._waiting.popleft())

    def stopProducing(self) -> None:
        self._is_paused = True
        self._leave()

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._waiting.clear()
            self._left(self)
