"""Sample entries of MP4: what a decoder must know of a track, for every codec that HLS can have.

ISO/IEC 14496-12 section 8.5.2. Records are not copied from the publisher but written anew from
what is in them: encoders tell other lengths of NAL units than we have, repeat parameter sets, and
leave out what is obligatory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.fmp4_audio_entries import (
    aac_entry,
    ac3_entry,
    eac3_entry,
    flac_entry,
    mp3_entry,
    opus_entry,
)
from ntvmedia.formats.fmp4_boxes import SampleEntry
from ntvmedia.formats.fmp4_video_entries import av1_entry, h264_entry, hevc_entry, vp9_entry
from ntvmedia.media.packets import Codec, Track

# Of `mdhd`: 32 bits.
_MAX_CLOCK_RATE: Final = 0xFFFFFFFF

_ENTRIES: Final[dict[Codec, Callable[[Track, bytes], SampleEntry | None]]] = {
    Codec.H264: h264_entry,
    Codec.HEVC: hevc_entry,
    Codec.AV1: av1_entry,
    Codec.VP9: vp9_entry,
    Codec.AAC: aac_entry,
    Codec.MP3: mp3_entry,
    Codec.OPUS: opus_entry,
    Codec.FLAC: flac_entry,
    Codec.AC3: ac3_entry,
    Codec.EAC3: eac3_entry,
}


def sample_entry(track: Track, payload: bytes = b"") -> SampleEntry | None:
    """Describe a track; None where MP4 has no form for it that players of HLS know.

    It has none for VP8, VVC, G.711, PCM, and what only FLV has; and none where the configuration
    is broken, or is missing where it is needed.

    Args:
        payload: A packet of it, for video a keyframe: AC-3, E-AC-3, MP3 and VP9 need one, AV1 if
            its configuration has no sequence header. Until it is there, or where it is broken,
            the entry is not complete and says what is likely.
    """
    make = _ENTRIES.get(track.codec)
    if make is None or not 0 < track.clock_rate <= _MAX_CLOCK_RATE:
        return None
    try:
        return make(track, payload)
    except (PeerError, UsageError):
        return None
