"""Sound without compression in RTP (RFC 3551 section 4.5): G.711 as PCMA and PCMU, and L16."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Final

from ntvmedia.errors import UsageError
from ntvmedia.formats.mpegts_clock import SampleClock
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD, RTPPacket
from ntvmedia.wire.rtp.payloads import Event, Payload

_SAMPLE_BYTES: Final = {Codec.PCM_ALAW: 1, Codec.PCM_MULAW: 1, Codec.PCM_S16LE: 2}


class Packetiser:
    """Makes payloads; a packet that is too long goes into several, each with its own time.

    Args:
        track: G.711 or 16 bits, little endian.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: The codec is another, or `mtu` has no room for a sample of each channel.
    """

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        sample = _SAMPLE_BYTES.get(track.codec)
        if sample is None:
            raise UsageError(f"{track.codec} is not sent as PCM")
        block = sample * max(1, track.channels)
        if mtu < block:
            raise UsageError("a payload of RTP holds a sample of each channel at least")
        self.clock_rate = track.clock_rate
        self.step = mtu // block
        self._size = self.step * block
        self._block = block
        self._swaps = sample == 2

    def packetise(self, packet: Packet) -> list[Payload]:
        data = packet.payload
        if len(data) % self._block:
            data = data[: -(len(data) % self._block)]
        if self._swaps:
            data = _swapped(data)
        size = self._size
        # The marker is for the beginning of a talkspurt (section 4.1), which live sound has not.
        return [(data[place : place + size], False) for place in range(0, len(data), size)]


class _Depacketiser:
    """What is common to all: one payload is one packet, and its samples are its time.

    Args:
        parameters: Nothing is read of them.
        clock_rate: The sample rate.
        channels: Of the description; 1 where it does not tell.
        number: Of the track.
    """

    _codec: Codec

    def __init__(
        self, parameters: Mapping[str, str], clock_rate: int, channels: int = 1, number: int = 0
    ) -> None:
        self.damaged = 0
        channels = max(1, channels)
        self._track = Track(self._codec, number, clock_rate=clock_rate, channels=channels)
        self._block = _SAMPLE_BYTES[self._codec] * channels
        self._swaps = self._codec is Codec.PCM_S16LE
        self._clock = SampleClock()
        self._announced = False

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events: list[Event] = []
        if not self._announced:
            self._announced = True
            events.append(self._track)
        data = packet.payload
        samples = len(data) // self._block
        if not samples:
            self.damaged += bool(data)
            return events
        if len(data) % self._block:
            data = data[: samples * self._block]
        if self._swaps:
            data = _swapped(data)
        time = self._clock.time(ticks, samples)
        events.append(Packet(self._track, time, time, True, data))
        return events

    def flush(self) -> list[Event]:
        return []


class ALawDepacketiser(_Depacketiser):
    """Reads payloads of PCMA."""

    _codec = Codec.PCM_ALAW


class MuLawDepacketiser(_Depacketiser):
    """Reads payloads of PCMU."""

    _codec = Codec.PCM_MULAW


class L16Depacketiser(_Depacketiser):
    """Reads payloads of L16: 16 bits, big endian."""

    _codec = Codec.PCM_S16LE


def _swapped(data: bytes) -> bytes:
    samples = array("H", data)
    samples.byteswap()
    return samples.tobytes()
