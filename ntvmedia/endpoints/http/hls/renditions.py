"""The folders below a session: which tracks of a stream a playlist has, and in which format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ntvmedia.endpoints.selection import track_options
from ntvmedia.media import Track

WHOLE: Final = "av"
"""All default tracks."""

AUDIO: Final = "audio"
"""The default audio track alone."""

FORMATS: Final = ("ts", "fmp4", "ll")
"""What `format=` may ask for: segments of MPEG-TS, of fragmented MP4, and these with parts."""

LOW_LATENCY: Final = "ll"

VIDEO: Final = "video"
"""The default video track alone."""

_TRACKS: Final = re.compile(r"(av|audio|video|track)([1-9][0-9]{0,2})?(-audio)?")


class Rendition(NamedTuple):
    """What a playlist has of a stream.

    Attributes:
        format_name: One of `FORMATS`.
        tracks: Their name: `av`, `audio`, `video`; `av2` (pictures of number 2, with the default
            sound), `video2` (these alone), `track2` (number 2 of both kinds), `track2-audio`.
        options: As of `ntvmedia.hub.rendition.select_tracks`.
    """

    format_name: str
    tracks: str
    options: Mapping[str, str]

    @property
    def folder(self) -> str:
        """Its name in addresses."""
        return f"{self.format_name}-{self.tracks}"

    @property
    def has_pictures(self) -> bool:
        """Whether it has the pictures of a stream that has some."""
        return self.options.get("video") != "none"

    @property
    def number(self) -> str:
        """The track that is asked for; empty for the default ones."""
        return next((x for x in self.options.values() if x != "none"), "")


def make_rendition(format_name: str, tracks: str) -> Rendition | None:
    """Return a rendition; None where there is none of this name."""
    match = _TRACKS.fullmatch(tracks)
    if match is None or format_name not in FORMATS:
        return None
    kind, number, only_audio = match.groups()
    is_track = kind == "track"
    if (only_audio and not is_track) or bool(number) < is_track or (number and kind == AUDIO):
        return None
    options = {}
    if number:
        options["video"] = number
    if kind == AUDIO or only_audio:
        options["video"] = "none"
    if is_track:
        options["audio"] = number
    elif kind == VIDEO:
        options["audio"] = "none"
    return Rendition(format_name, tracks, options)


def parse_folder(folder: str) -> Rendition | None:
    """Return the rendition of a folder; None where there is none of this name."""
    format_name, _dash, tracks = folder.partition("-")
    return make_rendition(format_name, tracks)


def tracks_asked_for(query: Mapping[str, str], tracks: Sequence[Track]) -> str:
    """Return the name of the tracks that an address asks for.

    Args:
        query: Of the address.
        tracks: Of the stream; a number that no track has counts as not given.
    """
    options = track_options(query)
    number = options.get("audio", "")
    only_audio = options.get("video") == "none"
    if not any(str(track.number) == number for track in tracks if track.number):
        return AUDIO if only_audio else WHOLE
    return f"track{number}-audio" if only_audio else f"track{number}"
