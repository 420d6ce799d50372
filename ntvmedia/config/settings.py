"""The whole configuration: all sections together, checked against each other.

Pure: the file is read by `ntvmedia.tap`, which hands in what TOML made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_type_hints

from ntvmedia.config.reading import Text, parse_section, unknown_name
from ntvmedia.config.sections import (
    DatabaseSettings,
    HTTPSettings,
    HTTPSSettings,
    HubSettings,
    LogSettings,
    OutboundSettings,
    RelaySettings,
    RTMPSettings,
    RTMPSSettings,
    RTSPSettings,
    RTSPSSettings,
    ServerSettings,
    TLSSettings,
)
from ntvmedia.errors import ConfigError

SectionParser = Callable[[Mapping[str, object]], object]
"""What checks the section of an endpoint: `IMediaEndpoint.parse_settings`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator may set; without arguments, the defaults.

    Attributes:
        endpoints: What each endpoint's plugin made of the section of its name.
        data: The folder for everything that the server keeps.
    """

    server: ServerSettings = field(default_factory=ServerSettings)
    http: HTTPSettings = field(default_factory=HTTPSettings)
    https: HTTPSSettings = field(default_factory=HTTPSSettings)
    rtmp: RTMPSettings = field(default_factory=RTMPSettings)
    rtmps: RTMPSSettings = field(default_factory=RTMPSSettings)
    rtsp: RTSPSettings = field(default_factory=RTSPSettings)
    rtsps: RTSPSSettings = field(default_factory=RTSPSSettings)
    tls: TLSSettings = field(default_factory=TLSSettings)
    hub: HubSettings = field(default_factory=HubSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    outbound: OutboundSettings = field(default_factory=OutboundSettings)
    relay: RelaySettings = field(default_factory=RelaySettings)
    log: LogSettings = field(default_factory=LogSettings)
    endpoints: Mapping[str, object] = field(default_factory=dict)
    data: Path = Path("data")


_NOT_SECTIONS: Final = ("endpoints", "data")

SECTIONS: Final[dict[str, type[Any]]] = {
    name: hint for name, hint in get_type_hints(Settings).items() if name not in _NOT_SECTIONS
}
"""Our own sections by name, in the order of `docs/configuration.md`."""


def override(raw: Mapping[str, object], assignments: Iterable[str]) -> dict[str, object]:
    """Apply `SECTION.KEY=VALUE` texts of a command line, the last of a key winning.

    Args:
        raw: What TOML gave. It is left as it is.
        assignments: In the order given.

    Raises:
        ConfigError: A text is not of that form, or names as a section what is none in `raw`.
    """
    changed = {
        name: dict(table) if isinstance(table, Mapping) else table for name, table in raw.items()
    }
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        section, dot, key = path.strip().partition(".")
        if not (section and dot and key and equals):
            raise ConfigError("expected SECTION.KEY=VALUE", (f"--set {assignment}",))
        table = changed.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError("expected a section", (section,))
        table[key.strip()] = Text(value)
    return changed


def parse_settings(
    raw: Mapping[str, object],
    endpoints: Mapping[str, SectionParser] | None = None,
    data: Path = Path("data"),
) -> Settings:
    """Check a whole configuration.

    Args:
        raw: Sections by name, as TOML gives them and `override` changes them.
        endpoints: What parses the section of each endpoint, by name. One may share its name with
            a section of ours.
        data: As in `Settings`.

    Raises:
        ConfigError: A section is unknown, a setting is wrong, or one needs another.
    """
    endpoints = endpoints or {}
    known = [*SECTIONS, *(name for name in endpoints if name not in SECTIONS)]
    tables: dict[str, Mapping[str, object]] = {}
    for name, table in raw.items():
        if name not in known:
            raise ConfigError(f"unknown section; {unknown_name(name, known)}", (name,))
        if not isinstance(table, Mapping):
            raise ConfigError("expected a section", (name,))
        tables[name] = table
    settings = Settings(
        **{
            name: parse_section(section, name, tables.get(name, {}))
            for name, section in SECTIONS.items()
        },
        endpoints={name: parse(tables.get(name, {})) for name, parse in endpoints.items()},
        data=data,
    )
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    """Refuse what is good by itself and cannot work with the rest."""
    tls = settings.tls
    for name in ("https", "rtmps", "rtsps"):
        if getattr(settings, name).listen and not tls.certificate:
            raise ConfigError("needs tls.certificate and tls.key", (name, "listen"))
    if len(tls.key) != len(tls.certificate):
        message = f"expected one for each tls.certificate: {len(tls.certificate)}"
        raise ConfigError(f"{message}, not {len(tls.key)}", ("tls", "key"))
    if settings.rtmp.proxy_protocol == "on" and not settings.rtmp.trusted_proxies:
        raise ConfigError("needs rtmp.trusted_proxies", ("rtmp", "proxy_protocol"))
