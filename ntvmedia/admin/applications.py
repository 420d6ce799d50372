"""The API's applications: `/applications`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from ntvmedia.access import (
    FIELDS,
    Application,
    BuiltIn,
    NameInUse,
    NoApplication,
    WrongField,
    describe,
)
from ntvmedia.accounts import Role
from ntvmedia.admin.application_types import (
    ApplicationChange,
    ApplicationList,
    ApplicationQuery,
    ApplicationShown,
    NewApplication,
)
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import paged
from ntvmedia.events import ApplicationChanged

# Two of the largest pages: some 2 MB.
_MAX_DESCRIBED: Final = 1000

_KEYS: Final = {
    "name": attrgetter("name"),
    "type": attrgetter("type"),
    "enabled": attrgetter("enabled"),
    "recording": attrgetter("recording"),
}


class ApplicationOperations(Operations):
    """Applications: what streams belong to, and who may publish and play them.

    While the database fails, what is asked to change is answered by 503, and the server goes on
    with what it knows.
    """

    tag = "applications"
    refusals: ClassVar = {WrongField: 400, NoApplication: 404, NameInUse: 409, BuiltIn: 409}

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        # As of so many changes of applications.
        self._sorted: list[Application] = []
        self._version = -1
        self._described: dict[str, tuple[Application, dict[str, Any]]] = {}

    @operation(
        "GET", "/applications", role=Role.VIEWER, query=ApplicationQuery, answers=ApplicationList
    )
    def applications(self, call: Call) -> Any:
        """List applications.

        Sorted by `name`, `type`, `enabled` or `recording`; `q` is looked for in the name.
        """
        query: ApplicationQuery = call.query
        registry = self.host.applications
        streams, viewers = self._counts()
        keys: dict[str, Callable[[Application], Any]] = {
            **_KEYS,
            "streams": lambda x: streams[x.name],
            "viewers": lambda x: viewers[x.name],
            "created_at": lambda x: registry.times(x.name).created_at,
            "updated_at": lambda x: registry.times(x.name).updated_at,
        }
        found = self._by_name()
        if query.type is not None:
            found = [x for x in found if x.type.value == query.type]
        if query.enabled is not None:
            found = [x for x in found if x.enabled == query.enabled]
        cut = paged(found, query, keys, search=attrgetter("name"), in_order=True)
        return ApplicationList(
            applications=[self._shown(x, streams[x.name], viewers[x.name]) for x in cut.items],
            **cut.numbers,
        )

    @operation(
        "POST",
        "/applications",
        role=Role.ADMINISTRATOR,
        body=NewApplication,
        answers=ApplicationShown,
        status=201,
        errors=(404,),
    )
    async def add(self, call: Call) -> Answer:
        """Make an application.

        The body has its `name`, and values for fields that shall not have their defaults.
        """
        fields = msgspec.structs.asdict(call.body)
        name = fields.pop("name")
        note = call.note("applications.add", name)
        application = await self.host.applications.add(name, fields, note=note)
        where = f"{ROOT}/applications/{quote(application.name, safe='')}"
        return self._answer(application, 201, {"Location": where})

    @operation("GET", "/applications/{name}", role=Role.VIEWER, answers=ApplicationShown)
    def application(self, call: Call) -> Answer:
        """Show an application.

        With `created_at` and `updated_at` in seconds since 1970, and how many `streams` and
        `viewers` it has now. Its ETag is of what can be edited.
        """
        return self._answer(self.host.applications.find(call.path["name"]))

    @operation(
        "PATCH",
        "/applications/{name}",
        role=Role.ADMINISTRATOR,
        body=ApplicationChange,
        answers=ApplicationShown,
    )
    async def change(self, call: Call) -> Answer:
        """Change the fields of an application that the body names."""
        application = self.host.applications.find(call.path["name"])
        call.must_match(self._editable(application))
        given = {x: getattr(call.body, x) for x in FIELDS if getattr(call.body, x) is not UNSET}
        note = call.note("applications.change", application.name)
        changed = await self.host.applications.change(application.name, given, note=note)
        return self._answer(changed)

    @operation("DELETE", "/applications/{name}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Delete an application, for good. Its streams end."""
        application = self.host.applications.find(call.path["name"])
        call.must_match(self._editable(application))
        note = call.note("applications.delete", application.name)
        await self.host.applications.remove(application.name, note=note)

    def _by_name(self) -> list[Application]:
        """Return all applications, in order; to sort 10,000 takes longer than all the rest."""
        version = self.host.events.emitted[ApplicationChanged]
        if version != self._version or len(self._sorted) != len(self.host.applications):
            registry = self.host.applications
            self._sorted = [registry[name] for name in sorted(registry)]
            self._version = version
        return self._sorted

    def _answer(
        self, application: Application, status: int = 200, headers: dict[str, str] | None = None
    ) -> Answer:
        streams, viewers = self._counts()
        shown = self._shown(application, streams[application.name], viewers[application.name])
        return Answer(shown, status, headers or {}, etag_of(self._editable(application)))

    def _editable(self, application: Application) -> dict[str, Any]:
        """Return what an ETag is made of.

        Kept for those that were shown lately: to describe a page of them takes longer than to send
        it. One that is changed is another object.
        """
        name = application.name
        described = self._described.get(name)
        if described is None or described[0] is not application:
            if len(self._described) >= _MAX_DESCRIBED:
                self._described.clear()
            times = self.host.applications.times(name)
            described = (application, {**describe(application), **times._asdict()})
            self._described[name] = described
        return described[1]

    def _shown(self, application: Application, streams: int, viewers: int) -> Any:
        fields = self._editable(application)
        return ApplicationShown(**fields, streams=streams, viewers=viewers)

    def _counts(self) -> tuple[Counter[str], Counter[str]]:
        """Count the streams and the viewers of each application."""
        streams: Counter[str] = Counter()
        viewers: Counter[str] = Counter()
        for key, stream in self.host.hub.streams.items():
            streams[key.application] += 1
            viewers[key.application] += len(stream.viewers)
        return streams, viewers
