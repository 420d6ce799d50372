"""The sections of the configuration, one frozen dataclass each.

An endpoint's plugin is given the section of its own name. The numbers are near what several other
servers ship; `docs/configuration.md` is made from this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Annotated, Final, Literal

from ntvmedia.config.descriptions import Listen
from ntvmedia.config.reading import (
    Count,
    Groups,
    Kind,
    Networks,
    PortRange,
    Ports,
    Seconds,
    Size,
    Texts,
    WrongValue,
    read_texts,
    setting,
)

# A day: what is longer is a mistake in the unit.
_DAY: Final = 86400.0

# More connections than one process can hold in Python on any machine of today.
_MANY: Final = 1_000_000

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30

_LISTEN: Final = (
    "Where to listen: a port as in `tcp:{port}`, which serves IPv4 and IPv6 alike, or any endpoint "
    "description of Twisted, or a list of them. Empty text turns it off."
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the whole server shares."""

    address: str = setting(
        "",
        "The public host name or IP address that the server writes into the addresses it shows. "
        "Empty: the machine's host name.",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the log is written."""

    format: Literal["text", "json"] = setting(
        "text", "One line of text for each event, or one JSON object."
    )
    level: Literal["debug", "info", "warn", "error", "critical"] = setting(
        "info", "The least important level that is written."
    )


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where applications, and what else is set while the server runs, are kept."""

    url: str = setting(
        "",
        "Empty: an SQLite file in the data folder. Or PostgreSQL, as in "
        "`postgresql://USER:PASSWORD@HOST/NAME`.",
    )


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """The certificates of `https`, `rtmps` and `rtsps`, read again on SIGHUP."""

    certificate: Texts = setting(
        (),
        "PEM file with the certificate and those of its issuers. Several: a client gets the one "
        "whose names include the name it asks for, else the first.",
    )
    key: Texts = setting((), "PEM file with the private key, one for each certificate, in order.")


@dataclass(frozen=True, slots=True)
class HTTPSettings:
    """The HTTP front: media, status and metrics."""

    listen: Listen = setting(("tcp:8080",), _LISTEN.format(port=8080))
    head_timeout: Seconds = setting(
        15.0,
        "A request's head must be complete this long after its first byte; the first one of a "
        "connection, after it was opened.",
        minimum=0.1,
        maximum=_DAY,
    )
    idle_timeout: Seconds = setting(
        60.0,
        "A connection without a request is closed after this time.",
        minimum=0.1,
        maximum=_DAY,
    )
    max_connections: Count = setting(
        20000, "Connections at a time; a further one is refused.", minimum=1, maximum=_MANY
    )
    allowed_origins: Texts = setting(
        ("*",),
        "The web sites whose pages may fetch media, as in `https://example.org`; `*` is any.",
    )
    legacy_hevc: bool = setting(
        False,
        "Write HEVC under FLV's unregistered codec number 12, as older players want it, instead of "
        "as Enhanced RTMP's `hvc1`.",
    )


@dataclass(frozen=True, slots=True)
class HTTPSSettings:
    """HTTP over TLS; limits are those of `http`, certificates those of `tls`."""

    listen: Listen = setting((), _LISTEN.format(port=8443))


@dataclass(frozen=True, slots=True)
class RTMPSettings:
    """RTMP: publishing and playing."""

    listen: Listen = setting(("tcp:1935",), _LISTEN.format(port=1935))
    handshake_timeout: Seconds = setting(
        15.0, "The handshake must be complete after this time.", minimum=0.1, maximum=_DAY
    )
    idle_timeout: Seconds = setting(
        30.0,
        "A connection that neither publishes nor plays is closed after this time.",
        minimum=0.1,
        maximum=_DAY,
    )
    ping_interval: Seconds = setting(
        30.0,
        "A peer from which nothing came for this time is asked whether it is there.",
        minimum=0.1,
        maximum=_DAY,
    )
    ping_timeout: Seconds = setting(
        30.0, "A peer that does not answer within this time is cut.", minimum=0.1, maximum=_DAY
    )
    max_connections: Count = setting(
        20000, "Connections at a time; a further one is refused.", minimum=1, maximum=_MANY
    )
    max_connections_per_address: Count = setting(
        0, "Connections at a time from one IP address; 0 is no limit.", minimum=0, maximum=_MANY
    )
    chunk_size: Size = setting(
        60000, "The chunk size of what is sent.", minimum=128, maximum=16 * _MIB - 1
    )
    max_message_size: Size = setting(
        10 * _MIB, "The largest message taken.", minimum=64 * _KIB, maximum=16 * _MIB - 1
    )
    legacy_hevc: bool = setting(
        False,
        "Write HEVC under FLV's unregistered codec number 12, as older players want it, instead of "
        "as Enhanced RTMP's `hvc1`.",
    )
    proxy_protocol: Literal["off", "on"] = setting(
        "off",
        "Whether a PROXY protocol header (version 1 or 2), as load balancers send, says who the "
        "peer is. It is believed only from `trusted_proxies`.",
    )
    trusted_proxies: Networks = setting((), "Where the load balancers connect from.")


@dataclass(frozen=True, slots=True)
class RTMPSSettings:
    """RTMP over TLS; limits are those of `rtmp`, certificates those of `tls`."""

    listen: Listen = setting((), _LISTEN.format(port=1936))


@dataclass(frozen=True, slots=True)
class RTSPSettings:
    """RTSP: publishing and playing, within TCP, over UDP, and playing from multicast groups."""

    listen: Listen = setting(("tcp:8554",), _LISTEN.format(port=8554))
    idle_timeout: Seconds = setting(
        30.0,
        "A connection that neither publishes nor plays is closed after this time.",
        minimum=0.1,
        maximum=_DAY,
    )
    session_timeout: Seconds = setting(
        60.0,
        "A session from which nothing is heard and that takes nothing is ended after this time. "
        "Clients are told 55 s.",
        minimum=1.0,
        maximum=_DAY,
    )
    max_connections: Count = setting(
        20000, "Connections at a time; a further one is refused.", minimum=1, maximum=_MANY
    )
    max_connections_per_address: Count = setting(
        0, "Connections at a time from one IP address; 0 is no limit.", minimum=0, maximum=_MANY
    )
    udp: bool = setting(
        True,
        "Take UDP from clients that ask for it; the others have all within TCP. Never with TLS.",
    )
    udp_ports: Ports = setting(
        PortRange(30000, 30999),
        "The ports for it, to be opened in the firewall. All players of one address of this server "
        "share two of them; each track that is published needs two.",
    )
    udp_segmentation: bool = setting(
        True,
        "Let the kernel or the network card cut what is sent into datagrams, which saves time. "
        "Some cards are said to do it wrongly.",
    )
    multicast_groups: Groups = setting(
        (IPv4Network("239.192.0.0/16"),),
        "The IPv4 or IPv6 groups that streams are sent to, one each, where their application has "
        "`rtsp_multicast`.",
    )
    multicast_ttl: Count = setting(
        1, "How many routers may pass a group on; with 1, none.", minimum=1, maximum=255
    )
    http_tunnel: bool = setting(
        True,
        "Serve RTSP within HTTP too, on the ports of `http` and `https`, for clients that no other "
        "port can be reached by.",
    )


@dataclass(frozen=True, slots=True)
class RTSPSSettings:
    """RTSP over TLS; limits are those of `rtsp`, certificates those of `tls`."""

    listen: Listen = setting((), _LISTEN.format(port=8322))


@dataclass(frozen=True, slots=True)
class HubSettings:
    """The live streams."""

    latency: Literal["auto", "low"] = setting(
        "auto",
        "With few viewers every frame is sent at once. As they grow, `auto` gathers more for each "
        "write, up to `max_latency`, and `low` up to 50 ms.",
    )
    max_latency: Seconds = setting(
        0.35, "The longest that `auto` holds media back.", minimum=0.0, maximum=5.0
    )
    publish_policy: Literal["refuse", "takeover"] = setting(
        "refuse",
        "A second publisher of a stream is refused, or takes over and the first is cut. One that "
        "was silent for `takeover_silence` always loses.",
    )
    publisher_silence: Seconds = setting(
        10.0, "A publisher that sends no media for this time is cut.", minimum=0.5, maximum=_DAY
    )
    first_packet_timeout: Seconds = setting(
        20.0, "A publisher must send its first media within this time.", minimum=0.5, maximum=_DAY
    )
    max_publisher_bitrate_kbps: Count = setting(
        200_000,
        "A publisher that sends more thousands of bits a second than this, on the average of some "
        "five seconds, is cut; 0 is no limit.",
        minimum=0,
        maximum=_MANY,
    )
    max_publisher_packets: Count = setting(
        5000,
        "The same for packets a second, of all its tracks together.",
        minimum=0,
        maximum=_MANY,
    )
    takeover_silence: Seconds = setting(
        5.0,
        "A publisher silent for this time gives way to another of the same stream.",
        minimum=0.0,
        maximum=_DAY,
    )
    publisher_grace: Seconds = setting(
        15.0,
        "Viewers of a stream whose publisher dropped wait this long for its return.",
        minimum=0.0,
        maximum=_DAY,
    )
    play_wait: Seconds = setting(
        15.0,
        "Who plays a stream that is not published waits this long for it.",
        minimum=0.0,
        maximum=_DAY,
    )
    idle_delay: Seconds = setting(
        20.0,
        "A stream counts as unwatched this long after its last viewer left.",
        minimum=0.0,
        maximum=_DAY,
    )
    analyze: Seconds = setting(
        1.0, "A stream's tracks are those found within this time.", minimum=0.0, maximum=60.0
    )
    gop_cache_frames: Count = setting(
        2500,
        "The most frames since the last keyframe that are kept for a new viewer.",
        minimum=0,
        maximum=_MANY,
    )
    gop_cache_bytes: Size = setting(
        32 * _MIB, "The most bytes that they may take.", minimum=0, maximum=_GIB
    )
    queue_bytes: Size = setting(
        8 * _MIB,
        "A viewer with more than this waiting to be sent skips to the next keyframe.",
        minimum=64 * _KIB,
        maximum=_GIB,
    )
    queue_seconds: Seconds = setting(
        10.0, "The same, as the age of what waits.", minimum=0.5, maximum=3600.0
    )
    stall_timeout: Seconds = setting(
        15.0, "A viewer that takes nothing for this time is cut.", minimum=0.5, maximum=_DAY
    )
    max_streams: Count = setting(10000, "Streams at a time.", minimum=1, maximum=_MANY)
    max_waiting: Count = setting(
        1000, "Viewers that wait for streams not published.", minimum=0, maximum=_MANY
    )
    max_waiting_names: Count = setting(
        200, "The streams that they wait for.", minimum=0, maximum=_MANY
    )


@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """Requests of the server to others over HTTP: to key servers, for one."""

    allow: Networks = setting(
        (),
        "Networks that may be asked though they are not public. Without it, no address or redirect "
        "leads to this machine, to a private network or to a cloud's metadata. The preference "
        "`outbound_networks` names more of them while the server runs.",
    )
    timeout: Seconds = setting(
        10.0, "An answer must be complete after this time.", minimum=0.1, maximum=600.0
    )


def _read_folders(value: object) -> tuple[str, ...]:
    folders = read_texts(value)
    for folder in folders:
        if not folder.startswith("/"):
            raise WrongValue(f"{folder} does not begin with a slash")
    return folders


Folders = Annotated[tuple[str, ...], Kind("an absolute path, or a list of them", _read_folders)]
"""Folders of this machine."""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """Streams that are pulled from elsewhere, and pushed to other servers."""

    folders: Folders = setting(
        (),
        "Where the files that relay tasks play may lie: in these folders and below. Without one, "
        "no file is played.",
    )
    max_relays: Count = setting(
        500, "Relay tasks, whether they run or not.", minimum=0, maximum=100_000
    )
    max_on_demand: Count = setting(
        100,
        "Streams that are pulled at a time since somebody watches them; more have to wait.",
        minimum=0,
        maximum=100_000,
    )
