"""Pieces that the values of RTSP's headers are made of: lists, parameters, quoted strings."""

from __future__ import annotations

import re
from typing import Final

from ntvmedia.errors import UsageError

# A quoted string, or any one character. A quotation mark that is never closed goes to the end, even
# of a text that ends in a backslash: so a quotation mark never has to be tried twice.
_PIECES: Final = re.compile(r'"(?:[^"\\]|\\.?+)*+(?:"|\Z)|.', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE: Final = re.compile(r'(["\\])')


def split_list(text: str, separator: str) -> list[str]:
    """Cut at each separator that stands outside of quotation marks; empty parts are left out.

    Args:
        text: Of a header.
        separator: One character.

    Returns:
        The parts, without the white space around them.
    """
    if '"' not in text:
        parts = text.split(separator)
    else:
        parts, part = [], list[str]()
        for piece in _PIECES.findall(text):
            if piece == separator:
                parts.append("".join(part))
                part.clear()
            else:
                part.append(piece)
        parts.append("".join(part))
    return [part.strip() for part in parts if part.strip()]


def parse_parameter(text: str) -> tuple[str, str]:
    """Read `name=value` or `name="value"`; the name is in lower case, a lacking value empty."""
    name, _equals, value = text.partition("=")
    return name.strip().lower(), unquoted(value)


def parse_parameters(text: str, separator: str) -> dict[str, str]:
    """Read a list of parameters; of those with the same name the first counts."""
    parameters: dict[str, str] = {}
    for part in split_list(text, separator):
        name, value = parse_parameter(part)
        parameters.setdefault(name, value)
    return parameters


def unquoted(text: str) -> str:
    """Return what a quoted string says, or the text itself where it is none."""
    text = text.strip()
    if not text.startswith('"'):
        return text
    body = text[1:]
    if body.endswith('"'):
        body = body[:-1]
    return _ESCAPED.sub(r"\1", body) if "\\" in body else body


def quoted(text: str) -> str:
    """Write a quoted string.

    Raises:
        UsageError: It would end its line.
    """
    if "\r" in text or "\n" in text:
        raise UsageError("a line's end cannot be quoted")
    return '"' + _TO_ESCAPE.sub(r"\\\1", text) + '"'


def parse_range_of_numbers(text: str, limit: int) -> tuple[int, int] | None:
    """Read `N` or `N-M`: channels or ports.

    Args:
        text: Of a parameter.
        limit: The highest number there may be.

    Returns:
        Both ends; the second is the first plus one where it is not given. None where this is no
        such thing, a number is above the limit, or they are in the wrong order.
    """
    first, dash, second = text.strip().partition("-")
    numbers = []
    for number in (first, second):
        if not number or len(number) > 5 or not (number.isascii() and number.isdigit()):
            numbers.append(-1)
        else:
            numbers.append(int(number))
    start, end = numbers
    if not dash:
        end = start + 1
    return (start, end) if 0 <= start <= end <= limit else None
