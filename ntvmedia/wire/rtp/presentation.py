"""How the tracks of a stream are described to those who may play it (RFC 8866, RFC 2326 C)."""

from __future__ import annotations

from collections.abc import Iterable

from ntvmedia.media.packets import Track
from ntvmedia.wire.rtp.formats import describe
from ntvmedia.wire.rtp.stream_sender import StreamSender
from ntvmedia.wire.rtsp.urls import track_control
from ntvmedia.wire.sdp import Attribute, Connection, MediaDescription, Origin, SessionDescription


def describe_stream(
    sender: StreamSender, tracks: Iterable[Track], name: str, session_id: str
) -> SessionDescription:
    """Describe some tracks, each with `a=control:trackID=` and its place among them.

    Args:
        sender: Of the stream.
        tracks: Those that `can_send`.
        name: Of the stream, for people.
        session_id: Digits, the same for as long as the stream is described in the same way.
    """
    return SessionDescription(
        media=tuple(_media(sender, track, place) for place, track in enumerate(tracks)),
        origin=Origin(session_id=session_id, session_version="1"),
        name=name,
        connection=Connection("IP4", "0.0.0.0"),  # noqa: S104 - wherever the client is
        attributes=(
            Attribute("tool", "ntvmedia"),
            Attribute("control", "*"),
            Attribute("range", "npt=now-"),
        ),
    )


def _media(sender: StreamSender, track: Track, place: int) -> MediaDescription:
    described = describe(track)
    assert described is not None
    payload_type = str(sender.payload_type(track))
    attributes = [Attribute("rtpmap", f"{payload_type} {described.rtpmap}")]
    if described.fmtp:
        attributes.append(Attribute("fmtp", f"{payload_type} {described.fmtp}"))
    if track.language:
        attributes.append(Attribute("lang", track.language))
    attributes.append(Attribute("control", track_control(place)))
    return MediaDescription(track.kind.value, (payload_type,), attributes=tuple(attributes))
