"""Tests of ntvmedia.outbound.lookups: names are looked up a few at a time (G-RS-04)."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ntvmedia.outbound.lookups import MAX_AT_A_TIME, Lookups


@implementer(IResolutionReceiver)
class Receiver:
    """Takes what is found."""

    def __init__(self) -> None:
        self.resolution: Any = None
        self.found: list[Any] = []
        self.complete = False

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self.resolution = resolutionInProgress

    def addressResolved(self, address: Any) -> None:
        self.found.append(address)

    def resolutionComplete(self) -> None:
        assert not self.complete
        self.complete = True


class Resolver:
    """The reactor's: answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, str, int]] = []

    def resolveHostName(self, receiver: Any, name: str, port: int) -> None:
        """Note the question."""
        receiver.resolutionBegan(None)
        self.asked.append((receiver, name, port))

    def answer(self, *addresses: str) -> None:
        """Answer the first question."""
        receiver, _name, port = self.asked.pop(0)
        for address in addresses:
            receiver.addressResolved(IPv4Address("TCP", address, port))
        receiver.resolutionComplete()


class Rig:
    """Lookups, and the resolver behind them."""

    def __init__(self) -> None:
        self.resolver = Resolver()
        self.lookups = Lookups(SimpleNamespace(nameResolver=self.resolver))

    def ask(self, name: str, port: int = 80) -> Receiver:
        """Ask for a name."""
        receiver = Receiver()
        resolution = self.lookups.resolveHostName(receiver, name, port)
        assert receiver.resolution is resolution
        assert resolution.name == name
        resolution.cancel()
        return receiver


@pytest.fixture
def rig() -> Rig:
    """Make them."""
    return Rig()


def found(receivers: Sequence[Receiver]) -> list[list[str]]:
    """Return what each has, of those that have all."""
    return [[address.host for address in x.found] for x in receivers if x.complete]


def test_interfaces(rig: Rig) -> None:
    """They are what Twisted's endpoints want."""
    verifyObject(IHostnameResolver, rig.lookups)


def test_found(rig: Rig) -> None:
    """All addresses are passed on, in order, with their port; none is an answer too."""
    first, second = rig.ask("a.example", 443), rig.ask("b.example")
    rig.resolver.answer("192.0.2.1", "192.0.2.2")
    assert found([first]) == [["192.0.2.1", "192.0.2.2"]]
    assert first.found[0].port == 443
    assert not second.complete
    rig.resolver.answer()
    assert found([second]) == [[]]


def test_few_at_a_time(rig: Rig) -> None:
    """However many names are asked for, most of the reactor's threads stay free."""
    receivers = [rig.ask(f"a{number}.example") for number in range(20)]
    assert len(rig.resolver.asked) == MAX_AT_A_TIME
    for number in range(20):
        assert len(rig.resolver.asked) == min(MAX_AT_A_TIME, 20 - number)
        rig.resolver.answer(f"192.0.2.{number}")
    assert found(receivers) == [[f"192.0.2.{number}"] for number in range(20)]


def test_shared(rig: Rig) -> None:
    """Who asks for the same name waits for the same answer, and the next one asks again."""
    for other in range(MAX_AT_A_TIME - 1):
        rig.ask(f"{other}.example")
    receivers = [rig.ask("a.example") for _number in range(100)]
    waiting = [rig.ask("b.example") for _number in range(100)]
    assert len(rig.resolver.asked) == MAX_AT_A_TIME
    for _other in range(MAX_AT_A_TIME - 1):
        rig.resolver.answer()
    assert [name for _receiver, name, _port in rig.resolver.asked] == ["a.example", "b.example"]
    rig.resolver.answer("192.0.2.1")
    rig.resolver.answer("192.0.2.2")
    assert found(receivers) == [["192.0.2.1"]] * 100
    assert found(waiting) == [["192.0.2.2"]] * 100
    rig.ask("a.example")
    assert len(rig.resolver.asked) == 1


def test_asked_again_from_an_answer(rig: Rig) -> None:
    """Whoever asks for the name that it was just told begins a new look-up."""
    again: list[Receiver] = []

    class Asking(Receiver):
        def resolutionComplete(self) -> None:
            super().resolutionComplete()
            again.append(rig.ask("a.example"))

    rig.lookups.resolveHostName(Asking(), "a.example", 80)
    rig.resolver.answer("192.0.2.1")
    assert found(again) == []
    rig.resolver.answer("192.0.2.2")
    assert found(again) == [["192.0.2.2"]]
