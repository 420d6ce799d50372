"""The API's tokens: the rights of programs (P-103)."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct

from ntvmedia.accounts import NoToken, NoUser, Role, TooMany, WrongField, describe_token
from ntvmedia.admin.operations import Answer, Call, Operations, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.admin.problems import Problem
from ntvmedia.admin.users import whose

# The year 9999: what is later is no time.
_LATEST: Final = 253_402_300_799.0

_Time = Annotated[float, Meta(description="Seconds since 1970.")]
_Owner = Annotated[str, Meta(max_length=256)]
_Expiry = Annotated[float, Meta(ge=0, le=_LATEST)]


class Token(Struct, kw_only=True):
    """A program's right to use the API."""

    id: str
    owner: Annotated[str, Meta(description="The user whose rights it has, at most.")]
    name: Annotated[str, Meta(description="What people call it.")]
    role: Role
    created_at: _Time
    expires_at: Annotated[float | None, Meta(description="Seconds since 1970; null for never.")]
    used_at: Annotated[float | None, Meta(description="Seconds since 1970; null for never.")]


class TokenList(Page, kw_only=True):
    """Tokens."""

    tokens: list[Token]


class MadeToken(Token, kw_only=True):
    """A token that was just made."""

    token: Annotated[str, Meta(description="What the program sends. It is shown this once.")]


class NewToken(Struct, forbid_unknown_fields=True, kw_only=True):
    """A token to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=128, description="What it is for.")]
    role: Annotated[Role, Meta(description="Not above one's own.")]
    expires_at: Annotated[
        _Expiry | None, Meta(description="Seconds since 1970, within ten years; null for never.")
    ] = None
    owner: Annotated[
        _Owner | None,
        Meta(description="Whose; by default who asks. Others' are made by administrators."),
    ] = None


_KEYS: Final[dict[str, Callable[[Any], Any]]] = {
    "created_at": attrgetter("created_at"),
    "name": attrgetter("name"),
    "owner": attrgetter("owner"),
    "role": attrgetter("role"),
    "expires_at": lambda token: _LATEST if token.expires_at is None else token.expires_at,
    "used_at": lambda token: token.used_at or 0.0,
}


class TokenOperations(Operations):
    """Tokens of programs, sent as `Authorization: Bearer TOKEN`."""

    tag = "tokens"
    refusals: ClassVar = {WrongField: 400, NoToken: 404, NoUser: 404, TooMany: 409}

    @operation("GET", "/tokens", role=Role.VIEWER, query=Paging, answers=TokenList)
    def tokens(self, call: Call) -> TokenList:
        """List one's own tokens; an administrator's list has those of all users.

        Sorted by `created_at`, `name`, `owner`, `role`, `expires_at` or `used_at`.
        """
        cut = paged(self.host.accounts.tokens(whose(call)), call.query, _KEYS)
        return TokenList(tokens=[Token(**describe_token(x)) for x in cut.items], **cut.numbers)

    @operation("POST", "/tokens", role=Role.VIEWER, body=NewToken, answers=MadeToken, status=201)
    async def add(self, call: Call) -> Answer:
        """Make a token. Its text is in this answer, and nowhere else ever after."""
        body: NewToken = call.body
        owner = body.owner if body.owner is not None else call.identity.name
        allowed = whose(call)
        if call.identity.kind == "control" and body.owner is None:
            raise Problem(400, "owner: over the control socket it has to be named", "owner")
        if allowed is not None and owner != allowed:
            raise Problem(403, "owner: only an administrator makes tokens of others", "owner")
        if not call.identity.role.includes(body.role):
            raise Problem(403, "role: it is above your own", "role")
        token, text = await self.host.accounts.add_token(
            owner, body.name, body.role, body.expires_at, note=call.note("tokens.add", body.name)
        )
        return Answer(MadeToken(**describe_token(token), token=text), 201)

    @operation("DELETE", "/tokens/{id}", role=Role.VIEWER, has_etag=False)
    async def revoke(self, call: Call) -> None:
        """Revoke a token: an own one, or as an administrator anybody's."""
        note = call.note("tokens.delete", call.path["id"])
        await self.host.accounts.revoke_token(call.path["id"], owner=whose(call), note=note)
