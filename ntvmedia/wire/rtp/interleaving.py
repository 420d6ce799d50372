"""RTP packets between the messages of an RTSP connection (RFC 2326 section 10.12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.timebase import to_milliseconds
from ntvmedia.wire.rtp.rtcp import Goodbye, build_compound
from ntvmedia.wire.rtp.stream_sender import StreamSender

REPORT_MS: Final = 5000
"""Between two sender reports of a track, in stream time (RFC 3550 section 6.2)."""

_HEAD: Final = struct.Struct(">BBH").pack
_DOLLAR: Final = 0x24


class InterleavedSerialiser:
    """Writes the packets of some tracks of a stream as frames, each track on channels of its own.

    Who joins gets the sender reports of all tracks first (D-PL-05), then the packets.

    Args:
        sender: Of the stream.
        channels: By track: the channel of its RTP packets; that of its reports is the next one.
            Other tracks are left out.
        wall_seconds: Returns seconds since 1970.
    """

    def __init__(
        self, sender: StreamSender, channels: Mapping[int, int], wall_seconds: Callable[[], float]
    ) -> None:
        self._sender = sender
        self._channels = dict(channels)
        self._wall_seconds = wall_seconds
        self._tracks: dict[int, Track] = {}
        self._report_ms = 0

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        # What the client knows of the tracks is in the description that it has; a configuration
        # that changes is told by the packets themselves.
        self._tracks = {track.id: track for track in tracks if track.id in self._channels}
        return b""

    def header(self, timestamp: int) -> bytes:
        return self._reports()

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        track = packet.track
        channel = self._channels.get(track.id)
        if channel is None:
            return
        for data in self._sender.packets(packet):
            parts.append(_HEAD(_DOLLAR, channel, len(data)))
            parts.append(data)
        time_ms = to_milliseconds(packet.dts, track.clock_rate)
        if not 0 <= time_ms - self._report_ms < REPORT_MS:
            self._report_ms = time_ms
            parts.append(self._reports())

    def trailer(self) -> bytes:
        # How a player knows that no more comes: over UDP, and GStreamer's waits for it anywhere
        # (RFC 3550 section 6.6).
        now = self._wall_seconds()
        frames: list[bytes] = []
        for track in self._tracks.values():
            goodbye = build_compound((Goodbye((self._sender.ssrc(track),)),))
            report = self._sender.report(track, now) + goodbye
            frames += (_HEAD(_DOLLAR, self._channels[track.id] + 1, len(report)), report)
        return b"".join(frames)

    def frame(self, block: bytes) -> bytes:
        return block

    def _reports(self) -> bytes:
        now = self._wall_seconds()
        frames: list[bytes] = []
        for track in self._tracks.values():
            report = self._sender.report(track, now)
            frames += (_HEAD(_DOLLAR, self._channels[track.id] + 1, len(report)), report)
        return b"".join(frames)
