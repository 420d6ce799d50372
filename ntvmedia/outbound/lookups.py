"""Looking up names without taking all of the reactor's threads for it (G-RS-04).

The system's resolver blocks a thread for half a minute where a name server is silent, and the
reactor has ten of them for all that the server does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer

MAX_AT_A_TIME: Final = 4
"""Names that are looked up at the same time: less than half of the threads."""

_Name = tuple[str, int]


@implementer(IHostResolution)
class _Resolution:
    """One look-up, as Twisted wants to see it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Do nothing: a thread that waits for the system cannot be told to stop."""


@implementer(IHostnameResolver)
class Lookups:
    """Has names looked up by the reactor's own resolver, a few at a time.

    Who asks for a name that is being looked up, or waits for its turn, gets the same answer: a
    name server that is silent has no more waiting than there are names.

    Args:
        reactor: Its resolver is the one that it has at that moment.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._receivers: dict[_Name, list[IResolutionReceiver]] = {}
        self._waiting: deque[_Name] = deque()
        self._running = 0

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        name = (hostName, portNumber)
        receivers = self._receivers.setdefault(name, [])
        receivers.append(resolutionReceiver)
        if len(receivers) == 1:
            self._waiting.append(name)
            self._begin()
        return resolution

    def _begin(self) -> None:
        while self._waiting and self._running < MAX_AT_A_TIME:
            self._running += 1
            name = self._waiting.popleft()
            self._reactor.nameResolver.resolveHostName(_Receiver(self, name), *name)

    def done(self, name: _Name, addresses: list[IAddress]) -> None:
        """Pass on what was found, and look for what waits."""
        self._running -= 1
        for receiver in self._receivers.pop(name):
            for address in addresses:
                receiver.addressResolved(address)
            receiver.resolutionComplete()
        self._begin()


@implementer(IResolutionReceiver)
class _Receiver:
    """Gathers the addresses of one name."""

    def __init__(self, lookups: Lookups, name: _Name) -> None:
        self._lookups = lookups
        self._name = name
        self._addresses: list[IAddress] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        self._addresses.append(address)

    def resolutionComplete(self) -> None:
        self._lookups.done(self._name, self._addresses)
