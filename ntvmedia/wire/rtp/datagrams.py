"""RTP packets for UDP: as within RTSP, in blocks that are short, with a goodbye at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ntvmedia.wire.rtp.interleaving import InterleavedSerialiser
from ntvmedia.wire.rtp.rtcp import Goodbye, build_compound
from ntvmedia.wire.rtp.stream_sender import StreamSender
from ntvmedia.wire.rtsp.messages import build_interleaved


class DatagramSerialiser(InterleavedSerialiser):
    """Writes blocks whose datagrams stand behind heads as of RTSP's frames.

    Args:
        sender: As in `InterleavedSerialiser`.
        channels: Likewise; what is on which address is up to each viewer.
        wall_seconds: Likewise.
        longest_block_ms: Of media in a block: what is sent in one go.

    Attributes:
        longest_block_ms: As given.
    """

    def __init__(
        self,
        sender: StreamSender,
        channels: Mapping[int, int],
        wall_seconds: Callable[[], float],
        longest_block_ms: int,
    ) -> None:
        super().__init__(sender, channels, wall_seconds)
        self.longest_block_ms = longest_block_ms

    def trailer(self) -> bytes:
        # Without a connection that ends, this is how a player knows (RFC 3550 section 6.6).
        now = self._wall_seconds()
        frames: list[bytes] = []
        for track in self._tracks.values():
            goodbye = build_compound((Goodbye((self._sender.ssrc(track),)),))
            report = self._sender.report(track, now) + goodbye
            frames.append(build_interleaved(self._channels[track.id] + 1, report))
        return b"".join(frames)
