"""What a publisher says of its stream, as JSON can have it: nothing of it is trusted (F-IN-06)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

_MAX_FIELDS: Final = 100
"""Of one object or list. `onMetaData` of FFmpeg has some 20."""

_MAX_TEXT: Final = 500
"""Characters."""

_MAX_DEPTH: Final = 4

# What encoders call themselves: FFmpeg and OBS, Adobe's, and older ones.
_ENCODERS: Final = ("encoder", "encodername", "metadatacreator", "creator")

# Beyond it, clients written in JavaScript read another number.
_MAX_INTEGER: Final = 2**53


def plain_metadata(metadata: Mapping[str, object]) -> dict[str, Any]:
    """Return the first fields, cut to a size that can be shown."""
    return {
        _text(str(name)): _plain(value, _MAX_DEPTH)
        for name, value in list(metadata.items())[:_MAX_FIELDS]
    }


def encoder_of(metadata: Mapping[str, object]) -> str:
    """Return what the publisher's program calls itself; empty where it does not."""
    for name in _ENCODERS:
        value = metadata.get(name)
        if isinstance(value, str) and value.strip():
            return _text(value.strip())
    return ""


def _plain(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # AMF has none that are larger.
        return value if abs(value) <= _MAX_INTEGER else None
    if isinstance(value, float):
        # JSON has no other numbers.
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _text(value)
    if depth and isinstance(value, Mapping):
        items = list(value.items())[:_MAX_FIELDS]
        return {_text(str(name)): _plain(inner, depth - 1) for name, inner in items}
    if depth and isinstance(value, list | tuple):
        return [_plain(inner, depth - 1) for inner in value[:_MAX_FIELDS]]
    return _text(type(value).__name__)


def _text(text: str) -> str:
    """Return one line without what a terminal or a page would obey."""
    return "".join(x if x.isprintable() else " " for x in text[:_MAX_TEXT])
