"""Tables, and applications as people read them in a terminal, and as programs do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from unicodedata import combining, east_asian_width


def printable(text: str) -> str:
    """Return text that a terminal only shows, whoever wrote it."""
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)


def as_json(value: object) -> str:
    """Return JSON in ASCII, indented."""
    return json.dumps(value, indent=2) + "\n"


def as_table(applications: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for each application below a line of titles (P-205).

    Args:
        applications: As the API shows them.
    """
    rows = [
        (
            *("NAME", "TYPE", "ENABLED", "OUTPUTS", "RECORDING", "PASSWORD", "PROTECTION"),
            *("STREAMS", "VIEWERS"),
        )
    ]
    for application in applications:
        protection = [
            name
            for name, field in (
                ("referer", "referers"),
                ("signed", "signed"),
                ("encrypted", "encrypted"),
            )
            if application[field]
        ]
        rows.append(
            (
                application["name"],
                application["type"],
                _text(application["enabled"]),
                ",".join(application["outputs"]) or "-",
                application["recording"],
                _text(application["publish_password_set"]),
                ",".join(protection) or "-",
                str(application.get("streams", "-")),
                str(application.get("viewers", "-")),
            )
        )
    return as_columns(rows)


def as_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return a line for each row, its cells below those of the row before."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        + "\n"
        for row in rows
    )


def as_fields(application: Mapping[str, Any]) -> str:
    """Return a line for each field, as `ntvmedia app set` takes it."""
    return "".join(
        f"{name}={_time(value) if name.endswith('_at') else _text(value)}\n"
        for name, value in application.items()
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _width(text: str) -> int:
    """Return how many columns a terminal needs."""
    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )
