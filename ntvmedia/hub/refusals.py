"""What the hub refuses, and why."""

from __future__ import annotations

from ntvmedia.errors import Refused


class NameTaken(Refused):
    """A second publisher asked for a name in use."""


class NotFound(Refused):
    """Nobody published the stream in time, or it went before it could be played."""


class HubFull(Refused):
    """There are as many streams or waiting viewers as the settings allow."""
