"""FLAC: the STREAMINFO block, and how long a frame lasts.

RFC 9639 sections 8.2 (STREAMINFO) and 9.1 (frame header).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader
from ntvmedia.errors import PeerError

CODEC_STRING: Final = "fLaC"
MAGIC: Final = b"fLaC"
STREAMINFO_LENGTH: Final = 34

_STREAMINFO: Final = "RFC 9639 section 8.2"
_FRAME: Final = "RFC 9639 section 9.1"


class StreamInfo(NamedTuple):
    """The STREAMINFO block.

    Attributes:
        sample_rate: In Hz, 1 to 1048575.
        channels: 1 to 8.
        bits_per_sample: 4 to 32.
        min_block_size: In samples, 16 to 65535; of all blocks but the last.
        max_block_size: In samples, 16 to 65535.
        total_samples: Of each channel; 0 where unknown, as in a live stream.
    """

    sample_rate: int
    channels: int
    bits_per_sample: int
    min_block_size: int
    max_block_size: int
    total_samples: int


def streaminfo_block(data: bytes) -> bytes:
    """Return the 34 bytes of STREAMINFO, from any of the forms in which it is sent.

    They may stand alone, after the block's header (MP4's dfLa, Matroska), and after "fLaC"
    (Enhanced RTMP, `Track.config`).

    Raises:
        PeerError: There is no STREAMINFO block of full length.
    """
    if data[:4] == MAGIC:
        data = data[4:]
    if len(data) == STREAMINFO_LENGTH:
        return data
    # Block type 0 of 34 bytes; the first bit says whether it is the last one.
    if data[:1] not in (b"\x00", b"\x80") or data[1:4] != b"\x00\x00\x22" or len(data) < 38:
        raise PeerError("no STREAMINFO block", reference=_STREAMINFO, offset=0)
    return data[4:38]


def parse_streaminfo(data: bytes) -> StreamInfo:
    """Read a STREAMINFO block in any of the forms of `streaminfo_block`.

    Raises:
        PeerError: There is none, or it has forbidden values.
    """
    reader = BitReader(streaminfo_block(data), _STREAMINFO)
    min_block, max_block = reader.u(16), reader.u(16)
    reader.skip(48)  # smallest and largest frame, in bytes
    info = StreamInfo(
        reader.u(20), reader.u(3) + 1, reader.u(5) + 1, min_block, max_block, reader.u(36)
    )
    if not info.sample_rate or not 16 <= min_block <= max_block or info.bits_per_sample < 4:
        raise PeerError("STREAMINFO has forbidden values", reference=_STREAMINFO, offset=0)
    return info


def build_config(streaminfo: bytes) -> bytes:
    """Write the form of `Track.config`: "fLaC", and STREAMINFO as the last block.

    Args:
        streaminfo: In any of the forms of `streaminfo_block`.

    Raises:
        PeerError: As `streaminfo_block`.
    """
    return MAGIC + b"\x80\x00\x00\x22" + streaminfo_block(streaminfo)


def frame_samples(payload: bytes) -> int:
    """Count the samples of each channel in a frame: 1 to 65536.

    Raises:
        PeerError: It does not begin with a frame header, or that is cut off.
    """
    if len(payload) < 5 or payload[0] != 0xFF or payload[1] & 0xFE != 0xF8:
        raise PeerError("no sync code of a FLAC frame", reference=_FRAME, offset=0)
    code = payload[2] >> 4
    if code == 0:
        raise PeerError("block size code 0 is reserved", reference=_FRAME, offset=2)
    if code == 1:
        return 192
    if code < 6:
        return 144 << code
    if code > 7:
        return 1 << code
    # The size stands behind the coded number, which is as long as its first byte says, in the
    # manner of UTF-8 (RFC 9639 section 9.1.5).
    lead = payload[4]
    ones = 8 - (lead ^ 0xFF).bit_length()
    if ones in (1, 8):
        raise PeerError("the coded number is malformed", reference=_FRAME, offset=4)
    start = 4 + max(ones, 1)
    size = payload[start : start + code - 5]
    if len(size) < code - 5:
        raise PeerError("a frame header is cut off", reference=_FRAME, offset=start)
    return int.from_bytes(size, "big") + 1
