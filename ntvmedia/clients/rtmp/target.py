"""RTMP and RTMPS as targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.clients.rtmp.addresses import parse_url
from ntvmedia.interfaces import IHost, IPushFeed, ITarget


@implementer(IPlugin, ITarget)
class RTMPTarget:
    """Publishes to another server, without a change of what is sent."""

    schemes: ClassVar[tuple[str, ...]] = ("rtmp", "rtmps")

    def check(self, url: str) -> None:
        parse_url(url)

    def push(
        self,
        host: IHost,
        url: str,
        tracks: Any,
        metadata: Mapping[str, object],
        options: Any,
        started: Callable[[IPushFeed], None],
    ) -> Deferred[None]:
        # What connects needs much that whoever only looks for plugins does not.
        from ntvmedia.clients.rtmp.client import RTMPClient

        client: RTMPClient = host.part(RTMPClient.of)
        return client.publish(url, tracks, metadata, options, started)
