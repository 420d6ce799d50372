"""Keys that addresses are signed with, and addresses that the server signs itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from ntvmedia.access import KeptKey, NoApplication, NoRule, TooMany, WrongField
from ntvmedia.access.networks import signed_spelling
from ntvmedia.access.signing import MAX_VIEWERS
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.admin.problems import Problem
from ntvmedia.media.names import BadName, stream_key

# Ten years: what is longer is a mistake in the unit.
_MAX_SECONDS: Final = 87_660 * 3600

_Id = Annotated[str, Meta(max_length=32, pattern="^[A-Za-z0-9_-]*$")]
_Application = Annotated[
    str, Meta(max_length=128, description="Whose streams it is good for; empty for all.")
]
_Comment = Annotated[str, Meta(max_length=500, description="For people: who has it.")]
_Time = Annotated[float, Meta(description="Seconds since 1970.")]
_Secret = Annotated[str, Meta(max_length=64, pattern="^([0-9A-Fa-f]{64})?$")]
_StreamName = Annotated[str, Meta(min_length=1, max_length=128)]


class SigningKey(Struct, kw_only=True):
    """A key that addresses are signed with."""

    id: Annotated[
        _Id, Meta(description="As in `kid=`; `default` for the server's own, which needs none.")
    ]
    application: _Application
    enabled: Annotated[bool, Meta(description="Whether what it signed is good.")]
    comment: _Comment
    created_at: _Time
    updated_at: _Time


class SigningKeyList(Page, kw_only=True):
    """Keys that addresses are signed with."""

    signing_keys: list[SigningKey]


class MadeSigningKey(SigningKey, kw_only=True):
    """A key that was just made."""

    secret: Annotated[str, Meta(description="64 hexadecimal digits. They are shown this once.")]


class NewSigningKey(Struct, forbid_unknown_fields=True, kw_only=True):
    """A key to be made."""

    application: _Application = ""
    comment: _Comment = ""
    secret: Annotated[
        _Secret, Meta(description="64 hexadecimal digits; empty to have them made.")
    ] = ""


class SigningKeyChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What changes of a key."""

    enabled: bool | UnsetType = UNSET
    comment: _Comment | UnsetType = UNSET


class NewSignedAddress(Struct, forbid_unknown_fields=True, kw_only=True):
    """An address to be signed."""

    application: _StreamName
    stream: _StreamName
    seconds: Annotated[
        float, Meta(gt=0, le=_MAX_SECONDS, description="How long it plays, from now.")
    ]
    ip: Annotated[
        str, Meta(max_length=64, description="Who may play: an address or network; empty for all.")
    ] = ""
    viewers: Annotated[
        int, Meta(ge=0, le=MAX_VIEWERS, description="Most at the same time; 0 for any number.")
    ] = 0
    kid: Annotated[_Id, Meta(description="The key; empty for the server's own.")] = ""


class SignedAddress(Struct, kw_only=True):
    """What was signed."""

    query: Annotated[str, Meta(description="What follows `?` in each address of the stream.")]
    expires: Annotated[int, Meta(description="Seconds since 1970.")]


_KEYS: Final[dict[str, Callable[[Any], Any]]] = {
    name: attrgetter(name) for name in ("created_at", "id", "application", "comment")
}


class SigningKeyOperations(Operations):
    """Keys that addresses are signed with.

    To exchange one: make another, sign with that, and remove or disable the old one.
    """

    tag = "signing-keys"
    refusals: ClassVar = {
        WrongField: 400,
        BadName: 400,
        NoApplication: 404,
        NoRule: 404,
        TooMany: 409,
        KeptKey: 409,
    }

    @operation(
        "GET", "/signing-keys", role=Role.ADMINISTRATOR, query=Paging, answers=SigningKeyList
    )
    def signing_keys(self, call: Call) -> SigningKeyList:
        """List the keys, without their secrets.

        Sorted by `created_at`, `id`, `application` or `comment`.
        """
        cut = paged(self.host.access.keys, call.query, _KEYS)
        return SigningKeyList(signing_keys=[_shown(row) for row in cut.items], **cut.numbers)

    @operation(
        "POST",
        "/signing-keys",
        role=Role.ADMINISTRATOR,
        body=NewSigningKey,
        answers=MadeSigningKey,
        status=201,
    )
    async def add(self, call: Call) -> Answer:
        """Make a key. Its secret is in this answer, and nowhere else ever after."""
        body: NewSigningKey = call.body
        name = body.application
        if name:
            name = self.host.applications.find(name).name
        row = await self.host.access.keys.add(
            application=name,
            secret=body.secret,
            comment=body.comment,
            note=call.note("signing_keys.add", body.comment),
        )
        return Answer(
            MadeSigningKey(**structs.asdict(_shown(row)), secret=row.secret),
            201,
            {"Location": f"{ROOT}/signing-keys/{row.id}"},
        )

    @operation("GET", "/signing-keys/{id}", role=Role.ADMINISTRATOR, answers=SigningKey)
    def signing_key(self, call: Call) -> Answer:
        """Show a key, without its secret."""
        return _answer(self.host.access.keys.find(call.path["id"]))

    @operation(
        "PATCH",
        "/signing-keys/{id}",
        role=Role.ADMINISTRATOR,
        body=SigningKeyChange,
        answers=SigningKey,
    )
    async def change(self, call: Call) -> Answer:
        """Enable or disable a key. What one signed that is disabled plays no more."""
        id = call.path["id"]
        keys = self.host.access.keys
        call.must_match(_shown(keys.find(id)))
        given = structs.asdict(call.body)
        fields = {name: value for name, value in given.items() if value is not UNSET}
        return _answer(await keys.change(id, fields, note=call.note("signing_keys.change", id)))

    @operation("DELETE", "/signing-keys/{id}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Remove a key. What it signed plays no more. The server's own can only be disabled."""
        id = call.path["id"]
        call.must_match(_shown(self.host.access.keys.find(id)))
        await self.host.access.keys.remove(id, note=call.note("signing_keys.delete", id))

    @operation(
        "POST",
        "/signed-addresses",
        role=Role.OPERATOR,
        body=NewSignedAddress,
        answers=SignedAddress,
    )
    def sign(self, call: Call) -> SignedAddress:
        """Sign the address of a stream. It need not be there."""
        body: NewSignedAddress = call.body
        application = self.host.applications.find(body.application)
        key = stream_key(application.name, body.stream)
        expires = math.ceil(self.host.access.now() + body.seconds)
        query = self.host.access.signed_query(
            key, expires, ip=_ip(body.ip), viewers=body.viewers, key_id=body.kid
        )
        return SignedAddress(query=query, expires=expires)


def _ip(text: str) -> str:
    """Return the address or network in the spelling that is signed; empty for all."""
    if text in ("", "all"):
        return ""
    try:
        return signed_spelling(text)
    except ValueError as error:
        raise Problem(400, f"ip: {error}", "ip") from None


def _shown(row: Any) -> SigningKey:
    return SigningKey(**{name: getattr(row, name) for name in SigningKey.__struct_fields__})


def _answer(row: Any) -> Answer:
    shown = _shown(row)
    return Answer(shown, etag=etag_of(shown))
