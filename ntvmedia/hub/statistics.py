"""Streams and viewers as plain values, for the API, the console and metrics."""

from __future__ import annotations

from typing import Any

from ntvmedia.codecs.description import describe
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.timeline import TrackState
from ntvmedia.hub.viewer import Viewer


def describe_stream(stream: Stream) -> dict[str, Any]:
    """Return what an operator wants to know of one stream.

    Times are seconds, rates bits a second, sizes bytes.
    """
    publication = stream.publication
    publisher = publication.publisher if publication is not None else None
    return {
        "name": str(stream.key),
        "application": stream.key.application,
        "stream": stream.key.stream,
        "state": stream.state.value,
        "started_at": stream.started_at,
        "publisher": None
        if publication is None or publisher is None
        else {
            "protocol": publisher.protocol,
            "peer": publisher.peer,
            "started_at": publication.started_at,
            "bytes_in": publication.bytes_in,
        },
        "epoch": None
        if stream.epoch is None
        else {"id": stream.epoch.id, "wall_seconds": stream.epoch.wall_seconds},
        "position_seconds": round(stream.timeline.position, 3),
        "bytes_in": stream.bytes_in,
        "bytes_out": stream.bytes_out + sum(viewer.bytes_out for viewer in stream.viewers),
        "bitrate_in": round(stream.bitrate),
        "bitrate_out": round(sum(viewer.bitrate for viewer in stream.viewers)),
        "frame_rate": round(stream.frame_rate, 2),
        "viewers": len(stream.viewers),
        "dropped_blocks": stream.audience.dropped_blocks
        + sum(viewer.dropped_blocks for viewer in stream.viewers),
        "stalled_viewers": stream.audience.stalled,
        "clock_jumps": stream.timeline.jumps,
        "straightened_packets": stream.timeline.straightened,
        "tracks": [_track(state) for state in stream.timeline.states.values() if state.packets],
        "renditions": [
            {
                "format": rendition.key.format,
                "options": dict(rendition.key.options),
                "viewers": rendition.users,
                "blocks": rendition.blocks_made,
                "bytes": rendition.bytes_made,
            }
            for rendition in stream.renditions.values()
        ],
    }


def describe_viewer(viewer: Viewer) -> dict[str, Any]:
    """Return what an operator wants to know of one viewer, in the same units."""
    return {
        "session": viewer.session,
        "protocol": viewer.info.protocol,
        "peer": viewer.info.peer,
        "user_agent": viewer.info.user_agent,
        "page_url": shown_page(viewer.info.page_url),
        "started_at": viewer.started_at,
        "bytes_out": viewer.bytes_out,
        "bitrate": round(viewer.bitrate),
        "queued_bytes": viewer.queued_bytes,
        "dropped_blocks": viewer.dropped_blocks,
    }


def shown_page(url: str) -> str:
    """Return the address of a viewer's page as far as people may see it (F-AC-03).

    What stands in its query, as on a page of ours, may be all that it takes to play.
    """
    place = url.partition("#")[0].partition("?")[0]
    scheme, mark, rest = place.partition("://")
    if not mark:
        return place
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def _track(state: TrackState) -> dict[str, Any]:
    track = state.track
    description = describe(track)
    return {
        "kind": track.kind.value,
        "number": track.number,
        "codec": track.codec.value,
        "codec_string": description.codec_string,
        "profile": description.profile,
        "level": description.level,
        "width": description.width,
        "height": description.height,
        "nominal_frame_rate": description.frame_rate,
        "sample_rate": description.sample_rate,
        "channels": description.channels or track.channels,
        "language": track.language,
        "packets": state.packets,
        "bytes": state.bytes,
        "keyframe_interval": round(state.keyframe_interval / track.clock_rate, 3),
    }
