"""Bodies that are longer than anybody has room for: their reader says when he has enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Producer(Protocol):
    """What a body comes from, as far as it is paused: a Twisted transport."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Flow:
    """Pauses the body of one answer, and lets it go on.

    Given to `Outbound.get`. While it is paused nothing more is read from the connection, so that
    its server soon has to wait; what was read already may still be given: one read, of 256 kB.

    Attributes:
        is_paused: Whether it is; as it was left, also before there is a body.
    """

    def __init__(self) -> None:
        self.is_paused = False
        self._producer: Producer | None = None
        self._resumed: Callable[[], None] | None = None

    def pause(self) -> None:
        """Take no more for now. Idempotent; nothing where the body has ended."""
        if not self.is_paused:
            self.is_paused = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def resume(self) -> None:
        """Take more. Idempotent; nothing where the body has ended.

        Perhaps the receiver is called before this returns.
        """
        if self.is_paused:
            self.is_paused = False
            if self._resumed is not None:
                self._resumed()
            if self._producer is not None:
                self._producer.resumeProducing()

    def watched(self, resumed: Callable[[], None]) -> None:
        """Have something called each time that it goes on. For the client."""
        self._resumed = resumed

    def attach(self, producer: Producer | None) -> None:
        """Say where the body comes from; None when it has ended. For the client."""
        self._producer = producer

    def hold(self) -> None:
        """Pause what somebody else, who does not know of this, let go on. For the client."""
        if self.is_paused and self._producer is not None:
            self._producer.pauseProducing()
