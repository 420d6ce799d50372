"""What looks after the deadlines of an endpoint's connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

TICK_SECONDS: Final = 1.0


class ClockworkService(Service):
    """Calls something every second while it runs.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        tick: What is called; it must not raise.
    """

    def __init__(self, host: Any, tick: Callable[[], None]) -> None:
        self._loop = LoopingCall(tick)
        self._loop.clock = host.reactor

    def startService(self) -> None:
        super().startService()
        self._loop.start(TICK_SECONDS, now=False)

    def stopService(self) -> None:
        """Stop calling."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
