"""Endpoint descriptions as settings: `tcp:8080`, `ssl:443:privateKey=...`, `unix:/run/ntv`."""

from __future__ import annotations

from typing import Annotated, Any

from twisted.internet.endpoints import serverFromString

from ntvmedia.config.reading import Kind, WrongValue, read_texts


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
    return descriptions


Listen = Annotated[
    tuple[str, ...],
    Kind('an endpoint description such as "tcp:8080", or a list of them', _read_descriptions),
]
"""Where to listen, as `twisted.internet.endpoints.serverFromString` understands it."""
