"""RTSP and RTSPS as targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.clients.rtsp.addresses import check
from ntvmedia.interfaces import IHost, IPushFeed, ITarget
from ntvmedia.media.packets import MediaKind, Packet, Track

if TYPE_CHECKING:
    from ntvmedia.clients.rtsp.publishing import Target


@implementer(IPushFeed)
class Feed:
    """Takes the packets for one publication.

    RTSP announces all tracks first, and has no words for what is said of a stream: tracks that come
    later and metadata are left out.

    Args:
        target: What they are published to.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._has_video = False
        self._has_begun = False

    @property
    def dropped(self) -> int:
        """Packets that were not sent, since the server was too slow."""
        return self._target.dropped

    @property
    def bytes_out(self) -> int:
        """Bytes of RTP that were sent so far."""
        return self._target.bytes_out

    def track_received(self, track: Track) -> None:
        self._has_video = self._has_video or track.kind is MediaKind.VIDEO
        self._target.track_received(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Do nothing: there is no way to say it."""

    def packet_received(self, packet: Packet) -> None:
        if not self._has_begun:
            is_picture = packet.track.kind is MediaKind.VIDEO
            if self._has_video and not (is_picture and packet.is_keyframe):
                return
            self._has_begun = True
        self._target.packet_received(packet)

    def batch_ended(self) -> None:
        """Do nothing: each packet is sent at once."""

    def end(self) -> None:
        self._target.end()


@implementer(IPlugin, ITarget)
class RTSPTarget:
    """Publishes to another server, without a change of what is sent."""

    schemes: ClassVar[tuple[str, ...]] = ("rtsp", "rtsps")

    def check(self, url: str) -> None:
        check(url)

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
        from ntvmedia.clients.rtsp.hosted import HostedRTSPClient, push_options

        hosted: HostedRTSPClient = host.part(HostedRTSPClient)
        return hosted.client.publish(
            url, tracks, lambda target: started(Feed(target)), push_options(options)
        )
