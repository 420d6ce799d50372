"""The address of a test card, as operators type it."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from ntvmedia.avtools.job import CardInput
from ntvmedia.errors import RemoteError

MAX_SIDE: Final = 3840
MAX_RATE: Final = 60
_MAX_TONE: Final = 20_000


def read_card(url: str) -> CardInput:
    """Read an address: "test:", "test:?size=640x360&rate=30&tone=1000".

    Raises:
        RemoteError: It has something else in it.
    """
    values: dict[str, Any] = {}
    for name, text in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name == "size":
            width, _by, height = text.partition("x")
            values["width"] = _number(width, 16, MAX_SIDE, "size") & ~1
            values["height"] = _number(height, 16, MAX_SIDE, "size") & ~1
        elif name == "rate":
            values["frame_rate"] = _number(text, 1, MAX_RATE, "rate")
        elif name == "tone":
            values["tone"] = _number(text, 0, _MAX_TONE, "tone")
        else:
            raise RemoteError("a test card has size, rate and tone only", is_permanent=True)
    return CardInput(**values)


def _number(text: str, least: int, most: int, name: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most:
        return int(text)
    why = f"the {name} of a test card is a number from {least} to {most:,}"
    raise RemoteError(why + (" twice, as in 640x360" if name == "size" else ""), is_permanent=True)
