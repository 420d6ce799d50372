"""How a server is talked to over RTSP, and what it may come to nothing with."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from ntvmedia.errors import RemoteError
from ntvmedia.wire.rtsp.client import ANSWER_SECONDS, KeepAlive
from ntvmedia.wire.rtsp.transport import Lower

# Refusals that may be none a while later: too slow, no bandwidth, no session any more. A stream
# that is not there is asked for as seldom as what is refused for good (E-ST-05), as by RTMP and
# HTTP.
_TEMPORARY: Final = frozenset({408, 453, 454})

# Of the 500s those that say what the server never does; 508 is a loop (RFC 5842 7.2, E-ST-08).
_NEVER: Final = frozenset({501, 505, 508, 551})


class Carrier(Enum):
    """What media is carried in."""

    AUTO = "auto"
    """To play, UDP, and TCP where the server refuses that or nothing comes of it (D-TR-04). To
    publish, TCP, and UDP where the server refuses that: nobody tells who sends that nothing came.
    With TLS, always TCP, as for the other two then."""
    TCP = "tcp"
    UDP = "udp"

    def ways(self, *, publishes: bool, secure: bool) -> tuple[Lower, ...]:
        """Return what to try, in order.

        Args:
            publishes: Rather than plays.
            secure: The connection has TLS, and datagrams would be readable beside it (D-TR-03).
        """
        if secure or self is Carrier.TCP:
            return (Lower.TCP,)
        if self is Carrier.UDP:
            return (Lower.UDP,)
        return (Lower.TCP, Lower.UDP) if publishes else (Lower.UDP, Lower.TCP)


class Options(NamedTuple):
    """How a server is talked to.

    Attributes:
        carrier: Of media.
        user: Instead of that of the address.
        password: Of `user`.
        basic: Answer Basic, too, which shows the password to everybody on the way.
        keepalive: By what a session is kept alive (D-TR-12).
        keepalive_seconds: How often; 0 for what the server's timeout asks for.
        connect_seconds: How long a connection may take, with the look-up of the name.
        answer_seconds: How long a server may take for an answer.
        fallback_seconds: How long nothing may come over UDP before TCP is tried (D-TR-04).
        silence_seconds: How long no media may come of what is played.
        stall_seconds: How long a server may take nothing of what is published to it over TCP.
        back_channel: Set up tracks that are for speaking to a camera, too (D-RQ-14).
        user_agent: This program.
        headers: Names and values of further headers of each request.
    """

    carrier: Carrier = Carrier.AUTO
    user: str = ""
    password: str = ""
    basic: bool = True
    keepalive: KeepAlive = KeepAlive.AUTO
    keepalive_seconds: float = 0.0
    connect_seconds: float = 10.0
    answer_seconds: float = ANSWER_SECONDS
    fallback_seconds: float = 3.0
    silence_seconds: float = 15.0
    stall_seconds: float = 10.0
    back_channel: bool = False
    user_agent: str = "ntvmedia"
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        # Without user and password: it may end up in a log.
        return f"<Options {self.carrier.value}>"


DEFAULTS: Final = Options()
"""What suits most servers and cameras."""


class RTSPError(RemoteError):
    """Playing or publishing came to nothing, or ended before its time.

    `RTSPClient` puts scheme, host and port before the message.
    """


def refusal(status: int, description: str) -> RTSPError:
    """Return what a server's refusal means.

    Args:
        status: Of its answer.
        description: In words.
    """
    permanent = status in _NEVER or (status < 500 and status not in _TEMPORARY)
    return RTSPError(description, status, is_permanent=permanent)
