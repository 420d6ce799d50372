"""Labels as texts: one line that can be shown anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

from ntvmedia.errors import Refused

MAX_LENGTH: Final = 200
"""Characters."""

# What encoders call the name of what they send, the most deliberate first: "title" is what FFmpeg
# and OBS send of a title that was given to them.
_FIELDS: Final = ("label", "title", "streamTitle", "name")

# Cc, Cs and the like; Zl and Zp end lines; of Cf those that join letters are wanted in some
# scripts, and the others turn the direction of what follows them on the page.
_NEVER: Final = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")


class WrongLabel(Refused):
    """A label is no line of text that can be shown.

    Attributes:
        field: "label", for a program.
    """

    field = "label"


class TooManyLabels(Refused):
    """There are as many labels as there may be."""


def read_label(text: str) -> str:
    """Check a label that somebody typed.

    Returns:
        It without space around, composed (NFC); empty for none.

    Raises:
        WrongLabel: It is too long, or has characters that are not shown (F-IN-06).
    """
    label = unicodedata.normalize("NFC", text[: 4 * MAX_LENGTH + 1]).strip()
    if len(label) > MAX_LENGTH:
        raise WrongLabel(f"label: longer than {MAX_LENGTH} characters")
    for character in label:
        if not _is_shown(character):
            raise WrongLabel(f"label: a character that is not shown: {character!a}")
    return label


def published_label(metadata: Mapping[str, object]) -> str:
    """Return what a publisher calls its stream, fit to be shown; empty where it does not.

    Args:
        metadata: Of the stream; anything may be in it.
    """
    for field in _FIELDS:
        value = metadata.get(field)
        if isinstance(value, str):
            start = value[: 4 * MAX_LENGTH]
            shown = "".join(x if _is_shown(x) else " " for x in start)
            text = unicodedata.normalize("NFC", " ".join(shown.split()))
            if text:
                return text[:MAX_LENGTH].strip()
    return ""


def _is_shown(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in _NEVER and (category != "Cf" or character in _JOINERS)
