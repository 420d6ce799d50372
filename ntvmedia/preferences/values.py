"""What there is to be set for the whole server."""

from __future__ import annotations

from dataclasses import dataclass

from ntvmedia.config.reading import Count, setting


@dataclass(frozen=True, slots=True)
class Values:
    """All values. What they are for is said by the metadata, as for `config.sections`."""

    max_players: Count = setting(
        0, "Players at the same time, on all protocols together; 0 for no limit.", minimum=0
    )
