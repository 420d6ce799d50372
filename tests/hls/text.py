"""Lines, tags and attribute lists of playlists: draft-pantos-hls-rfc8216bis sections 4.1 and 4.2.

What a lenient player would forgive is a `Violation` here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal

_TAG = re.compile(r"#(EXT[A-Z0-9-]*)(?::(.*))?")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")
_DECIMAL = re.compile(r"[0-9]+(?:\.([0-9]+))?")
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,(?!$)|$)')
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")


class Violation(AssertionError):
    """A rule is broken.

    Attributes:
        rule: A short name of the rule.
    """

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def demand(condition: object, rule: str, text: Callable[[], str] | str) -> None:
    """Raise `Violation` unless the condition holds; a text that costs something is a function."""
    if not condition:
        raise Violation(rule, text if isinstance(text, str) else text())


def tag_lines(body: bytes) -> list[tuple[str, str]]:
    """Return tags as name and value, and addresses with an empty name.

    Raises:
        Violation: It is no playlist.
    """
    demand(not body.startswith(b"\xef\xbb\xbf"), "bom", "a byte order mark (4.1)")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Violation("utf-8", f"{error} (4.1)") from None
    demand(text.endswith("\n"), "last-line", "the last line has no end (4.1)")
    text = text.replace("\r\n", "\n")
    demand(not _CONTROL.search(text) and "\r" not in text, "control", "a control character (4.1)")
    demand(unicodedata.is_normalized("NFC", text), "nfc", "not normalised (4.1)")
    lines = text.split("\n")[:-1]
    demand(lines[0] == "#EXTM3U", "first-line", f"the first line is {lines[0]!r} (4.4.1.1)")
    found = []
    for line in lines[1:]:
        if not line or (line.startswith("#") and not line.startswith("#EXT")):
            continue
        if line.startswith("#"):
            match = _TAG.fullmatch(line)
            demand(match is not None and line != "#EXTM3U", "tag", f"not a tag: {line!r}")
            assert match is not None
            found.append((match[1], match[2] or ""))
        else:
            demand(re.fullmatch(r"[!-~]+", line), "uri", f"not an address: {line!r} (4.1)")
            found.append(("", line))
    return found


def integer(text: str, name: str) -> int:
    """Read a decimal-integer of 64 bits (4.2)."""
    demand(_INTEGER.fullmatch(text), "integer", f"{name}:{text} is no decimal integer (4.2)")
    value = int(text)
    demand(value < 1 << 64, "integer", f"{name}:{text} is too large (4.2)")
    return value


def seconds(text: str, rule: str, *, decimals: int = 0) -> Decimal:
    """Read a decimal-floating-point number of seconds (4.2) with so many decimals at least."""
    match = _DECIMAL.fullmatch(text)
    demand(match is not None, rule, f"{text} is no number of seconds (4.2)")
    assert match is not None
    demand(len(match[1] or "") >= decimals, f"{rule}-decimals", f"{text} (C-PL-05)")
    return Decimal(text)


def attributes(text: str) -> dict[str, str]:
    """Read an attribute list; quoted strings keep their quotes (4.2)."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _ATTRIBUTE.match(text, position)
        demand(match is not None, "attributes", f"not an attribute list: {text[position:]} (4.2)")
        assert match is not None
        demand(match[1] not in found, "attributes", f"{match[1]} twice (4.2)")
        found[match[1]] = match[2]
        position = match.end()
    demand(found, "attributes", "an empty attribute list (4.2)")
    return found


def quoted(found: dict[str, str], name: str) -> str:
    """Take the quotes off an attribute, and return it."""
    value = found[name]
    demand(value[:1] == '"', "quotes", f"{name}={value} has no quotes (4.2)")
    demand(len(value) > 2, "empty-attribute", f"{name} is empty (C-PL-21)")
    found[name] = value[1:-1]
    return found[name]


def address(found: dict[str, str], tag: str, name: str = "URI") -> str:
    """Return the address that an attribute has to be."""
    demand(name in found, "attribute", f"{tag} without {name}")
    value = quoted(found, name)
    demand(re.fullmatch(r"[!-~]+", value), "uri", f"{tag}: not an address: {value!r} (4.1)")
    return value


def yes(found: dict[str, str], tag: str, name: str) -> bool:
    """Return whether an attribute is there whose only value is YES."""
    value = found.get(name)
    demand(value in (None, "YES"), "enumeration", f"{tag}: {name}={value}")
    return value is not None


def only(found: dict[str, str], tag: str, *names: str) -> None:
    """Check that there are no attributes but those that the server has a use for."""
    other = found.keys() - set(names)
    demand(not other, "attribute", f"{tag} with {sorted(other)}")
