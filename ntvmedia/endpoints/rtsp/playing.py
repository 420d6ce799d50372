"""What one RTSP session plays: the stream as it was described, and its viewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ntvmedia.endpoints.rtsp.senders import INTERLEAVED, Senders
from ntvmedia.endpoints.selection import track_options
from ntvmedia.errors import Refused
from ntvmedia.hub.blocks import BlockOutlet
from ntvmedia.hub.rendition import RenditionKey, select_tracks
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.viewer import OutletViewer
from ntvmedia.media import MediaKind, Track
from ntvmedia.wire.rtp.stream_sender import StreamSender, can_send

if TYPE_CHECKING:
    from ntvmedia.endpoints.rtsp.connection import RTSPConnection


class NothingToSend(Refused):
    """RTP has no payload format for any of the tracks."""


class Presentation(NamedTuple):
    """A stream as it was described to a client, which refers to tracks by their place.

    Attributes:
        target: Path and query that were asked for.
        stream: That was found.
        options: Which tracks the address asks for.
        tracks: Those that are offered, in order.
        sender: Of the stream, kept for as long as this is.
    """

    target: str
    stream: Stream
    options: dict[str, str]
    tracks: tuple[Track, ...]
    sender: StreamSender


def present(
    target: str, stream: Stream, query: Mapping[str, str], senders: Senders
) -> Presentation:
    """Choose what an address offers of a stream.

    Raises:
        NothingToSend: There is nothing that RTP carries.
    """
    options = track_options(query)
    chosen = select_tracks(stream.tracks, options)
    tracks = tuple(x for x in chosen if x.kind is not MediaKind.DATA and can_send(x))
    if not tracks:
        raise NothingToSend("RTP can carry none of the stream's tracks")
    return Presentation(target, stream, options, tracks, senders.of(stream))


def rendition_key(
    senders: Senders, presentation: Presentation, channels: Mapping[int, int], format: str
) -> RenditionKey:
    """Return what makes the rendition of some tracks.

    Args:
        senders: Of the server.
        presentation: What was described.
        channels: By the place of each track that was set up: the channel of its packets.
        format: "rtsp" or "rtsp-udp".
    """
    tracks = {place: presentation.tracks[place] for place in channels}
    by_track = {tracks[place].id: channel for place, channel in channels.items()}
    options = {**presentation.options}
    for kind in (MediaKind.VIDEO, MediaKind.AUDIO):
        # What was not set up begins no group and is no reason to wait.
        if not any(track.kind is kind for track in tracks.values()):
            options[kind] = "none"
    options |= senders.options(presentation.sender, by_track)
    return RenditionKey(format, tuple(sorted(options.items())))


class Player:
    """A viewer within an RTSP connection.

    Args:
        connection: Which is told when it is over.
        presentation: What was described.
        channels: By the place of each track that was set up: the channel of its packets.
        outlet: Its way out; None for the connection's own.
        format: Of what goes there.
    """

    __slots__ = (
        "_connection",
        "_info",
        "_key",
        "_outlet",
        "_presentation",
        "_sender",
        "_tracks",
        "_viewer",
    )

    def __init__(
        self,
        connection: RTSPConnection,
        presentation: Presentation,
        channels: Mapping[int, int],
        *,
        outlet: BlockOutlet | None = None,
        format: str = INTERLEAVED,
    ) -> None:
        self._connection = connection
        self._presentation = presentation
        self._info = connection.viewer_info()
        self._tracks = {place: presentation.tracks[place] for place in channels}
        self._sender = presentation.sender
        self._key = rendition_key(connection.factory.senders, presentation, channels, format)
        self._outlet: BlockOutlet = connection.outlet if outlet is None else outlet
        self._viewer: OutletViewer | None = None

    def starts(self) -> dict[int, tuple[int, int]]:
        """Tell where each track will begin: by place, sequence number and RTP timestamp.

        Nothing is told before there is something to begin with: the next keyframe is to come.

        Raises:
            NotFound: The stream is over.
        """
        if self._viewer is not None:
            return {}
        time_ms = self._presentation.stream.joins_at(self._key)
        if time_ms is None:
            return {}
        starts = self._sender.starts_at(time_ms, self._tracks.values())
        return {
            place: starts[track.id] for place, track in self._tracks.items() if track.id in starts
        }

    def play(self) -> None:
        """Begin, or go on at the next keyframe.

        Raises:
            NotFound: The stream is over.
        """
        if self._viewer is None:
            self._viewer = self._presentation.stream.play(
                self._key, self._outlet, self._info, self._ended
            )
        else:
            self._viewer.pause(False)

    def pause(self) -> None:
        """Send nothing for a while."""
        if self._viewer is not None:
            self._viewer.pause(True)
            if self._outlet is not self._connection.outlet:
                # What waits there is no answer that somebody needs.
                self._outlet.skip_to_keyframe()

    def leave(self) -> None:
        """Stop watching. Idempotent."""
        if self._viewer is not None:
            self._viewer.leave()

    def _ended(self, reason: str) -> None:
        self._connection.player_ended(reason)
