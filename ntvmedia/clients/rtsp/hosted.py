"""The RTSP client that a server has, and what relays tell it."""

from __future__ import annotations

from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from ntvmedia.clients.rtsp.client import RTSPClient
from ntvmedia.clients.rtsp.options import Carrier, Options
from ntvmedia.interfaces import IHost
from ntvmedia.media.hops import HOPS_FIELD, write_hops
from ntvmedia.media.relaying import PullOptions, PushOptions

_FALLBACK_SECONDS: Final = 3.0


class HostedRTSPClient(Service):
    """The one client of a server, for `IHost.part`: it hangs up when the server stops.

    Attributes:
        client: The client.
    """

    def __init__(self, host: IHost) -> None:
        self.client = RTSPClient(
            host.reactor, host.connector, host.random, server_id=host.server_id
        )

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.client.close()


def pull_options(options: PullOptions) -> Options:
    """Return how a source is asked: UDP has to bring something in time for TCP to be tried."""
    return Options(
        carrier=Carrier(options.transport),
        silence_seconds=options.stall_seconds,
        fallback_seconds=min(_FALLBACK_SECONDS, options.stall_seconds / 2),
        headers=_hops(options.hops),
    )


def push_options(options: PushOptions) -> Options:
    """Return how a target is asked."""
    return Options(
        carrier=Carrier(options.transport),
        stall_seconds=options.stall_seconds,
        headers=_hops(options.hops),
    )


def _hops(hops: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return ((HOPS_FIELD, write_hops(hops)),) if hops else ()
