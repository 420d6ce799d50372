"""Streams of each codec for tests: packets whose payloads tell which they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ntvmedia.codecs.nal import join_length_prefixed
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import describe, find_format
from ntvmedia.wire.rtp.packets import RTPPacket, parse_packet
from ntvmedia.wire.rtp.payloads import Event
from ntvmedia.wire.rtp.receiver import Receiver
from ntvmedia.wire.rtp.sending import Sender
from tests.codecs import vectors

PAYLOAD_TYPE: Final = 96

H264: Final = Track(Codec.H264, config=vectors.AVCC_1080)
HEVC: Final = Track(Codec.HEVC, config=vectors.HVCC_720)
AV1: Final = Track(Codec.AV1, config=vectors.AV1C_720)
VP9: Final = Track(Codec.VP9, config=vectors.VPCC_360)
VP8: Final = Track(Codec.VP8)
AAC: Final = Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO, channels=2)
OPUS: Final = Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_STEREO, channels=2)
PCMA: Final = Track(Codec.PCM_ALAW, clock_rate=8000, channels=1)
MP3: Final = Track(Codec.MP3, clock_rate=44100, channels=1)
AC3: Final = Track(Codec.AC3, clock_rate=48000, config=vectors.DAC3_51, channels=6)


def filling(number: int, size: int) -> bytes:
    """Return bytes that tell a number, without what looks like a header of anything."""
    return (b"%06d." % number * (size // 7 + 1))[:size]


def h264(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a frame of slices with these sizes."""
    units = [b"\x06\x05" + filling(number, 20)] if sei else []
    for index, size in enumerate(sizes):
        first = b"\x65" if key else b"\x41"
        units.append(first + (b"\x40" if index else b"\x88") + filling(number, size))
    return _video(H264, number, key, join_length_prefixed(units))


def hevc(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a frame of slices with these sizes."""
    units = [b"\x4e\x01\x05" + filling(number, 20)] if sei else []
    for index, size in enumerate(sizes):
        first = b"\x26\x01" if key else b"\x02\x01"
        units.append(first + (b"\x40" if index else b"\x88") + filling(number, size))
    return _video(HEVC, number, key, join_length_prefixed(units))


def av1(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a temporal unit of a sequence header, perhaps metadata, and frame OBUs."""
    units = [vectors.AV1C_720[4:]] if key else []
    if sei:
        units.append(_obu(0x2A, filling(number, 20)))
    for index, size in enumerate(sizes):
        head = 0x22 if index else 0x32  # OBU_TILE_GROUP, OBU_FRAME
        units.append(_obu(head, (b"\x10" if key else b"\x30") + filling(number, size)))
    return _video(AV1, number, key, b"".join(units))


def vp9(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a frame."""
    head = vectors.VP9_360[:16] if key else b"\x86"
    return _video(VP9, number, key, head + filling(number, sum(sizes)))


def vp8(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a frame."""
    head = vectors.VP8_144[:16] if key else b"\x31"
    return _video(VP8, number, key, head + filling(number, sum(sizes)))


def aac(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a frame, which is a fragment or more."""
    return Packet(
        AAC, 1024 * number, 1024 * number, True, b"\x21" + filling(number, min(sizes[0], 8000))
    )


def opus(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a packet of 20 ms."""
    size = min(sizes[0], 1200)
    return Packet(OPUS, 960 * number, 960 * number, True, b"\xfc" + filling(number, size))


def pcma(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make 20 ms."""
    return Packet(PCMA, 160 * number, 160 * number, True, filling(number, 160))


def mp3(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a frame of 128 kbit/s."""
    return Packet(MP3, 1152 * number, 1152 * number, True, mp3_frame(number))


def ac3(number: int, sizes: Sequence[int], *, key: bool, sei: bool = False) -> Packet:
    """Make a frame of 448 kbit/s, which is longer than a packet."""
    payload = vectors.AC3_51 + filling(number, 1792 - len(vectors.AC3_51))
    return Packet(AC3, 1536 * number, 1536 * number, True, payload)


def mp3_frame(number: int) -> bytes:
    """Return a frame of 128 kbit/s, mono, 44.1 kHz: 417 bytes."""
    return vectors.MP3_MONO_44 + filling(number, 413)


MAKERS: Final[dict[str, Callable[..., Packet]]] = {
    "h264": h264,
    "hevc": hevc,
    "av1": av1,
    "vp9": vp9,
    "vp8": vp8,
    "aac": aac,
    "opus": opus,
    "pcm_alaw": pcma,
    "mp3": mp3,
    "ac3": ac3,
}


def sender(track: Track, **options: int) -> Sender:
    """Make a sender whose counters are about to wrap."""
    return Sender(
        track, PAYLOAD_TYPE, ssrc=7, sequence_number=65530, timestamp=(1 << 32) - 9000, **options
    )


def receiver(track: Track, *, in_order: bool = False, payload_type: int = PAYLOAD_TYPE) -> Receiver:
    """Make what receives a track, by its own description."""
    description = describe(track)
    assert description is not None
    found = find_format(payload_type, description.rtpmap, description.parameters)
    assert found is not None
    return Receiver(found, SessionClock(), in_order=in_order)


def receive(
    receiver: Receiver, packets: Sequence[bytes], *, now: float = 50.0, step: float = 0.002
) -> list[Event]:
    """Give packets one by one, and take all that comes out."""
    events: list[Event] = []
    for data in packets:
        events += receiver.receive_packet(data, now)
        now += step
        due = receiver.next_timeout()
        if due is not None and due <= now:
            events += receiver.handle_timeout(now)
    events += receiver.flush(now)
    return events


def payloads(track: Track, packets: Sequence[Packet], **options: int) -> list[RTPPacket]:
    """Send packets, and read RTP's header of what was sent."""
    source = sender(track, **options)
    return [parse_packet(data) for packet in packets for data in source.packetise(packet)]


def media(events: Sequence[Event]) -> list[Packet]:
    """Pick the packets out."""
    return [event for event in events if isinstance(event, Packet)]


def _video(track: Track, number: int, key: bool, payload: bytes) -> Packet:
    return Packet(track, 3600 * number, 3600 * number, key, payload)


def _obu(head: int, payload: bytes) -> bytes:
    size, length = len(payload), bytearray((head,))
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(length) + bytes((size,)) + payload
