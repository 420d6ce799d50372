"""The headers of RTSP messages (RFC 2326 section 4.2: those of RFC 2068, section 4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ntvmedia.errors import UsageError

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A name of a header, method or parameter (RFC 2068 section 2.2)."""

_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


class Headers:
    """The headers of one message, in order; names are the same in either case.

    Two are equal that have the same values in the same order under names that are the same. What
    they hold is never shown by `repr`: it may be a password.

    Args:
        fields: Names and values.
    """

    __slots__ = ("_fields", "_values")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)
        self._values: dict[str, str] = {}
        for name, value in self._fields:
            self._values.setdefault(name.lower(), value)

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a header, or `default`."""
        return self._values.get(name.lower(), default)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of a header, in order."""
        name = name.lower()
        return tuple(value for field, value in self._fields if field.lower() == name)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(name.lower(), value) for name, value in self] == [
            (name.lower(), value) for name, value in other
        ]

    __hash__ = None  # type: ignore[assignment]  # nobody needs them as keys

    def __repr__(self) -> str:
        return f"<Headers {', '.join(name for name, _value in self)}>"


def header_lines(headers: Headers) -> str:
    """Write headers as the lines of a message, each with its CR LF.

    Raises:
        UsageError: A name is none, or a value would end its line.
    """
    lines = []
    for name, value in headers:
        if not TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise UsageError(f"a header cannot be written: {name!r}")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)
