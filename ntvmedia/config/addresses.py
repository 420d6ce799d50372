"""The addresses under which the server is reached, as its settings say."""

from __future__ import annotations

from typing import Final, NamedTuple

from ntvmedia.config.settings import Settings

DEFAULT_PORTS: Final = {
    "rtmp": 1935,
    "rtmps": 443,
    "http": 80,
    "https": 443,
    "rtsp": 554,
    "rtsps": 322,
}
"""The ports that an address need not name, by scheme."""

# These listen on a port that a client elsewhere can be told; unix sockets and the like do not.
_WITH_PORT: Final = frozenset({"tcp", "tcp4", "tcp6", "ssl", "tls", "haproxy"})

_ANY: Final = frozenset({"", "::", "0.0.0.0"})  # noqa: S104 - compared, not bound


class Base(NamedTuple):
    """The part of an address that is the same for all streams.

    Attributes:
        scheme: Such as "rtmp"; also the section that it comes from.
        text: As in "rtmp://example.org:1936", without a slash at the end.
    """

    scheme: str
    text: str


def base_addresses(settings: Settings, machine: str, address: str = "") -> list[Base]:
    """List where the server is reached, in the order of the sections and their descriptions.

    Args:
        settings: Read for `server.address` and what each section listens on.
        machine: The name of the machine, which stands in for an empty `server.address`.
        address: What is put in its place, as `Preferences.values.server_address` has it; empty
            for `server.address`.
    """
    bases: list[Base] = []
    for scheme, default in DEFAULT_PORTS.items():
        for description in getattr(settings, scheme).listen:
            kind, port, interface = _parsed(description)
            if kind not in _WITH_PORT or not port:
                continue
            host = address or settings.server.address
            host = host or (machine if interface in _ANY else interface)
            if ":" in host and not host.startswith("["):
                host = f"[{host}]"
            secure = kind in ("ssl", "tls") and scheme in ("http", "rtmp", "rtsp")
            shown = f"{scheme}s" if secure else scheme
            default = DEFAULT_PORTS[shown]
            base = Base(shown, f"{shown}://{host}" + ("" if port == default else f":{port}"))
            if base not in bases:
                bases.append(base)
    return bases


def _parsed(description: str) -> tuple[str, int, str]:
    """Split a description into its kind, port and interface; 0 where it names no port.

    Only for showing: what the description means is decided by Twisted.
    """
    words = description.replace("\\:", "\0").split(":")
    if words[0] == "haproxy":
        words = words[1:]
    fields = dict(word.partition("=")[::2] for word in words[1:] if "=" in word)
    plain = [word for word in words[1:] if "=" not in word]
    port = fields.get("port") or (plain[0] if plain else "")
    interface = fields.get("interface", "").replace("\0", ":")
    return words[0] if words else "", int(port) if port.isdecimal() else 0, interface
