"""What there is to be set for the whole server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Any, Final

from ntvmedia.config.reading import (
    Count,
    Kind,
    Networks,
    parse_section,
    setting,
    unknown_name,
)
from ntvmedia.errors import ConfigError, Refused

# RFC 1035 section 2.3.4, as text.
_MAX_HOST_LENGTH: Final = 253
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)

# More of anything than one process can have.
_MANY: Final = 1_000_000
_MOST_KBPS: Final = 1_000_000_000
_MOST_DAYS: Final = 3650

# As many as anybody has; each connection is compared with all of them.
_MOST_NETWORKS: Final = 100

_SHOWN_CHARACTERS: Final = 60

# Shown as texts.
_NETWORKS: Final = ("trusted_proxies", "outbound_networks")


class WrongPreference(Refused):
    """There is no such preference, or its value is not allowed.

    Attributes:
        field: Its name, fit to be shown.
        clause: What is wrong, without the name.
    """

    def __init__(self, clause: str, field: str) -> None:
        super().__init__(f"{field}: {clause}")
        self.field = field
        self.clause = clause


def _read_host(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_HOST_LENGTH:
        raise ValueError
    if not value:
        return ""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        address = str(ip_address(bare))
    except ValueError:
        if not all(map(_LABEL.fullmatch, value.split("."))):
            raise
        return value
    # The zone of an IPv6 address means something on one machine only.
    if "%" in address:
        raise ValueError
    return address


HostName = Annotated[str, Kind("a host name or IP address without a port", _read_host)]
"""A host; names of other scripts as the DNS has them (`xn--...`). Empty for none."""


@dataclass(frozen=True, slots=True)
class Values:
    """All values. What they are for is said by the metadata, as for `config.sections`."""

    server_address: HostName = setting(
        "",
        "The public host name or IP address in the addresses that the server shows; empty for "
        "`server.address` of the settings, or else the machine's name.",
    )
    max_players: Count = setting(
        0,
        "Players at the same time, on all protocols together; 0 for no limit.",
        minimum=0,
        maximum=_MANY,
    )
    max_publishers: Count = setting(
        0, "Publishers at the same time; 0 for no limit.", minimum=0, maximum=_MANY
    )
    max_bandwidth_kbps: Count = setting(
        0,
        "Thousands of bits a second that are sent to all players together; 0 for no limit. When "
        "streams grow beyond it, those who came last are sent away.",
        minimum=0,
        maximum=_MOST_KBPS,
    )
    max_connections_per_address: Count = setting(
        200,
        "Connections at the same time from one IP address, on all ports together; 0 for no limit. "
        "Not for this machine, for trusted networks, and for the trusted proxies.",
        minimum=0,
        maximum=_MANY,
    )
    trusted_proxies: Networks = setting(
        (),
        "Where load balancers and reverse proxies connect from: they are believed who the client "
        "is, by `X-Forwarded-For` over HTTP or by a PROXY protocol header. Nobody else is.",
    )
    outbound_networks: Networks = setting(
        (),
        "Networks that this server may ask though they are not public, besides those of "
        "`outbound.allow`: cameras, encoders and servers in the LAN. It holds at once, for all "
        "that is pulled, pushed or asked.",
    )
    statistics_days: Count = setting(
        400, "Days for which statistics are kept.", minimum=1, maximum=_MOST_DAYS
    )
    viewer_log_days: Count = setting(
        30,
        "Days for which the log of viewers is kept, with their addresses; 0 to keep none.",
        minimum=0,
        maximum=_MOST_DAYS,
    )


FIELDS: Final = tuple(Values.__dataclass_fields__)
"""The names of the values, in the order in which they are shown."""


def read_values(raw: Mapping[str, object]) -> dict[str, Any]:
    """Check some values.

    Args:
        raw: By name, as JSON has them; `Text` for those of a command line.

    Returns:
        Those of `raw`, as `Values` wants them.

    Raises:
        WrongPreference: There is no such value, or it is not allowed.
    """
    for name in raw:
        if name not in FIELDS:
            shown = name[:_SHOWN_CHARACTERS]
            shown = shown if shown.isprintable() else ascii(shown)
            raise WrongPreference(f"unknown preference; {unknown_name(shown, list(FIELDS))}", shown)
    try:
        read = parse_section(Values, "preferences", raw)
    except ConfigError as error:
        raise WrongPreference(str(error).partition(": ")[2], error.path[-1]) from None
    for name in _NETWORKS:
        if len(getattr(read, name)) > _MOST_NETWORKS:
            raise WrongPreference(f"at most {_MOST_NETWORKS} networks", name)
    return {name: getattr(read, name) for name in raw}


def describe(values: Values) -> dict[str, Any]:
    """Return all values as JSON has them, in the order of `FIELDS`; there is no secret in them."""
    described = {name: getattr(values, name) for name in FIELDS}
    for name in _NETWORKS:
        described[name] = [str(network) for network in described[name]]
    return described
