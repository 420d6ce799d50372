"""The `Session` header and lists of methods (RFC 2326 sections 12.37, 12.28)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtsp.fields import parse_parameter, split_list

DEFAULT_TIMEOUT: Final = 60
"""Seconds, where a server names none (RFC 2326 section 12.37)."""

MAX_ID: Final = 256
"""Characters of an id; the longest seen of a camera has 64."""

_ID: Final = re.compile(r"[!-+\-.-:<-~]+")
_SECONDS: Final = re.compile("[0-9]{1,6}")


class SessionField(NamedTuple):
    """A `Session` header.

    Attributes:
        id: Opaque; never empty.
        timeout: In seconds; `DEFAULT_TIMEOUT` where none is given.
    """

    id: str
    timeout: int = DEFAULT_TIMEOUT


def parse_session(text: str) -> SessionField:
    """Read a `Session` header; clients repeat the timeout, which means nothing (D-RQ-11).

    Raises:
        PeerError: There is no id, or one that never was.
    """
    name, _semicolon, rest = text.partition(";")
    name = name.strip()
    if not _ID.fullmatch(name) or len(name) > MAX_ID:
        raise PeerError("a session without a good id", reference="RFC 2326 12.37")
    timeout = DEFAULT_TIMEOUT
    for part in split_list(rest, ";"):
        key, value = parse_parameter(part)
        if key == "timeout" and _SECONDS.fullmatch(value) and int(value) > 0:
            timeout = int(value)
    return SessionField(name, timeout)


def format_session(session: SessionField) -> str:
    """Write a server's `Session` header, with its timeout.

    Raises:
        UsageError: The id cannot be written.
    """
    if not _ID.fullmatch(session.id) or len(session.id) > MAX_ID:
        raise UsageError("a session id that cannot be written")
    return f"{session.id};timeout={session.timeout}"


def parse_methods(texts: Iterable[str]) -> frozenset[str]:
    """Read `Public` or `Allow` headers: the methods, in capitals."""
    return frozenset(method.upper() for text in texts for method in split_list(text, ","))
