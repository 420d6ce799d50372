"""Why a relay task or a push is not made, changed or started as somebody asked."""

from __future__ import annotations

from ntvmedia.errors import Refused


class NoRelay(Refused):
    """There is no relay task with this id."""


class TooManyRelays(Refused):
    """There are as many relay tasks as the settings allow."""


class TargetTaken(Refused):
    """Another relay task makes the same stream, or another push sends it there (E-ST-09)."""


class NoPush(Refused):
    """There is no push with this id."""


class TooManyPushes(Refused):
    """There are as many pushes as there may be."""
