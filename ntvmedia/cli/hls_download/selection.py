"""Which variant and which sounds of a multivariant playlist to load, and what there is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.tables import as_columns, printable
from ntvmedia.formats.m3u8 import MultivariantPlaylist, Rendition, Variant

_SIZE: Final = re.compile(r"(?:(\d{2,5})x)?(\d{2,5})p?")

# RFC 6381 names of what is heard, as codecs begin.
_SOUNDS: Final = ("mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "mp3", "dts", "alac", "samr")


class Choice(NamedTuple):
    """What is loaded.

    Attributes:
        variant: One of the list.
        audio: The sounds that have playlists of their own.
        has_muxed_audio: The sound that is in the variant's segments is wanted too.
        is_audio_only: The variant has no pictures, as far as it tells.
    """

    variant: Variant
    audio: tuple[Rendition, ...]
    has_muxed_audio: bool
    is_audio_only: bool


def choose(playlist: MultivariantPlaylist, variant: str, audio: Sequence[str]) -> Choice:
    """Choose as the options say.

    Raises:
        Failed: There is no such variant or sound; the message tells what there is.
    """
    chosen = _variant(playlist.variants, variant)
    renditions = [
        rendition
        for rendition in playlist.renditions
        if rendition.kind == "AUDIO" and chosen.audio and rendition.group == chosen.audio
    ]
    sounds = _sounds(renditions, audio)
    separate = tuple(rendition for rendition in sounds if rendition.uri)
    has_muxed_audio = len(separate) < len(sounds) or not renditions
    return Choice(chosen, separate, has_muxed_audio, _is_audio_only(chosen))


def _variant(variants: Sequence[Variant], which: str) -> Variant:
    if not variants:
        raise Failed("the playlist lists no variants")
    ordered = sorted(variants, key=_quality)
    if which.lower() == "best":
        return ordered[-1]
    if which.lower() == "worst":
        # The sound alone is no bad picture.
        return next((x for x in ordered if not _is_audio_only(x)), ordered[0])
    if which.isascii() and which.isdigit() and 1 <= int(which[:6]) <= len(variants):
        return variants[int(which[:6]) - 1]
    match = _SIZE.fullmatch(which.lower())
    if match is not None:
        width, height = int(match[1] or 0), int(match[2])
        found = [x for x in ordered if x.height == height and (x.width == width or not width)]
        if found:
            return found[-1]
    known = ", ".join(f"{number} ({_brief(x)})" for number, x in enumerate(variants[:20], 1))
    raise Failed(f"--variant {which}: there is no such variant, but best, worst, {known}")


def _quality(variant: Variant) -> tuple[bool, int, int]:
    return not _is_audio_only(variant), variant.height, variant.bandwidth


def _is_audio_only(variant: Variant) -> bool:
    codecs = [codec.lower() for codec in variant.codecs]
    return not variant.height and bool(codecs) and all(x.startswith(_SOUNDS) for x in codecs)


def _sounds(renditions: Sequence[Rendition], wanted: Sequence[str]) -> list[Rendition]:
    """Return the sounds of a variant's group that are wanted, in the playlist's order."""
    if not wanted:
        best = sorted(renditions, key=lambda x: (not x.is_default, not x.autoselect))
        return best[:1]
    found = []
    for which in wanted:
        matching = [x for x in renditions if _matches(x, which)]
        if not matching and not (which.lower() == "all" and not renditions):
            known = ", ".join(_named(x) for x in renditions) or "none beside the variant's own"
            raise Failed(f"--audio {which}: there is no such sound; there is {known}")
        found += matching
    return [x for x in renditions if x in found]


def _matches(rendition: Rendition, which: str) -> bool:
    which = which.lower()
    language = rendition.language.lower()
    return which in ("all", rendition.name.lower(), language) or language.startswith(f"{which}-")


def _named(rendition: Rendition) -> str:
    return f"{rendition.name} ({rendition.language})" if rendition.language else rendition.name


def _brief(variant: Variant) -> str:
    size = f"{variant.width}x{variant.height}, " if variant.height else ""
    return f"{size}{variant.bandwidth / 1000:,.0f} kb/s"


def as_list(playlist: MultivariantPlaylist) -> str:
    """Return a line for each variant and each sound, below a line of titles."""
    rows = [("VARIANT", "SIZE", "RATE", "FRAMES", "CODECS", "SOUNDS")]
    for number, variant in enumerate(playlist.variants, 1):
        rows.append(
            (
                str(number),
                f"{variant.width}x{variant.height}" if variant.height else "-",
                f"{variant.bandwidth / 1000:,.0f} kb/s",
                f"{variant.frame_rate:g}/s" if variant.frame_rate else "-",
                printable(",".join(variant.codecs)) or "-",
                printable(variant.audio) or "-",
            )
        )
    text = as_columns(rows)
    sounds = [x for x in playlist.renditions if x.kind == "AUDIO"]
    if sounds:
        rows = [("SOUNDS", "NAME", "LANGUAGE", "CHANNELS", "DEFAULT", "PLAYLIST")]
        rows += [
            (
                printable(sound.group),
                printable(sound.name),
                printable(sound.language) or "-",
                str(sound.channels or "-"),
                "yes" if sound.is_default else "no",
                "own" if sound.uri else "the variant's",
            )
            for sound in sounds
        ]
        text += "\n" + as_columns(rows)
    return text
