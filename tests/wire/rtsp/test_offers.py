"""Tests of what a server takes of a client's offers; more in those of the session."""

from __future__ import annotations

import pytest

from ntvmedia.wire.rtsp.offers import acceptable, parse_scale
from ntvmedia.wire.rtsp.transport import Lower, Transport

TCP = Transport(Lower.TCP, interleaved=(0, 1))


def test_no_channel_is_free() -> None:
    """D-TR-01: 128 pairs, and then none; half a pair is none."""
    for taken, expected in (
        (range(254), (TCP._replace(interleaved=(254, 255)),)),
        (range(0, 256, 2), ()),
    ):
        found = acceptable([TCP], udp=True, multicast=False, records=False, like=None, taken=taken)
        assert found == expected


def test_order_is_the_clients() -> None:
    """RFC 2326 12.39: the client says what it prefers; what it may not decide is left out."""
    udp = Transport(Lower.UDP, client_port=(5000, 5001), destination="198.51.100.1", ttl=3, ssrc=4)
    group = Transport(Lower.UDP, is_multicast=True, destination="239.1.1.1", port=(1, 2))
    found = acceptable(
        [udp, TCP, group], udp=True, multicast=True, records=False, like=None, taken=()
    )
    assert found == (
        Transport(Lower.UDP, client_port=(5000, 5001)),
        TCP,
        Transport(Lower.UDP, is_multicast=True),
    )
    like = acceptable(
        [udp, TCP, group], udp=True, multicast=True, records=False, like=group, taken=()
    )
    assert like == (Transport(Lower.UDP, is_multicast=True),)


@pytest.mark.parametrize(
    ("text", "scale"),
    [("1", 1.0), ("-2.5", -2.5), ("1001", 1.0), ("", 1.0), ("0." + "0" * 20 + "1", 1.0)],
)
def test_scale(text: str, scale: float) -> None:
    """RFC 2326 12.34: what says nothing useful is normal speed."""
    assert parse_scale(text) == scale
