"""Cross-origin access to media: whose pages may fetch them (WHATWG Fetch, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# A wildcard does not cover Authorization; Range is named for browsers older than the wildcard.
_PREFLIGHT: Final = (
    "Allow: GET, HEAD, OPTIONS\r\n"
    "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
    "Access-Control-Allow-Headers: *, Authorization, Range\r\n"
    "Access-Control-Max-Age: 86400\r\n"
)


class OriginPolicy:
    """Says which origin an answer names.

    Credentials are never allowed: media are protected by what is in their address, and a page of
    another site must not use a cookie of ours.

    Args:
        allowed: Origins as browsers send them, `https://example.org`; `*` is any.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        origins = {origin.rstrip("/").lower() for origin in allowed}
        self._any = "*" in origins
        self._origins = frozenset(origins)

    @property
    def allows_any(self) -> bool:
        """Whether all origins are answered the same."""
        return self._any

    def fields(self, origin: str | None) -> str:
        """Return the header fields of an answer, good or bad, to a request from this origin.

        An origin that is not allowed gets no permission, and the same answer otherwise: it is the
        browser that keeps it from the page.

        Args:
            origin: The request's `Origin` field; "null" is that of a page without an address.
        """
        if self._any:
            return "Access-Control-Allow-Origin: *\r\n"
        if origin is None or origin.lower() not in self._origins:
            return "Vary: Origin\r\n"
        return f"Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n"

    def admits(self, origin: str | None, host: str) -> bool:
        """Say whether a page may do what browsers leave to the server to refuse: a WebSocket.

        Args:
            origin: As of `fields`. Who sends none is not a browser.
            host: The request's `Host` field: our own pages always may.
        """
        if self._any or origin is None:
            return True
        origin = origin.lower()
        return origin in self._origins or origin.partition("://")[2] == host.lower()

    def preflight(self, origin: str | None) -> str:
        """Return the header fields of the answer to OPTIONS."""
        return self.fields(origin) + _PREFLIGHT
