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
        found = [
            application
            for _name, application in sorted(registry.items())
            if (query.type is None or application.type.value == query.type)
            and (query.enabled is None or application.enabled == query.enabled)
        ]
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

    def _answer(
        self, application: Application, status: int = 200, headers: dict[str, str] | None = None
    ) -> Answer:
        streams, viewers = self._counts()
        shown = self._shown(application, streams[application.name], viewers[application.name])
        return Answer(shown, status, headers or {}, etag_of(self._editable(application)))

    def _editable(self, application: Application) -> dict[str, Any]:
        """Return what an ETag is made of."""
        times = self.host.applications.times(application.name)
        return {**describe(application), **times._asdict()}

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
