"""What a client makes of a server's answers: addresses, transports, where tracks begin."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final

from ntvmedia.errors import PeerError
from ntvmedia.wire.rtsp.events import Redirected, Rejected, RemoteTrack
from ntvmedia.wire.rtsp.headers import Headers
from ntvmedia.wire.rtsp.rtp_info import TrackInfo
from ntvmedia.wire.rtsp.transport import Lower, Transport, parse_transport
from ntvmedia.wire.rtsp.urls import parse_url, resolve_control, target_of, writable
from ntvmedia.wire.sdp import Direction, SessionDescription

MAX_HOPS: Final = 5
"""Redirections one after the other (D-RQ-15)."""

_SCHEMES: Final = frozenset({"rtsp", "rtsps"})


def answered_base(headers: Headers, url: str) -> str:
    """Return the address that those of tracks are relative to (RFC 2326 section C.1.1, D-RQ-12).

    Args:
        headers: Of the answer to DESCRIBE.
        url: That was described.
    """
    for name in ("content-base", "content-location"):
        given = headers.get(name).strip()
        if given:
            base = resolve_control(url, given) if given.startswith("/") else given
            try:
                return str(parse_url(base))
            except PeerError:
                # Cameras give a host without scheme, or nonsense: what was asked for is right.
                continue
    return url


def remote_tracks(base: str, description: SessionDescription) -> tuple[RemoteTrack, ...]:
    """Return the tracks of a description."""
    return tuple(
        RemoteTrack(
            index,
            writable(resolve_control(base, media.control)),
            media,
            description.direction(media) is Direction.SENDONLY,
        )
        for index, media in enumerate(description.media)
    )


def settled_transport(asked: Transport, text: str, taken: Container[int]) -> Transport:
    """Return how a track is carried, from what was asked for and what the server answered.

    A server may have UDP asked for and answer TCP, if it names the channels.

    Args:
        asked: What was asked for.
        text: The `Transport` header; empty where it has none.
        taken: Channels that are in use.

    Raises:
        PeerError: It is nothing that can work.
    """
    given = parse_transport(text) if text.strip() else [asked]
    if not given:
        raise _wrong("a transport of which nothing is known")
    found = given[0]
    if found.lower is Lower.TCP:
        channels = found.interleaved or asked.interleaved
        if channels is None:
            raise _wrong("TCP without channels")
        if channels[0] == channels[1] or any(channel in taken for channel in channels):
            raise _wrong("channels that are in use")
        return found._replace(interleaved=channels, client_port=None)
    if asked.lower is Lower.TCP:
        raise _wrong("UDP where TCP was asked for")
    if found.is_multicast and (not found.destination or found.port is None):
        raise _wrong("multicast without a group")
    return found._replace(interleaved=None, client_port=asked.client_port)


def matching_infos(infos: Sequence[TrackInfo], urls: Mapping[int, str]) -> dict[int, TrackInfo]:
    """Find out which track each entry of `RTP-Info` is about.

    By the whole address, else by how it ends; where none is like any, by the order.

    Args:
        infos: From the answer to PLAY.
        urls: The address of each track that was set up, in the order of SETUP.
    """
    found: dict[int, TrackInfo] = {}
    for info in infos:
        name = target_of(info.url).rstrip("/")
        for index, url in urls.items():
            target = target_of(url).rstrip("/")
            if index not in found and name and (target == name or target.endswith(f"/{name}")):
                found[index] = info
                break
    if not found and len(infos) == len(urls):
        return dict(zip(urls, infos, strict=True))
    return found


def redirected(status: int, headers: Headers, url: str, hops: int) -> Redirected | Rejected:
    """Return where a server wants its client, or that this goes too far (D-RQ-15).

    Args:
        status: Of the answer.
        headers: With `Location`.
        url: Where the client is now.
        hops: How many redirections led here.
    """
    location = headers.get("location").strip()
    place = resolve_control(url, location) if location.startswith("/") else location
    try:
        wanted = parse_url(place)
    except PeerError:
        return Rejected(status, "redirected to what is no address of RTSP")
    if wanted.scheme not in _SCHEMES:
        return Rejected(status, "redirected to another protocol")
    if url.startswith("rtsps:") and wanted.scheme != "rtsps":
        return Rejected(status, "redirected from TLS to where there is none")
    if hops >= MAX_HOPS:
        return Rejected(status, f"redirected more than {MAX_HOPS} times")
    return Redirected(place, hops + 1)


def _wrong(what: str) -> PeerError:
    return PeerError(f"the server sets up {what}", reference="RFC 2326 12.39")
