"""Streams that nobody may publish or play until they are allowed again (P-404)."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct

from ntvmedia.access import NoApplication, NoRule, TooMany, WrongField
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Answer, Call, Operations, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.media.names import BadName, StreamKey, stream_key

_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Comment = Annotated[str, Meta(max_length=500, description="For people.")]


class ForbiddenStream(Struct, kw_only=True):
    """A stream that is refused."""

    application: _Name
    stream: _Name
    comment: _Comment
    created_at: Annotated[float, Meta(description="Seconds since 1970.")]


class ForbiddenStreamList(Page, kw_only=True):
    """Streams that are refused."""

    forbidden: list[ForbiddenStream]


class NewForbiddenStream(Struct, forbid_unknown_fields=True, kw_only=True):
    """A stream to be refused."""

    application: _Name
    stream: _Name
    comment: _Comment = ""


_KEYS: Final[dict[str, Callable[[Any], Any]]] = {
    name: attrgetter(name) for name in ("created_at", "application", "stream", "comment")
}


class ForbiddenOperations(Operations):
    """Streams that nobody may publish or play, from any address and with any right."""

    tag = "forbidden"
    refusals: ClassVar = {
        WrongField: 400,
        BadName: 400,
        NoApplication: 404,
        NoRule: 404,
        TooMany: 409,
    }

    @operation("GET", "/forbidden", role=Role.VIEWER, query=Paging, answers=ForbiddenStreamList)
    def forbidden(self, call: Call) -> ForbiddenStreamList:
        """List the forbidden streams.

        Sorted by `created_at`, `application`, `stream` or `comment`.
        """
        cut = paged(self.host.access.forbidden, call.query, _KEYS)
        return ForbiddenStreamList(forbidden=[_shown(row) for row in cut.items], **cut.numbers)

    @operation(
        "POST",
        "/forbidden",
        role=Role.OPERATOR,
        body=NewForbiddenStream,
        answers=ForbiddenStream,
        status=201,
    )
    async def forbid(self, call: Call) -> Answer:
        """Forbid a stream, whether it is there or not; one that is ends, with its viewers.

        One that is forbidden already stays as it is.
        """
        body: NewForbiddenStream = call.body
        application = self.host.applications.find(body.application)
        key = stream_key(application.name, body.stream)
        note = call.note("forbidden.add", str(key))
        row = await self.host.access.forbidden.forbid(key, body.comment, note=note)
        return Answer(_shown(row), 201)

    @operation("DELETE", "/forbidden/{application}/{stream}", role=Role.OPERATOR, has_etag=False)
    async def allow(self, call: Call) -> None:
        """Allow a stream again."""
        key: StreamKey = stream_key(call.path["application"], call.path["stream"])
        note = call.note("forbidden.delete", str(key))
        await self.host.access.forbidden.allow(key, note=note)


def _shown(row: Any) -> ForbiddenStream:
    fields = ForbiddenStream.__struct_fields__
    return ForbiddenStream(**{name: getattr(row, name) for name in fields})
