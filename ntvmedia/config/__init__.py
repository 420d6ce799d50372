"""Settings: one frozen dataclass per section, read from TOML; and what is built from one alone."""

from ntvmedia.config.reading import Network, Text, describe_section, parse_section, setting
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
from ntvmedia.config.settings import SECTIONS, Settings, override, parse_settings

__all__ = [
    "SECTIONS",
    "DatabaseSettings",
    "HTTPSSettings",
    "HTTPSettings",
    "HubSettings",
    "LogSettings",
    "Network",
    "OutboundSettings",
    "RTMPSSettings",
    "RTMPSettings",
    "RTSPSSettings",
    "RTSPSettings",
    "RelaySettings",
    "ServerSettings",
    "Settings",
    "TLSSettings",
    "Text",
    "describe_section",
    "override",
    "parse_section",
    "parse_settings",
    "setting",
]
