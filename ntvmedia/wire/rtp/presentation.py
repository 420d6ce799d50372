"""How tracks are described to those who may play them, and what a description offers.

RFC 8866, RFC 2326 appendix C.
"""

from __future__ import annotations

from collections.abc import Iterable

from ntvmedia.media.packets import Track
from ntvmedia.wire.rtp.formats import Format, describe, find_format
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


def media_format(media: MediaDescription) -> Format | None:
    """Return the first payload type of a described media that can be read; None for none."""
    if "RTP" not in media.protocol:
        return None
    for payload_type in media.payload_types:
        rtpmap = media.rtpmap(payload_type)
        text = "" if rtpmap is None else "/".join(map(str, rtpmap))
        found = find_format(payload_type, text, media.fmtp(payload_type))
        if found is not None:
            return found
    return None


def media_name(media: MediaDescription) -> str:
    """Return what a described media is, in the peer's words, for a message."""
    for payload_type in media.payload_types:
        rtpmap = media.rtpmap(payload_type)
        return rtpmap.encoding if rtpmap is not None else f"payload type {payload_type}"
    return f"{media.kind} {media.protocol}"


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
