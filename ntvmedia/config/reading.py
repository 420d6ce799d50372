"""Read one section of the configuration into a frozen dataclass.

A section is a frozen dataclass of `setting`s. Their annotations say what a value is (`Seconds`,
`Size`, `Count`, `Texts`, `Networks`, `Groups`, `Ports`, `str`, `bool`, or a `Literal` of the texts
allowed), the metadata say its range and what it is for; so checking, `docs/configuration.md` and
the type checker all work from one declaration. Plugins declare their sections with the same names.

Everything here is pure: text and numbers in, a value or one `ConfigError` out.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from ntvmedia.errors import ConfigError

Network = IPv4Network | IPv6Network

_Section = TypeVar("_Section")

_UNITS: Final = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_PORTS: Final = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,15})\s*([A-Za-z]*)")

# Longer values are cut where an error quotes them: an error stays one readable line.
_QUOTED_CHARACTERS: Final = 60
_REASON_CHARACTERS: Final = 200


class Text(str):
    """The value of a setting given on the command line, where everything is text.

    Only such text is turned into a number, a flag or a list: in the file `"15"` is text, and a
    mistake where a number is wanted.
    """

    __slots__ = ()


class PortRange(NamedTuple):
    """Ports from one to another.

    Attributes:
        first: 1024 or more.
        last: 65535 or less; at least one even port has the next one in it too.
    """

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


class WrongValue(ValueError):
    """A value is not of its kind; the message, one clause, says more than what is expected."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a setting takes, apart from its range.

    Attributes:
        expected: What is allowed, after the word "expected": "seconds".
        read: Turns a value of the file, or `Text`, into the setting's. Raises `ValueError`.
    """

    expected: str
    read: Callable[[object], Any]


def _read_number(value: object) -> float:
    if isinstance(value, Text):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _read_count(value: object) -> int:
    if isinstance(value, Text):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _read_size(value: object) -> int:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None or match[2].upper() not in _UNITS:
            raise ValueError
        return int(match[1]) * _UNITS[match[2].upper()]
    return _read_count(value)


def _read_flag(value: object) -> bool:
    if isinstance(value, Text) and value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise ValueError
    return value


def _read_text(value: object) -> str:
    if not isinstance(value, str) or any(ord(character) < 32 for character in value):
        raise ValueError
    return str(value)


def read_texts(value: object) -> tuple[str, ...]:
    """Read a text or a list of texts; for a `Kind` that is more special than `Texts`.

    Raises:
        ValueError: It is something else, or one of several texts is empty.
    """
    if isinstance(value, Text) and value.startswith("["):
        value = tomllib.loads(f"value = {value}")["value"]
    if isinstance(value, str):
        value = [value] if value else []
    if not isinstance(value, list | tuple):
        raise ValueError
    texts = tuple(_read_text(item) for item in value)
    if "" in texts:
        raise ValueError
    return texts


def _read_networks(value: object) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in read_texts(value))


def _read_groups(value: object) -> tuple[Network, ...]:
    texts = [str(item) for item in value] if isinstance(value, tuple) else value
    groups = _read_networks(texts)
    if not groups or not all(group.is_multicast for group in groups):
        raise WrongValue("multicast is 224.0.0.0/4 and ff00::/8")
    return groups


def _read_ports(value: object) -> PortRange:
    match = _PORTS.fullmatch(str(value) if isinstance(value, PortRange) else _read_text(value))
    if match is None:
        raise ValueError
    first, last = int(match[1]), int(match[2])
    if not 1024 <= first < last <= 65535:
        raise WrongValue("ports are from 1024 to 65535, and the first is the lower one")
    if first + first % 2 + 1 > last:
        raise WrongValue("there is no even port with the next one in it")
    return PortRange(first, last)


Seconds = Annotated[float, Kind("seconds", _read_number)]
"""A length of time in seconds; a fraction is allowed."""

Size = Annotated[int, Kind('bytes, or text such as "8MiB"', _read_size)]
"""A number of bytes; KiB, MiB and GiB (powers of 1024) are understood in text."""

Count = Annotated[int, Kind("a whole number", _read_count)]
"""How many."""

Texts = Annotated[tuple[str, ...], Kind("text, or a list of texts", read_texts)]
"""Some texts; a single one needs no list, and the empty text is none."""

Networks = Annotated[
    tuple[Network, ...],
    Kind('an IP address or network such as "10.0.0.0/8", or a list of them', _read_networks),
]
"""Networks of IP addresses; a single address is a network of one."""

Groups = Annotated[
    tuple[Network, ...],
    Kind('a network of multicast groups such as "239.192.0.0/16", or a list of them', _read_groups),
]
"""Networks of multicast groups, at least one."""

Ports = Annotated[PortRange, Kind('ports such as "30000-30999"', _read_ports)]
"""A range of ports, with room for one pair or more."""

_FLAG: Final = Kind("true or false", _read_flag)
_TEXT: Final = Kind("text on one line", _read_text)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one setting is for and what it may be.

    Attributes:
        text: One or two sentences for the operator.
        minimum: The least value allowed, in the setting's unit; `None` has no limit.
        maximum: The greatest value allowed.
    """

    text: str
    minimum: float | None = None
    maximum: float | None = None


