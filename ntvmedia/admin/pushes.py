"""The API's pushes: `/pushes`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar, Final

from ntvmedia.access import WrongField
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Answer, Call, operation
from ntvmedia.admin.paging import MAX_PAGE_SIZE, paged
from ntvmedia.admin.push_types import (
    NewPush,
    PushChange,
    PushDetail,
    PushedStream,
    PushList,
    PushQuery,
    PushShown,
    PushStatus,
)
from ntvmedia.admin.relay_types import TaskLogShown
from ntvmedia.admin.tasks import TaskOperations, fields_of, numbers
from ntvmedia.relay.addresses import shown_address
from ntvmedia.relay.push import PushState
from ntvmedia.relay.pushes import Push, describe
from ntvmedia.relay.refusals import NoPush, TargetTaken, TooManyPushes

# May be a key.
_KEY_FIELD: Final = "target_stream"


class PushOperations(TaskOperations):
    """Pushes: live streams that are sent to other servers, for as long as they are there."""

    tag = "pushes"
    refusals: ClassVar = {WrongField: 400, NoPush: 404, TargetTaken: 409, TooManyPushes: 409}

    @operation("GET", "/pushes", role=Role.VIEWER, query=PushQuery, answers=PushList)
    def pushes(self, call: Call) -> Any:
        """List the pushes.

        Sorted by `created_at`, `updated_at`, `description`, `application`, `server`, `enabled`,
        `state`, `since`, `bitrate_kbps`, `bytes_out`, `dropped` or `restarts`; `q` is looked for in
        description, application, streams and server.
        """
        query: PushQuery = call.query
        registry = self.service.registry
        states = {id_: self.service.state(id_) for id_ in registry}
        keys: dict[str, Callable[[Push], Any]] = {
            "created_at": lambda x: registry.times(x.id).created_at,
            "updated_at": lambda x: registry.times(x.id).updated_at,
            "description": lambda x: x.description.casefold(),
            "application": lambda x: x.application,
            "server": lambda x: shown_address(x.server),
            "enabled": lambda x: x.enabled,
            "state": lambda x: states[x.id].state,
            "since": lambda x: states[x.id].since,
            "bitrate_kbps": lambda x: states[x.id].bitrate_kbps,
            "bytes_out": lambda x: states[x.id].bytes_out,
            "dropped": lambda x: states[x.id].dropped,
            "restarts": lambda x: states[x.id].restarts,
        }
        found = [
            push
            for push in registry.values()
            if query.state in (None, states[push.id].state)
            and query.enabled in (None, push.enabled)
            and (query.application is None or push.application in ("", query.application))
        ]
        cut = paged(found, query, keys, search=_searched)
        shown = [PushShown(**self._fields(x, states[x.id])) for x in cut.items]
        return PushList(pushes=shown, **cut.numbers)

    @operation(
        "POST",
        "/pushes",
        role=Role.ADMINISTRATOR,
        body=NewPush,
        answers=PushDetail,
        status=201,
    )
    async def add(self, call: Call) -> Answer:
        """Make a push. One that is enabled sends at once what is there."""
        body = call.body
        subject = body.description or shown_address(body.server)
        return await self.make(call, fields_of(body, _KEY_FIELD), subject)

    @operation("GET", "/pushes/{id}", role=Role.VIEWER, answers=PushDetail)
    def push(self, call: Call) -> Answer:
        """Show a push, and how it is doing with each stream.

        Its ETag is of what can be edited.
        """
        return self.answer(self.find(call))

    @operation(
        "PATCH",
        "/pushes/{id}",
        role=Role.ADMINISTRATOR,
        body=PushChange,
        answers=PushDetail,
    )
    async def change(self, call: Call) -> Answer:
        """Change the fields of a push that the body names; what is hidden stays where it is not.

        Streams that go on to the same address are not interrupted.
        """
        return await self.edit(call, fields_of(call.body, _KEY_FIELD))

    @operation("DELETE", "/pushes/{id}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Delete a push. What it sends ends there, and goes on here."""
        await self.delete(call)

    @operation("POST", "/pushes/{id}/start", role=Role.OPERATOR, answers=PushStatus)
    async def start(self, call: Call) -> Any:
        """Start a push, whether it is enabled or not; until the server's end."""
        return self._status(await self.run(call, is_wanted=True))

    @operation("POST", "/pushes/{id}/stop", role=Role.OPERATOR, answers=PushStatus)
    async def stop(self, call: Call) -> Any:
        """Stop a push, until it is started again or the server is."""
        return self._status(await self.run(call, is_wanted=False))

    @operation("GET", "/pushes/{id}/log", role=Role.VIEWER, answers=TaskLogShown)
    def log(self, call: Call) -> Any:
        """Show the last lines of a push's log, at most 100, the oldest first.

        They are of this run of the server.
        """
        return self.lines(call)

    def described(self, task: Push) -> dict[str, Any]:
        return describe(task)

    def subject(self, task: Push) -> str:
        return task.description or shown_address(task.server)

    def shown(self, task: Push) -> Any:
        now = self.host.access.now()
        streams = islice(self.service.states(task.id).items(), MAX_PAGE_SIZE)
        sending = [PushedStream(**key._asdict(), **numbers(x, now)) for key, x in streams]
        return PushDetail(**self._fields(task, self.service.state(task.id)), sending=sending)

    def _fields(self, push: Push, state: PushState) -> dict[str, Any]:
        return {**self.editable(push), "status": self._status(state)}

    def _status(self, state: PushState) -> PushStatus:
        return PushStatus(**numbers(state, self.host.access.now()))


def _searched(push: Push) -> str:
    server = shown_address(push.server)
    return "\n".join((push.id, push.description, push.application, *push.streams, server))
