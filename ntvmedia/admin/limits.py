"""The API's limits (P-301): what may be there at a time, and what is."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.preferences import WrongPreference

_Most = Annotated[int, Meta(ge=0, le=1_000_000)]
_MostKbps = Annotated[int, Meta(ge=0, le=1_000_000_000)]

_FIELDS: Final = (
    "max_players",
    "max_publishers",
    "max_bandwidth_kbps",
    "max_connections_per_address",
)


class Limit(Struct, kw_only=True):
    """One number that is limited."""

    most: Annotated[int, Meta(ge=0, description="0 for no limit.")]
    now: Annotated[int, Meta(ge=0, description="How many there are now.")]


class Bandwidth(Struct, kw_only=True):
    """What is sent to players."""

    most: Annotated[int, Meta(ge=0, description="Thousands of bits a second; 0 for no limit.")]
    now: Annotated[
        int | None,
        Meta(description="As measured; null where no limit is set, since then it is not."),
    ]


class ServerLimits(Struct, kw_only=True):
    """The limits of the whole server."""

    players: Limit
    publishers: Limit
    bandwidth_kbps: Bandwidth
    max_connections_per_address: Annotated[
        int, Meta(ge=0, description="Connections from one IP address; 0 for no limit.")
    ]
    refused: Annotated[
        int, Meta(ge=0, description="Who found no room since the start, and whom it was lost by.")
    ]


class ApplicationLimits(Struct, kw_only=True):
    """The limits of one application. They are changed where applications are."""

    name: str
    players: Limit
    publishers: Limit
    bandwidth_kbps: Bandwidth
    max_stream_players: Annotated[int, Meta(ge=0, description="Of each stream; 0 for no limit.")]
    refused: Annotated[int, Meta(ge=0, description="As for the server.")]


class ApplicationLimitList(Page, kw_only=True):
    """The limits of applications."""

    applications: list[ApplicationLimits]


class ApplicationLimitQuery(Paging, kw_only=True):
    """Which of them."""

    limited: Annotated[bool, Meta(description="Only those that have a limit.")] = False


class LimitsChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """Other limits of the whole server."""

    max_players: _Most | UnsetType = UNSET
    max_publishers: _Most | UnsetType = UNSET
    max_bandwidth_kbps: _MostKbps | UnsetType = UNSET
    max_connections_per_address: _Most | UnsetType = UNSET


class LimitOperations(Operations):
    """How many may publish and play, and how much is sent to them."""

    tag = "limits"
    edits = "preferences"
    refusals: ClassVar = {WrongPreference: 400}

    @operation("GET", "/limits", role=Role.VIEWER, answers=ServerLimits)
    def limits(self, call: Call) -> Answer:
        """Show the limits of the whole server, and how much of them is used."""
        return self._answer()

    @operation("PATCH", "/limits", role=Role.ADMINISTRATOR, body=LimitsChange, answers=ServerLimits)
    async def change(self, call: Call) -> Answer:
        """Change the limits that the body names.

        Who is there already stays, but where more is sent than may be: those who came last leave.
        """
        call.must_match(self._editable())
        given = {x: getattr(call.body, x) for x in _FIELDS if getattr(call.body, x) is not UNSET}
        note = call.note("preferences.change", "server")
        await self.host.preferences.change(given, note=note)
        return self._answer()

    @operation(
        "GET",
        "/limits/applications",
        role=Role.VIEWER,
        query=ApplicationLimitQuery,
        answers=ApplicationLimitList,
    )
    def applications(self, call: Call) -> ApplicationLimitList:
        """List the limits of applications, and how much of them is used.

        Sorted by `name`, `players`, `publishers` or `bandwidth_kbps`.
        """
        limits = self.host.limits
        found = [
            application
            for application in self.host.applications.values()
            if not call.query.limited or _is_limited(application)
        ]
        keys: dict[str, Any] = {
            "name": attrgetter("name"),
            "players": lambda x: limits.load_of(x.name).players,
            "publishers": lambda x: limits.load_of(x.name).publishers,
            "bandwidth_kbps": lambda x: limits.load_of(x.name).bandwidth_kbps,
        }
        cut = paged(found, call.query, keys, search=attrgetter("name"))
        refused = self._refused()
        return ApplicationLimitList(
            applications=[self._shown(x, refused.get(x.name, 0)) for x in cut.items],
            **cut.numbers,
        )

    def _shown(self, application: Any, refused: int) -> ApplicationLimits:
        load = self.host.limits.load_of(application.name)
        most = application.max_bandwidth_kbps
        return ApplicationLimits(
            name=application.name,
            players=Limit(most=application.max_players, now=load.players),
            publishers=Limit(most=application.max_publishers, now=load.publishers),
            bandwidth_kbps=Bandwidth(most=most, now=load.bandwidth_kbps if most else None),
            max_stream_players=application.max_stream_players,
            refused=refused,
        )

    def _refused(self) -> dict[str, int]:
        """Count who found no room, by application."""
        refused: dict[str, int] = {}
        for (application, _protocol, rule), count in self.host.access.refused.items():
            if rule == "limit":
                refused[application] = refused.get(application, 0) + count
        return refused

    def _editable(self) -> dict[str, int]:
        """Return what can be edited; its ETag stays while people come and go."""
        values = self.host.preferences.values
        return {name: getattr(values, name) for name in _FIELDS}

    def _answer(self) -> Answer:
        values = self.host.preferences.values
        load = self.host.limits.load_of()
        most = values.max_bandwidth_kbps
        shown = ServerLimits(
            players=Limit(most=values.max_players, now=load.players),
            publishers=Limit(most=values.max_publishers, now=load.publishers),
            bandwidth_kbps=Bandwidth(most=most, now=load.bandwidth_kbps if most else None),
            max_connections_per_address=values.max_connections_per_address,
            refused=sum(self._refused().values()),
        )
        return Answer(shown, etag=etag_of(self._editable()))


def _is_limited(application: Any) -> bool:
    return bool(
        application.max_players
        or application.max_publishers
        or application.max_stream_players
        or application.max_bandwidth_kbps
    )
