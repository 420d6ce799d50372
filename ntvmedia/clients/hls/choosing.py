"""Which variant of a stream a relay takes, and which sound."""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.errors import RemoteError
from ntvmedia.formats.m3u8 import MultivariantPlaylist, Rendition, Variant

# RFC 6381 names of what our demuxers read, as they begin.
_PICTURES: Final = ("avc1", "avc3", "hvc1", "hev1", "av01", "vp08", "vp09")
_SOUNDS: Final = ("mp4a", "ac-3", "ec-3", "opus", "flac", "mp3")


class Choice(NamedTuple):
    """What is taken.

    Attributes:
        variant: One of the list.
        audio: The sound that has a playlist of its own; None where it is in the variant's.
    """

    variant: Variant
    audio: Rendition | None


def choose(playlist: MultivariantPlaylist) -> Choice:
    """Choose the best variant of which all can be read, and the sound that players begin with.

    Raises:
        RemoteError: There is none, for good.
    """
    if not playlist.variants:
        raise RemoteError("the playlist lists no variants", is_permanent=True)
    readable = [variant for variant in playlist.variants if not unreadable(variant)]
    if not readable:
        names = sorted({name for x in playlist.variants for name in unreadable(x)})
        shown = ", ".join(name[:20] for name in names[:4])
        raise RemoteError(
            f"all variants are of codecs that are not known: {shown}", is_permanent=True
        )
    # Of equal ones the first, as the playlist wants.
    best = max(readable, key=lambda variant: (has_pictures(variant), variant.bandwidth))
    sounds = [x for x in playlist.renditions if x.kind == "AUDIO" and x.group == best.audio]
    if not best.audio or not sounds:
        return Choice(best, None)
    sound = min(sounds, key=lambda x: (not x.is_default, not x.autoselect))
    return Choice(best, sound if sound.uri else None)


def unreadable(variant: Variant) -> list[str]:
    """List the codecs of a variant that are not known; those that it does not tell may be."""
    known = (*_PICTURES, *_SOUNDS)
    # WebVTT and others are text, which is left out.
    text = ("stpp", "wvtt", "tx3g", "c608", "c708")
    return [x for x in variant.codecs if not x.lower().startswith((*known, *text))]


def has_pictures(variant: Variant) -> bool:
    """Whether a variant has pictures, as far as it tells."""
    if variant.height or not variant.codecs:
        return True
    return any(x.lower().startswith(_PICTURES) for x in variant.codecs)
