"""Which tracks an address asks for: the same query names on every protocol (P-503)."""

from __future__ import annotations

from collections.abc import Mapping


def track_options(query: Mapping[str, str]) -> dict[str, str]:
    """Turn `audio=1` and `track=N` into the options of a rendition.

    Args:
        query: Of an address, decoded. Values that make no sense count as not given.
    """
    options: dict[str, str] = {}
    number = query.get("track", "")
    if number.isascii() and number.isdecimal() and len(number) <= 3 and int(number) < 256:
        options["video"] = options["audio"] = str(int(number))
    if query.get("audio") == "1":
        options["video"] = "none"
    return options
