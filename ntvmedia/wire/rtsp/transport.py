"""The `Transport` header (RFC 2326 section 12.39): what a client offers, and what it gets."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.rtsp.fields import (
    parse_parameter,
    parse_range_of_numbers,
    split_list,
    unquoted,
)

MAX_OFFERS: Final = 16
"""In one header; players have three."""

MAX_CHANNEL: Final = 255
MAX_PORT: Final = 65535

_SSRC: Final = re.compile("[0-9A-Fa-f]{1,8}")
_RECORDING: Final = frozenset({"record", "receive"})
_PLAIN_VALUE: Final = re.compile("[!#-+./:<>?@A-Za-z0-9\\[\\]_-]*")


class Lower(Enum):
    """What RTP is carried in."""

    UDP = "UDP"
    TCP = "TCP"


class Transport(NamedTuple):
    """One offer of a client, or the answer of a server.

    Attributes:
        lower: What carries the packets; in TCP they are interleaved with the messages.
        is_multicast: To a group; never with TCP.
        profile: "AVP"; others ("SAVP", "AVPF") are what a peer may offer.
        interleaved: Two channels, RTP's and RTCP's, or None.
        client_port: Two ports, or None.
        server_port: Two ports, or None.
        port: Two ports of a multicast group, or None.
        destination: Where to; a server never obeys it (D-TR-06).
        source: Where from; empty for where the connection goes.
        ttl: Of multicast; -1 for none.
        ssrc: Of what the server sends; -1 for none.
        records: The client sends, the server receives: `mode=record`.
        has_mode: Some mode is given.
    """

    lower: Lower
    is_multicast: bool = False
    profile: str = "AVP"
    interleaved: tuple[int, int] | None = None
    client_port: tuple[int, int] | None = None
    server_port: tuple[int, int] | None = None
    port: tuple[int, int] | None = None
    destination: str = ""
    source: str = ""
    ttl: int = -1
    ssrc: int = -1
    records: bool = False
    has_mode: bool = False


def parse_transport(text: str) -> list[Transport]:
    """Read a `Transport` header: all that is offered, in the order of preference.

    What is not RTP is left out. Ports that cannot be (0, or above 65535) and channels above 255
    are None, as if they were not given (D-TR-01, D-TR-06).

    Raises:
        PeerError: There is no offer at all.
        LimitExceeded: There are too many.
    """
    offers = split_list(text, ",")
    if not offers:
        raise PeerError("no transport", reference="RFC 2326 12.39")
    if len(offers) > MAX_OFFERS:
        raise LimitExceeded("too many transports", reference="RFC 2326 12.39", limit=MAX_OFFERS)
    found = (_parsed(offer) for offer in offers)
    return [transport for transport in found if transport is not None]


def format_transport(transport: Transport) -> str:
    """Write one transport.

    Raises:
        UsageError: An address in it would end its parameter.
    """
    for address in (transport.destination, transport.source, transport.profile):
        if not _PLAIN_VALUE.fullmatch(address):
            raise UsageError("an address that cannot be written in a Transport header")
    # RFC 2326 has UDP without a name; every client knows that.
    lower = "/TCP" if transport.lower is Lower.TCP else ""
    parts = [f"RTP/{transport.profile}{lower}"]
    parts.append("multicast" if transport.is_multicast else "unicast")
    if transport.destination:
        parts.append(f"destination={transport.destination}")
    if transport.source:
        parts.append(f"source={transport.source}")
    for name, pair in (
        ("interleaved", transport.interleaved),
        ("port", transport.port),
        ("client_port", transport.client_port),
        ("server_port", transport.server_port),
    ):
        if pair is not None:
            parts.append(f"{name}={pair[0]}-{pair[1]}")
    if transport.ttl >= 0:
        parts.append(f"ttl={transport.ttl}")
    if transport.ssrc >= 0:
        parts.append(f"ssrc={transport.ssrc:08X}")
    if transport.has_mode:
        parts.append("mode=record" if transport.records else "mode=play")
    return ";".join(parts)


def _parsed(offer: str) -> Transport | None:
    """Read one offer; None for what is not RTP over UDP or TCP."""
    specification, *rest = split_list(offer, ";") or [""]
    protocol, _slash, remainder = specification.upper().partition("/")
    profile, _slash, lower = remainder.partition("/")
    if protocol != "RTP" or not profile or lower not in ("", "UDP", "TCP"):
        return None
    if not _PLAIN_VALUE.fullmatch(profile):
        return None
    values: dict[str, str] = {}
    for part in rest:
        name, value = parse_parameter(part)
        values.setdefault(name, value)
    # One mode, or a quoted list of them: "PLAY,RECORD" (RFC 2326 section 12.39).
    modes = {unquoted(mode).lower() for mode in split_list(values.get("mode", ""), ",")}
    carrier = Lower.TCP if lower == "TCP" else Lower.UDP
    return Transport(
        lower=carrier,
        # RFC 2326 has multicast as default; a client that says neither means itself.
        is_multicast="multicast" in values and carrier is Lower.UDP,
        profile=profile,
        interleaved=_pair(values, "interleaved", MAX_CHANNEL, 0),
        client_port=_pair(values, "client_port", MAX_PORT, 1),
        server_port=_pair(values, "server_port", MAX_PORT, 1),
        port=_pair(values, "port", MAX_PORT, 1),
        destination=_address(values, "destination"),
        source=_address(values, "source"),
        ttl=_ttl(values.get("ttl", "")),
        ssrc=int(values["ssrc"], 16) if _SSRC.fullmatch(values.get("ssrc", "")) else -1,
        records=bool(modes & _RECORDING),
        has_mode=bool(modes),
    )


def _pair(values: dict[str, str], name: str, limit: int, least: int) -> tuple[int, int] | None:
    pair = parse_range_of_numbers(values[name], limit) if name in values else None
    return pair if pair is not None and pair[0] >= least else None


def _address(values: dict[str, str], name: str) -> str:
    """Return an address; empty for one that could never be written."""
    address = values.get(name, "")
    return address if _PLAIN_VALUE.fullmatch(address) else ""


def _ttl(text: str) -> int:
    pair = parse_range_of_numbers(text, 256)
    return pair[0] if pair is not None and pair[0] <= 255 else -1
