"""RTSP and RTSPS as sources."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.clients.rtsp.addresses import check
from ntvmedia.interfaces import IHost, IPullSink, ISource


@implementer(IPlugin, ISource)
class RTSPSource:
    """Plays from a camera or another server, and gives on what comes as it is."""

    schemes: ClassVar[tuple[str, ...]] = ("rtsp", "rtsps")
    transcodes: ClassVar[bool] = False

    def check(self, url: str) -> None:
        check(url)

    def pull(self, host: IHost, url: str, options: Any, sink: IPullSink) -> Deferred[None]:
        # What connects needs much that whoever only looks for plugins does not.
        from ntvmedia.clients.rtsp.hosted import HostedRTSPClient, pull_options

        hosted: HostedRTSPClient = host.part(HostedRTSPClient)
        return hosted.client.play(url, sink, pull_options(options))
