"""What a server takes of the transports that a client offers in SETUP."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from ntvmedia.wire.rtsp.transport import MAX_CHANNEL, Lower, Transport, parse_transport

# Characters of a Scale header: a sign, digits, a point.
_MAX_SCALE: Final = 16


def parse_offers(text: str) -> list[Transport]:
    """Read the `Transport` header of a SETUP.

    Raises:
        PeerError: There is none.
    """
    return parse_transport(text)


def acceptable(
    offers: Iterable[Transport],
    *,
    udp: bool,
    multicast: bool,
    records: bool,
    like: Transport | None,
    taken: Container[int],
) -> tuple[Transport, ...]:
    """Return the offers that can be taken, in the client's order, bare of what it may not decide.

    A destination is none of them (D-TR-06). Channels are the client's where both are free, else
    others (D-TR-01).

    Args:
        offers: What the client says.
        udp: UDP is taken, with two ports of the client.
        multicast: Multicast is taken.
        records: The client sends.
        like: How the session's first track is carried: all are carried alike; None for the first.
        taken: Channels that are in use.
    """
    found = []
    for offer in offers:
        if offer.profile != "AVP":
            continue
        if like is not None and (
            offer.lower is not like.lower or offer.is_multicast is not like.is_multicast
        ):
            continue
        bare = Transport(offer.lower, offer.is_multicast, records=records, has_mode=records)
        if offer.lower is Lower.TCP:
            pair = _free_channels(offer.interleaved, taken)
            if pair is not None:
                found.append(bare._replace(interleaved=pair))
        elif offer.is_multicast:
            if multicast:
                found.append(bare)
        elif udp and offer.client_port is not None:
            found.append(bare._replace(client_port=offer.client_port))
    return tuple(found)


def _free_channels(wanted: tuple[int, int] | None, taken: Container[int]) -> tuple[int, int] | None:
    # Reports go next to their packets: with other pairs nobody was ever seen.
    is_pair = wanted is not None and wanted[1] == wanted[0] + 1
    if wanted is not None and is_pair and not any(x in taken for x in wanted):
        return wanted
    for channel in range(0, MAX_CHANNEL, 2):
        if channel not in taken and channel + 1 not in taken:
            return (channel, channel + 1)
    return None


def parse_scale(text: str) -> float:
    """Read a `Scale` header (RFC 2326 section 12.34); 1 where it says nothing useful."""
    try:
        scale = float(text) if len(text) <= _MAX_SCALE else 1.0
    except ValueError:
        return 1.0
    return scale if scale != 0 and abs(scale) <= 1000 else 1.0
