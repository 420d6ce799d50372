"""Opus in RTP (RFC 7587): one packet of Opus is one of RTP, and the clock is 48 kHz.

With more than two channels it is what libwebrtc calls "multiopus", whose parameters are those of an
OpusHead; FFmpeg and GStreamer have it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ntvmedia.codecs import opus
from ntvmedia.errors import PeerError
from ntvmedia.formats import flv_tracks
from ntvmedia.formats.mpegts_clock import SampleClock
from ntvmedia.media.packets import Packet, Track
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD, RTPPacket
from ntvmedia.wire.rtp.payloads import Event, Payload

_REFERENCE: Final = "RFC 7587 section 6.1"
_MOST_CHANNELS: Final = 255


class Packetiser:
    """Makes payloads.

    Args:
        track: Opus.
        mtu: Bytes of a payload, at most: what is longer is left out, since Opus in RTP cannot be
            cut. At 510 kbit/s, its most for stereo, 20 ms have 1275 bytes.
    """

    clock_rate = opus.CLOCK_RATE
    step = 0

    def __init__(self, track: Track, mtu: int = MAX_PAYLOAD) -> None:
        self._mtu = mtu

    def packetise(self, packet: Packet) -> list[Payload]:
        # The marker is for the first packet after silence (section 4.1), of which nothing is known.
        return [(packet.payload, False)] if 0 < len(packet.payload) <= self._mtu else []


class Depacketiser:
    """Reads payloads; empty ones, and others that are no Opus, are left out.

    Args:
        parameters: Of the description's `fmtp`: `sprop-stereo`; for more channels `num_streams`,
            `coupled_streams` and `channel_mapping`.
        clock_rate: Always 48000, of whatever the sound was made.
        channels: Of the description: 2 for all but "multiopus".
        number: Of the track.

    Raises:
        PeerError: The channels' mapping is missing or broken.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        clock_rate: int = opus.CLOCK_RATE,
        channels: int = 2,
        number: int = 0,
    ) -> None:
        self.damaged = 0
        if channels > 2:
            head = _multichannel(parameters, channels)
        else:
            # RFC 7587 wants "/2" in any case, and says here how it really is; mono is the default,
            # but stereo senders leave it out as well, and a decoder makes the same of both.
            mono = channels == 1 or parameters.get("sprop-stereo", "").strip() == "0"
            head = opus.OpusHead(1 if mono else 2, coupled=0 if mono else 1)
        self._track = flv_tracks.opus_track(number, opus.build_opus_head(head), 0)
        self._clock = SampleClock()
        self._announced = False

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        events: list[Event] = []
        if not self._announced:
            self._announced = True
            events.append(self._track)
        payload = packet.payload
        try:
            samples = opus.packet_duration(payload)
        except PeerError:
            self.damaged += bool(payload)
            return events
        time = self._clock.time(ticks, samples)
        events.append(Packet(self._track, time, time, True, payload))
        return events

    def flush(self) -> list[Event]:
        return []


def parameters(track: Track) -> dict[str, str]:
    """Return what a session's description tells of a track in `fmtp`."""
    try:
        head = opus.parse_opus_head(track.config)
    except PeerError:
        return {}
    if head.channels > 2:
        return {
            "num_streams": str(head.streams),
            "coupled_streams": str(head.coupled),
            "channel_mapping": ",".join(map(str, head.mapping)),
        }
    return {"sprop-stereo": str(head.channels - 1)}


def _multichannel(parameters: Mapping[str, str], channels: int) -> opus.OpusHead:
    """Make the OpusHead of more channels than two, in the order of Vorbis.

    Raises:
        PeerError: Numbers are missing, or contradict one another.
    """
    texts = [parameters.get(name, "") for name in ("num_streams", "coupled_streams")]
    mapping = parameters.get("channel_mapping", "").split(",")
    numbers = [int(x) for x in (*texts, *mapping) if x.isascii() and x.isdigit() and len(x) < 4]
    wrong = len(numbers) != 2 + channels or channels > _MOST_CHANNELS or max(numbers) > 255
    if wrong:
        raise PeerError("the mapping of Opus' channels is broken", reference=_REFERENCE)
    head = opus.OpusHead(channels, 312, 48000, 0, 1, numbers[0], numbers[1], bytes(numbers[2:]))
    return opus.parse_opus_head(opus.build_opus_head(head))
