"""RTP packets for UDP: as within RTSP, in blocks that are short."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ntvmedia.wire.rtp.interleaving import InterleavedSerialiser
from ntvmedia.wire.rtp.stream_sender import StreamSender


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
