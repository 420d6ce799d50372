"""One message stream that a connection plays, and what it may choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ntvmedia.access import Request, Verdict
from ntvmedia.endpoints.asking import aged
from ntvmedia.endpoints.selection import track_options
from ntvmedia.errors import Refused
from ntvmedia.hub.rendition import RenditionKey, select_tracks
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.viewer import OutletViewer, ViewerInfo
from ntvmedia.media import MediaKind, Track
from ntvmedia.wire.rtmp.capabilities import Capabilities

if TYPE_CHECKING:
    from ntvmedia.endpoints.rtmp.connection import RTMPConnection

FORMAT = "rtmp"


class CannotDecode(Refused):
    """The player said which codecs it knows, and the stream's is not among them."""


def wanted_rendition(
    stream: Stream, query: Mapping[str, str], stream_id: int, capabilities: Capabilities
) -> RenditionKey:
    """Choose what a player gets, by its address and by what it can decode.

    Args:
        stream: Its tracks are known.
        query: Of the address: `audio=1`, `track=N`.
        stream_id: The message stream.
        capabilities: What the player announced. One that announced nothing gets what there is:
            FFmpeg decodes HEVC and AV1, but says so only when told to.

    Raises:
        CannotDecode: It announced codecs, and not the one of its track.
    """
    options = track_options(query)
    if stream_id != 1:
        options["stream_id"] = str(stream_id)
    if capabilities.is_enhanced:
        for track in select_tracks(stream.tracks, options):
            if not capabilities.takes(track.codec):
                options[track.kind] = _other(stream.tracks, track, capabilities)
    return RenditionKey(FORMAT, tuple(sorted(options.items())))


def _other(tracks: Sequence[Track], track: Track, capabilities: Capabilities) -> str:
    """Return the number of the first track of the same kind that the player decodes."""
    numbers = [x.number for x in tracks if x.kind is track.kind and capabilities.takes(x.codec)]
    if not numbers:
        raise CannotDecode(f"the player does not decode {track.codec}")
    return str(min(numbers))


class Player:
    """A viewer over RTMP.

    Args:
        connection: Which is told when it is over.
        stream_id: As below.
        stream: What it plays.
        key: The rendition of that.
        request: What was allowed.
        verdict: The answer, of this moment.

    Attributes:
        stream_id: The message stream.
    """

    __slots__ = ("_began", "_connection", "_info", "_key", "_stream", "_viewer", "stream_id")

    def __init__(
        self,
        connection: RTMPConnection,
        stream_id: int,
        stream: Stream,
        key: RenditionKey,
        request: Request,
        verdict: Verdict,
    ) -> None:
        self.stream_id = stream_id
        self._connection = connection
        self._stream = stream
        self._key = key
        self._began = connection.factory.host.reactor.seconds()
        self._info = ViewerInfo(
            connection.protocol,
            connection.peer,
            request.user_agent,
            request.page_url,
            request,
            verdict,
        )
        self._viewer: OutletViewer | None = None
        self._viewer = stream.play(key, connection.outlet, self._info, self._ended)

    def pause(self, paused: bool) -> None:
        """Send nothing for a while, or go on at the next keyframe."""
        if self._viewer is not None:
            self._viewer.pause(paused)

    def receive(self, kind: MediaKind, wanted: bool) -> None:
        """Leave one kind of media out, or send it again."""
        options = dict(self._key.options)
        if wanted:
            options.pop(kind, None)
        else:
            options[kind] = "none"
        key = RenditionKey(FORMAT, tuple(sorted(options.items())))
        if key == self._key:
            return
        self._key = key
        self.leave()
        # As another viewer it may stay as long as the first might, and no longer.
        passed = self._connection.factory.host.reactor.seconds() - self._began
        info = replace(self._info, verdict=aged(self._info.verdict, passed))
        self._viewer = self._stream.play(
            key, self._connection.outlet, info, self._ended, from_now=True
        )

    def leave(self) -> None:
        """Stop watching. Idempotent."""
        if self._viewer is not None:
            self._viewer.leave()

    def _ended(self, reason: str) -> None:
        # Without a viewer: sent away as it came.
        kicked = self._viewer is None or self._viewer.kicked
        self._connection.player_ended(self.stream_id, reason, kicked=kicked)
