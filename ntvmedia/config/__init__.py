"""Settings: one frozen dataclass per section, read from TOML."""

from ntvmedia.config.reading import Network, Text, describe_section, parse_section, setting
from ntvmedia.config.sections import (
    CORE_SECTIONS,
    HTTPSettings,
    HTTPSSettings,
    HubSettings,
    LogSettings,
    RTMPSettings,
    RTMPSSettings,
    ServerSettings,
    TLSSettings,
)

__all__ = [
    "CORE_SECTIONS",
    "HTTPSSettings",
    "HTTPSettings",
    "HubSettings",
    "LogSettings",
    "Network",
    "RTMPSSettings",
    "RTMPSettings",
    "ServerSettings",
    "TLSSettings",
    "Text",
    "describe_section",
    "parse_section",
    "setting",
]
