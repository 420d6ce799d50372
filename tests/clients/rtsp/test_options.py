"""Tests of ntvmedia.clients.rtsp.options."""

from __future__ import annotations

import pytest

from ntvmedia.clients.rtsp.options import Carrier, Options, refusal
from ntvmedia.wire.rtsp.transport import Lower

UDP_FIRST = (Lower.UDP, Lower.TCP)
TCP_FIRST = (Lower.TCP, Lower.UDP)


@pytest.mark.parametrize(
    ("carrier", "plays", "publishes"),
    [
        (Carrier.AUTO, UDP_FIRST, TCP_FIRST),
        (Carrier.TCP, (Lower.TCP,), (Lower.TCP,)),
        (Carrier.UDP, (Lower.UDP,), (Lower.UDP,)),
    ],
)
def test_ways(carrier: Carrier, plays: tuple[Lower, ...], publishes: tuple[Lower, ...]) -> None:
    """D-TR-03, D-TR-04: what is tried in which order; with TLS, nothing goes beside it."""
    assert carrier.ways(publishes=False, secure=False) == plays
    assert carrier.ways(publishes=True, secure=False) == publishes
    assert carrier.ways(publishes=False, secure=True) == (Lower.TCP,)
    assert carrier.ways(publishes=True, secure=True) == (Lower.TCP,)


@pytest.mark.parametrize("status", [408, 453, 454, 500, 503])
def test_temporary(status: int) -> None:
    """What a server has not now, it may have later."""
    error = refusal(status, "no")
    assert (error.status, error.is_permanent, str(error)) == (status, False, "no")


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 415, 461, 501, 505, 508, 551])
def test_permanent(status: int) -> None:
    """E-ST-05: what a server refuses for what it is, it refuses again; so with what it has not."""
    assert refusal(status, "no").is_permanent


def test_secrets() -> None:
    """User and password are shown by no log that has the options in it."""
    shown = repr(Options(user="somebody", password="secret"))
    assert "somebody" not in shown
    assert "secret" not in shown