def setting(
    default: Any, text: str, *, minimum: float | None = None, maximum: float | None = None
) -> Any:
    """Declare one setting as a field of a section's dataclass.

    Args:
        default: The value when nothing is configured.
        text: As in `Rule`.
        minimum: As in `Rule`.
        maximum: As in `Rule`.
    """
    return dataclasses.field(default=default, metadata={"rule": Rule(text, minimum, maximum)})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a section, as an operator sees it.

    Attributes:
        key: Its name in the section.
        default: Its value when nothing is configured.
        expected: What is allowed, with the range.
        rule: As declared.
    """

    key: str
    default: Any
    expected: str
    rule: Rule


def describe_section(section: type[Any]) -> list[Setting]:
    """List the settings of a section, in the order of their declaration."""
    hints = get_type_hints(section, include_extras=True)
    return [
        Setting(field.name, field.default, _expected(hints[field.name], rule), rule)
        for field in dataclasses.fields(section)
        for rule in (field.metadata["rule"],)
    ]


def parse_section(section: type[_Section], name: str, raw: Mapping[str, object]) -> _Section:
    """Check one section and build its dataclass; what is not given has its default.

    Args:
        section: A frozen dataclass whose fields are all `setting`s.
        name: The section's name, for errors.
        raw: The section as TOML gives it, with `Text` for what the command line overrides.

    Raises:
        ConfigError: A key is unknown, or a value is not of its kind or out of its range. The
            message is one line that says what is allowed.
    """
    hints = get_type_hints(section, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(section)}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    for key, value in raw.items():
        if key not in fields:
            raise ConfigError(_unknown(key, list(fields)), (name, key))
        rule = fields[key].metadata["rule"]
        try:
            values[key] = _checked(_kind(hints[key]).read(value), rule)
        except WrongValue as error:
            message = (
                f"expected {_expected(hints[key], rule)}; {_cut(str(error), _REASON_CHARACTERS)}"
            )
            raise ConfigError(message, (name, key)) from None
        except (ValueError, OverflowError):
            message = f"expected {_expected(hints[key], rule)}, not {_quoted(value)}"
            raise ConfigError(message, (name, key)) from None
    return section(**values)


def unknown_name(name: str, known: list[str]) -> str:
    """Say that a name is unknown and which there are, the likeliest first where one is near."""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"expected one of {', '.join(known)}"


def _unknown(key: str, known: list[str]) -> str:
    return f"unknown setting; {unknown_name(key, known)}"


def _kind(hint: Any) -> Kind:
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        return Kind(" or ".join(f'"{choice}"' for choice in allowed), _choice_of(allowed))
    if get_origin(hint) is Annotated:
        kind: Kind = get_args(hint)[1]
        return kind
    return {bool: _FLAG, str: _TEXT}[hint]


def _choice_of(allowed: tuple[object, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in allowed:
            raise ValueError
        return str(value)

    return read


def _expected(hint: Any, rule: Rule) -> str:
    expected = _kind(hint).expected
    if rule.minimum is not None and rule.maximum is not None:
        return f"{expected}, {rule.minimum:,.10g} to {rule.maximum:,.10g}"
    if rule.minimum is not None:
        return f"{expected}, at least {rule.minimum:,.10g}"
    return expected


def _checked(value: Any, rule: Rule) -> Any:
    if rule.minimum is not None and value < rule.minimum:
        raise ValueError
    if rule.maximum is not None and value > rule.maximum:
        raise ValueError
    return value


def _quoted(value: object) -> str:
    return _cut(ascii(str(value) if isinstance(value, Text) else value), _QUOTED_CHARACTERS)


def _cut(text: str, characters: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[:characters]}..."
