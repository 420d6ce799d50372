"""Who asks, and whether it may (F-AC-02, F-IN-07, F-AC-11).

Over the control socket it is whoever may open it. Over HTTP it shows a token, or the cookie of a
session. A browser sends a cookie along for the page of any site: what is to change something has
to prove that a page of this server asks for it, by the token of the session (`X-CSRF-Token`), which
no other page can read, or by what the browser itself says of the page (`Sec-Fetch-Site`, `Origin`).

A page of another site whose name was made to point here (DNS rebinding) has no cookie of ours, for
cookies belong to a name; so it is nobody. The one thing that an address alone gives a right to,
setting up the server from this machine, looks at the name too (`ntvmedia.admin.owner`).
"""

from __future__ import annotations

from typing import Any, Final

from ntvmedia.accounts import Identity, Role
from ntvmedia.admin.operations import READING
from ntvmedia.admin.problems import Problem
from ntvmedia.preferences import client_address, is_within

COOKIE: Final = "ntvmedia_session"

OPERATOR: Final = Identity("operator on the host", Role.ADMINISTRATOR, "control")
"""Whoever may open the control socket."""

# Longer ones are none of ours, and are not looked at.
_MAX_SECRET_LENGTH: Final = 512


class Identification:
    """Says who makes a request.

    Args:
        host: The server.
        is_control: The requests come over the control socket.
    """

    def __init__(self, host: Any, *, is_control: bool) -> None:
        self._host = host
        self._is_control = is_control

    def identify(self, request: Any) -> Identity | None:
        """Return who makes a request; None for nobody that is known.

        Raises:
            Problem: 403 for an address that a rule keeps out (P-307); 401 for a token that is
                none, or is over; 400 where it cannot be known which of several is meant.
        """
        if self._is_control:
            return OPERATOR
        self._check_address(request)
        accounts = self._host.accounts
        if not accounts.is_set_up:
            return None
        shown = request.requestHeaders.getRawHeaders("authorization", [])
        if len(shown) > 1:
            raise Problem(400, "there are several fields Authorization")
        if shown:
            scheme, _space, text = shown[0].strip().partition(" ")
            identity = None
            if scheme.lower() == "bearer" and len(text) <= _MAX_SECRET_LENGTH:
                identity = accounts.identify_token(text.strip())
            if identity is None:
                raise unknown("the token is not known, or is over")
            bearer: Identity = identity
            return bearer
        value = session_cookie(request)
        found: Identity | None = accounts.identify_session(value) if value else None
        return found

    def authorize(self, request: Any, role: Role | None) -> Identity | None:
        """Return who makes a request, which has a right to.

        Args:
            request: Of `twisted.web`.
            role: The least that it must have; None for what is open to all.

        Raises:
            Problem: 401 or 403; 400 as for `identify`.
        """
        if role is None:
            if self._is_control:
                return OPERATOR
            self._check_address(request)
            check_page(request)
            return None
        identity = self.identify(request)
        if identity is None:
            raise unknown(self._reason(request))
        if not identity.role.includes(role):
            raise Problem(403, f"this needs the role {role.value}")
        if identity.kind == "session" and request.method.decode("ascii") not in READING:
            self._check_csrf(request, identity)
        return identity

    def _check_address(self, request: Any) -> None:
        if self._host.access.is_console_blocked(client_host(self._host, request)):
            raise Problem(403, "this address is kept out by a rule", kind="blocked-address")

    def _reason(self, request: Any) -> str:
        if not self._host.accounts.is_set_up:
            return "the server is not set up yet: it has no administrator"
        if session_cookie(request):
            return "the session is over: log in again"
        return "log in, or show a token"

    def _check_csrf(self, request: Any, identity: Identity) -> None:
        tokens = request.requestHeaders.getRawHeaders("x-csrf-token", [])
        if len(tokens) == 1 and len(tokens[0]) <= _MAX_SECRET_LENGTH:
            if self._host.accounts.check_csrf(identity, tokens[0]):
                return
        elif not tokens and is_same_origin(request):
            return
        raise Problem(403, "X-CSRF-Token is missing, or not of this session", "X-CSRF-Token")


def client_host(host: Any, request: Any) -> str:
    """Return the address of the client, behind the proxies that are believed (F-AC-05).

    Returns:
        It without a port; empty over the control socket.
    """
    peer = str(getattr(request.getClientAddress(), "host", ""))
    values = {
        name.decode("ascii", "replace").lower(): b",".join(lines).decode("ascii", "replace")
        for name, lines in request.requestHeaders.getAllRawHeaders()
    }
    return client_address(peer, values, host.preferences.values.trusted_proxies)


def is_secure(host: Any, request: Any) -> bool:
    """Say whether the client came by TLS, to this server or to a proxy that is believed."""
    if request.isSecure():
        return True
    peer = str(getattr(request.getClientAddress(), "host", ""))
    said = request.requestHeaders.getRawHeaders("x-forwarded-proto", [])
    is_proxy = is_within(peer, host.preferences.values.trusted_proxies)
    return is_proxy and [x.strip().lower() for x in said] == ["https"]


def unknown(detail: str) -> Problem:
    """Return the problem of a request by nobody that is known: 401 (RFC 9110 11.6.1)."""
    return Problem(401, detail)


def session_cookie(request: Any) -> str:
    """Return the secret of the session that a request names; empty for none, or for several."""
    found = []
    for line in request.requestHeaders.getRawHeaders("cookie", []):
        for part in line.split(";"):
            name, _equals, value = part.strip().partition("=")
            if name == COOKIE:
                found.append(value.strip('"'))
    return found[0] if len(found) == 1 and len(found[0]) <= _MAX_SECRET_LENGTH else ""


def check_page(request: Any) -> None:
    """Refuse what the page of another site has a browser ask for, where it would change something.

    Raises:
        Problem: 403.
    """
    if request.method.decode("ascii") in READING:
        return
    headers = request.requestHeaders
    said = headers.getRawHeaders("sec-fetch-site", [])
    origins = headers.getRawHeaders("origin", [])
    if any(x not in ("same-origin", "none") for x in said) or (origins and not _is_ours(request)):
        raise Problem(403, "a page of another site asks for this")


def is_same_origin(request: Any) -> bool:
    """Say whether a browser says that a page of this server makes a request.

    Both fields are set by browsers alone: a page can set neither (Fetch, "forbidden header name").
    """
    said = request.requestHeaders.getRawHeaders("sec-fetch-site", [])
    return said == ["same-origin"] and _is_ours(request)


def _is_ours(request: Any) -> bool:
    origins = request.requestHeaders.getRawHeaders("origin", [])
    hosts = request.requestHeaders.getRawHeaders("host", [])
    if len(origins) != 1 or len(hosts) != 1:
        return False
    scheme, mark, authority = origins[0].strip().lower().partition("://")
    # A proxy that ends TLS passes plain HTTP on: the scheme is not compared. Browsers leave the
    # port of the scheme out of both.
    return scheme in ("http", "https") and bool(mark) and authority == hosts[0].strip().lower()
