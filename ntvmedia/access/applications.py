"""Applications: the first part of every stream's address, and what they are for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ApplicationType(StrEnum):
    """What an application does with its streams (P-204)."""

    LIVE = "live"
    TIME_SHIFT = "time-shift"
    VOD = "vod"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class Application:
    """A named place for streams.

    Attributes:
        name: As in the address; checked by `ntvmedia.media.names`.
        type: What it is for.
        enabled: A disabled one refuses publishers and players.
    """

    name: str
    type: ApplicationType
    enabled: bool = True


BUILT_IN: Final = {
    application.name: application
    for application in (
        Application("liveshow", ApplicationType.LIVE),
        Application("tv", ApplicationType.TIME_SHIFT),
        Application("audio", ApplicationType.AUDIO),
        Application("vod", ApplicationType.VOD),
    )
}
"""The applications that every server has, by name (P-202)."""
