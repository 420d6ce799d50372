"""Endpoint descriptions as settings: `tcp:8080`, `ssl:443:privateKey=...`, `unix:/run/ntv`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from twisted.internet.endpoints import serverFromString

from ntvmedia.config.reading import Kind, WrongValue, read_texts

_WITH_PORT: Final = frozenset({"tcp", "tcp6", "ssl", "tls"})
_MAX_PORT: Final = 65535


def _read_descriptions(value: object) -> tuple[str, ...]:
    descriptions = read_texts(value)
    # A description is checked by making its endpoint, which needs its reactor only to listen;
    # there is none yet when settings are checked.
    reactor: Any = None
    for description in descriptions:
        try:
            serverFromString(reactor, description)
        except Exception as error:
            # ValueError, TypeError and IndexError for its form; OSError and OpenSSL's errors for
            # the files that it names; what plugins of Twisted raise is not documented.
            raise WrongValue(f"{description}: {str(error) or type(error).__name__}") from None
        if not 0 <= _port(description) <= _MAX_PORT:
            raise WrongValue(f"{description}: a port is 0 to {_MAX_PORT}")
    return descriptions


def _port(description: str) -> int:
    """Return the port of a description that Twisted accepts; 0 where it has none.

    Twisted takes any number, and only the system refuses it.
    """
    kind, *words = description.removeprefix("haproxy:").split(":")
    if kind not in _WITH_PORT:
        return 0
    named = [word.removeprefix("port=") for word in words if word.startswith("port=")]
    text = (named or words)[0].strip()
    return int(text) if text.removeprefix("-").isdecimal() else 0


Listen = Annotated[
    tuple[str, ...],
    Kind('an endpoint description such as "tcp:8080", or a list of them', _read_descriptions),
]
"""Where to listen, as `twisted.internet.endpoints.serverFromString` understands it."""
