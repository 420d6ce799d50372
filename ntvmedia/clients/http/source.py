"""HTTP and HTTPS as sources: FLV, MPEG-TS, HLS, and by FFmpeg whatever else it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.interfaces import IHost, IPullSink, ITranscodingSource
from ntvmedia.media.relaying import OutputOptions, PullOptions
from ntvmedia.outbound import parse_target


@implementer(IPlugin, ITranscodingSource)
class HTTPSource:
    """Asks for an address once, and takes what is there for what it is."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")
    transcodes: ClassVar[bool] = True

    def check(self, url: str) -> None:
        parse_target(url)

    def pull(self, host: IHost, url: str, options: PullOptions, sink: IPullSink) -> Deferred[None]:
        return self.pull_transcoded(host, url, options, ((OutputOptions(), sink),))

    def pull_transcoded(
        self,
        host: IHost,
        url: str,
        options: PullOptions,
        outputs: Sequence[tuple[OutputOptions, Any]],
    ) -> Deferred[None]:
        # What reads all those formats is not for whoever only looks for plugins.
        from ntvmedia.clients.http.pulling import Pull

        return Deferred.fromCoroutine(Pull(host, url, options, outputs).run())
