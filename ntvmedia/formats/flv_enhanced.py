"""The header of Enhanced RTMP messages: modifiers, FourCCs and multitrack.

"E-RTMP v2" is Veovera's "Enhanced RTMP v2", sections "Enhanced Video" and "Enhanced Audio", whose
two headers differ only in the numbers of their packet types.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.flv_codes import AudioPacketType, FrameType, MultitrackType, VideoPacketType

# Nobody sends more than one modifier yet; without a limit, 10 MiB of them would be read.
MAX_MODIFIERS: Final = 16

# The track's number is one byte, so a longer message repeats tracks.
MAX_TRACKS_IN_MESSAGE: Final = 256

# Nanoseconds that TimestampOffsetNano may add: less than the millisecond that it refines.
MAX_NANO_OFFSET: Final = 999_999

_VIDEO: Final = "E-RTMP v2, ExVideoTagHeader"
_AUDIO: Final = "E-RTMP v2, ExAudioTagHeader"
_TIMESTAMP_OFFSET_NANO: Final = 0


class Part(NamedTuple):
    """What one message holds for one track.

    Attributes:
        number: The track's, 0 to 255; 0 in a message without multitrack.
        fourcc: Names the codec.
        body: What the packet type calls for: a configuration, a frame, metadata.
    """

    number: int
    fourcc: bytes
    body: bytes


class ExtendedMessage(NamedTuple):
    """One enhanced message, taken apart.

    Attributes:
        packet_type: `VideoPacketType` or `AudioPacketType`, never its multitrack or ModEx; or a
            number that the document reserves.
        nano_offset: To add to the message's timestamp, in nanoseconds.
        parts: In the order of the message; their numbers need not ascend, and may repeat.
        problem: What is wrong with the rest of the message, after these parts; None when all of
            it was read.
    """

    packet_type: int
    nano_offset: int
    parts: list[Part]
    problem: PeerError | None


def parse_video(body: bytes) -> ExtendedMessage:
    """Take a video message apart whose first byte has its highest bit set.

    A command frame (start or end of seeking) has no parts.

    Raises:
        PeerError: The header is cut off, or nests multitrack.
        LimitExceeded: It has more than `MAX_MODIFIERS` modifiers.
    """
    packet_type, nano_offset, position = _modifiers(body, VideoPacketType.MOD_EX, _VIDEO)
    if packet_type != VideoPacketType.METADATA and body[0] >> 4 & 7 == FrameType.COMMAND:
        return ExtendedMessage(packet_type, nano_offset, [], None)
    return _parts(body, position, packet_type, nano_offset, VideoPacketType.MULTITRACK, _VIDEO)


def parse_audio(body: bytes) -> ExtendedMessage:
    """Take an audio message apart whose SoundFormat is 9.

    Raises:
        PeerError: The header is cut off, or nests multitrack.
        LimitExceeded: It has more than `MAX_MODIFIERS` modifiers.
    """
    packet_type, nano_offset, position = _modifiers(body, AudioPacketType.MOD_EX, _AUDIO)
    return _parts(body, position, packet_type, nano_offset, AudioPacketType.MULTITRACK, _AUDIO)


def _modifiers(body: bytes, mod_ex: int, reference: str) -> tuple[int, int, int]:
    """Skip the modifiers; return packet type, nanoseconds, and where the header goes on."""
    packet_type = body[0] & 0x0F
    nano_offset = 0
    position = 1
    count = 0
    while packet_type == mod_ex:
        count += 1
        if count > MAX_MODIFIERS:
            raise LimitExceeded(
                "more modifiers than allowed",
                reference=reference,
                limit=MAX_MODIFIERS,
                offset=position,
            )
        size = int.from_bytes(body[position : position + 1], "big") + 1
        position += 1
        if size == 256:
            size = int.from_bytes(body[position : position + 2], "big") + 1
            position += 2
        data = body[position : position + size]
        position += size
        if position >= len(body):
            raise PeerError("a modifier is cut off", reference=reference, offset=len(body))
        kind = body[position] >> 4
        packet_type = body[position] & 0x0F
        position += 1
        if kind == _TIMESTAMP_OFFSET_NANO and len(data) >= 3:
            value = int.from_bytes(data[:3], "big")
            if value <= MAX_NANO_OFFSET:
                nano_offset = value
    return packet_type, nano_offset, position


def _parts(
    body: bytes,
    position: int,
    packet_type: int,
    nano_offset: int,
    multitrack: int,
    reference: str,
) -> ExtendedMessage:
    """Read the FourCC, and the tracks where there are several."""
    if packet_type != multitrack:
        fourcc = body[position : position + 4]
        if len(fourcc) < 4:
            raise PeerError("the FourCC is cut off", reference=reference, offset=len(body))
        return ExtendedMessage(
            packet_type, nano_offset, [Part(0, fourcc, body[position + 4 :])], None
        )
    if position >= len(body):
        raise PeerError("the multitrack header is cut off", reference=reference, offset=position)
    layout = body[position] >> 4
    packet_type = body[position] & 0x0F
    position += 1
    if packet_type == multitrack:
        raise PeerError("multitrack within multitrack", reference=reference, offset=position - 1)
    if layout > MultitrackType.MANY_TRACKS_MANY_CODECS:
        raise PeerError(
            f"multitrack type {layout} is reserved", reference=reference, offset=position - 1
        )
    fourcc = b""
    if layout != MultitrackType.MANY_TRACKS_MANY_CODECS:
        fourcc = body[position : position + 4]
        position += 4
    if position >= len(body):
        raise PeerError("the multitrack header is cut off", reference=reference, offset=len(body))
    if layout == MultitrackType.ONE_TRACK:
        part = Part(body[position], fourcc, body[position + 1 :])
        return ExtendedMessage(packet_type, nano_offset, [part], None)
    parts, problem = _tracks(body, position, fourcc, reference)
    return ExtendedMessage(packet_type, nano_offset, parts, problem)


def _tracks(
    body: bytes, position: int, fourcc: bytes, reference: str
) -> tuple[list[Part], PeerError | None]:
    """Read tracks to the end of the message; each has its own FourCC if none is given."""
    parts: list[Part] = []
    own_fourcc = not fourcc
    end = len(body)
    while position < end:
        if len(parts) == MAX_TRACKS_IN_MESSAGE:
            return parts, LimitExceeded(
                "more tracks in a message than allowed",
                reference=reference,
                limit=MAX_TRACKS_IN_MESSAGE,
                offset=position,
            )
        if own_fourcc:
            fourcc = body[position : position + 4]
            position += 4
        start = position + 4
        stop = start + int.from_bytes(body[position + 1 : start], "big")
        if start > end or stop > end:
            return parts, PeerError(
                "a track goes beyond the message's end", reference=reference, offset=position
            )
        parts.append(Part(body[position], fourcc, body[start:stop]))
        position = stop
    return parts, None


def spelled(fourcc: bytes) -> str:
    """Write a FourCC for people: 0x61763031 ('av01')."""
    text = fourcc.decode("ascii", "replace")
    return f"0x{fourcc.hex()}" + (f" ('{text}')" if text.isascii() and text.isprintable() else "")
