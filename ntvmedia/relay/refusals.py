"""Why a relay task is not made, changed or started as somebody asked."""

from __future__ import annotations

from ntvmedia.errors import Refused


class NoRelay(Refused):
    """There is no relay task with this id."""


class TooManyRelays(Refused):
    """There are as many relay tasks as the settings allow."""


class TargetTaken(Refused):
    """Another relay task makes the same stream (E-ST-09)."""
