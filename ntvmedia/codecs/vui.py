"""What the parameter sets of H.264 and HEVC have in common: picture size, VUI, frame rate.

ISO/IEC 14496-10 and ISO/IEC 23008-2, both annex E ("video usability information"), of which the
first half and the tables are the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.codecs.bits import BitReader
from ntvmedia.errors import LimitExceeded, PeerError

MAX_DIMENSION: Final = 33776
"""Luma samples: the widest picture of any level (HEVC level 7.2, section A.4.1)."""

# Above this, a time scale is a clock and no frame rate; some encoders write 90000 with 1.
MAX_FRAME_RATE: Final = 1000

# Table E-1 (H.264), E.1 (HEVC); 0 is "unspecified".
_ASPECT_RATIOS: Final = (
    (1, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11),
    (80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
)  # fmt: skip
_EXTENDED_SAR: Final = 255


class Colour(NamedTuple):
    """How samples become colours, in the numbers of ISO/IEC 23091-2; 2 is "unspecified".

    Attributes:
        primaries: `colour_primaries`.
        transfer: `transfer_characteristics`.
        matrix: `matrix_coefficients`.
        full_range: Black is 0, not 16.
    """

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False


class Usability(NamedTuple):
    """The part of VUI that says how to show a picture.

    Attributes:
        sample_aspect_ratio: Width to height of one sample; (1, 1) where it is not told.
        frame_rate: Frames a second; None where it is not told, or absurd.
        colour: How samples become colours.
    """

    sample_aspect_ratio: tuple[int, int] = (1, 1)
    frame_rate: float | None = None
    colour: Colour = Colour()


def read_appearance(reader: BitReader) -> tuple[tuple[int, int], Colour]:
    """Read VUI from its start to chroma_sample_loc_type_bottom_field.

    Returns:
        The sample aspect ratio, and the colour.

    Raises:
        PeerError: The data ends.
    """
    ratio = (1, 1)
    if reader.flag():
        index = reader.u(8)
        if index == _EXTENDED_SAR:
            width, height = reader.u(16), reader.u(16)
            # A zero in either says "unspecified" (section E.2.1).
            ratio = (width, height) if width and height else ratio
        elif index < len(_ASPECT_RATIOS):
            ratio = _ASPECT_RATIOS[index]
    if reader.flag():
        reader.skip(1)  # overscan_appropriate_flag
    colour = Colour()
    if reader.flag():
        reader.skip(3)  # video_format
        full_range = reader.flag()
        colour = Colour(full_range=full_range)
        if reader.flag():
            colour = Colour(reader.u(8), reader.u(8), reader.u(8), full_range)
    if reader.flag():
        reader.ue()
        reader.ue()
    return ratio, colour


def frame_rate(time_scale: int, ticks: int) -> float | None:
    """Divide; None where that is no frame rate.

    Args:
        time_scale: Ticks a second.
        ticks: Of one frame.
    """
    if not time_scale or not ticks or time_scale > ticks * MAX_FRAME_RATE:
        return None
    return time_scale / ticks


def check_size(width: int, height: int, reference: str) -> None:
    """Refuse pictures that no decoder takes.

    Raises:
        LimitExceeded: A side is longer than `MAX_DIMENSION`.
        PeerError: A side is not even one sample long.
    """
    if width > MAX_DIMENSION or height > MAX_DIMENSION:
        raise LimitExceeded(
            f"a picture of {width} by {height} samples", reference=reference, limit=MAX_DIMENSION
        )
    if width < 1 or height < 1:
        raise PeerError("a picture is cropped to nothing", reference=reference)
