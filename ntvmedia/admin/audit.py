"""The API's view of the audit log: who changed what."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from ntvmedia.accounts import AuditQuery, Role
from ntvmedia.admin.operations import Call, Operations, operation
from ntvmedia.admin.paging import Page, Paging, numbers, sort_key

# The year 9999.
_LATEST: Final = 253_402_300_799.0

_Moment = Annotated[float, Meta(ge=0, le=_LATEST)]


class AuditFilter(Paging, kw_only=True):
    """Which changes."""

    who: Annotated[str, Meta(max_length=64, description="By this user.")] = ""
    action: Annotated[
        str, Meta(max_length=64, description='Like "users.change"; "users" finds all of them.')
    ] = ""
    subject: Annotated[str, Meta(max_length=300, description="Of exactly this.")] = ""
    since: Annotated[_Moment | None, Meta(description="Not before, in seconds since 1970.")] = None
    until: Annotated[_Moment | None, Meta(description="Before, in seconds since 1970.")] = None


class AuditEntry(Struct, kw_only=True):
    """One change, or somebody's coming and going."""

    id: int
    time: Annotated[float, Meta(description="Seconds since 1970.")]
    who: Annotated[str, Meta(description="The user's name.")]
    kind: Annotated[str, Meta(description='"session", "token" or "control" (the command line).')]
    session: Annotated[str, Meta(description="The id of the session or token.")]
    peer_host: Annotated[str, Meta(description="The address; empty for the command line.")]
    action: str
    subject: Annotated[str, Meta(description="Of what: its name.")]
    before: Annotated[
        dict[str, Any] | None, Meta(description="What changed, as it was; null for nothing.")
    ]
    after: Annotated[
        dict[str, Any] | None, Meta(description="What changed, as it is; null for nothing.")
    ]


class AuditEntries(Page, kw_only=True):
    """Changes."""

    audit: list[AuditEntry]


class AuditOperations(Operations):
    """The audit log: all changes of 400 days, with their secrets masked."""

    tag = "audit"

    @operation("GET", "/audit", role=Role.ADMINISTRATOR, query=AuditFilter, answers=AuditEntries)
    async def audit(self, call: Call) -> AuditEntries:
        """List changes, the latest first, or with `sort=time` the earliest.

        `q` is looked for in the user, the action and the subject.
        """
        query: AuditFilter = call.query
        _name, is_reversed = sort_key(query, ("time",), "-time")
        found = await self.host.accounts.audit(
            AuditQuery(
                who=query.who,
                action=query.action,
                subject=query.subject,
                text=query.q,
                since=query.since,
                until=query.until,
                oldest_first=not is_reversed,
                page=query.page,
                page_size=query.page_size,
            )
        )
        entries = [AuditEntry(**asdict(row)) for row in found.rows]
        return AuditEntries(audit=entries, **numbers(query, found.total))
