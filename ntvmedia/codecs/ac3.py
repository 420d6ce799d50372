"""AC-3 and E-AC-3: syncframes, and MP4's dac3 and dec3 boxes.

ETSI TS 102 366 sections 4.3 (AC-3), E.1.2 (E-AC-3), F.4 and F.6 (boxes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader, BitWriter
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media.packets import Codec

CODEC_STRINGS: Final = {Codec.AC3: "ac-3", Codec.EAC3: "ec-3"}
"""RFC 6381 names: MP4's sample entries."""

INDEPENDENT: Final = 0
DEPENDENT: Final = 1
"""Of `AC3Frame.stream_type`."""

_AC3: Final = "ETSI TS 102 366 section 4.3"
_EAC3: Final = "ETSI TS 102 366 section E.1.2"

_RATES: Final = (48000, 44100, 32000)
_BITRATES: Final = (
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
)  # fmt: skip
_MODE_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
_BLOCKS: Final = (1, 2, 3, 6)
# Channels of each bit of `chanmap`, from the highest (ETSI TS 102 366 table E.1.4).
_MAP_CHANNELS: Final = (1, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2, 2, 1, 2, 1, 1)


class AC3Frame(NamedTuple):
    """The header of one syncframe.

    Attributes:
        codec: `Codec.AC3` or `Codec.EAC3`.
        sample_rate: In Hz.
        channels: With the low-frequency one. Of a dependent substream: those it carries.
        frame_size: Bytes of the syncframe.
        samples: Of each channel: 256 for each block.
        bitrate: In bit/s.
        bsid: 0 to 8 for AC-3 (above 8, the sample rate is halved), 11 to 16 for E-AC-3.
        bsmod: Kind of service, 0 to 7; 0 (complete main) where E-AC-3 does not tell.
        acmod: Audio coding mode, 0 to 7.
        lfe: Whether there is a low-frequency channel.
        rate_code: `fscod`; 3 is a reduced rate of E-AC-3.
        size_code: `frmsizecod` of AC-3.
        stream_type: `strmtyp` of E-AC-3: 0 independent, 1 dependent, 2 converted from AC-3.
        substream: `substreamid` of E-AC-3.
        channel_map: `chanmap` of a dependent substream; 0 where there is none.
    """

    codec: Codec
    sample_rate: int
    channels: int
    frame_size: int
    samples: int
    bitrate: int
    bsid: int
    bsmod: int
    acmod: int
    lfe: bool
    rate_code: int
    size_code: int
    stream_type: int
    substream: int
    channel_map: int


def parse_syncframe(data: bytes, offset: int = 0) -> AC3Frame:
    """Read the header of the syncframe at `offset`.

    Raises:
        PeerError: There is no sync word, the header is cut off, or has reserved values.
    """
    # 64 bytes hold the longest header.
    head = data[offset : offset + 64]
    if head[:2] != b"\x0b\x77":
        raise PeerError("no sync word of AC-3", reference=_AC3, offset=offset)
    if len(head) < 7:
        raise PeerError("a syncframe's header is cut off", reference=_AC3, offset=offset)
    # Both kinds have bsid at the same place, so that a decoder of one knows the other.
    bsid = head[5] >> 3
    if bsid <= 10:
        return _parse_ac3(head, bsid, offset)
    if bsid <= 16:
        return _parse_eac3(head, bsid, offset)
    raise PeerError(f"bsid {bsid} is unknown", reference=_AC3, offset=offset + 5)


def split_syncframes(data: bytes) -> list[AC3Frame]:
    """Read the headers of whole syncframes that follow one another.

    An access unit of E-AC-3 is one independent substream and those that depend on it.

    Raises:
        PeerError: As `parse_syncframe`, or the last frame is cut off.
    """
    frames: list[AC3Frame] = []
    position = 0
    while position < len(data):
        frame = parse_syncframe(data, position)
        position += frame.frame_size
        if position > len(data):
            raise PeerError("a syncframe is cut off", reference=_AC3, offset=len(data))
        frames.append(frame)
    return frames


def dac3(frame: AC3Frame) -> bytes:
    """Write the body of MP4's AC3SpecificBox.

    Raises:
        UsageError: The frame is E-AC-3.
    """
    if frame.codec is not Codec.AC3:
        raise UsageError("dac3 is for AC-3")
    writer = BitWriter()
    writer.u(frame.rate_code, 2)
    writer.u(frame.bsid, 5)
    writer.u(frame.bsmod, 3)
    writer.u(frame.acmod, 3)
    writer.u(frame.lfe, 1)
    writer.u(frame.size_code >> 1, 5)
    writer.u(0, 5)
    return writer.to_bytes()


def dec3(frames: Sequence[AC3Frame]) -> bytes:
    """Write the body of MP4's EC3SpecificBox.

    Args:
        frames: The syncframes of one access unit, in order.

    Raises:
        UsageError: There is no independent E-AC-3 substream among them.
    """
    independent = [
        frame for frame in frames if frame.codec is Codec.EAC3 and frame.stream_type != DEPENDENT
    ]
    if not independent:
        raise UsageError("dec3 needs an independent substream")
    writer = BitWriter()
    # One frame lasts `samples`; kbit/s of the whole.
    size = sum(frame.frame_size for frame in frames)
    first = independent[0]
    rate = size * 8 * first.sample_rate // (first.samples * 1000)
    writer.u(min(rate, 0x1FFF), 13)
    writer.u(len(independent) - 1, 3)
    for frame in independent:
        dependent = _dependents(frames, frame)
        writer.u(frame.rate_code, 2)
        writer.u(frame.bsid, 5)
        writer.u(0, 2)  # reserved, asvc
        writer.u(frame.bsmod, 3)
        writer.u(frame.acmod, 3)
        writer.u(frame.lfe, 1)
        writer.u(0, 3)
        writer.u(len(dependent), 4)
        if dependent:
            writer.u(_locations(dependent), 9)
        else:
            writer.u(0, 1)
    return writer.to_bytes()


