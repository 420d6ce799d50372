"""Why a callback is not made or changed as somebody asked."""

from __future__ import annotations

from ntvmedia.errors import Refused


class NoCallback(Refused):
    """There is no callback with this id."""


class TooManyCallbacks(Refused):
    """There are as many callbacks as there may be."""
