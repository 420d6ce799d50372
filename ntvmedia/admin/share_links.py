"""Share links: a stream for whoever is given the address, until it is revoked."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from ntvmedia.access import NoApplication, NoRule, TooMany, WrongField
from ntvmedia.access.keeping import MAX_TIME
from ntvmedia.access.signing import MAX_VIEWERS
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.media.names import BadName, stream_key

_Name = Annotated[str, Meta(min_length=1, max_length=200, description="Whom it is for.")]
_StreamName = Annotated[str, Meta(min_length=1, max_length=128)]
_Expiry = Annotated[float, Meta(ge=0, le=MAX_TIME, description="Seconds since 1970; 0 for never.")]
_Viewers = Annotated[
    int, Meta(ge=0, le=MAX_VIEWERS, description="Most at the same time; 0 for any number.")
]
_Time = Annotated[float, Meta(description="Seconds since 1970.")]


class ShareLink(Struct, kw_only=True):
    """A right to play a stream, as an address has it."""

    id: str
    name: _Name
    application: _StreamName
    stream: _StreamName
    expires_at: _Expiry
    max_viewers: _Viewers
    viewers: Annotated[int, Meta(ge=0, description="Now; counted where there is a limit.")]
    token: Annotated[str, Meta(description="What stands behind `share=` in the address.")]
    created_at: _Time
    updated_at: _Time


class ShareLinkList(Page, kw_only=True):
    """Share links."""

    share_links: list[ShareLink]


class NewShareLink(Struct, forbid_unknown_fields=True, kw_only=True):
    """A link to be made."""

    name: _Name
    application: _StreamName
    stream: _StreamName
    expires_at: _Expiry = 0.0
    max_viewers: _Viewers = 0


class ShareLinkChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What changes of a link."""

    name: _Name | UnsetType = UNSET
    expires_at: _Expiry | UnsetType = UNSET
    max_viewers: _Viewers | UnsetType = UNSET


_KEYS: Final[dict[str, Callable[[Any], Any]]] = {
    name: attrgetter(name)
    for name in ("created_at", "name", "application", "stream", "expires_at", "max_viewers")
}


class ShareLinkOperations(Operations):
    """Share links. One stands for a signed address, for a page that is allowed and for a token."""

    tag = "share-links"
    refusals: ClassVar = {
        WrongField: 400,
        BadName: 400,
        NoApplication: 404,
        NoRule: 404,
        TooMany: 409,
    }

    # Whoever may see a link has it: lists are for those who may make some.
    @operation("GET", "/share-links", role=Role.OPERATOR, query=Paging, answers=ShareLinkList)
    def share_links(self, call: Call) -> ShareLinkList:
        """List the links.

        Sorted by `created_at`, `name`, `application`, `stream`, `expires_at` or `max_viewers`.
        """
        cut = paged(self.host.access.shares, call.query, _KEYS)
        return ShareLinkList(share_links=[self._shown(row) for row in cut.items], **cut.numbers)

    @operation(
        "POST",
        "/share-links",
        role=Role.OPERATOR,
        body=NewShareLink,
        answers=ShareLink,
        status=201,
    )
    async def add(self, call: Call) -> Answer:
        """Make a link. Its stream need not be there."""
        body: NewShareLink = call.body
        application = self.host.applications.find(body.application)
        row = await self.host.access.shares.add(
            stream_key(application.name, body.stream),
            body.name,
            expires_at=body.expires_at,
            max_viewers=body.max_viewers,
            note=call.note("share_links.add", body.name),
        )
        return self._answer(row, 201)

    @operation("GET", "/share-links/{id}", role=Role.OPERATOR, answers=ShareLink)
    def share_link(self, call: Call) -> Answer:
        """Show a link."""
        return self._answer(self.host.access.shares.find(call.path["id"]))

    @operation(
        "PATCH", "/share-links/{id}", role=Role.OPERATOR, body=ShareLinkChange, answers=ShareLink
    )
    async def change(self, call: Call) -> Answer:
        """Give a link another name, expiry or number of viewers."""
        id = call.path["id"]
        shares = self.host.access.shares
        call.must_match(self._kept(shares.find(id)))
        given = structs.asdict(call.body)
        fields = {name: value for name, value in given.items() if value is not UNSET}
        note = call.note("share_links.change", id)
        return self._answer(await shares.change(id, fields, note=note))

    @operation("DELETE", "/share-links/{id}", role=Role.OPERATOR)
    async def revoke(self, call: Call) -> None:
        """Revoke a link. Who plays by it is sent away, on every protocol."""
        id = call.path["id"]
        call.must_match(self._kept(self.host.access.shares.find(id)))
        note = call.note("share_links.delete", id)
        await self.host.access.shares.remove(id, note=note)

    def _shown(self, row: Any) -> ShareLink:
        access = self.host.access
        return ShareLink(
            **structs.asdict(self._kept(row)),
            viewers=access.watching(f"share:{row.id}"),
            token=access.share_token(row.id),
        )

    def _kept(self, row: Any) -> _Kept:
        return _Kept(**{name: getattr(row, name) for name in _Kept.__struct_fields__})

    def _answer(self, row: Any, status: int | None = None) -> Answer:
        # Viewers come and go: that is no change of the link.
        headers = {"Location": f"{ROOT}/share-links/{row.id}"} if status == 201 else {}
        return Answer(self._shown(row), status, headers, etag_of(self._kept(row)))


class _Kept(Struct, kw_only=True):
    id: str
    name: str
    application: str
    stream: str
    expires_at: float
    max_viewers: int
    created_at: float
    updated_at: float