def total_channels(frames: Sequence[AC3Frame]) -> int:
    """Count the channels of an access unit: those of its first program, extensions included."""
    if not frames:
        return 0
    channels = frames[0].channels
    if frames[0].codec is Codec.EAC3:
        for frame in _dependents(frames, frames[0]):
            # A dependent substream repeats channels of the main one in a better form; only
            # locations that the main one lacks are more.
            channels += _added(frame, frames[0])
    return channels


def _parse_ac3(head: bytes, bsid: int, offset: int) -> AC3Frame:
    reader = BitReader(head, _AC3)
    reader.skip(32)
    rate_code, size_code = reader.u(2), reader.u(6)
    if rate_code == 3 or size_code >= 2 * len(_BITRATES):
        raise PeerError("a reserved sample rate or frame size", reference=_AC3, offset=offset + 4)
    reader.skip(5)
    bsmod, acmod = reader.u(3), reader.u(3)
    if acmod & 1 and acmod != 1:
        reader.skip(2)
    if acmod & 4:
        reader.skip(2)
    if acmod == 2:
        reader.skip(2)
    lfe = reader.flag()
    kilobits = _BITRATES[size_code >> 1]
    # 1536 samples at 44.1 kHz are no whole number of words: the lowest bit adds one.
    words = (kilobits * 2, kilobits * 320 // 147 + (size_code & 1), kilobits * 3)[rate_code]
    # bsid 9 and 10 halve and quarter the sample rate, and with it the bitrate.
    shift = max(bsid - 8, 0)
    return AC3Frame(
        Codec.AC3,
        _RATES[rate_code] >> shift,
        _MODE_CHANNELS[acmod] + lfe,
        words * 2,
        1536,
        kilobits * 1000 >> shift,
        bsid,
        bsmod,
        acmod,
        lfe,
        rate_code,
        size_code,
        INDEPENDENT,
        0,
        0,
    )


def _parse_eac3(head: bytes, bsid: int, offset: int) -> AC3Frame:
    reader = BitReader(head, _EAC3)
    reader.skip(16)
    stream_type, substream = reader.u(2), reader.u(3)
    frame_size = (reader.u(11) + 1) * 2
    rate_code, low = reader.u(2), reader.u(2)
    if stream_type == 3 or (rate_code == 3 and low == 3) or frame_size < 7:
        raise PeerError("a reserved value of E-AC-3", reference=_EAC3, offset=offset + 2)
    if rate_code == 3:
        sample_rate, blocks = _RATES[low] // 2, 6
    else:
        sample_rate, blocks = _RATES[rate_code], _BLOCKS[low]
    acmod = reader.u(3)
    lfe = reader.flag()
    reader.skip(5)
    for _program in range(2 if acmod == 0 else 1):
        reader.skip(5)  # dialnorm
        if reader.flag():
            reader.skip(8)
    channel_map = reader.u(16) if stream_type == DEPENDENT and reader.flag() else 0
    bsmod = 0
    # bsmod stands behind the mixing metadata. Where there are any it is left at 0: nothing that we
    # write to needs it.
    if not reader.flag() and reader.flag():
        bsmod = reader.u(3)
    channels = _MODE_CHANNELS[acmod] + lfe
    if channel_map:
        channels = sum(n for i, n in enumerate(_MAP_CHANNELS) if channel_map >> (15 - i) & 1)
    samples = 256 * blocks
    return AC3Frame(
        Codec.EAC3,
        sample_rate,
        channels,
        frame_size,
        samples,
        frame_size * 8 * sample_rate // samples,
        bsid,
        bsmod,
        acmod,
        lfe,
        rate_code,
        0,
        stream_type,
        substream,
        channel_map,
    )


def _dependents(frames: Sequence[AC3Frame], owner: AC3Frame) -> list[AC3Frame]:
    """The dependent substreams that directly follow `owner`."""
    found: list[AC3Frame] = []
    for frame in frames[next(i for i, x in enumerate(frames) if x is owner) + 1 :]:
        if frame.stream_type != DEPENDENT or len(found) == 15:
            break
        found.append(frame)
    return found


def _added(frame: AC3Frame, main: AC3Frame) -> int:
    """Count the channels of a dependent substream at places that the main one does not have."""
    if not frame.channel_map:
        return 0
    # Left, centre, right, and both surrounds, as the main one's mode has them.
    sides, centre, surround = main.acmod != 1, bool(main.acmod & 1), main.acmod >= 6
    has = (sides, centre, sides, surround, surround, *(False,) * 10, main.lfe)
    return sum(
        count
        for index, count in enumerate(_MAP_CHANNELS)
        if frame.channel_map >> (15 - index) & 1 and not has[index]
    )


def _locations(frames: Sequence[AC3Frame]) -> int:
    """Make `chan_loc` of dec3 from the channel maps (ETSI TS 102 366 table F.6.1)."""
    mapped = 0
    for frame in frames:
        mapped |= frame.channel_map
    # From Lc/Rc, the sixth bit of chanmap, they have the same order, but counted from below. There
    # is no bit for the five main channels and LFE; the last one is LFE2.
    locations = sum((mapped >> (10 - bit) & 1) << bit for bit in range(8))
    return locations | (mapped >> 1 & 1) << 8
