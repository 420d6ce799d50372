"""The API's sessions: logging in and out, and who is logged in (P-103, F-IN-08)."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct
from twisted.web.http import datetimeToString

from ntvmedia.accounts import (
    Identity,
    NoSession,
    NoUser,
    Role,
    SlowDown,
    WrongField,
    WrongPassword,
    describe_session,
)
from ntvmedia.admin.identification import COOKIE, is_secure, session_cookie, unknown
from ntvmedia.admin.operations import Answer, Call, Operations, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.admin.problems import Problem
from ntvmedia.admin.users import Password, whose

_PATH: Final = "/mserver"


class LogIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who logs in."""

    name: Annotated[str, Meta(max_length=256)]
    password: Annotated[str, Meta(max_length=1024)]


class Who(Struct, kw_only=True):
    """Who asks, and how that is known."""

    name: str
    role: Role
    kind: Annotated[str, Meta(description='"session", "token" or "control" (the command line).')]
    id: Annotated[str, Meta(description="Of the session or token; empty for the command line.")]
    csrf_token: Annotated[
        str, Meta(description="What a page of a session sends as X-CSRF-Token; else empty.")
    ]


class PasswordChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """Another password for who asks."""

    old: Annotated[str, Meta(max_length=1024)]
    new: Password


class Session(Struct, kw_only=True):
    """A browser that somebody logged in with."""

    id: str
    owner: Annotated[str, Meta(description="The user's name.")]
    peer_host: Annotated[str, Meta(description="The address that logged in.")]
    agent: Annotated[str, Meta(description="What the browser calls itself.")]
    created_at: Annotated[float, Meta(description="Seconds since 1970.")]
    used_at: Annotated[float, Meta(description="Seconds since 1970.")]
    is_this_one: Annotated[bool, Meta(description="It is the one that asks.")]


class SessionList(Page, kw_only=True):
    """Sessions."""

    sessions: list[Session]


_KEYS: Final = {
    "created_at": attrgetter("created_at"),
    "used_at": attrgetter("used_at"),
    "owner": attrgetter("owner"),
    "peer_host": attrgetter("peer_host"),
    "agent": attrgetter("agent"),
}


class SessionOperations(Operations):
    """Sessions: logging in, who is logged in, logging out.

    A session is a cookie that no page can read, and that browsers send for pages of this server
    only. What changes something needs `X-CSRF-Token` besides, as `/session` tells it.
    """

    tag = "sessions"
    refusals: ClassVar = {
        WrongField: 400,
        WrongPassword: 401,
        NoSession: 404,
        NoUser: 404,
        SlowDown: 429,
    }

    @operation("POST", "/session", role=None, body=LogIn, answers=Who, status=201, errors=(403,))
    async def log_in(self, call: Call) -> Answer:
        """Log in.

        Each time with a new session, whatever the browser had before, which ends. Wrong passwords
        are slowed down, by address and by user: 429 with `Retry-After`.
        """
        body: LogIn = call.body
        accounts = self.host.accounts
        if not accounts.is_set_up:
            raise unknown("the server is not set up yet: it has no administrator")
        agents = call.request.requestHeaders.getRawHeaders("user-agent", [""])
        identity, secret = await accounts.log_in(
            body.name,
            body.password,
            call.peer_host,
            previous=session_cookie(call.request),
            agent=agents[0],
        )
        expires = datetimeToString(secret.expires_at).decode("ascii")
        cookie = f"{secret.value}; Expires={expires}"
        headers = {"Set-Cookie": self._cookie(call, cookie)}
        return Answer(self._who(identity), 201, headers)

    @operation("GET", "/session", role=Role.VIEWER, answers=Who)
    def session(self, call: Call) -> Who:
        """Say who asks."""
        return self._who(call.identity)

    @operation("DELETE", "/session", role=Role.VIEWER, has_etag=False)
    async def log_out(self, call: Call) -> Answer:
        """Log out: the session ends here, whatever becomes of the cookie."""
        if call.identity.kind != "session":
            raise Problem(403, "only a session can be left; a token is revoked")
        note = call.note("sessions.delete", call.identity.name)
        await self.host.accounts.log_out(call.identity, note=note)
        gone = self._cookie(call, "; Max-Age=0")
        return Answer(headers={"Set-Cookie": gone, "Clear-Site-Data": '"cache"'})

    @operation("POST", "/session/password", role=Role.VIEWER, body=PasswordChange)
    async def change_password(self, call: Call) -> None:
        """Change one's own password. All other sessions of the user end."""
        if call.identity.kind != "session":
            raise Problem(403, "only who is logged in changes an own password")
        body: PasswordChange = call.body
        try:
            await self.host.accounts.change_own_password(
                call.identity,
                body.old,
                body.new,
                peer_host=call.peer_host,
                note=call.note("users.password", call.identity.name),
            )
        except WrongPassword as error:
            # Not 401, which says that the session is over.
            raise Problem(403, f"old: {error}", "old", kind="wrong-password") from None
        except WrongField as error:
            # A user has a `password`; here it is called by another name.
            raise WrongField(error.clause, "new") from None

    @operation("GET", "/sessions", role=Role.VIEWER, query=Paging, answers=SessionList)
    def sessions(self, call: Call) -> SessionList:
        """List one's own sessions; an administrator's list has those of all users.

        Sorted by `created_at`, `used_at`, `owner`, `peer_host` or `agent`.
        """
        found = self.host.accounts.sessions(whose(call))
        cut = paged(found, call.query, _KEYS)
        own = call.identity.session
        shown = [Session(**describe_session(x), is_this_one=x.id == own) for x in cut.items]
        return SessionList(sessions=shown, **cut.numbers)

    @operation("DELETE", "/sessions/{id}", role=Role.VIEWER, has_etag=False)
    async def revoke(self, call: Call) -> None:
        """End a session: an own one, or as an administrator anybody's."""
        note = call.note("sessions.delete", call.path["id"])
        await self.host.accounts.revoke_session(call.path["id"], owner=whose(call), note=note)

    def _who(self, identity: Identity) -> Who:
        return Who(
            name=identity.name,
            role=identity.role,
            kind=identity.kind,
            id=identity.session,
            csrf_token=self.host.accounts.csrf_token(identity),
        )

    def _cookie(self, call: Call, value: str) -> str:
        request: Any = call.request
        secure = "; Secure" if is_secure(self.host, request) else ""
        return f"{COOKIE}={value}; Path={_PATH}; HttpOnly; SameSite=Strict{secure}"
