"""MPEG-TS in RTP (RFC 2250 section 2, "MP2T", payload type 33): packets of 188 bytes, whole."""

from __future__ import annotations

from collections.abc import Mapping

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.mpegts_demuxer import Demuxer, TrackEnded
from ntvmedia.formats.mpegts_packets import CLOCK_RATE, PACKET_SIZE
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD, RTPPacket
from ntvmedia.wire.rtp.payloads import Event


def packetise(data: bytes, mtu: int = MAX_PAYLOAD) -> list[bytes]:
    """Cut packets of MPEG-TS into payloads: seven each, as everybody does, by the default.

    Args:
        data: Whole packets of 188 bytes.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` is less than a packet, or `data` is not whole packets.
    """
    size = mtu - mtu % PACKET_SIZE
    if not size or len(data) % PACKET_SIZE:
        raise UsageError("MPEG-TS goes into RTP in whole packets of 188 bytes")
    return [data[place : place + size] for place in range(0, len(data), size)]


class Depacketiser:
    """Reads payloads, and the program in them: all its tracks come out of this one.

    Their times are those of MPEG-TS, which are exact, in place of RTP's, which tell when a packet
    was sent.

    Args:
        parameters: Nothing is read of them.
        clock_rate: Always 90000.
        channels: None.
        number: Not used: a program numbers its tracks itself.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        clock_rate: int = CLOCK_RATE,
        channels: int = 0,
        number: int = 0,
    ) -> None:
        self._demuxer = Demuxer()
        self._damaged = 0

    @property
    def damaged(self) -> int:
        """Places where packets were lost, or could not be read."""
        return self._damaged + self._demuxer.damaged

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        # What is lost, the counters in the packets tell better: for each stream by itself.
        self._demuxer.receive_data(packet.payload)
        return self._events(final=False)

    def flush(self) -> list[Event]:
        return self._events(final=True)

    def _events(self, *, final: bool) -> list[Event]:
        found: list[Event] = []
        source = self._demuxer.flush() if final else self._demuxer.events()
        try:
            found += (event for event in source if not isinstance(event, TrackEnded))
        except PeerError:
            # No MPEG-TS for 64 kB: begin anew.
            final = True
        if final:
            self._damaged += self._demuxer.damaged
            self._demuxer = Demuxer()
        return found
