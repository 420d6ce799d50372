"""RTMP and RTMPS as sources."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.clients.rtmp.addresses import parse_url
from ntvmedia.interfaces import IHost, IPullSink, ISource


@implementer(IPlugin, ISource)
class RTMPSource:
    """Plays from another server, and gives on what comes as it is."""

    schemes: ClassVar[tuple[str, ...]] = ("rtmp", "rtmps")
    transcodes: ClassVar[bool] = False

    def check(self, url: str) -> None:
        parse_url(url)

    def pull(self, host: IHost, url: str, options: Any, sink: IPullSink) -> Deferred[None]:
        # What connects needs much that whoever only looks for plugins does not.
        from ntvmedia.clients.rtmp.client import RTMPClient

        client: RTMPClient = host.part(RTMPClient.of)
        return client.play(url, sink, options)
