"""The hub's clockwork: what is done once a second, and how late it is done."""

from __future__ import annotations

from typing import Final

from twisted.application.service import Service
from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ntvmedia.hub.lag import Watchdog
from ntvmedia.hub.streams import Hub

TICK_SECONDS: Final = 1.0

_log = Logger()


class HubService(Service):
    """The hub's own clockwork.

    Args:
        reactor: A real one is watched from a thread; a clock in a test is not.
        hub: Is told of each second, and of the reactor's lag.
    """

    def __init__(self, reactor: IReactorTime, hub: Hub) -> None:
        self._reactor = reactor
        self._hub = hub
        self._due = 0.0
        self._call: IDelayedCall | None = None
        self._watchdog = Watchdog(reactor.seconds) if isinstance(reactor, ReactorBase) else None

    def startService(self) -> None:
        super().startService()
        if self._watchdog is not None:
            self._watchdog.start()
        self._wait()

    def stopService(self) -> None:
        """End all streams that are left."""
        super().stopService()
        if self._watchdog is not None:
            self._watchdog.stop()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._hub.stop("server is stopping")

    def _wait(self) -> None:
        self._due = self._reactor.seconds() + TICK_SECONDS
        self._call = self._reactor.callLater(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        self._hub.lag.measured(now - self._due, now)
        if self._watchdog is not None:
            self._watchdog.beat()
        try:
            self._hub.tick()
        except Exception:
            _log.failure("the hub's clockwork failed")
        if self.running:
            self._wait()
