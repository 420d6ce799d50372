"""The folders below a session: which tracks of a stream a playlist has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ntvmedia.endpoints.selection import track_options
from ntvmedia.media import Track

WHOLE: Final = "av"
"""All default tracks."""

_NAME: Final = re.compile(r"av|audio|track([1-9][0-9]{0,2})(-audio)?")


def rendition_name(query: Mapping[str, str], tracks: Sequence[Track]) -> str:
    """Return the folder of what an address asks for: `av`, `audio`, `track2`, `track2-audio`.

    Args:
        query: Of the address.
        tracks: Of the stream; a number that no track has counts as not given.
    """
    options = track_options(query)
    number = options.get("audio", "")
    only_audio = options.get("video") == "none"
    if not any(str(track.number) == number for track in tracks if track.number):
        return "audio" if only_audio else WHOLE
    return f"track{number}-audio" if only_audio else f"track{number}"


def rendition_options(name: str) -> dict[str, str] | None:
    """Return the options of a folder, as of `ntvmedia.hub.rendition.select_tracks`.

    Returns:
        None where there is no such folder.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match[1] is None:
        return {"video": "none"} if name == "audio" else {}
    options = {"video": match[1], "audio": match[1]}
    if match[2]:
        options["video"] = "none"
    return options
